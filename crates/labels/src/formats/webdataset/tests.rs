use proptest::prelude::*;

use super::super::csv;
use super::super::options::Unlisted;
use super::*;
use crate::error::Kind;
use crate::formats::samples::{problems_of, read_bytes};
use crate::images::read_file;

const FIXTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/webdataset/shard-000000.tar");

pub(super) fn options(unlisted: Option<Unlisted>) -> Options {
    Options { unlisted, ..Options::default() }
}

/// A tar file with these members.
pub(super) fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Builder refuses such names, as it should.
        if name.starts_with('/') || name.contains("..") {
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, *bytes).unwrap();
        } else {
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
    }
    tar.into_inner().unwrap()
}

fn parse(bytes: &[u8], options: &Options) -> Result<Reading> {
    read_bytes("a.tar", bytes, |path| read(path, options))
}

fn problems(members: &[(&str, &[u8])], unlisted: Option<Unlisted>) -> Vec<String> {
    problems_of("a.tar", Kind::Data, parse(&tar(members), &options(unlisted)))
}

#[test]
fn both_lists_are_known_and_everything_else_is_unknown() {
    let Reading { annotations, notes } = FORMAT.read(Path::new(FIXTURE), &options(None)).unwrap();
    assert_eq!(annotations.categories, ["cat", "traffic light", "dog"]);
    #[rustfmt::skip]
    assert_eq!(annotations.labels.to_floats(), [
        1.0, 1.0, -1.0,
        0.0, 0.0, 1.0,
        0.0, 0.0, 0.0,
    ]);
    let long = format!("{}/img.png", "d".repeat(120));
    let names = ["train/000.jpg", &long, "train/002.webp"];
    assert_eq!(annotations.images, names.map(|name| Path::new(FIXTURE).join(name)));
    assert_eq!(notes, ["1 images have no labels in KEY.json or KEY.cls: all unknown"]);
    // After extraction.
    let extracted = Options { images: Some("/data".into()), ..options(None) };
    let annotations = FORMAT.read(Path::new(FIXTURE), &extracted).unwrap().annotations;
    assert_eq!(annotations.images[0], Path::new("/data/train/000.jpg"));
}

#[test]
fn a_single_list_needs_a_policy_which_holds_for_its_images_alone() {
    let members: [(&str, &[u8]); 7] = [
        ("a.jpg", b""),
        ("a.json", br#"["cat"]"#),
        ("b.jpg", b""),
        ("b.cls", b"dog\n\n owl \n"),
        ("c.JPG", b""),
        ("c.json", br#"{"positive": ["dog"], "negative": []}"#),
        ("d.jpg", b""),
    ];
    let bytes = tar(&members);
    let error = parse(&bytes, &options(None)).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("pass --unlisted unknown"), "{error}");
    let labels = |unlisted| parse(&bytes, &options(Some(unlisted))).unwrap().annotations.labels.to_floats();
    #[rustfmt::skip]
    assert_eq!(labels(Unlisted::Negative), [
        1.0, -1.0, -1.0,
        -1.0, 1.0, 1.0,
        0.0, 1.0, 0.0,
        0.0, 0.0, 0.0,
    ]);
    assert!(labels(Unlisted::Unknown).iter().all(|label| *label >= 0.0));
}

#[test]
fn a_policy_that_nothing_needs_is_refused() {
    let error = FORMAT.read(Path::new(FIXTURE), &options(Some(Unlisted::Negative))).unwrap_err();
    assert_eq!(error.to_string(), "--unlisted: this WebDataset has no use for it; remove the option");
}

#[test]
fn numbers_are_names_of_the_list_of_categories() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("names.txt");
    std::fs::write(&list, "cat\ndog\n").unwrap();
    let bytes =
        tar(&[("a.jpg", b""), ("a.cls", b"1"), ("b.jpg", b""), ("b.json", b"{\"labels\": [0, \"owl\"]}")]);
    let named = Options { categories: Some(list), ..options(Some(Unlisted::Unknown)) };
    assert_eq!(parse(&bytes, &named).unwrap().annotations.categories, ["cat", "dog", "owl"]);
    let Reading { annotations, notes } = parse(&bytes, &options(Some(Unlisted::Unknown))).unwrap();
    assert_eq!(annotations.categories, ["1", "0", "owl"]);
    assert!(notes[0].starts_with("labels are numbers without names; name them with --categories FILE"));
    let error = parse(&tar(&[("a.jpg", b""), ("a.cls", b"2")]), &named).unwrap_err().to_string();
    assert!(error.ends_with("member \"a.cls\": label 2; --categories names 2 labels, from 0"), "{error}");
}

