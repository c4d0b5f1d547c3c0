//! Several ranks that share a batch have the loss and the gradients of one process, whatever the method. What
//! differs is the order of sums in f32.

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;

use super::super::prototypes::tests::Memory;
use super::super::ssgrl::tests::{knowledge, maps};
use crate::batch::{Batch, Input, Progress, Whole};
use crate::checkpoint::{fingerprint, from_bytes, to_bytes};
use crate::gradients::of_all_ranks;
use crate::loss::normalization::Normalization;
use crate::methods::{Method, MethodRecipe, NAMES};
use crate::model::Model;
use crate::ranks::Ranks;
use crate::ranks::share::Share;
use crate::ranks::tests::together;
use crate::recipe::Recipe;
use crate::run::State;
use crate::train::adam;

const NETWORK: &str =
    "network = { dim = 12, joint = 6, word_width = 4, steps = 2, dropout = 0.2, dropout_classifier = 0.1 }";

/// Every method with what makes its loss look at other images of the batch, and every normalization.
fn cases() -> Vec<(&'static str, String, Normalization)> {
    let network = |more: &str| format!("{NETWORK}\n{more}");
    let sarb = |more: &str| network(&format!("blend_from_epoch = 0\ncontrastive_weight = 0.5\n{more}"));
    let head = "head = { kind = 'ssgrl', dim = 12, joint = 6, word_width = 4, steps = 2 }";
    let mut cases = vec![
        ("ssgrl", network(""), Normalization::Image),
        ("ssgrl", network(""), Normalization::All),
        ("kggr", network(""), Normalization::Sum),
        ("sarb", sarb(""), Normalization::Supervised),
        ("sarb", sarb("prototypes = 'quadrants'\nblends = ['instance', 'prototype']"), Normalization::Image),
        (
            "sst",
            network("from_epoch = 0\npairs = { width = 4 }\nthreshold = 0.5\nthreshold_min = 0.4"),
            Normalization::Supervised,
        ),
        (
            "hst",
            network("from_epoch = 0\npairs = { width = 4 }\nintra_margin = 0.4\ninter_margin = 0.1"),
            Normalization::Supervised,
        ),
        ("fm-mixup", network("mixing = { from_epoch = 0 }"), Normalization::Supervised),
        ("ml-gcn", "hidden = 8\nword_width = 4".into(), Normalization::Supervised),
        ("csl", "left_out = 1\nprior_epochs = 1".into(), Normalization::Supervised),
        ("csl", "left_out = 1\nprior_epochs = 2".into(), Normalization::Supervised),
        ("large-loss", "variant = 'correct-permanently'\ndelta_rel = 20".into(), Normalization::Supervised),
        ("large-loss", "variant = 'reject'\ndelta_rel = 20".into(), Normalization::All),
        ("partial-bce", head.into(), Normalization::Supervised),
    ];
    let done: Vec<&str> =
        cases.iter().map(|(name, ..)| *name).chain(["linear", "role", "ip-mixup"]).collect();
    let others = NAMES.iter().filter(|name| !done.contains(name));
    cases.extend(others.map(|&name| (name, String::new(), Normalization::Supervised)));
    cases
}

/// Loss terms and gradients of two steps that move nothing, and a hash of what is kept of them.
#[derive(Debug)]
struct Seen {
    losses: Vec<f32>,
    gradients: Vec<f32>,
    /// Weights, which do not move, and what layers remember of batches, which does.
    remembered: Vec<f32>,
    kept: blake3::Hash,
}

