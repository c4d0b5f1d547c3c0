//! Places and limits that are not as a program would like them: names, other users' files, memory, the terminal's end.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::frozen::on_frozen_trunk;
use crate::support::{arg, borrow, command, data, data_copy, quick, random_trunk, sarb, sarb_fails, sarb_ok};

#[test]
fn settings_beyond_all_measure_are_refused_with_their_range() {
    let dir = tempfile::tempdir().unwrap();
    for (set, expected) in [
        ("method.network.dim=1000000000000", "1 to 16384"),
        ("method.network.joint=9223372036854775807", "1 to 16384"),
        ("train.epochs=9223372036854775807", "0 to 1000000"),
        ("train.batch_size=9223372036854775807", "1 to 1000000"),
        ("backbone.views=1000000000", "0 to 1000000"),
        ("seed=18446744073709551615", "a whole number"),
    ] {
        let args = [quick("ssgrl", &dir.path().join("run")), vec!["--set".into(), set.into()]].concat();
        let message = sarb_fails(2, &borrow(&args));
        assert!(message.contains(expected), "{set}: {message}");
    }
    let largest = ["--set", "seed=9223372036854775807", "--set", "train.epochs=1"].map(String::from).to_vec();
    sarb_ok(&borrow(&[quick("bce", &dir.path().join("run")), largest].concat()));
}

/// Makes files of a data folder no images.
fn break_images(data: &Path, count: usize) {
    let table = std::fs::read_to_string(data.join("train.csv")).unwrap();
    for line in table.lines().skip(1).take(count) {
        std::fs::write(data.join(line.split(',').next().unwrap()), "no image").unwrap();
    }
}

#[test]
fn all_broken_images_are_named_and_some_may_be_left_out() {
    let (dir, folder) = (tempfile::tempdir().unwrap(), data_copy());
    break_images(folder.path(), 3);
    let weights = random_trunk(dir.path());
    let run = dir.path().join("run");
    let args = |more: &[&str]| {
        let mut args = on_frozen_trunk("ssgrl", &weights, &arg(&run), &[]);
        let at = args.iter().position(|arg| arg == "--data").unwrap();
        args[at + 1] = arg(folder.path());
        args.extend(more.iter().map(|more| (*more).to_owned()));
        args
    };
    let message = sarb_fails(3, &borrow(&args(&[])));
    assert!(message.contains("3 of 48 images cannot be read"), "{message}");
    for name in ["train_00000.png", "train_00001.png", "train_00002.png", "sarb data check", "--skip-broken"]
    {
        assert!(message.contains(name), "{name}: {message}");
    }
    let message = sarb_fails(3, &borrow(&args(&["--skip-broken", "5%"])));
    assert!(message.contains("more than --skip-broken allows: 6.2 % of them, not 5.0 %"), "{message}");

    let output = sarb(&borrow(&args(&["--skip-broken", "0.1"])));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("warning: images that cannot be read are left out") && said.contains("3 of train.csv;"),
        "{said}"
    );
    let skipped = std::fs::read_to_string(run.join("data/skipped.csv")).unwrap();
    assert!(skipped.lines().count() == 4 && skipped.contains("train_00002.png"), "{skipped}");
    // Resumed, it is the same training.
    let more = ["--skip-broken", "0.1", "--resume", "--set", "train.epochs=3"];
    sarb_ok(&borrow(&args(&more)));

    // Likewise of the images that select the epoch.
    let test = std::fs::read_to_string(folder.path().join("test.csv")).unwrap();
    let val: Vec<&str> = test.lines().take(13).collect();
    std::fs::write(folder.path().join("val.csv"), val.join("\n")).unwrap();
    let broken = val[2].split(',').next().unwrap();
    std::fs::write(folder.path().join(broken), "no image").unwrap();
    let said = sarb_fails(3, &borrow(&args(&["--force", "--skip-broken", "7%"])));
    assert!(said.contains("1 of 12 images cannot be read") && said.contains(broken), "{said}");
    let output = sarb(&borrow(&args(&["--force", "--skip-broken", "0.1"])));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("3 of train.csv and 1 of val.csv;"), "{said}");
    let skipped = std::fs::read_to_string(run.join("data/skipped.csv")).unwrap();
    assert!(skipped.lines().count() == 5 && skipped.contains(broken), "{skipped}");
    let val = sarb_labels::formats::csv::read(&run.join("data/val.csv")).unwrap();
    assert_eq!(val.images.len(), 11);
    sarb_ok(&borrow(&args(&["--skip-broken", "0.1", "--resume", "--set", "train.epochs=3"])));
}

#[cfg(unix)]
mod on_unix {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::process::CommandExt;

