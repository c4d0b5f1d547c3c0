use proptest::prelude::*;

use super::*;
use crate::formats::open_images::read;
use crate::formats::options::Options;
use crate::formats::samples::samples;
use crate::labels::LabelMatrix;

/// Labels of images below a folder.
fn annotations(folder: &Path, images: &[&str], categories: &[&str], values: &[i8]) -> Annotations {
    Annotations {
        images: images.iter().map(|image| folder.join(image)).collect(),
        labels: LabelMatrix::from_values(categories.len(), values),
        categories: categories.iter().map(|&name| name.to_owned()).collect(),
        source: folder.join("train.csv"),
    }
}

fn problems(images: &[&str], categories: &[&str], values: &[i8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.csv");
    let error = write(&path, &annotations(folder.path(), images, categories, values)).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Data);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let strip = |line: &str| line.split_once("labels.csv: ").unwrap().1.to_owned();
    error.to_string().lines().map(strip).collect()
}

#[test]
fn known_labels_are_listed_and_names_are_described() {
    let folder = tempfile::tempdir().unwrap();
    let categories = ["Cat, domestic", "Bat (/m/01h8tj)", "/m/0bt9lr"];
    let written = annotations(folder.path(), &["b.jpg", "a.b.jpg"], &categories, &[1, -1, 0, 0, 1, -1]);
    let path = folder.path().join("labels.csv");
    assert!(write(&path, &written).unwrap().is_empty());
    let read_text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let expected = "ImageID,Source,LabelName,Confidence\n\
                    b,verification,\"Cat, domestic\",1\nb,verification,/m/01h8tj,0\n\
                    a.b,verification,/m/01h8tj,1\na.b,verification,/m/0bt9lr,0\n";
    assert_eq!(read_text("labels.csv"), expected);
    let expected = "LabelName,DisplayName\n\"Cat, domestic\",\"Cat, domestic\"\n/m/01h8tj,Bat (/m/01h8tj)\n";
    assert_eq!(read_text("labels.class-descriptions.csv"), expected);
    let back = read(&path, &Options::default()).unwrap().annotations;
    assert_eq!(
        (back.categories, back.images, back.labels),
        (written.categories, written.images, written.labels)
    );
}

#[test]
fn files_of_one_folder_share_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("class-descriptions-boxable.csv"), "/m/1,Bat\n/m/2,Bat\n/m/3,Owl\n")
        .unwrap();
    let written = annotations(folder.path(), &["a.jpg"], &["Owl", "Bat (/m/2)", "Hen"], &[1, -1, 1]);
    for name in ["train.csv", "val.csv"] {
        let path = folder.path().join(name);
        write(&path, &written).unwrap();
        let back = read(&path, &Options::default()).unwrap();
        assert_eq!(back.annotations.categories, written.categories);
        assert!(back.notes.is_empty(), "{:?}", back.notes);
    }
    let text = std::fs::read_to_string(folder.path().join("val.class-descriptions.csv")).unwrap();
    assert_eq!(text, "LabelName,DisplayName\n/m/3,Owl\n/m/2,Bat\nHen,Hen\n");
}

#[test]
fn what_open_images_cannot_hold_is_said() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let path = folder.path().join("out/labels.csv");
    let images = ["photos/a.jpg", "photos/b.PNG", "c.jpg", "photos/d"];
    let values = [0, 1, 0, 1, 1, 0, 0, 0, 0, -1, 0, 0];
    let written = annotations(folder.path(), &images, &["cat", "dog", "owl"], &values);
    let photos = folder.path().join("photos");
    assert_eq!(
        write(&path, &written).unwrap(),
        [
            format!(
                "the folder of the images: an ImageID has none; read back with --images {}",
                photos.display()
            ),
            "2 extensions of images other than .jpg: read back as .jpg".to_owned(),
            "1 images of which nothing is known: only known labels are listed".to_owned(),
            "1 categories of which nothing is known: only known labels are listed".to_owned(),
            "the order of categories: they are read back in order of appearance".to_owned(),
        ]
    );
    let back = read(&path, &Options { images: Some(photos.clone()), ..Options::default() }).unwrap();
    assert_eq!(back.annotations.images, ["a.jpg", "b.jpg", "d.jpg"].map(|image| photos.join(image)));
    assert_eq!(back.annotations.categories, ["dog", "cat"]);
    let written = annotations(folder.path(), &["a.jpg", "photos/b.jpg"], &["cat"], &[1, 1]);
    let lost = write(&folder.path().join("labels.csv"), &written).unwrap();
    let expected = "2 folders of images: an ImageID has none; put the images into one, for --images";
    assert_eq!(lost, [expected]);
}

