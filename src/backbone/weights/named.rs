//! Tensors of a file by name, and networks that are more than a backbone.

use std::path::Path;

use super::{Sources, finite, matching, with_sources};
use crate::backbone::state_dict::Visit;
use crate::{Error, Result};

/// A matrix of a file.
pub(crate) struct NamedMatrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    /// Values, row by row.
    pub values: Vec<f32>,
}

/// Replaces every tensor that `each` shows by the one of that name in a file; `what` is what they are together, and what
/// is `ignored` may be in the file too.
///
/// # Errors
/// As [`Backbone::load`](crate::backbone::Backbone::load).
pub(crate) fn load_all(
    each: &mut dyn FnMut(&mut Visit<'_>),
    what: &str,
    ignored: &[&str],
    path: &Path,
) -> Result<()> {
    with_sources(path, |sources| {
        let mut layout = Vec::new();
        each(&mut |name, slot| layout.push((name, slot.shape())));
        let mut values = matching(layout, (what, String::new), ignored, sources, path)?;
        each(&mut |name, slot| slot.assign(values.remove(&name).expect("every tensor was found")));
        Ok(())
    })
}

/// The matrices of these names, where the file has them, whatever stands before the name.
///
/// # Errors
/// [`Error::Missing`] without the file, [`Error::Data`] if it cannot be read, [`Error::Incompatible`] if one of them is not
/// a matrix.
pub(crate) fn matrices<const N: usize>(path: &Path, names: [&str; N]) -> Result<[Option<NamedMatrix>; N]> {
    with_sources(path, |sources| {
        let mut found = Vec::new();
        for name in names {
            let Some(full) = full_name(sources, name) else {
                found.push(None);
                continue;
            };
            let source = &sources[full];
            let &[rows, columns] = source.shape() else {
                let (shown, shape) = (path.display(), source.shape());
                return Err(Error::Incompatible(format!("{shown}: {full} is {shape:?}; expected a matrix")));
            };
            found.push(Some(NamedMatrix { rows, columns, values: finite(full, source, path)? }));
        }
        Ok(found.try_into().ok().expect("one for each name"))
    })
}

/// The number of this name, where the file has one.
///
/// # Errors
/// As [`matrices`].
pub(crate) fn number(path: &Path, name: &str) -> Result<Option<f32>> {
    with_sources(path, |sources| match full_name(sources, name) {
        Some(full) => Ok(finite(full, &sources[full], path)?.first().copied()),
        None => Ok(None),
    })
}

/// The shortest name that ends so, as `module.inMatrix` does and `module.GraphNeuralNetwork.inMatrix` too.
fn full_name<'a>(sources: &'a Sources<'_>, name: &str) -> Option<&'a str> {
    let ends = |full: &&String| full.strip_suffix(name).is_some_and(|it| it.is_empty() || it.ends_with('.'));
    sources.keys().filter(ends).min_by_key(|full| full.len()).map(String::as_str)
}
