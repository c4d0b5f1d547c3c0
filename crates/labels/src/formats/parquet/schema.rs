//! Which columns of a Parquet table are the image, the labels, or neither.

use ::parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::schema::types::ColumnDescriptor;
use serde_json::Value;

use crate::formats::report::shown;
use crate::formats::sheet::is_split_column;
use crate::text::letters;

/// Key of the table's metadata by which our own tables are known: the first column is the image, every other
/// one per category, whatever they are called.
pub(super) const OURS: &str = "sarb";

/// Names of the column of image paths, best first, compared as [`letters`] does.
const IMAGES: [&str; 9] =
    ["image", "imagepath", "imgpath", "path", "filename", "filepath", "file", "img", "imageid"];
/// Names of the list column of positive labels.
const POSITIVE: [&str; 6] = ["labels", "positivelabels", "label", "tags", "categories", "classes"];
const NEGATIVE: &str = "negativelabels";
/// Columns of numbers that are not categories.
const OTHERS: [&str; 10] =
    ["id", "imageid", "index", "indexlevel0", "width", "height", "split", "fold", "row", "unnamed0"];

/// How a table is read.
#[derive(Debug)]
pub(super) struct Plan {
    /// The leaf with the paths.
    pub image: usize,
    pub layout: Layout,
    /// The columns that may say which split an image is of, with their names.
    pub splits: Vec<(String, usize)>,
    /// Columns that are neither.
    pub left_out: Vec<String>,
    /// Whether the table holds the images as well.
    pub embedded: bool,
}

/// Where the labels are.
#[derive(Debug)]
pub(super) enum Layout {
    /// A column of 1, 0 and null for each category, with its leaf.
    Columns(Vec<(String, usize)>),
    /// A list for each image.
    Lists {
        positive: usize,
        negative: Option<usize>,
        /// What the numbers in the lists mean.
        names: Option<Vec<String>>,
    },
}

/// What a leaf holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Whole,
    Fraction,
    Truth,
    Bytes,
    Other,
}

struct Leaf<'a> {
    path: &'a [String],
    kind: Kind,
    repeated: bool,
}

impl Leaf<'_> {
    fn root(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    /// The column's name, with that of the part for a column of structures.
    fn root_and_field(&self) -> String {
        match self.path {
            [root, _, _, field, ..] => format!("{root}.{field}"),
            _ => self.root().to_owned(),
        }
    }

    /// Whether it is a whole column and not a part of one.
    fn is_plain(&self) -> bool {
        self.path.len() == 1 && !self.repeated
    }

    /// Whether it can say yes and no.
    fn is_label(&self) -> bool {
        self.is_plain() && matches!(self.kind, Kind::Whole | Kind::Fraction | Kind::Truth)
    }

    /// Whether it is a column of paths: text, or the path of Hugging Face's structures of images.
    fn is_path(&self) -> bool {
        let place = match self.path {
            [_] => true,
            [_, field] => field == "path",
            _ => false,
        };
        place && !self.repeated && self.kind == Kind::Text
    }
}

