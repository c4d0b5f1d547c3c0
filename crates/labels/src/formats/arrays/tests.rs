use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::formats::options::Convention;
use crate::formats::samples::{damaged, read_bytes, samples};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/arrays");

fn fixture(name: &str) -> PathBuf {
    Path::new(FIXTURE).join(name)
}

fn options() -> Options {
    let (image_list, categories) = (Some(fixture("images.txt")), Some(fixture("categories.txt")));
    Options { image_list, categories, ..Options::default() }
}

fn in_convention(convention: Convention) -> Options {
    Options { convention: Some(convention), ..options() }
}

/// Reads bytes as a file of this name, as HCP-MLR-PL's array of the images and categories of the fixture.
fn parse(name: &str, bytes: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes(name, bytes, |path| FORMAT.read(path, &in_convention(Convention::Hcp)))
}

fn problem(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let error = parse(name, bytes).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Data, "{error}");
    let text = error.to_string();
    text[text.find(name).unwrap()..].to_owned()
}

fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").bytes());
    bytes.extend(data);
    bytes
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut writer = zip::ZipWriter::new(&mut bytes);
    for (name, data) in members {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap();
    bytes.into_inner()
}

#[test]
fn every_cell_of_every_fixture_is_read() {
    // int64; big-endian float32 in Fortran order; int8 in an archive; text.
    for name in ["labels.npy", "fortran_big_endian.npy", "labels.npz", "labels.txt"] {
        let reading = FORMAT.read(&fixture(name), &in_convention(Convention::Hcp)).unwrap();
        let Annotations { images, labels, categories, .. } = reading.annotations;
        assert_eq!(images, ["a.jpg", "b.jpg", "sub/c d.jpg"].map(fixture));
        assert_eq!(categories, ["cat", "dog", "traffic light", "sofa"]);
        let expected = [1.0, -1.0, 0.0, 1.0, 0.0, 1.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(labels.to_floats(), expected, "{name}");
        assert!(reading.notes.is_empty());
    }
}

#[test]
fn the_same_numbers_mean_something_else_in_another_program() {
    let reading = FORMAT.read(&fixture("labels.npy"), &in_convention(Convention::Csl)).unwrap();
    let expected = [1.0, 0.0, -1.0, 1.0, -1.0, 1.0, 1.0, 0.0, -1.0, -1.0, -1.0, -1.0];
    assert_eq!(reading.annotations.labels.to_floats(), expected);
}

#[test]
fn without_a_convention_it_is_said_how_the_numbers_were_read_or_asked() {
    let reading = FORMAT.read(&fixture("labels.npy"), &options()).unwrap();
    assert_eq!(reading.notes, ["2 of -1 read as not there, 6 of 0 as unknown; if not, pass --convention"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("complete.txt");
    std::fs::write(&path, "1 0 0 1\n0 1 0 0\n0 0 1 0\n").unwrap();
    let error = FORMAT.read(&path, &options()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    assert!(
        error.to_string().contains("0 may mean unknown or not there; pass --convention hcp or spml"),
        "{error}"
    );
    let complete = FORMAT.read(&path, &in_convention(Convention::Complete)).unwrap().annotations.labels;
    assert_eq!((complete.count(Label::Negative), complete.count(Label::Unknown)), (8, 0));
}

#[test]
fn images_must_be_named_and_categories_may_be() {
    let error = FORMAT.read(&fixture("labels.npy"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    assert!(error.to_string().contains("pass --image-list FILE"), "{error}");
    let unnamed = Options { categories: None, ..options() };
    let reading = FORMAT.read(&fixture("labels.npy"), &unnamed).unwrap();
    assert_eq!(reading.annotations.categories[3], "category_3");
    assert!(reading.notes[0].starts_with("4 categories without names: category_0"), "{:?}", reading.notes);
    let short = Options { image_list: Some(fixture("categories.txt")), ..options() };
    let error = FORMAT.read(&fixture("labels.npy"), &short).unwrap_err().to_string();
    assert!(error.contains("categories.txt: 4 images; expected 3, one for each row of"), "{error}");
    let short = Options { categories: Some(fixture("images.txt")), ..options() };
    let error = FORMAT.read(&fixture("labels.npy"), &short).unwrap_err().to_string();
    assert!(error.contains("images.txt: 3 categories; expected 4, one for each column of"), "{error}");
}

#[test]
fn text_as_numpy_writes_it_is_read() {
    let savetxt = "# labels\n1.000000000000000000e+00 -1.000000000000000000e+00 0.0 1\n0 1 1 -1\n\n0 0 0 0\n";
    let labels = parse("labels.txt", savetxt).unwrap().annotations.labels;
    assert_eq!(
        labels,
        parse("labels.npy", std::fs::read(fixture("labels.npy")).unwrap()).unwrap().annotations.labels
    );
}

#[test]
fn wrong_lines_of_text_come_all_at_once() {
    let error = parse("labels.txt", b"1,0,-1,1\n1,0\n2,nan,0,x\n\xff\n".as_slice()).unwrap_err().to_string();
    let found: Vec<&str> = error.lines().map(|line| line.split_once("labels.txt:").unwrap().1).collect();
    let expected = [
        "2: 2 numbers; expected 4 as in the first row",
        "3: number 1 is \"2\"; expected 1, 0 or -1",
        "3: number 2 is \"nan\"; expected 1, 0 or -1",
        "3: number 4 is \"x\"; expected 1, 0 or -1",
        "4: no UTF-8 text (byte 0xFF at column 1); save the file as UTF-8",
    ];
    assert_eq!(found, expected);
    assert!(problem("labels.txt", "\n").ends_with("no rows; expected lines of 1, 0 and -1"));
}

#[test]
fn arrays_that_do_not_fit_are_refused_with_what_is_accepted() {
    let floats: Vec<u8> =
        [1.0, 0.5, f64::NAN, -1.0].iter().flat_map(|value: &f64| value.to_le_bytes()).collect();
    for (bytes, expected) in [
        (
            npy("|u1", "(1, 2)", &[1, 255]),
            "row 0, column 1 (both from 0) is 255; expected 1, 0 or -1; 255 is -1 that",
        ),
        (
            npy("<f4", "(1, 2)", &[1f32, 255.0].map(f32::to_le_bytes).concat()),
            "row 0, column 1 (both from 0) is 255; expected 1, 0 or -1\n",
        ),
        (npy("<f8", "(2, 2)", &floats), "row 0, column 1 (both from 0) is 0.5; expected 1, 0 or -1"),
        (npy("|i1", "(3, 4)", &[0; 11]), "ends before its shape (3, 4) is full; is it cut short"),
        (npy("|i1", "(0, 4)", &[]), "shape (0, 4): no labels"),
        (npy("|i1", "(18446744073709551615, 4)", &[]), "too many labels for memory"),
        (npy("|i1", "(9999999999, 9999999999)", &[]), "too many labels for memory"),
        (npy("<c8", "(1, 1)", &[]), "holds numbers of type \"<c8\"; expected bool, int8"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "no NumPy array; is it cut short or damaged?"),
        (b"hello, world".to_vec(), "no NumPy array"),
        (Vec::new(), "no NumPy array"),
    ] {
        let found = problem("labels.npy", bytes) + "\n";
        assert!(found.contains(expected), "{found}");
    }
    // A folder of this name is no damaged array.
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("labels.npy")).unwrap();
    let error = FORMAT.read(&folder.path().join("labels.npy"), &options()).unwrap_err().to_string();
    assert!(!error.contains("no NumPy array"), "{error}");
    assert!(problem("labels.bin", "").ends_with("expected a file called .npy, .npz or .txt"));
}

#[test]
fn numbers_that_are_missing_are_unknown_in_either_order_and_long_arrays_come_in_pieces() {
    let read = |bytes: &[u8], most_cells: u64| {
        let mut problems = crate::error::Problems::default();
        numbers::read(bytes, Path::new("a.npy"), most_cells, &mut problems)
    };
    let values = [1.0, 0.0, -1.0, f64::NAN, 0.0, 1.0].map(f64::to_le_bytes).concat();
    let rows = npy("<f8", "(3, 2)", &values);
    let numbers = read(&rows, 192).unwrap();
    assert_eq!(numbers.values.to_floats(), [1.0, 0.0, -1.0, 0.0, 0.0, 1.0]);
    assert_eq!(numbers.missing, [(1, 1)]);
    let text = String::from_utf8_lossy(&rows[10..128]).replace("False", "True ");
    let fortran = [&rows[..10], text.as_bytes(), &rows[128..]].concat();
    let numbers = read(&fortran, 192).unwrap();
    assert_eq!(numbers.values.to_floats(), [1.0, 0.0, 0.0, 0.0, -1.0, 1.0]);
    assert_eq!(numbers.missing, [(0, 1)]);
    assert!(read(&rows, 191).unwrap_err().to_string().ends_with("shape (3, 2): too many labels for memory"));
    let long: Vec<u8> = (0..20_000).flat_map(|at| [-1f64, 0.0, 1.0][at % 3].to_le_bytes()).collect();
    let numbers = read(&npy("<f8", "(20000, 1)", &long), u64::MAX).unwrap().values;
    assert!(numbers.to_floats().iter().enumerate().all(|(at, value)| *value == [-1.0, 0.0, 1.0][at % 3]));
}

#[test]
fn an_archive_gives_its_only_array_or_the_one_called_labels() {
    let [ones, zeros] = [1, 0].map(|value| npy("|i1", "(3, 4)", &[value; 12]));
    let labels =
        parse("a.npz", archive(&[("x.npy", &zeros), ("labels.npy", &ones)])).unwrap().annotations.labels;
    assert_eq!(labels.count(Label::Positive), 12);
    assert!(parse("a.npz", archive(&[("train.npy", &ones)])).is_ok());
    let found = problem("a.npz", archive(&[("x.npy", &zeros), ("../y.npy", &ones)]));
    assert!(
        found.ends_with("holds \"x.npy\", \"../y.npy\"; expected one array, or one called labels"),
        "{found}"
    );
    assert!(problem("a.npz", b"PK").contains("no archive of NumPy arrays"));
    // A small file must not ask for gigabytes of labels.
    let zeros = npy("|i1", "(999999999, 1)", &[0; 100_000]);
    assert!(problem("a.npz", archive(&[("labels.npy", &zeros)])).contains("too many labels for memory"));
}

#[test]
fn an_unknown_compression_is_a_fault_of_the_archive_not_of_the_disk() {
    let mut bytes = archive(&[("labels.npy", &npy("|i1", "(3, 4)", &[1; 12]))]);
    let central = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    bytes[central + 10..central + 12].fill(0xff);
    let found = problem("a.npz", bytes);
    assert!(found.contains("compression method not supported: 65535"), "{found}");
}

#[test]
fn files_are_recognized_by_what_they_hold() {
    let head = |name: &str| std::fs::read(fixture(name)).unwrap();
    for (name, recognized) in
        [("labels.npy", true), ("labels.npz", true), ("labels.txt", true), ("images.txt", false)]
    {
        assert_eq!(recognize(&fixture(name), &head(name)).is_some(), recognized, "{name}");
    }
    assert_eq!(recognize(Path::new("a.txt"), b""), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn arrays_with_their_lists_hold_everything(sample in samples(), text in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let written = sample.at(folder.path(), folder.path(), "");
        let path = folder.path().join(if text { "labels.txt" } else { "labels.npy" });
        let lost = write(&path, &written).unwrap();
        prop_assert!(lost.len() == 1 && lost[0].starts_with("the names of images and categories"));
        let [image_list, categories] = ["images.txt", "categories.txt"].map(|it| Some(path.with_extension(it)));
        let options = Options { image_list, categories, ..Options::default() };
        let back = FORMAT.read(&path, &Options { convention: Some(Convention::Hcp), ..options }).unwrap().annotations;
        prop_assert_eq!(&back.images, &written.images);
        prop_assert_eq!(&back.categories, &written.categories);
        prop_assert_eq!(&back.labels, &written.labels);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        npy in damaged(std::fs::read(fixture("labels.npy")).unwrap()),
        npz in damaged(std::fs::read(fixture("labels.npz")).unwrap()),
        text in damaged(std::fs::read(fixture("labels.txt")).unwrap()),
    ) {
        for (name, bytes) in [("a.npy", npy), ("a.npz", npz), ("a.txt", text)] {
            let _ = recognize(Path::new(name), &bytes);
            let _ = parse(name, bytes);
        }
    }
}
