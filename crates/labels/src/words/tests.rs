use super::*;
use crate::arrays::npy;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn text(content: impl AsRef<[u8]>, categories: &[&str]) -> Result<Words> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("words.txt");
    std::fs::write(&path, content).unwrap();
    Words::read(&path, &names(categories))
}

const VECTORS: &str = "the 9 9\ntraffic 1 2\nlight 3 -4\ncat 0.5 1e-1\n";

#[test]
fn names_are_looked_up_in_lower_case_and_their_words_averaged() {
    for name in ["Traffic Light", "traffic_light", "traffic-light"] {
        let words = text(VECTORS, &["CAT", name]).unwrap();
        assert_eq!(words, Words { values: vec![0.5, 0.1, 2.0, -1.0], width: 2, warnings: vec![] });
    }
}

#[test]
fn a_name_that_has_a_vector_of_its_own_is_not_taken_apart() {
    let words = text(format!("{VECTORS}traffic-light 7 8"), &["traffic-light"]).unwrap();
    assert_eq!(words.values, [7.0, 8.0]);
}

#[test]
fn names_found_in_part_are_averaged_over_that_part_with_a_warning() {
    let words = text(VECTORS, &["traffic cone"]).unwrap();
    assert_eq!(words.values, [1.0, 2.0]);
    assert_eq!(words.warnings.len(), 1);
    assert!(words.warnings[0].ends_with("is the average of [\"traffic\"]; no vector for [\"cone\"]"));
}

#[test]
fn all_names_without_a_vector_are_listed() {
    let error = text(VECTORS, &["diningtable", "cat", "tv monitor"]).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Data);
    let error = error.to_string();
    assert!(error.contains("2 of 3 categories: \"diningtable\", \"tv monitor\";"), "{error}");
}

#[test]
fn a_first_line_of_two_integers_tells_the_width() {
    let words = text("2 3\ncat 1 2 3 \ndog 4 5 6 \n", &["dog"]).unwrap();
    assert_eq!((words.values, words.width), (vec![4.0, 5.0, 6.0], 3));
    let error = text("2 3\ncat 1 2\n", &["cat"]).unwrap_err().to_string();
    assert!(
        error.ends_with("words.txt:2: 2 numbers after the word; expected 3 as in the first line"),
        "{error}"
    );
}

#[test]
fn a_first_line_is_a_header_only_if_it_is_two_numbers_and_vectors_have_numbers() {
    let words = text("cat 5\ndog 6\n", &["dog"]).unwrap();
    assert_eq!((words.values, words.width), (vec![6.0], 1));
    for first in ["2 0", "cat", "cat x"] {
        let error = text(format!("{first}\ncat\n"), &["cat"]).unwrap_err().to_string();
        assert!(error.contains("words.txt:1: expected GloVe's text format"), "{first}: {error}");
    }
}

#[test]
fn a_line_of_another_width_is_an_error_with_its_line() {
    for line in ["dog 1", "dog 1 2 3", "dog", "dog 1  ", "1.5 2 3 4", "dog  1", " dog 1", "d 1"] {
        let error = text(format!("{VECTORS}{line}\nend 1 2\n"), &["cat"]).unwrap_err().to_string();
        assert!(error.contains("words.txt:5: ") && error.contains("expected 2"), "{line}: {error}");
    }
}

#[test]
fn words_with_spaces_tabs_and_bytes_that_are_no_text_do_not_disturb() {
    let mut file = VECTORS.as_bytes().to_vec();
    file.extend(b". . . 5 6\nat a@b.c 1 2\n\xff\xfe 1 2\r\ndog\t1\t2\nhot   3   4\n");
    assert_eq!(text(file, &["dog", "hot"]).unwrap().values, [1.0, 2.0, 3.0, 4.0]);
    // As many spaces as numbers, and a tab.
    assert_eq!(text("the 1 2 3\ndog\t 4 5 6\n", &["dog"]).unwrap().values, [4.0, 5.0, 6.0]);
}

#[test]
fn values_that_are_no_finite_numbers_are_errors() {
    let error = text("the 1 2\ncat 1 nan\n", &["cat"]).unwrap_err().to_string();
    assert!(
        error.ends_with("words.txt:2: \"nan\" in the vector of \"cat\"; expected a finite number"),
        "{error}"
    );
    assert!(text("the 1 2\ncat 1 x\n", &["cat"]).is_err());
    assert!(text("hello world\n", &["hello"]).unwrap_err().to_string().contains("GloVe's text format"));
    assert!(text("", &["hello"]).unwrap_err().to_string().contains("empty file"));
    assert!(
        text(vec![b'a'; LONGEST_LINE as usize + 1], &["a"]).unwrap_err().to_string().contains("over 4 MiB")
    );
}

#[test]
fn an_array_needs_a_finite_row_for_every_category() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("words.npy");
    npy::write(&path, &[1.0, 2.0, 3.0, f32::NAN], &[2, 2]).unwrap();
    let error = Words::read(&path, &names(&["cat", "dog"])).unwrap_err().to_string();
    assert!(error.contains("row 1, value 1") && error.contains("NaN"), "{error}");
    npy::write(&path, &[1.0, 2.0, 3.0, 4.0], &[2, 2]).unwrap();
    let error = Words::read(&path, &names(&["cat", "dog", "cow"])).unwrap_err().to_string();
    assert!(error.contains("2 word vectors for 3 categories"), "{error}");
    let words = Words::read(&path, &names(&["cat", "dog"])).unwrap();
    assert_eq!((words.values, words.width), (vec![1.0, 2.0, 3.0, 4.0], 2));
    let error = Words::read(&folder.path().join("words.pkl"), &names(&["cat"])).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
}

#[test]
fn a_data_folder_prefers_the_array_to_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let categories = names(&["cat"]);
    assert_eq!(Words::in_folder(folder.path(), &categories).unwrap(), None);
    std::fs::write(folder.path().join("words.txt"), VECTORS).unwrap();
    assert_eq!(Words::in_folder(folder.path(), &categories).unwrap().unwrap().values, [0.5, 0.1]);
    npy::write(&folder.path().join("words.npy"), &[7.0], &[1, 1]).unwrap();
    assert_eq!(Words::in_folder(folder.path(), &categories).unwrap().unwrap().values, [7.0]);
}

#[test]
#[ignore = "needs data that is not in the repository"]
fn outside_data_the_names_of_coco18_are_found_in_a_real_glove_file() {
    let data = crate::outside_data::outside_data("data");
    let categories = std::fs::read_to_string(data.join("glove/coco18_names.txt")).unwrap();
    let categories: Vec<String> = categories.lines().map(str::to_owned).collect();
    let words = Words::read(&data.join("glove/glove_sample.50d.txt"), &categories).unwrap();
    assert_eq!((words.width, words.values.len(), words.warnings.len()), (50, 18 * 50, 0));
    let words = Words::in_folder(&data.join("coco18"), &categories).unwrap().unwrap();
    assert_eq!((words.width, words.values.len()), (300, 18 * 300));
}