/// Decides what the columns of a table are.
///
/// # Errors
/// What is missing or what nobody can say.
pub(super) fn plan(metadata: &ParquetMetaData) -> Result<Plan, String> {
    let schema = metadata.file_metadata().schema_descr();
    let leaves: Vec<Leaf<'_>> = schema.columns().iter().map(|column| leaf(column)).collect();
    if value_of(metadata, OURS).is_some() {
        return ours(&leaves);
    }
    let list = |name: &str| {
        let at = leaves.iter().position(|leaf| leaf.repeated && letters(leaf.root()) == name);
        at.filter(|&at| matches!(leaves[at].kind, Kind::Text | Kind::Whole))
    };
    if let Some(leaf) = leaves.iter().find(|leaf| {
        let name = letters(leaf.root());
        leaf.repeated
            && (POSITIVE.contains(&&*name) || name == NEGATIVE)
            && leaves.iter().filter(|other| other.root() == leaf.root()).count() > 1
    }) {
        let name = shown(leaf.root());
        return Err(format!("column {name} is a map or a list of structures; {EXPECTED}"));
    }
    let image = image(&leaves)?;
    let layout = match (POSITIVE.into_iter().find_map(list), list(NEGATIVE)) {
        (Some(positive), negative) => {
            Layout::Lists { positive, negative, names: names(metadata, leaves[positive].root()) }
        }
        (None, Some(_)) => {
            return Err("a list column negative_labels, but none called labels; expected both".into());
        }
        (None, None) => {
            if let Some(list) = leaves
                .iter()
                .find(|leaf| leaf.repeated && matches!(leaf.kind, Kind::Text | Kind::Whole | Kind::Truth))
            {
                let name = shown(&list.root_and_field());
                return Err(format!(
                    "column {name} holds lists that may be the labels; call it labels, or drop it"
                ));
            }
            Layout::Columns(categories(metadata, &leaves, image)?)
        }
    };
    let left_out = left_out(&leaves, image, &layout);
    let root = leaves[image].root();
    let embedded = leaves[image].path.len() > 1 && {
        let bytes = leaves.iter().position(|leaf| leaf.root() == root && leaf.kind == Kind::Bytes);
        // Nulls take next to no room.
        bytes.is_some_and(|bytes| {
            metadata.row_groups().iter().any(|group| {
                group.column(bytes).uncompressed_size()
                    > group.num_rows().saturating_mul(16).saturating_add(512)
            })
        })
    };
    Ok(Plan { image, layout, splits: splits(&leaves, image), left_out, embedded })
}

