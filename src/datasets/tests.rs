//! Small archives laid out as the real ones, and the 12,000 photographs themselves where they are at hand.

use std::io::Write as _;

use super::*;
use crate::Cancel;

fn silent<T>(work: impl FnOnce(&Watch<'_>) -> T) -> T {
    work(&Watch { show: &|_| {}, note: &|_| {}, cancel: &Cancel::new() })
}

/// The entry with the sizes and hashes of small files that stand in for the real ones.
fn small(entry: Entry, from: &Path, images: [usize; 2]) -> Entry {
    let files = entry.files.iter().map(|remote| {
        let digest = fetch::Digest::of_file(&from.join(remote.file_name())).unwrap();
        Remote { bytes: Some(digest.bytes()), sha256: digest.hex().into(), ..remote.clone() }
    });
    Entry { files: files.collect(), images, ..entry }
}

fn made(entry: &Entry, from: &Path, out: &Path) -> Result<Dataset> {
    let home = from.join("home");
    silent(|watch| fetch(entry, out, (&home, false), Some(from), &Patience::default(), watch))
}

fn tarred(path: &Path, members: &[(&str, &str)]) {
    let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, text) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
}

const CAT: &str = "<annotation><filename>1.jpg</filename><object><name>cat</name><difficult>0</difficult></object></annotation>";
const DOG: &str = "<annotation><filename>2.jpg</filename><object><name>dog</name><difficult>1</difficult></object>\
                   <object><name>cat</name><difficult>0</difficult></object></annotation>";

fn voc(from: &Path) -> Entry {
    let folder = "VOCdevkit/VOC2007";
    let put = |file: &str, set: &str, id: &str, xml: &str| {
        let lists = [("cat", "1"), ("dog", "-1")].map(|(name, value)| {
            (format!("{folder}/ImageSets/Main/{name}_{set}.txt"), format!("{id} {value}\n"))
        });
        let mut members = vec![
            (format!("{folder}/Annotations/{id}.xml"), xml.to_owned()),
            (format!("{folder}/JPEGImages/{id}.jpg"), "pixels".to_owned()),
            (format!("{folder}/SegmentationClass/{id}.png"), "segments".to_owned()),
            (format!("{folder}/ImageSets/Main/{set}.txt"), format!("{id}\n")),
        ];
        members.extend(lists);
        let members: Vec<_> = members.iter().map(|(name, text)| (&**name, &**text)).collect();
        tarred(&from.join(file), &members);
    };
    put("VOCtrainval_06-Nov-2007.tar", "trainval", "000001", CAT);
    put("VOCtest_06-Nov-2007.tar", "test", "000002", DOG);
    small(Entry::named("voc2007").unwrap(), from, [1, 1])
}

#[test]
fn voc_becomes_a_data_folder() {
    let from = tempfile::tempdir().unwrap();
    let out = from.path().join("voc");
    let data = made(&voc(from.path()), from.path(), &out).unwrap();
    assert_eq!(data.categories, ["cat", "dog"]);
    let text = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert_eq!(text("train.csv"), "image,cat,dog\nVOCdevkit/VOC2007/JPEGImages/000001.jpg,1,0\n");
    // Only difficult dogs: unknown, as docs/formats/voc.md says.
    assert!(
        text("test.csv").ends_with("VOCdevkit/VOC2007/JPEGImages/000002.jpg,1,\n"),
        "{}",
        text("test.csv")
    );
    assert!(data.train.images[0].is_file());
    assert!(!out.join("VOCdevkit/VOC2007/SegmentationClass").exists());
}

#[test]
fn nothing_is_left_of_a_data_set_that_is_not_whole() {
    let from = tempfile::tempdir().unwrap();
    let out = from.path().join("out/voc");
    let entry = voc(from.path());
    let short = Entry { images: [5_011, 4_952], ..entry.clone() };
    let error = made(&short, from.path(), &out).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("5011"), "{error}");
    assert_eq!(std::fs::read_dir(from.path().join("out")).unwrap().count(), 0);

    // Another file under the right name; a missing one; a folder that is not empty.
    std::fs::write(from.path().join("VOCtest_06-Nov-2007.tar"), b"other").unwrap();
    assert_eq!(made(&entry, from.path(), &out).unwrap_err().exit_code(), 3);
    std::fs::remove_file(from.path().join("VOCtest_06-Nov-2007.tar")).unwrap();
    assert_eq!(made(&entry, from.path(), &out).unwrap_err().exit_code(), 4);
    assert_eq!(made(&entry, from.path(), from.path()).unwrap_err().exit_code(), 2);
}

#[test]
fn downloads_that_nobody_could_check_go_when_they_are_no_good() {
    let home = tempfile::tempdir().unwrap();
    let archives = home.path().join("downloads/voc2007");
    std::fs::create_dir_all(&archives).unwrap();
    let entry = voc(&archives);
    let [trainval, test] = [0, 1].map(|file| archives.join(entry.files[file].file_name()));
    let bytes = std::fs::read(&test).unwrap();
    std::fs::write(&test, &bytes[..700]).unwrap();
    let mut unchecked = entry;
    unchecked.files[1].sha256 = "".into();
    let fetched = silent(|watch| {
        let out = home.path().join("voc");
        fetch(&unchecked, &out, (home.path(), false), None, &Patience::default(), watch)
    });
    let error = fetched.unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("run the same command again"), "{error}");
    assert!(trainval.is_file() && !test.exists(), "what was checked stays");
}

