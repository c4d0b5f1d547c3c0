//! The keys of a plan.

use crate::methods::keys::Kind::{List, Number, Text, Word};
use crate::methods::keys::{Interval, Key, Kind};

/// The keys of [`Plan`](super::Plan).
pub(crate) const PLAN: &[Key] = &[
    Key::new(
        "known",
        List(&Number(Interval::PROPORTION)),
        "Known proportions of every row, in the order in which they are run",
    ),
    Key::new("seeds", List(&Kind::SEED), "Seeds of every row at every proportion"),
    Key::new("set", List(&Text("key=value")), "Settings of every row, as of `sarb train --set`"),
    Key::new(
        "published",
        Text("coco, vg-200 or voc-2007"),
        "The data set whose published numbers a report puts beside these",
    ),
    Key::new("compare_with", Text("the name of a row"), "The row that the others are compared with"),
    Key::new("loss_curves", List(&Text("names of rows")), "Rows whose training loss a report draws"),
    Key::new("row", List(&Kind::Table("row", ROW)), "The rows of the tables, each as `[[row]]`"),
];

/// The keys of [`Row`](super::plan::Row).
pub(crate) const ROW: &[Key] = &[
    Key::new("name", Text("letters or digits, unlike other rows'"), "What tables call it"),
    Key::new("recipe", Text("a path relative to the plan, or a name in the program"), "The recipe"),
    Key::new("set", List(&Text("key=value")), "Settings on top of the recipe's and the plan's"),
    Key::new("more_seeds", List(&Kind::Table("more_seeds", MORE_SEEDS)), "Further seeds at some proportions"),
    Key::new("tables", List(&Word(&["main", "ablation"])), "The tables that show it"),
    Key::new(
        "published",
        Text("a name"),
        "Its name among the published numbers, where it is not the row's own",
    ),
];

/// The keys of [`MoreSeeds`](super::plan::MoreSeeds).
pub(crate) const MORE_SEEDS: &[Key] = &[
    Key::new("known", Number(Interval::PROPORTION), "The proportion, one of the plan's"),
    Key::new("seeds", List(&Kind::SEED), "The seeds"),
];
