//! The formats of labels: which one a source is of, and reading and writing each.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::ValueEnum;

use super::name_list::Entry;
use super::options::Options;
use super::{
    Reading, arrays, chexpert, coco, csv, cvat, fiftyone, label_studio, lvis, name_list, open_images,
    parquet, tags, vg, voc, webdataset,
};
use crate::data::Annotations;
use crate::data::categories::did_you_mean;
use crate::data::labels::LabelMatrix;
use crate::error::Problems;
use crate::{Error, Result};

/// Most bytes of a file that are looked at to tell its format.
const HEAD: u64 = 64 * 1024;

/// A format of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// sarb's own CSV: image,<category>,… with cells 1, 0 and empty
    Csv,
    /// Lists of tags: image,tags
    Tags,
    /// Label arrays of research code: .npy, .npz, .txt
    Arrays,
    /// MS-COCO instances JSON
    Coco,
    /// LVIS JSON, federated
    Lvis,
    /// Pascal VOC: the folder of Annotations and ImageSets
    Voc,
    /// VG-200: JSON of image to indices
    Vg,
    /// Open Images image-level labels CSV
    OpenImages,
    /// CheXpert's CSV and its like
    Chexpert,
    /// Label Studio JSON export
    LabelStudio,
    /// CVAT for images XML
    Cvat,
    /// FiftyOne samples JSON
    Fiftyone,
    /// Parquet table, or a folder of its shards
    Parquet,
    /// WebDataset tar, or a folder of its shards
    Webdataset,
}

impl Format {
    /// All formats.
    pub fn all() -> &'static [Format] {
        Format::value_variants()
    }

    /// The format of a file or folder, and why.
    ///
    /// # Errors
    /// If it is of no known format, or could be of several.
    pub fn detect(path: &Path) -> Result<(Format, String)> {
        let mut head = Vec::new();
        // A pattern of shards, such as `train-*.tar`, is no file.
        let pattern = !path.exists() && path.to_string_lossy().contains(['*', '?', '[']);
        if !path.is_dir() && !pattern {
            let failed = |error| Error::io(path, error);
            File::open(path).map_err(failed)?.take(HEAD).read_to_end(&mut head).map_err(failed)?;
        }
        let recognised = |&format: &Format| Some((format, format.recognise(path, &head)?));
        let mut found: Vec<(Format, String)> = Format::all().iter().filter_map(recognised).collect();
        match found.len() {
            1 => Ok(found.remove(0)),
            0 if pattern => Err(Error::Missing(format!("{}: no such file or folder", path.display()))),
            0 => {
                let names: Vec<String> = Format::all().iter().map(Format::to_string).collect();
                let what = format!("no label format that sarb can tell; say --from {}", names.join("|"));
                Err(Error::Data(format!("{}: {what}", path.display())))
            }
            _ => {
                let reasons = found.iter().map(|(format, why)| format!("{format} ({why})"));
                let reasons = reasons.collect::<Vec<_>>().join(" or ");
                Err(Error::Usage(format!("{}: could be {reasons}; say which with --from", path.display())))
            }
        }
    }

    /// Why a source is of this format, or nothing; `head` is the beginning of a file.
    fn recognise(self, path: &Path, head: &[u8]) -> Option<String> {
        match self {
            Format::Csv => csv::recognise(path, head),
            Format::Tags => tags::recognise(path, head),
            Format::Arrays => arrays::recognise(path, head),
            Format::Coco => coco::recognise(path, head),
            Format::Lvis => lvis::recognise(path, head),
            Format::Voc => voc::recognise(path, head),
            Format::Vg => vg::recognise(path, head),
            Format::OpenImages => open_images::recognise(path, head),
            Format::Chexpert => chexpert::recognise(path, head),
            Format::LabelStudio => label_studio::recognise(path, head),
            Format::Cvat => cvat::recognise(path, head),
            Format::Fiftyone => fiftyone::recognise(path, head),
            Format::Parquet => parquet::recognise(path, head),
            Format::Webdataset => webdataset::recognise(path, head),
        }
    }

    /// Reads a source; with `--categories`, those in that order.
    ///
    /// # Errors
    /// What is wrong with the source or the options; opens no image.
    pub fn read(self, path: &Path, options: &Options) -> Result<Reading> {
        let reading = match self {
            Format::Csv => csv::read_with(path, options),
            Format::Tags => tags::read(path, options),
            // These have no names of their own: `--categories` gives them.
            Format::Arrays => return arrays::read(path, options),
            Format::Vg => return vg::read(path, options),
            Format::Coco => coco::read(path, options),
            Format::Lvis => lvis::read(path, options),
            Format::Voc => voc::read(path, options),
            Format::OpenImages => open_images::read(path, options),
            Format::Chexpert => chexpert::read(path, options),
            Format::LabelStudio => label_studio::read(path, options),
            Format::Cvat => cvat::read(path, options),
            Format::Fiftyone => fiftyone::read(path, options),
            Format::Parquet => parquet::read(path, options),
            Format::Webdataset => webdataset::read(path, options),
        }?;
        match &options.categories {
            Some(file) => chosen(reading, file),
            None => Ok(reading),
        }
    }

    /// Writes labels; says what the format cannot hold.
    ///
    /// # Errors
    /// A name that the format cannot hold, or a file that cannot be written.
    pub fn write(self, path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
        match self {
            Format::Csv => csv::write(path, annotations).map(|()| Vec::new()),
            Format::Tags => tags::write(path, annotations),
            Format::Arrays => arrays::write(path, annotations),
            Format::Coco => coco::write(path, annotations),
            Format::Lvis => lvis::write(path, annotations),
            Format::Voc => voc::write(path, annotations),
            Format::Vg => vg::write(path, annotations),
            Format::OpenImages => open_images::write(path, annotations),
            Format::Chexpert => chexpert::write(path, annotations),
            Format::LabelStudio => label_studio::write(path, annotations),
            Format::Cvat => cvat::write(path, annotations),
            Format::Fiftyone => fiftyone::write(path, annotations),
            Format::Parquet => parquet::write(path, annotations),
            Format::Webdataset => webdataset::write(path, annotations),
        }
    }

    /// Whether a reader takes what this format does not list for negative, so that unknown labels that are
    /// written become negative ones.
    pub fn turns_unknown_into_negative(self) -> bool {
        matches!(self, Format::Coco | Format::Vg)
    }

    /// The format that a name of a file to be written means.
    pub fn of_extension(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "csv" => Some(Format::Csv),
            "npy" => Some(Format::Arrays),
            "parquet" => Some(Format::Parquet),
            "tar" => Some(Format::Webdataset),
            "xml" => Some(Format::Cvat),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("no format is hidden").get_name())
    }
}

