//! Tells the program which commit it was built of, as `SARB_COMMIT`; leaves it out where nobody knows.
//!
//! `SARB_COMMIT` in the environment wins: packagers set it, and set to nothing it spares the rebuild that a commit
//! would otherwise cause.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SARB_COMMIT");
    let commit = match std::env::var("SARB_COMMIT") {
        Ok(given) => Some(given),
        Err(_) => packaged().or_else(in_git),
    };
    if let Some(commit) = commit.filter(|commit| !commit.is_empty()) {
        println!("cargo::rustc-env=SARB_COMMIT={commit}");
    }
}

/// What `cargo package` notes of the commit, in the folder of the package.
fn packaged() -> Option<String> {
    let path = Path::new(".cargo_vcs_info.json");
    let text = std::fs::read_to_string(path).ok()?;
    println!("cargo::rerun-if-changed={}", path.display());
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    Some(short(commit))
}

/// The commit of this repository, with `+` where files of the program differ from it.
fn in_git() -> Option<String> {
    // In a folder below a repository of somebody else, such as a vendored copy, its commit says nothing of ours.
    let here = std::env::current_dir().ok()?;
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    if std::fs::canonicalize(top).ok()? != std::fs::canonicalize(here).ok()? {
        return None;
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    for path in ["src", "crates/labels/src", "Cargo.toml", "build.rs"] {
        println!("cargo::rerun-if-changed={path}");
    }
    // Every commit and checkout adds a line to this log.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    let changes = [
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        "src",
        "crates/labels",
        "Cargo.toml",
        "Cargo.lock",
    ];
    let changed = git(&changes).is_some_and(|changes| !changes.is_empty());
    Some(format!("{}{}", short(&commit), if changed { "+" } else { "" }))
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("--no-optional-locks").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn short(commit: &str) -> String {
    commit.chars().take(12).collect()
}