    #[test]
    fn a_data_folder_whose_name_is_no_text_is_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join(OsStr::from_bytes(b"d\xffta"));
        crate::support::copy(data(), &odd);
        let run = dir.path().join("run");
        let mut args = quick("bce", &run);
        args.retain(|arg| arg != "--data" && *arg != data().display().to_string());
        let output = command(&borrow(&args)).arg("--data").arg(&odd).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("is not UTF-8"), "{said}");
        assert!(!run.exists());
        // A sweep notes every path; so it refuses features of such a name too.
        let file = odd.join("f.npy");
        std::fs::copy(crate::support::features().join("train.npy"), &file).unwrap();
        let (data, out) = (arg(data()), arg(dir.path().join("sweep")));
        for more in [
            &["sweep", "coco18", "--test-features", "f.npy"][..],
            &["tune", "--method", "linear", "--budget", "1m"],
        ] {
            let mut command = command(&[more, &["--data", &data, "--out", &out]].concat());
            let output = command.arg("--features").arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(2) && said.contains("is not UTF-8"), "{more:?}: {said}");
        }
        // A link to it has a name of its own, and looking at it changes nothing.
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&odd, &link).unwrap();
        sarb_ok(&["data", "inspect", &arg(&link)]);
        assert!(command(&["data", "inspect"]).arg(&odd).output().unwrap().status.success());
    }

    #[test]
    #[ignore = "needs root, who alone can become another user"]
    fn another_user_s_cache_is_read_where_it_may_not_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let weights = random_trunk(dir.path());
        let (run, cache) = (dir.path().join("run"), dir.path().join("cache"));
        let train = on_frozen_trunk("ssgrl", &weights, &arg(&run), &[]);
        let with_cache = |args: &[&str]| {
            let mut command = command(args);
            command.env("XDG_CACHE_HOME", &cache);
            command
        };
        assert!(with_cache(&borrow(&train)).output().unwrap().status.success());
        let evaluated = with_cache(&["evaluate", &arg(&run)]).output().unwrap();
        assert!(evaluated.status.success());
        let open = ["-R", "a+rX", &arg(dir.path())];
        assert!(std::process::Command::new("chmod").args(open).status().unwrap().success());
        assert!(std::process::Command::new("chmod").args(["a+rX", &arg(data())]).status().unwrap().success());
        // Nobody, who cannot write anywhere here.
        let as_nobody = with_cache(&["evaluate", &arg(&run)]).uid(65534).gid(65534).output().unwrap();
        let said = String::from_utf8_lossy(&as_nobody.stderr);
        assert!(as_nobody.status.success(), "{said}");
        assert_eq!(as_nobody.stdout, evaluated.stdout);
        assert!(said.contains("the result is not kept in the run's folder"), "{said}");
    }

    /// A training of many epochs that gets a signal once it has begun; its exit code.
    fn signalled(mut command: std::process::Command, run: &Path, signal: &str) -> Option<i32> {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while !run.join("checkpoints/last/state.json").exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint appears");
            std::thread::sleep(Duration::from_millis(5));
        }
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(300));
        if child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_secs(2));
        }
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        ended.and_then(|status| status.code())
    }

    #[test]
    fn the_end_of_the_terminal_saves_and_nohup_outlives_it() {
        let dir = tempfile::tempdir().unwrap();
        let long =
            |run: &Path| [quick("ssgrl", run), vec!["--set".into(), "train.epochs=4000".into()]].concat();
        let run = dir.path().join("run");
        let mut program = command(&borrow(&long(&run)));
        // Whoever runs the tests under nohup hands its deafness on.
        // SAFETY: between fork and exec nothing but this one call, which may be made there.
        unsafe {
            program.pre_exec(|| {
                libc::signal(libc::SIGHUP, libc::SIG_DFL);
                Ok(())
            });
        }
        assert_eq!(signalled(program, &run, "-HUP"), Some(75));
        assert!(std::fs::read_to_string(run.join("run.json")).unwrap().contains("\"interrupted\""));
        let run = dir.path().join("nohup");
        let program = command(&borrow(&long(&run)));
        let mut nohup = std::process::Command::new("nohup");
        nohup.arg(program.get_program()).args(program.get_args()).current_dir(dir.path());
        assert_eq!(signalled(nohup, &run, "-HUP"), None, "it goes on");
    }

    /// The program with at most so many MiB of memory.
    fn within(megabytes: usize, args: &[&str]) -> std::process::Output {
        let program = command(args);
        let limit = format!("ulimit -v {}; exec \"$0\" \"$@\"", megabytes << 10);
        let mut limited = std::process::Command::new("sh");
        limited.args(["-c", &limit]).arg(program.get_program()).args(program.get_args());
        limited.env("RAYON_NUM_THREADS", "2").output().unwrap()
    }

    #[test]
    fn inputs_that_would_fill_the_memory_are_refused_within_little_of_it() {
        let dir = tempfile::tempdir().unwrap();
        // A file of 1 GB that takes no place on the disk: one line, or one text.
        let huge = |name: &str, begin: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, begin).unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
            arg(path)
        };
        let out = arg(dir.path().join("out.csv"));
        for (file, from) in [
            (huge("own.csv", "image,cat\n"), None),
            (huge("header.csv", "image,"), None),
            (huge("table.csv", "image,cat\n"), Some("table")),
            (huge("labels.json", "{\"images\":[{\"id\":1,\"file_name\":\""), None),
            (huge("lines.jsonl", "{\"image\":\""), None),
        ] {
            let mut args = vec!["data", "convert", &file, "--out", &out];
            args.extend(from.iter().flat_map(|from| ["--from", *from]));
            let output = within(1500, &args);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{file}: {said}");
            assert!(!said.contains("allocation"), "{file}: {said}");
        }
    }
}
