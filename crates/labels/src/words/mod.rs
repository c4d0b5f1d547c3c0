//! Word vectors of the categories: the word representations x_c of semantic decoupling.
//!
//! Either a `.npy` array with a row for each category in column order, or a text file in GloVe's
//! format in which the names are looked up.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::matrix::Matrix;
use crate::{Error, Result, arrays};

/// A vector for each category, all finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Words {
    /// `C × E` values row by row, rows in column order of the labels.
    pub values: Vec<f32>,
    /// E, the width of a vector.
    pub width: usize,
    /// What the user should know: names of which only some words have a vector.
    pub warnings: Vec<String>,
}

/// No line of a text file of word vectors is longer, in bytes.
const LONGEST_LINE: u64 = 1 << 22;

impl Words {
    /// Reads the vectors of the categories `names` from a `.npy` or a `.txt` file.
    ///
    /// `.npy`: `[C, E]`, float32 or float64, rows in column order. `.txt`: a word and E numbers a line,
    /// with or without a first line `<words> <width>`. A name is looked up in lower case, as a whole or
    /// else as the average of its words, split at spaces, `_` and `-`; the file is streamed.
    ///
    /// # Errors
    /// Another number of rows, a value that is not finite, lines of different width, or names of which
    /// no word is found, all of them listed.
    pub fn read(path: &Path, names: &[String]) -> Result<Self> {
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
        match extension.as_deref() {
            Some("npy") => read_array(path, names),
            Some("txt") => read_text(path, names),
            _ => Err(Error::Usage(format!(
                "{}: word vectors are read from .npy (rows in column order) or .txt (GloVe's text format)",
                path.display()
            ))),
        }
    }

    /// Reads `words.npy` or else `words.txt` of a data folder; `None` when neither is there.
    pub fn in_folder(folder: &Path, names: &[String]) -> Result<Option<Self>> {
        Self::files(folder)?.first().map(|path| Self::read(path, names)).transpose()
    }

    /// The files of word vectors in a data folder, the one that counts first.
    pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in ["words.npy", "words.txt"].map(|name| folder.join(name)) {
            if path.try_exists().map_err(|error| Error::io(&path, error))? {
                files.push(path);
            }
        }
        Ok(files)
    }
}

fn read_array(path: &Path, names: &[String]) -> Result<Words> {
    let Matrix { rows, cols: width, values, .. } = arrays::read_matrix(path)?;
    if rows != names.len() {
        return Err(Error::Data(format!(
            "{}: {rows} word vectors for {} categories; expected one row for each category, in column order",
            path.display(),
            names.len()
        )));
    }
    Ok(Words { values, width, warnings: Vec::new() })
}

fn read_text(path: &Path, names: &[String]) -> Result<Words> {
    let mut vectors: HashMap<String, Option<Vec<f32>>> = HashMap::new();
    for name in names {
        for word in parts(name).into_iter().chain([name.to_lowercase()]) {
            vectors.insert(word, None);
        }
    }
    let width = look_up(path, &mut vectors)?;
    let found = |word: &str| vectors[word].as_deref();

    let mut words = Words { values: Vec::new(), width, warnings: Vec::new() };
    let mut missing = Vec::new();
    for name in names {
        if let Some(vector) = found(&name.to_lowercase()) {
            words.values.extend(vector);
            continue;
        }
        let parts = parts(name);
        let (known, unknown): (Vec<&String>, Vec<&String>) =
            parts.iter().partition(|part| found(part).is_some());
        if known.is_empty() {
            missing.push(format!("{name:?}"));
            continue;
        }
        if !unknown.is_empty() {
            words.warnings.push(format!(
                "{}: category {name:?} is the average of {known:?}; no vector for {unknown:?}",
                path.display()
            ));
        }
        let known: Vec<&[f32]> = known.iter().filter_map(|part| found(part)).collect();
        words.values.extend(average(&known, width));
    }
    if missing.is_empty() {
        return Ok(words);
    }
    Err(Error::Data(format!(
        "{}: no word vector for {} of {} categories: {}; a name is looked up in lower case, whole or by its words, \
         which are split at spaces, _ and -",
        path.display(),
        missing.len(),
        names.len(),
        missing.join(", ")
    )))
}

/// The words of a name, in lower case.
fn parts(name: &str) -> Vec<String> {
    let split = name.split(|c: char| c.is_whitespace() || c == '_' || c == '-');
    split.filter(|part| !part.is_empty()).map(str::to_lowercase).collect()
}

