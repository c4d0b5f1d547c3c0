//! Pascal VOC 2007 and MS-COCO 2014, the papers' data sets, from their official addresses.
//!
//! Hashes are those that torchvision (its prototype data sets) and TensorFlow Datasets publish alike for these files;
//! sizes those of TensorFlow Datasets.

use std::path::PathBuf;

use sarb_labels::Split;
use sarb_labels::formats::options::Options;

use super::{Entry, Job, convert, format};
use crate::Result;
use crate::fetch::{Remote, unpack};

/// Pascal VOC 2007: 5,011 images to train (trainval), 4,952 to test, 20 categories.
pub fn voc2007() -> Entry {
    Entry {
        name: "voc2007",
        about: "Pascal VOC 2007: 20 categories",
        license: "no single one: photographs of Flickr, each under its owner's terms",
        files: vec![
            Remote::known(
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar",
                Some(460_032_000),
                "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
            ),
            Remote::known(
                "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtest_06-Nov-2007.tar",
                Some(451_020_800),
                "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
            ),
        ],
        megabytes: 911,
        images: [5_011, 4_952],
        build: build_voc,
    }
}

fn build_voc(job: &Job<'_>) -> Result<()> {
    // Photographs and what says what is on them; not the segmentations.
    let wanted = |name: &str| {
        let parts = ["/Annotations/", "/ImageSets/Main/", "/JPEGImages/"];
        parts.iter().any(|part| name.contains(part)).then(|| PathBuf::from(name))
    };
    for archive in job.files {
        unpack::tar(archive, job.folder, &wanted, job.watch)?;
    }
    for (set, split) in [("trainval", Split::Train), ("test", Split::Test)] {
        let options = Options { set: Some(set.into()), ..Options::default() };
        convert(job, format("voc"), &job.folder.join("VOCdevkit/VOC2007"), &options, split)?;
    }
    Ok(())
}

/// MS-COCO 2014: 82,783 images to train, 40,504 to test (its validation set), 80 categories.
pub fn coco2014() -> Entry {
    Entry {
        name: "coco2014",
        about: "MS-COCO 2014: 80 categories",
        license: "labels CC BY 4.0; photographs of Flickr, each under its owner's terms",
        files: vec![
            Remote::known(
                "http://images.cocodataset.org/annotations/annotations_trainval2014.zip",
                Some(252_872_794),
                "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
            ),
            Remote::known(
                "http://images.cocodataset.org/zips/train2014.zip",
                Some(13_510_573_713),
                "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
            ),
            Remote::known(
                "http://images.cocodataset.org/zips/val2014.zip",
                Some(6_645_013_297),
                "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
            ),
        ],
        megabytes: 20_408,
        images: [82_783, 40_504],
        build: build_coco,
    }
}

fn build_coco(job: &Job<'_>) -> Result<()> {
    let wanted = |name: &str| {
        let captions = name.starts_with("annotations/") && !name.starts_with("annotations/instances_");
        (!captions).then(|| PathBuf::from(name))
    };
    for archive in job.files {
        unpack::zip(archive, job.folder, &wanted, job.watch)?;
    }
    for (set, split) in [("train2014", Split::Train), ("val2014", Split::Test)] {
        let source = job.folder.join(format!("annotations/instances_{set}.json"));
        convert(job, format("coco"), &source, &Options::default(), split)?;
    }
    Ok(())
}
