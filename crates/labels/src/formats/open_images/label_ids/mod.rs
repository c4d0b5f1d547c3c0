//! Label ids for categories that only have names, such that reading gives back the same names.

use std::collections::HashMap;
use std::path::Path;

use super::names::{Names, files_beside};
use crate::Result;
use crate::error::Problems;
use crate::formats::name_list::check_name;
use crate::formats::report::shown;

/// A category as the two files have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LabelId {
    pub id: String,
    /// Its name in the class descriptions; none where the category is only known by its id.
    pub name: Option<String>,
}

/// An id for each category. The first that there is:
/// 1. the id that class descriptions beside the file give the name, so that nothing has two ids;
/// 2. the id that the name is (`/m/0bt9lr`) or ends with (`Bat (/m/0bt9lr)`);
/// 3. the name itself, which depends on no other category and no other file.
///
/// `own` are the class descriptions that will be written, which say nothing here.
///
/// # Errors
/// A name that a line cannot hold; all categories that share an id; all that would be read back otherwise.
pub(super) fn label_ids(path: &Path, own: &Path, categories: &[String]) -> Result<Vec<LabelId>> {
    categories.iter().try_for_each(|name| check_name(path, name, "Open Images' CSV"))?;
    let mut files = files_beside(path)?;
    files.retain(|file| file.file_name() != own.file_name());
    let mut names = Names::read(&files)?;
    let told_apart = names.clone().told_apart();
    let by_name = first_ids(&told_apart);
    let find = |category: &String| {
        let id = by_name.get(category.as_str()).copied().or_else(|| id_in(category)).unwrap_or(category);
        let own = Some(category.as_str()).filter(|category| !is_id(category));
        LabelId { id: id.to_owned(), name: names.get(id).or(own).map(str::to_owned) }
    };
    let ids: Vec<LabelId> = categories.iter().map(find).collect();
    let mut problems = Problems::default();
    let mut seen = HashMap::new();
    for (category, LabelId { id, .. }) in categories.iter().zip(&ids) {
        if let Some(before) = seen.insert(id, category) {
            let [before, category, id] = [before, category, id].map(|name| shown(name));
            let both = format!("categories {before} and {category}");
            problems.push(format!("{}: {both} would both have the label id {id}", path.display()));
        }
    }
    problems.or(())?;
    for (id, name) in ids.iter().filter_map(|label| Some((&label.id, label.name.as_ref()?))) {
        names.add(id, name);
    }
    let told_apart = names.told_apart();
    let mut problems = Problems::default();
    for (category, LabelId { id, .. }) in categories.iter().zip(&ids) {
        let back = told_apart.of(id);
        if back != category {
            let [category, back] = [category, back].map(shown);
            let why = "class descriptions in its folder; choose another folder";
            problems.push(format!("{}: category {category} would be called {back} by {why}", path.display()));
        }
    }
    problems.or(ids)
}

/// The ids of names; where several ids have one name, the first of them.
fn first_ids(names: &Names) -> HashMap<&str, &str> {
    let mut ids = HashMap::new();
    for (id, name) in names.iter() {
        let first = ids.entry(name).or_insert(id);
        *first = id.min(first);
    }
    ids
}

/// The id that a name is, or that it has in brackets at its end.
fn id_in(name: &str) -> Option<&str> {
    let last = || name.strip_suffix(')').and_then(|name| name.rsplit_once(" (")).map(|(_, id)| id);
    Some(name).filter(|name| is_id(name)).or_else(|| last().filter(|id| is_id(id)))
}

/// Whether a text is an id of Freebase (`/m/0bt9lr`) or of its successors (`/g/…`, `/t/…`).
fn is_id(text: &str) -> bool {
    let number = ["/m/", "/g/", "/t/"].iter().find_map(|kind| text.strip_prefix(kind));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[cfg(test)]
mod tests;