#[test]
fn coco_becomes_a_data_folder() {
    let from = tempfile::tempdir().unwrap();
    let instances = |set: &str| {
        format!(
            r#"{{"images": [{{"id": 1, "file_name": "COCO_{set}_1.jpg"}}],
                "annotations": [{{"id": 1, "image_id": 1, "category_id": 18, "iscrowd": 0}}],
                "categories": [{{"id": 17, "name": "cat"}}, {{"id": 18, "name": "dog"}}]}}"#
        )
    };
    let zipped = |file: &str, members: &[(String, String)]| {
        let mut archive = zip::ZipWriter::new(std::fs::File::create(from.path().join(file)).unwrap());
        for (name, text) in members {
            archive.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
    };
    let sets = ["train2014", "val2014"];
    let mut labels: Vec<_> =
        sets.map(|set| (format!("annotations/instances_{set}.json"), instances(set))).to_vec();
    labels.push(("annotations/captions_val2014.json".into(), "{}".into()));
    zipped("annotations_trainval2014.zip", &labels);
    for set in sets {
        zipped(&format!("{set}.zip"), &[(format!("{set}/COCO_{set}_1.jpg"), "pixels".into())]);
    }
    let entry = small(Entry::named("coco2014").unwrap(), from.path(), [1, 1]);
    let out = from.path().join("coco");
    let data = made(&entry, from.path(), &out).unwrap();
    let text = std::fs::read_to_string(out.join("train.csv")).unwrap();
    assert_eq!(text, "image,cat,dog\ntrain2014/COCO_train2014_1.jpg,0,1\n");
    assert!(data.test.unwrap().images[0].is_file());
    assert!(!out.join("annotations/captions_val2014.json").exists());
}

/// The archive and the pickle are made of the data folder that they lead to; everything in it is checked by hash.
#[test]
#[ignore = "needs photographs that are not in the repository"]
fn outside_data_is_made_of_its_archive() {
    let data = crate::outside_data::outside_data("data/coco18");
    let from = tempfile::tempdir().unwrap();
    let entry = Entry::named("coco18").unwrap();
    let archive = std::fs::File::create(from.path().join(entry.files[0].file_name())).unwrap();
    let gzip = flate2::write::GzEncoder::new(archive, flate2::Compression::fast());
    let mut members = tar::Builder::new(gzip);
    let whole = dataset::open(&data).unwrap();
    let numbers = coco18_numbers(&whole.categories);
    let mut labels = String::from("ImageID,Labels,Caption\n");
    for part in [&whole.train, whole.test.as_ref().unwrap()] {
        for (row, path) in part.images.iter().enumerate() {
            let there = (0..part.labels.categories())
                .filter(|&column| part.labels.get(row, column) == sarb_labels::Label::Positive);
            let there: Vec<_> = there.map(|column| numbers[column].to_string()).collect();
            let name = path.file_name().unwrap().to_str().unwrap();
            labels.push_str(&format!("{name},{},\"A caption\nof two lines, 1 2,\"\n", there.join(" ")));
            members.append_path_with_name(path, format!("COMP5329-7c1fe6/data/data/{name}")).unwrap();
        }
    }
    let mut header = tar::Header::new_gnu();
    header.set_size(labels.len() as u64);
    members.append_data(&mut header, "COMP5329-7c1fe6/data/train.csv", labels.as_bytes()).unwrap();
    members.into_inner().unwrap().finish().unwrap();
    std::fs::write(from.path().join(entry.files[1].file_name()), pickled_words(&data)).unwrap();

    let out = from.path().join("coco18");
    made(&entry, from.path(), &out).unwrap();
    for name in ["train.csv", "test.csv", "words.npy"] {
        assert_eq!(std::fs::read(out.join(name)).unwrap(), std::fs::read(data.join(name)).unwrap(), "{name}");
    }
}

fn coco18_numbers(categories: &[String]) -> Vec<u32> {
    let number = |name: &String| coco18::CATEGORIES.iter().find(|(_, known, _)| known == name).unwrap().0;
    categories.iter().map(number).collect()
}

/// Rows of the 18 categories at their places among 80, as the one array of a pickle.
fn pickled_words(data: &Path) -> Vec<u8> {
    let npy = std::fs::read(data.join("words.npy")).unwrap();
    let rows = &npy[npy.len() - 18 * 1200..];
    let mut array = vec![0; 80 * 1200];
    for (row, (_, _, place)) in rows.chunks(1200).zip(coco18::CATEGORIES) {
        array[place * 1200..(place + 1) * 1200].copy_from_slice(row);
    }
    let mut pickle = b"\x80\x03cnumpy.core.multiarray\n_reconstruct\nB".to_vec();
    pickle.extend(96_000_u32.to_le_bytes());
    pickle.extend(array);
    pickle.push(b'.');
    pickle
}