fn average(vectors: &[&[f32]], width: usize) -> Vec<f32> {
    let sum = |column: usize| vectors.iter().map(|vector| f64::from(vector[column])).sum::<f64>();
    (0..width).map(|column| (sum(column) / vectors.len() as f64) as f32).collect()
}

/// Fills in the vector of every word that the file has (the first, should it stand there twice), and
/// returns the width. Reads the whole file, so that a damaged one is noticed.
fn look_up(path: &Path, vectors: &mut HashMap<String, Option<Vec<f32>>>) -> Result<usize> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut line = Vec::new();
    let mut width = None;
    for number in 1.. {
        let invalid = |what: String| Error::Data(format!("{}:{number}: {what}", path.display()));
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.map_err(|error| Error::io(path, error))? == 0 {
            break;
        }
        if line.len() as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
            return Err(invalid("a line of over 4 MiB; expected GloVe's text format".into()));
        }
        let text = line.trim_ascii_end();
        if text.is_empty() {
            continue;
        }
        let Some(known_width) = width else {
            width = Some(first_width(text).ok_or_else(|| {
                invalid("expected GloVe's text format: a word and its numbers, separated by spaces".into())
            })?);
            if !is_header(text) {
                store(text, width.unwrap_or_default(), vectors).map_err(invalid)?;
            }
            continue;
        };
        store(text, known_width, vectors).map_err(invalid)?;
    }
    width.ok_or_else(|| Error::Data(format!("{}: an empty file; expected word vectors", path.display())))
}

/// Whether a first line holds the number of words and the width, as word2vec and fastText write it.
fn is_header(line: &[u8]) -> bool {
    let fields: Vec<&[u8]> = fields(line).collect();
    fields.len() == 2 && fields.iter().all(|field| field.iter().all(u8::is_ascii_digit))
}

/// The width that a first line tells.
fn first_width(line: &[u8]) -> Option<usize> {
    let mut fields = fields(line).skip(1);
    if is_header(line) {
        return number(fields.next()?).map(|width| width as usize).filter(|&width| width > 0);
    }
    let count = fields.clone().count();
    (count > 0 && fields.all(|field| number(field).is_some())).then_some(count)
}

/// Keeps the vector of this line if its word is asked for; says what is wrong with the line.
fn store(
    line: &[u8],
    width: usize,
    vectors: &mut HashMap<String, Option<Vec<f32>>>,
) -> std::result::Result<(), String> {
    let (word, rest) = divide(line, width)?;
    let Some(vector) = std::str::from_utf8(word).ok().and_then(|word| vectors.get_mut(word)) else {
        return Ok(());
    };
    if vector.is_some() {
        return Ok(());
    }
    let mut values = Vec::with_capacity(width);
    for field in fields(rest) {
        let value = number(field).filter(|value| value.is_finite());
        values.push(value.ok_or_else(|| {
            let (field, word) = (String::from_utf8_lossy(field), String::from_utf8_lossy(word));
            format!("{field:?} in the vector of {word:?}; expected a finite number")
        })?);
    }
    *vector = Some(values);
    Ok(())
}

/// The word of a line and the text of its `width` numbers.
fn divide(line: &[u8], width: usize) -> std::result::Result<(&[u8], &[u8]), String> {
    // Almost every line: nothing but single spaces, counted at the speed of memory.
    let spaces = line.iter().filter(|&&byte| byte == b' ').count();
    let others = line.iter().any(|byte| matches!(byte, b'\t' | b'\r'));
    let double = line.windows(2).any(|pair| pair == b"  ");
    if spaces == width && !others && !double && line[0] != b' ' {
        return Ok(line.split_at(line.iter().position(|&byte| byte == b' ').unwrap_or(line.len())));
    }
    let all: Vec<&[u8]> = fields(line).collect();
    let start = |at: usize| all[at].as_ptr() as usize - line.as_ptr() as usize;
    let wrong = || format!("{} numbers after the word; expected {width} as in the first line", all.len() - 1);
    // GloVe's largest file has words with spaces in them, such as ". . .".
    let word_fields = all.len().checked_sub(width).filter(|&count| count > 0).ok_or_else(wrong)?;
    if word_fields > 1 && all[1..word_fields].iter().all(|field| number(field).is_some()) {
        return Err(wrong());
    }
    let (word, rest) = line.split_at(start(word_fields));
    Ok((word.trim_ascii_end(), rest))
}

fn fields(text: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    text.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

fn number(field: &[u8]) -> Option<f32> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
