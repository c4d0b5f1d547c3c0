//! How well the tensors of a file are those of a network.

use super::Sources;

/// Names of problems that one message lists.
const SHOWN: usize = 3;

/// How well a file fits a layout, under the best prefix.
pub(super) struct Fit {
    pub prefix: String,
    missing: Vec<String>,
    reshaped: Vec<String>,
    surplus: Vec<String>,
}

impl Fit {
    /// Of the names and shapes in `layout`; those that are `ignored` may be there too.
    pub fn new(layout: &[(String, Vec<usize>)], sources: &Sources<'_>, ignored: &[&str]) -> Self {
        let prefix = prefix(layout, sources);
        let mut fit = Self { prefix, missing: Vec::new(), reshaped: Vec::new(), surplus: Vec::new() };
        for (name, shape) in layout {
            match sources.get(&format!("{}{name}", fit.prefix)) {
                None => fit.missing.push(name.clone()),
                Some(source) if source.shape() != shape => {
                    fit.reshaped.push(format!("{name}: expected {shape:?}, found {:?}", source.shape()));
                }
                Some(_) => {}
            }
        }
        // A deeper network's file holds all of a shallower one's: what is left over in the same
        // parts says so. Other parts (a classifier, a head) are nobody's concern.
        let part = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        for name in sources.keys().filter_map(|name| name.strip_prefix(&fit.prefix)) {
            let expected = name.ends_with("num_batches_tracked") || ignored.contains(&name);
            let ours = layout.iter().any(|(known, _)| part(known) == part(name));
            if ours && !expected && !layout.iter().any(|(known, _)| known == name) {
                fit.surplus.push(name.to_owned());
            }
        }
        fit
    }

    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.reshaped.is_empty() && self.surplus.is_empty()
    }

    /// All that is wrong, each kind with its number and first names.
    pub fn problems(&self) -> String {
        let kinds = [
            ("missing tensors", &self.missing),
            ("tensors of another shape", &self.reshaped),
            ("tensors that it does not have", &self.surplus),
        ];
        let shown = kinds.into_iter().filter(|(_, names)| !names.is_empty()).map(|(kind, names)| {
            let more = if names.len() > SHOWN { ", …" } else { "" };
            let first = names[..names.len().min(SHOWN)].join(", ");
            format!("{kind}: {} ({first}{more})", names.len())
        });
        shown.collect::<Vec<_>>().join("; ")
    }
}

/// What stands before the official names, such as `module.`: the one under which most are found.
fn prefix(layout: &[(String, Vec<usize>)], sources: &Sources<'_>) -> String {
    let anchor = &layout[0].0;
    let found = |prefix: &str| {
        layout.iter().filter(|(name, _)| sources.contains_key(&format!("{prefix}{name}"))).count()
    };
    let candidates = sources.keys().filter_map(|name| name.strip_suffix(anchor.as_str()));
    candidates
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .max_by_key(|prefix| found(prefix))
        .unwrap_or_default()
        .to_owned()
}
