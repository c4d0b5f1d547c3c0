//! Trainings that explode: they end with 5, keep what was good, and go on from it with a smaller rate.

use crate::support::{arg, borrow, heads, quick, sarb, sarb_fails, test_scores};

#[test]
fn a_rate_of_a_billion_is_no_method_s_success_and_a_smaller_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    for method in heads().filter(|method| *method != "linear") {
        let run = dir.path().join(method);
        let with_rate = |rate: &str| {
            let mut args = quick(method, &run);
            for arg in &mut args {
                if arg.starts_with("train.learning_rate=") {
                    *arg = format!("train.learning_rate={rate}");
                }
            }
            args
        };
        let message = sarb_fails(5, &borrow(&with_rate("1e9")));
        assert!(message.contains("exploded") || message.contains("diverged"), "{method}: {message}");
        assert!(message.contains("--resume --set train.learning_rate=RATE"), "{method}: {message}");
        // What it advises can be done.
        let output = sarb(&borrow(&[with_rate("0.003"), vec!["--resume".into()]].concat()));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("it was 1e9"), "{method}: {said}");
        assert!(std::fs::read_to_string(run.join("recipe.toml")).unwrap().contains("learning_rate = 0.003"));
        test_scores(&run);
    }
}

#[test]
fn a_larger_rate_is_another_experiment() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let args = quick("bce", &run);
    sarb(&borrow(&args));
    let larger = ["--resume", "--set", "train.learning_rate=0.1"].map(String::from);
    let message = sarb_fails(7, &borrow(&[args, larger.to_vec()].concat()));
    assert!(message.contains("and train.learning_rate shrink"), "{message}: {}", arg(&run));
}
