//! Training and prediction on another device than the CPU, which `SARB_TEST_DEVICE` names (docs/gpu.md).

use crate::support::{arg, borrow, data, quick, sarb_ok, train_on_images};

/// How far mAP may be apart, in percent: sums in another order lead to other networks.
const NOISE: f64 = 3.0;

fn device() -> String {
    std::env::var("SARB_TEST_DEVICE").expect("SARB_TEST_DEVICE names the device")
}

fn map(run: &str, more: &[&str]) -> f64 {
    let said = sarb_ok(&[&["evaluate", run, "--json"], more].concat());
    serde_json::from_str::<serde_json::Value>(&said).unwrap()["map"].as_f64().unwrap()
}

#[test]
#[ignore = "needs a device that SARB_TEST_DEVICE names"]
fn sarb_learns_on_the_device_what_it_learns_on_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    let maps = [("first", "cpu"), ("second", &device())].map(|(name, device)| {
        let run = dir.path().join(name);
        let more = ["--device", device, "--set", "train.epochs=6", "--set", "method.blend_from_epoch=2"];
        sarb_ok(&[&borrow(&quick("sarb", &run))[..], &more].concat());
        let features = arg(crate::support::features().join("test.npy"));
        100.0 * map(&arg(&run), &["--features", &features])
    });
    println!("mAP on the CPU {:.1} %, on {} {:.1} %", maps[0], device(), maps[1]);
    assert!(maps[0] > 60.0, "{maps:?}: it has learned nothing");
    assert!((maps[0] - maps[1]).abs() < NOISE, "{maps:?}");
}

#[test]
#[ignore = "needs a device that SARB_TEST_DEVICE names"]
fn a_run_predicts_on_the_device_what_it_predicts_on_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    train_on_images(&run);
    let (run, images) = (arg(&run), arg(data().join("images")));
    let [cpu, other] = ["cpu", &device()].map(|device| {
        let said = sarb_ok(&["predict", &run, &images, "--format", "csv", "--device", device]);
        let numbers = said
            .lines()
            .skip(1)
            .flat_map(|line| line.split(',').skip(1).map(str::to_owned).collect::<Vec<_>>());
        numbers.map(|number| number.parse::<f64>().unwrap()).collect::<Vec<_>>()
    });
    assert!(cpu.len() == other.len() && cpu.len() > 100);
    let apart = cpu.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{} probabilities, largest difference {apart:.1e}", cpu.len());
    assert!(apart < 1e-3, "{apart}");
}
