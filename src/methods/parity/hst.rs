//! HST before and with pseudo-labels, and with the official code's choices.

use burn::tensor::Device;

use super::{GradientCheck, channels, knowledge, load_network, load_pairs, maps, network_recipe};
use crate::batch::{Batch, Input, Losses, Progress};
use crate::fixture::Fixture;
use crate::loss::masks::Masks;
use crate::loss::normalization::Normalization;
use crate::methods::hst::Hst;
use crate::methods::hst_recipe::HstRecipe;
use crate::methods::pairs::PairRecipe;
use crate::methods::{Method, Settings};
use crate::nn::pair_head::PairHead;

/// The first epoch with pseudo-labels.
const FROM: usize = 2;

fn fixture() -> Fixture<'static> {
    Fixture::read(include_bytes!("../../../tests/fixtures/hst.safetensors"))
}

fn recipe(fixture: &Fixture, reference: bool) -> HstRecipe {
    let [width, _] = fixture.shape("weights.pairs.embed.weight");
    let mut recipe = HstRecipe {
        network: network_recipe(fixture),
        pairs: PairRecipe { width, ..PairRecipe::default() },
        from_epoch: FROM,
        intra_margin: f64::from(fixture.values("weights.intra_margin")[0]),
        inter_margin: f64::from(fixture.values("weights.inter_margin")[0]),
        prototypes_per_category: fixture.shape::<3>("prototypes")[1],
        ..HstRecipe::default()
    };
    if reference {
        Settings::follow_reference(&mut recipe);
    }
    recipe
}

fn restated(fixture: &Fixture, recipe: &HstRecipe, device: &Device) -> Hst {
    let mut hst = Hst::new(recipe, channels(fixture), &knowledge(fixture), 0, device);
    load_network(fixture, &mut hst.network);
    load_pairs(fixture, pairs(&mut hst));
    let filled = fixture.integers("prototypes_filled").into_iter().map(|count| count as usize);
    hst.prototypes.set(fixture.values("prototypes"), &filled.collect::<Vec<_>>());
    hst
}

fn pairs(hst: &mut Hst) -> &mut PairHead {
    hst.pairs.as_mut().expect("several categories")
}

fn losses(hst: &Hst, fixture: &Fixture, epoch: usize, device: &Device) -> Losses {
    let (labels, maps) = (fixture.labels("target"), maps(fixture, device));
    let indices = (0..labels.images()).collect();
    let batch = Batch { input: Input::Maps(maps.clone()), labels, indices, ..Batch::empty() };
    let at = Progress { seed: 0, epoch, step: 0, steps: 1 };
    hst.loss(maps, &batch, Normalization::Supervised, at)
}

#[test]
fn what_labels_are_judged_by_equals_the_restatement_in_pytorch() {
    let (fixture, device) = (fixture(), crate::fixture::device().autodiff());
    let mut hst = restated(&fixture, &recipe(&fixture, false), &device);
    let representations = hst.network.represent(maps(&fixture, &device));
    fixture.assert_equals("representations", representations.clone());
    let logits = pairs(&mut hst).forward(representations.clone());
    let positive = Masks::new(&fixture.labels("target"), &device).positive;
    let judged = hst.judge(representations, Some(logits), positive);
    fixture.assert_equals("excess.intra", judged.intra);
    fixture.assert_equals("excess.inter", judged.inter);
    fixture.assert_equals("cosines", judged.cosines);
}

#[test]
fn losses_and_every_gradient_equal_the_restatement_in_pytorch() {
    let (fixture, device) = (fixture(), crate::fixture::device().autodiff());
    let cases = [
        ("early.loss.", "early.grad.", FROM - 1, 3, false),
        ("late.loss.", "late.grad.", FROM, 8, false),
        ("reference.loss.", "reference.grad.", FROM, 8, true),
    ];
    for (values, slopes, epoch, terms, reference) in cases {
        let mut hst = restated(&fixture, &recipe(&fixture, reference), &device);
        let losses = losses(&hst, &fixture, epoch, &device);
        assert_eq!((losses.terms().count(), fixture.count(values)), (terms, terms));
        for (name, value) in losses.terms() {
            fixture.assert_equals(&format!("{values}{name}"), value.clone());
        }
        let gradients = losses.total().backward();
        let mut check = GradientCheck::of(&fixture, &gradients, slopes);
        check.network(&hst.network);
        check.pairs(pairs(&mut hst));
        if epoch >= FROM {
            check.parameter("intra_margin", &hst.intra_margin);
            check.parameter("inter_margin", &hst.inter_margin);
        }
        check.finish();
    }
}