/// Our own table.
fn ours(leaves: &[Leaf<'_>]) -> Result<Plan, String> {
    let right = leaves.split_first().is_some_and(|(image, categories)| {
        image.is_path() && categories.iter().all(|leaf| leaf.is_plain() && leaf.kind == Kind::Whole)
    });
    if !right {
        return Err(format!(
            "the metadata has the key {OURS}, but the columns are not those that it stands for"
        ));
    }
    let categories =
        leaves.iter().enumerate().skip(1).map(|(at, leaf)| (leaf.root().to_owned(), at)).collect();
    Ok(Plan {
        image: 0,
        layout: Layout::Columns(categories),
        splits: Vec::new(),
        left_out: Vec::new(),
        embedded: false,
    })
}

fn image(leaves: &[Leaf<'_>]) -> Result<usize, String> {
    let paths = || leaves.iter().enumerate().filter(|(_, leaf)| leaf.is_path());
    let called = |name: &&str| paths().find(|(_, leaf)| letters(leaf.root()) == *name);
    if let Some((at, _)) = IMAGES.iter().find_map(called) {
        return Ok(at);
    }
    let inside =
        leaves.iter().find(|leaf| leaf.kind == Kind::Bytes && IMAGES.contains(&&*letters(leaf.root())));
    if let Some(inside) = inside {
        return Err(format!(
            "column {} holds the images themselves and no paths; {EXTRACT}",
            shown(inside.root())
        ));
    }
    let mut others = paths().filter(|(_, leaf)| leaf.path.len() == 1);
    match (others.next(), others.next()) {
        (Some((at, _)), None) => Ok(at),
        _ => {
            let columns = roots(leaves).join(", ");
            let expected = "expected a text column called image, image_path, path or file_name";
            Err(format!("no column of image paths among {}; {expected}", shown(&columns)))
        }
    }
}

/// What to do where images are only inside the table.
pub(super) const EXTRACT: &str = "write each image to a file and put the file's name into a text column \
                                  called image (docs/formats/parquet.md shows how, in Python)";

const EXPECTED: &str = "expected a column of 1, 0 and null for each category, or list columns labels \
                        and negative_labels";

fn categories(
    metadata: &ParquetMetaData,
    leaves: &[Leaf<'_>],
    image: usize,
) -> Result<Vec<(String, usize)>, String> {
    let splits = splits(leaves, image);
    let mut categories: Vec<(String, usize)> = Vec::new();
    for (at, leaf) in leaves.iter().enumerate() {
        let of_split = splits.iter().any(|(_, split)| *split == at);
        if !leaf.is_label() || of_split || OTHERS.contains(&&*letters(leaf.root())) {
            continue;
        }
        let name = shown(leaf.root());
        if names(metadata, leaf.root()).is_some() {
            return Err(format!("column {name} holds one class for each image, as a number; {EXPECTED}"));
        }
        if categories.iter().any(|(before, _)| before == leaf.root()) {
            return Err(format!("two columns are called {name}"));
        }
        categories.push((leaf.root().to_owned(), at));
    }
    if categories.is_empty() {
        let columns = shown(&roots(leaves).join(", "));
        return Err(format!("no labels among {columns}; {EXPECTED}"));
    }
    Ok(categories)
}

/// The columns that may say which split an image is of.
fn splits(leaves: &[Leaf<'_>], image: usize) -> Vec<(String, usize)> {
    let may_tell = |(at, leaf): &(usize, &Leaf<'_>)| {
        // A number in `set` is none of a split.
        let known = leaf.kind == Kind::Text || leaf.is_label() && letters(leaf.root()) != "set";
        *at != image && leaf.is_plain() && known && is_split_column(leaf.root())
    };
    leaves.iter().enumerate().filter(may_tell).map(|(at, leaf)| (leaf.root().to_owned(), at)).collect()
}

/// The columns that nothing is read from.
fn left_out(leaves: &[Leaf<'_>], image: usize, layout: &Layout) -> Vec<String> {
    let mut read = vec![leaves[image].root()];
    match layout {
        Layout::Columns(categories) => read.extend(categories.iter().map(|(name, _)| &**name)),
        Layout::Lists { positive, negative, .. } => {
            read.extend([Some(*positive), *negative].into_iter().flatten().map(|at| leaves[at].root()));
        }
    }
    roots(leaves).into_iter().filter(|root| !read.contains(root)).map(str::to_owned).collect()
}

/// The names of the columns.
fn roots<'a>(leaves: &'a [Leaf<'_>]) -> Vec<&'a str> {
    let mut roots: Vec<&str> = leaves.iter().map(Leaf::root).collect();
    roots.dedup();
    roots
}

fn leaf(column: &ColumnDescriptor) -> Leaf<'_> {
    use ConvertedType as Old;
    let (logical, old) = (column.logical_type_ref(), column.converted_type());
    let kind = match column.physical_type() {
        Physical::BYTE_ARRAY => match (logical, old) {
            (Some(LogicalType::String | LogicalType::Enum), _) | (None, Old::UTF8 | Old::ENUM) => Kind::Text,
            (None, Old::NONE) => Kind::Bytes,
            _ => Kind::Other,
        },
        Physical::INT32 | Physical::INT64 => match (logical, old) {
            (Some(LogicalType::Integer(_)), _) => Kind::Whole,
            (None, Old::NONE | Old::INT_8 | Old::INT_16 | Old::INT_32 | Old::INT_64) => Kind::Whole,
            (None, Old::UINT_8 | Old::UINT_16 | Old::UINT_32 | Old::UINT_64) => Kind::Whole,
            _ => Kind::Other,
        },
        Physical::FLOAT | Physical::DOUBLE => Kind::Fraction,
        Physical::BOOLEAN => Kind::Truth,
        _ => Kind::Other,
    };
    Leaf { path: column.path().parts(), kind, repeated: column.max_rep_level() > 0 }
}

/// The names of a column's classes in the metadata that Hugging Face's `datasets` writes.
fn names(metadata: &ParquetMetaData, column: &str) -> Option<Vec<String>> {
    let features: Value = serde_json::from_str(value_of(metadata, "huggingface")?).ok()?;
    class_names(features.get("info")?.get("features")?.get(column)?)
}

/// A list's feature holds that of its entries, as an object or, in older versions, in an array.
fn class_names(feature: &Value) -> Option<Vec<String>> {
    if feature.get("_type").and_then(Value::as_str) == Some("ClassLabel") {
        let names = feature.get("names")?.as_array()?;
        return names.iter().map(|name| Some(name.as_str()?.to_owned())).collect();
    }
    class_names(feature.get("feature").or_else(|| feature.get(0))?)
}

fn value_of<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let values = metadata.file_metadata().key_value_metadata()?;
    values.iter().find(|pair| pair.key == key)?.value.as_deref()
}
