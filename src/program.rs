//! Which build of this program it is.

/// The commit that it was built of, if anybody knows it. Set to nothing, the variable says that nobody does.
pub fn commit() -> Option<&'static str> {
    option_env!("SARB_COMMIT").filter(|commit| !commit.is_empty())
}

/// Version and commit, as semantic versioning writes what a build was made of: `0.1.0+1a2b3c4`, `0.1.0+1a2b3c4.changed`
/// where files differed from the commit, `0.1.0` where nobody knows it.
pub fn build() -> String {
    written(env!("CARGO_PKG_VERSION"), commit())
}

/// What a person should know of a run that another build began and this one continues.
pub fn another(began: &str) -> Option<String> {
    let here = build();
    (began != here).then(|| {
        format!("begun by sarb {began}, continued by {here}: the numbers may not be those of an undisturbed training")
    })
}

fn written(version: &str, commit: Option<&str>) -> String {
    match commit {
        Some(commit) => format!("{version}+{}", commit.replace('+', ".changed")),
        None => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_written_as_semantic_versioning_has_it() {
        assert_eq!(written("0.1.0", None), "0.1.0");
        assert_eq!(written("0.1.0", Some("1a2b3c4")), "0.1.0+1a2b3c4");
        assert_eq!(written("0.1.0", Some("1a2b3c4+")), "0.1.0+1a2b3c4.changed");
        assert!(build().starts_with(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn a_run_that_another_build_began_is_told_of() {
        assert_eq!(another(&build()), None);
        assert!(
            another("0.0.9+1a2b3c4").unwrap().starts_with("begun by sarb 0.0.9+1a2b3c4, continued by 0.1")
        );
    }
}