/// The categories that a file names, in its order. One that the source never mentions is unknown
/// everywhere, even where what is not listed is negative: nobody says that it was looked for.
fn chosen(reading: Reading, file: &Path) -> Result<Reading> {
    let Reading { annotations, mut notes } = reading;
    let wanted = name_list::read(file, "names of categories")?;
    let columns: HashMap<&String, usize> = annotations.categories.iter().zip(0..).collect();
    let mut problems = Problems::default();
    for Entry { line, name } in wanted.iter().filter(|entry| !columns.contains_key(&entry.name)) {
        let hint = did_you_mean(name, annotations.categories.iter().map(String::as_str));
        if hint.is_empty() {
            notes.push(format!("category {name:?} is not in the source: unknown everywhere"));
        } else {
            problems.push(format!("{}:{line}: no category {name:?} in the source{hint}", file.display()));
        }
    }
    problems.or(())?;
    let places: Vec<Option<usize>> = wanted.iter().map(|entry| columns.get(&entry.name).copied()).collect();
    let found = places.iter().flatten().count();
    if found == 0 {
        return Err(Error::Data(format!("{}: none of its categories is in the source", file.display())));
    }
    if found < columns.len() {
        notes.push(format!("{} categories of the source are left out", columns.len() - found));
    }
    let mut labels = LabelMatrix::unknown(annotations.images.len(), wanted.len());
    for image in 0..annotations.images.len() {
        for (to, from) in places.iter().enumerate().filter_map(|(to, from)| Some((to, (*from)?))) {
            labels.set(image, to, annotations.labels.get(image, from));
        }
    }
    let categories = wanted.into_iter().map(|entry| entry.name).collect();
    Ok(Reading { annotations: Annotations { labels, categories, ..annotations }, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::PathBuf;

    #[test]
    fn every_format_is_written_and_told_by_its_content() {
        let source = tempfile::tempdir().unwrap();
        let image = source.path().join("a.jpg");
        image::RgbImage::new(3, 2).save(&image).unwrap();
        let annotations = Annotations {
            images: vec![image],
            labels: LabelMatrix::from_values(3, &[1, -1, 0]),
            categories: ["Edema", "Fracture", "Lung Opacity"].map(str::to_owned).to_vec(),
            source: source.path().join("train.csv"),
        };
        for &format in Format::all() {
            let folder = tempfile::tempdir().unwrap();
            let extension = match format {
                Format::Csv | Format::Tags | Format::OpenImages | Format::Chexpert => "csv",
                Format::Arrays => "npy",
                Format::Coco | Format::Lvis | Format::Vg | Format::LabelStudio => "json",
                Format::Fiftyone => "json",
                Format::Voc => "voc",
                Format::Cvat => "xml",
                Format::Parquet => "parquet",
                Format::Webdataset => "tar",
            };
            let path: PathBuf = folder.path().join("labels").with_extension(extension);
            format.write(&path, &annotations).unwrap();
            assert_eq!(Format::detect(&path).unwrap().0, format);
        }
    }
}