#[test]
fn images_that_would_share_an_id_are_named() {
    let images = ["x/a.jpg", "y/a.jpg", "a.png", "b.jpg"];
    assert_eq!(
        problems(&images, &["cat"], &[1, -1, 1, 1]),
        [
            r#"images "x/a.jpg" and "y/a.jpg" would both have the ImageID "a""#,
            r#"images "y/a.jpg" and "a.png" would both have the ImageID "a""#,
        ]
    );
    // An image that is not listed has no id.
    let folder = tempfile::tempdir().unwrap();
    let written = annotations(folder.path(), &["a.jpg", "x/a.jpg"], &["cat"], &[1, 0]);
    assert!(write(&folder.path().join("labels.csv"), &written).is_ok());
}

#[test]
fn what_cannot_be_read_back_is_refused() {
    let nothing = problems(&["a.jpg"], &["cat"], &[0]);
    assert_eq!(nothing, ["no label is known, and Open Images' CSV lists known labels only"]);
    let space = problems(&["a .jpg"], &["cat"], &[1]);
    assert_eq!(space, [r#""a " is a name with white space around it; Open Images' CSV cannot hold it"#]);
    assert!(problems(&["a.jpg"], &["c\nt"], &[1])[0].contains("is a name of more than one line"));
    let shared = problems(&["a.jpg"], &["/m/1", "cat (/m/1)"], &[1, 1]);
    assert!(shared[0].contains("would both have the label id"), "{shared:?}");
    let folder = tempfile::tempdir().unwrap();
    let written = annotations(folder.path(), &["a.jpg"], &["cat"], &[1]);
    let error = write(&folder.path().join("my-class-descriptions.csv"), &written).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    assert!(error.to_string().ends_with("is read as class descriptions; choose another"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn only_what_is_reported_is_lost(
        mut sample in samples(),
        kinds in prop::collection::vec(0..3u8, 5),
        below in any::<bool>(),
        extension in prop::sample::select(vec![".jpg", ".png"]),
    ) {
        for (number, name) in sample.categories.iter_mut().enumerate() {
            match kinds[number] {
                0 => *name = format!("/m/{number}"),
                1 => *name += &format!(" (/m/{number})"),
                _ => {}
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let images = if below { folder.path().join("photos") } else { folder.path().to_owned() };
        let written = sample.at(folder.path(), &images, extension);
        let path = folder.path().join("labels.csv");
        let known = |label| label != Label::Unknown;
        let rows: Vec<usize> =
            (0..written.images.len()).filter(|&row| written.labels.row(row).any(known)).collect();
        if rows.is_empty() {
            prop_assert!(write(&path, &written).is_err());
            return Ok(());
        }
        let lost = write(&path, &written).unwrap();
        let says = |what: &str| lost.iter().any(|it| it.contains(what));
        let options = Options { images: says("--images").then_some(images), ..Options::default() };
        let back = read(&path, &options).unwrap().annotations;
        let expected = rows.iter().map(|&row| written.images[row].with_extension("jpg"));
        prop_assert_eq!(&back.images, &expected.collect::<Vec<PathBuf>>());
        let place = |name: &String| written.categories.iter().position(|it| it == name).unwrap();
        let columns: Vec<usize> = back.categories.iter().map(place).collect();
        let labels = written.labels.select(&rows).select_categories(&columns);
        prop_assert_eq!(&back.labels, &labels);
        let count = |labels: &LabelMatrix| labels.count(Label::Positive) + labels.count(Label::Negative);
        prop_assert_eq!(count(&labels), count(&written.labels));
        prop_assert_eq!(says("the folder of the images"), below);
        prop_assert_eq!(says("extensions of images"), extension != ".jpg");
        prop_assert_eq!(says("images of which nothing"), rows.len() < written.images.len());
        prop_assert_eq!(says("categories of which nothing"), columns.len() < written.categories.len());
        prop_assert_eq!(says("the order"), !columns.is_sorted());
    }
}