fn seen(
    ranks: &Ranks,
    images: usize,
    (name, settings, normalization): &(&str, String, Normalization),
) -> Seen {
    let device = Device::flex().autodiff();
    let recipe = MethodRecipe::from_settings(name, toml::from_str(settings).unwrap()).unwrap();
    let labels: Vec<i8> = (0..5 * 7).map(|cell| [1, 0, -1, 0, 1, -1, 0, 0, 1][cell * 5 % 9]).collect();
    let train = Memory { maps: maps(7, &device), labels: LabelMatrix::from_values(5, &labels) };
    let mut model = Model { backbone: None, head: recipe.init(8, &knowledge(), 3, &device) };
    model.head.before_training(&train).unwrap();
    model.head.before_epoch(0, &train).unwrap();
    // It asks for what it measured in the epoch before.
    if *name != "csl" {
        model.head.before_epoch(1, &train).unwrap();
    }
    let rows: Vec<usize> = (0..images).map(|place| (place * 3 + 1) % 7).collect();
    let share = Share::of(ranks.rank(), ranks.count(), images);
    let own = rows[share.places.clone()].to_vec();
    let picked: Vec<i32> = own.iter().map(|&row| row as i32).collect();
    let picked = Tensor::<1, burn::tensor::Int>::from_data(picked.as_slice(), &device);
    let maps = train.maps.clone().select(0, picked);
    let batch = Batch {
        input: Input::Maps(maps.clone()),
        labels: train.labels.select(&own),
        indices: own,
        whole: (!ranks.is_alone())
            .then(|| Whole { labels: train.labels.select(&rows), indices: rows.clone() }),
        ..Batch::empty()
    };
    let mut optimizer = adam(&Recipe::default());
    let (mut losses_seen, mut gradients_seen, mut remembered) = (Vec::new(), Vec::new(), Vec::new());
    for step in 0..2 {
        let at = Progress { seed: 5, epoch: 1, step, steps: 2 };
        // A graph of its own.
        let maps = Tensor::<4>::from_data(maps.to_data(), &device);
        let ((gradients, losses), _) = ranks
            .within(
                share.clone(),
                || false,
                || {
                    let losses = model.head.loss(maps.clone(), &batch, *normalization, at);
                    let gradients = GradientsParams::from_grads(losses.total().backward(), &model);
                    of_all_ranks(gradients, losses, &model)
                },
            )
            .unwrap();
        losses_seen.extend(losses.terms().map(|(_, value)| value.clone().into_scalar::<f32>()));
        let mut flat = Flat { gradients, of_gradients: Vec::new(), of_model: Vec::new() };
        model.visit(&mut flat);
        gradients_seen.extend(flat.of_gradients);
        model = optimizer.step(ModuleLrScheduler::new(0.0).step(), model, flat.gradients);
        remembered = flat.of_model;
    }
    ranks.end(&Ok(()));
    Seen { losses: losses_seen, gradients: gradients_seen, remembered, kept: fingerprint(&model) }
}

struct Flat {
    gradients: GradientsParams,
    of_gradients: Vec<f32>,
    of_model: Vec<f32>,
}

impl ModuleVisitor for Flat {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(parameter.id) {
            self.of_gradients.extend(gradient.into_data().iter::<f32>());
        }
        self.of_model.extend(parameter.val().into_data().iter::<f32>());
    }
}

fn assert_near(what: &str, ours: &[f32], alone: &[f32]) {
    assert_eq!(ours.len(), alone.len(), "{what}");
    let largest = alone.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
    for (place, (ours, alone)) in ours.iter().zip(alone).enumerate() {
        // Some hundred roundings of f32 in values up to the largest.
        assert!(
            (ours - alone).abs() <= 3e-6 * largest,
            "{what}, value {place}: {ours}, not {alone}; up to {largest}"
        );
    }
}

#[test]
fn the_losses_and_gradients_of_any_method_are_those_of_one_process() {
    for case in &cases() {
        // As many ranks as share a batch evenly, unevenly, and some without an image of their own.
        for (count, images) in [(2, 4), (3, 5), (3, 2)] {
            let alone = seen(&Ranks::alone(), images, case);
            let ranks = together(count, |ranks| seen(&ranks, images, case));
            let what = format!("{} {:?}, {count} ranks, {images} images", case.0, case.2);
            for other in &ranks {
                assert_near(&format!("{what}, losses"), &other.losses, &alone.losses);
                assert_near(&format!("{what}, gradients"), &other.gradients, &alone.gradients);
                assert_near(&format!("{what}, model"), &other.remembered, &alone.remembered);
                assert!(other.gradients == ranks[0].gradients && other.losses == ranks[0].losses, "{what}");
                assert_eq!(other.kept, ranks[0].kept, "{what}");
            }
        }
    }
}

#[test]
fn a_rank_takes_up_all_that_the_first_begins_with() {
    let device = Device::flex().autodiff();
    let optimizer = || adam(&Recipe::default());
    let begun = |name: &str, settings: &str, seed: u64| {
        let recipe = MethodRecipe::from_settings(name, toml::from_str(settings).unwrap()).unwrap();
        Model { backbone: None, head: recipe.init(8, &knowledge(), seed, &device) }
    };
    let state = State { epoch: 7, ..State::default() };
    let taken_up = |first: &Model, other: Model| {
        assert_ne!(fingerprint(first), fingerprint(&other));
        let bytes = to_bytes(first, &optimizer(), &state).unwrap();
        let (taken, _, back) = from_bytes(&bytes, other, optimizer()).unwrap();
        assert_eq!((fingerprint(&taken), back), (fingerprint(first), state.clone()));
        assert_eq!(taken.head.state(), first.head.state());
    };
    taken_up(&begun("ssgrl", NETWORK, 3), begun("ssgrl", NETWORK, 4));
    // The same weights, but labels that the method has filled in.
    let mut filled = begun("curriculum", "", 3);
    filled.head.restore(&LabelMatrix::from_values(5, &[1, 0, -1, 0, 1]).to_bytes()).unwrap();
    taken_up(&filled, begun("curriculum", "", 3));
}