#[test]
fn shards_are_read_in_order_of_their_names_from_folders_and_patterns() {
    let folder = tempfile::tempdir().unwrap();
    for (shard, label) in [("b.tar", "dog"), ("a.tar", "cat"), ("c.txt", "no")] {
        let json = format!(r#"{{"positive": ["{label}"]}}"#);
        let bytes = tar(&[("000.jpg", b""), ("000.json", json.as_bytes())]);
        std::fs::write(folder.path().join(shard), bytes).unwrap();
    }
    let whole = FORMAT.read(folder.path(), &options(None)).unwrap().annotations;
    assert_eq!(whole.images, ["a.tar/000.jpg", "b.tar/000.jpg"].map(|name| folder.path().join(name)));
    assert_eq!(whole.labels.to_floats(), [1.0, 0.0, 0.0, 1.0]);
    let some = FORMAT.read(&folder.path().join("[b-z].*"), &options(None)).unwrap().annotations;
    assert_eq!(some.categories, ["dog", "no"]);
    assert_eq!(
        FORMAT.read(&folder.path().join("b*.tar"), &options(None)).unwrap().annotations.categories,
        ["dog"]
    );
    assert_eq!(FORMAT.read(&folder.path().join("z*.tar"), &options(None)).unwrap_err().kind(), Kind::Missing);
    // Extracted into one folder, the two images would be one.
    let extracted = Options { images: Some("x".into()), ..options(None) };
    let error = FORMAT.read(folder.path(), &extracted).unwrap_err().to_string();
    assert!(
        error.ends_with("b.tar: member \"000.jpg\": image \"x/000.jpg\" is in another sample already"),
        "{error}"
    );
}

#[test]
fn members_that_lead_elsewhere_are_errors_that_name_them() {
    let found = problems(&[("/etc/a.jpg", b""), ("x/../../b.json", b"[]"), ("./c.jpg", b"")], None);
    assert_eq!(
        found,
        [
            "a.tar: member \"/etc/a.jpg\": an absolute path; expected a path below the tar file",
            "a.tar: member \"x/../../b.json\": a path with \"..\"; expected a path below the tar file",
        ]
    );
}

#[test]
fn of_members_with_one_name_the_last_counts_and_a_note_says_so() {
    let members: [(&str, &[u8]); 5] = [
        ("a.jpg", b"old"),
        ("a.json", br#"{"positive": ["cat"], "negative": []}"#),
        ("b.jpg", b""),
        ("a.json", br#"{"positive": ["dog"], "negative": []}"#),
        ("./a.jpg", b"new"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    std::fs::write(&path, tar(&members)).unwrap();
    let Reading { annotations, notes } = FORMAT.read(&path, &options(None)).unwrap();
    assert_eq!(annotations.categories, ["dog"]);
    assert_eq!(annotations.images, ["b.jpg", "a.jpg"].map(|name| path.join(name)));
    assert_eq!(annotations.labels.to_floats(), [0.0, 1.0]);
    let note = "2 members have the name of a later one, which counts, as where tar extracts them";
    assert!(notes.iter().any(|found| found == note), "{notes:?}");
    assert_eq!(read_file(&annotations.images[1]).unwrap(), b"new");
}

#[test]
fn a_label_file_leads_to_the_images_in_the_tar_files() {
    let folder = tempfile::tempdir().unwrap();
    for shards in ["shards", "data/more"] {
        std::fs::create_dir_all(folder.path().join(shards)).unwrap();
    }
    let members: [(&str, &[u8]); 2] =
        [("x/0.jpg", b"the image"), ("x/0.json", br#"{"positive": ["cat"], "negative": []}"#)];
    std::fs::write(folder.path().join("shards/000.tar"), tar(&members)).unwrap();
    let annotations = FORMAT.read(&folder.path().join("shards"), &options(None)).unwrap().annotations;
    for (file, image) in [
        ("train.csv", "shards/000.tar/x/0.jpg"),
        ("shards/train.csv", "000.tar/x/0.jpg"),
        ("data/more/train.csv", "../../shards/000.tar/x/0.jpg"),
    ] {
        let file = folder.path().join(file);
        csv::write(&file, &annotations).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("image,cat\n{image},1\n"));
        assert_eq!(read_file(&csv::read(&file).unwrap().images[0]).unwrap(), b"the image");
    }
    // And from one tar file into another.
    let copy = folder.path().join("copy.tar");
    write(&copy, &annotations).unwrap();
    let copied = FORMAT.read(&copy, &options(None)).unwrap().annotations;
    assert_eq!(copied.images, [copy.join("00000000.jpg")]);
    assert_eq!(read_file(&copied.images[0]).unwrap(), b"the image");
}

#[test]
fn a_key_ends_at_the_first_dot_of_the_last_part() {
    assert_eq!(split("a.b/c.seg.PNG"), Some(("a.b/c", "seg.png".into())));
    assert_eq!(split(".hidden"), None);
    assert_eq!(split("a.b/c"), None);
    assert_eq!(split("a/.hidden"), None);
    assert_eq!(split("a/b.jpg"), Some(("a/b", "jpg".into())));
    // Labels without an image are counted.
    let labels: &[u8] = br#"{"positive": ["cat"]}"#;
    let bytes = tar(&[("a.jpg", b""), ("a.json", labels), ("b.json", labels), ("c.json", labels)]);
    let Reading { annotations, notes } = parse(&bytes, &options(None)).unwrap();
    assert_eq!(annotations.images.len(), 1);
    assert_eq!(notes, ["2 samples have labels but no image: left out"]);
    // A file may be called like a pattern.
    let Reading { annotations, .. } =
        read_bytes("a[1].tar", &bytes, |path| read(path, &options(None))).unwrap();
    assert_eq!(annotations.images.len(), 1);
    // A mask is not the image.
    let bytes = tar(&[("a.seg.png", b""), ("a.jpg", b""), ("a.json", br#"{"positive": ["cat"]}"#)]);
    assert_eq!(parse(&bytes, &options(None)).unwrap().annotations.images.len(), 1);
}

#[test]
fn a_vector_of_0_and_1_is_no_list_of_classes() {
    for (name, list) in
        [("a.json", &br#"{"labels": [0, 1, 0, 1]}"#[..]), ("a.cls", b"0\n1\n0"), ("a.cls", b"1 1 0")]
    {
        let found = problems(&[("a.jpg", b""), (name, list)], Some(Unlisted::Negative));
        assert!(
            found[0].contains("more than once, as where a list has one number per category"),
            "{found:?}"
        );
    }
    let both =
        tar(&[("a.jpg", b""), ("a.json", br#"{"labels": [0, 1]}"#), ("b.jpg", b""), ("b.cls", b"1 0")]);
    let error = parse(&both, &options(Some(Unlisted::Negative))).unwrap_err().to_string();
    assert!(error.contains("a.tar: every list is 0 and 1 (2 lists), which may be one number per"), "{error}");
    let twice = tar(&[("a.jpg", b""), ("a.json", br#"{"labels": [2, 2, 0, 1]}"#)]);
    assert!(parse(&twice, &options(Some(Unlisted::Negative))).is_ok());
}

#[test]
fn labels_and_negative_labels_are_both_known_and_metadata_beside_a_class_is_left_alone() {
    let bytes = tar(&[
        ("a.jpg", b""),
        ("a.json", br#"{"labels": ["cat"], "negative_labels": ["dog"]}"#),
        ("b.jpg", b""),
        ("b.cls", b"owl"),
        ("b.json", br#"{"label": 3, "tags": "x y", "filename": "n01/b.jpg"}"#),
    ]);
    let annotations = parse(&bytes, &options(Some(Unlisted::Unknown))).unwrap().annotations;
    assert_eq!(annotations.categories, ["cat", "dog", "owl"]);
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn a_line_of_several_numbers_is_several_labels_and_other_lists_are_refused() {
    let several =
        tar(&[("a.jpg", b""), ("a.cls", b"0 3\n5, 7\n"), ("b.jpg", b""), ("b.cls", b"shark, white")]);
    let annotations = parse(&several, &options(Some(Unlisted::Unknown))).unwrap().annotations;
    assert_eq!(annotations.categories, ["0", "3", "5", "7", "shark, white"]);
    for list in [&b"cat,dog"[..], b"-1", b"3 -1"] {
        let found = problems(&[("a.jpg", b""), ("a.cls", list)], Some(Unlisted::Negative));
        assert!(found[0].ends_with("expected one label per line: a name, or a number from 0"), "{found:?}");
    }
}

#[test]
fn images_with_a_dot_before_their_kind_are_counted() {
    let dotted = tar(&[("a.jpg", b""), ("a.cls", b"cat"), ("v1.2_b.jpg", b""), ("v1.2_b.cls", b"dog")]);
    let notes = parse(&dotted, &options(Some(Unlisted::Unknown))).unwrap().notes;
    assert!(
        notes[0].starts_with("1 images are left out, such as \"v1.2_b.jpg\": WebDataset takes"),
        "{notes:?}"
    );
}

#[test]
fn shards_of_several_splits_are_not_one_source() {
    let folder = tempfile::tempdir().unwrap();
    for (name, key) in [("train-0.tar", "a"), ("val-0.tar", "b")] {
        let members = [(format!("{key}.jpg"), &b""[..]), (format!("{key}.cls"), b"cat")];
        let members = members.each_ref().map(|(name, bytes)| (&**name, *bytes));
        std::fs::write(folder.path().join(name), tar(&members)).unwrap();
    }
    let error = read(folder.path(), &options(Some(Unlisted::Unknown))).unwrap_err().to_string();
    assert!(error.contains("shards of several splits: train, val; choose one with a pattern"), "{error}");
    let refused = |path: &Path| read(path, &options(Some(Unlisted::Unknown))).unwrap_err().to_string();
    assert!(refused(&folder.path().join("*.tar")).contains("splits: train, val; choose one with a pattern"));
    let one = read(&folder.path().join("val*.tar"), &options(Some(Unlisted::Unknown))).unwrap();
    assert_eq!(one.annotations.images.len(), 1);
    // A shard of no split may hold any images.
    std::fs::rename(folder.path().join("val-0.tar"), folder.path().join("more.tar")).unwrap();
    let error = refused(folder.path());
    assert!(error.contains("shards of train, and shards of no split; choose one with a pattern"), "{error}");
}

#[test]
fn problems_are_named_with_their_members() {
    let found = problems(
        &[
            ("a.jpg", b""),
            ("a.png", b""),
            ("b.json", b"{\"positive\": [\"cat\"]}"),
            ("b.cls", b"dog"),
            ("c.json", b"{\n\"positive\": [\"cat\""),
            ("d.json", b"{\"positive\": \"cat\"}"),
            ("e.json", b"{\"positive\": [\"cat\", -1]}"),
            ("f.cls", b"\xff"),
            ("g.json", b"{\"labels\": [], \"negative\": []}"),
            ("h.json", &b"[".repeat(100_000)),
            ("i.json", b"7"),
        ],
        Some(Unlisted::Unknown),
    );
    let accepted = format!("expected {}", crate::formats::label_lists::ACCEPTED);
    assert_eq!(
        found[..8],
        [
            "a.tar: member \"a.png\": the sample has the image \"a.jpg\" already".to_owned(),
            "a.tar: member \"b.cls\": the sample has the labels \"b.json\" already".to_owned(),
            format!(
                "a.tar: member \"c.json\": EOF while parsing a list at line 2 column 18; {accepted}, or a list"
            ),
            "a.tar: member \"d.json\": positive is \"\\\"cat\\\"\"; expected a list of labels".to_owned(),
            "a.tar: member \"e.json\": \"-1\" in positive; expected names or numbers from 0".to_owned(),
            "a.tar: member \"f.cls\": no UTF-8 text; expected one label per line".to_owned(),
            format!("a.tar: member \"g.json\": labels beside positive and negative; {accepted}"),
            format!(
                "a.tar: member \"h.json\": recursion limit exceeded at line 1 column 128; {accepted}, or a list"
            ),
        ]
    );
    assert!(found[8].contains("invalid type: integer `7`"), "{}", found[8]);
}

#[test]
fn files_that_are_no_tar_or_cut_off_are_errors() {
    let error = |bytes: &[u8]| parse(bytes, &options(None)).unwrap_err().to_string();
    assert!(error(b"").ends_with("a.tar: no images; nothing to read"));
    assert!(error(&[7; 2000]).contains("a.tar: not read as a tar file"));
    assert!(
        error(&[&[0x1f, 0x8b][..], &[7; 2000]].concat())
            .ends_with("it is compressed: unpack it with gunzip first")
    );
    let whole = tar(&[("a.jpg", &[7; 3000]), ("b.jpg", &[7; 3000])]);
    assert!(error(&whole[..2000]).contains("not read as a tar file"));
    assert!(error(&whole[..6000]).contains("not read as a tar file"));
    assert_eq!(FORMAT.read(Path::new("/no.tar"), &options(None)).unwrap_err().kind(), Kind::Missing);
    let set = Options { set: Some("x".into()), ..options(None) };
    assert_eq!(FORMAT.read(Path::new("/no.tar"), &set).unwrap_err().kind(), Kind::Usage);
    // A header that claims 8 EB, and labels beyond the limit.
    let mut header = tar::Header::new_gnu();
    header.set_path("a.json").unwrap();
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    assert!(error(&[&header.as_bytes()[..], &[0; 512]].concat()).contains("not read as a tar file"));
    let big = vec![b' '; MOST_BYTES as usize + 1];
    assert!(error(&tar(&[("a.json", &big)])).contains("16777217 bytes of labels; at most 16777216"));
}

#[test]
fn the_first_header_or_the_folder_tells_the_format() {
    let head = std::fs::read(FIXTURE).unwrap();
    assert_eq!(recognize(Path::new("a.tar"), &head).unwrap(), "a tar file");
    assert_eq!(recognize(Path::new("a.tar"), b"PAR1"), None);
    let folder = Path::new(FIXTURE).parent().unwrap();
    assert_eq!(recognize(folder, b"").unwrap(), "a folder with 1 tar files");
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..1500),
        changes in prop::collection::vec((0..4096usize, any::<u8>()), 0..12),
        cut in 0..4096usize
    ) {
        let policy = options(Some(Unlisted::Negative));
        let _ = parse(&bytes, &policy);
        let _ = parse_json(&bytes);
        let mut mutated = std::fs::read(FIXTURE).unwrap();
        for (at, byte) in changes {
            mutated[at] = byte;
        }
        // So that headers are read in spite of it.
        for block in mutated.chunks_mut(512).filter(|block| block.get(257..262) == Some(b"ustar")) {
            let mut header = tar::Header::new_old();
            header.as_mut_bytes().copy_from_slice(block);
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
        let _ = parse(&mutated, &policy);
        mutated.truncate(cut);
        let _ = parse(&mutated, &policy);
    }
}
