//! SST before and with pseudo-labels, and with the official code's choices.

use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;

use super::{GradientCheck, channels, knowledge, load_network, load_pairs, maps, network_recipe};
use crate::batch::{Batch, Input, Losses, Progress};
use crate::fixture::Fixture;
use crate::loss::contrastive::unit;
use crate::loss::masks::Masks;
use crate::loss::normalization::Normalization;
use crate::methods::pairs::PairRecipe;
use crate::methods::sst::{Sst, SstRecipe};
use crate::methods::{Method, Settings};
use crate::nn::pair_head::PairHead;

/// The first epoch with pseudo-labels.
const FROM: usize = 2;

fn fixture() -> Fixture<'static> {
    Fixture::read(include_bytes!("../../../tests/fixtures/sst.safetensors"))
}

fn recipe(fixture: &Fixture) -> SstRecipe {
    let [width, _] = fixture.shape("weights.pairs.embed.weight");
    let threshold = f64::from(fixture.values("threshold")[0]);
    SstRecipe {
        network: network_recipe(fixture),
        pairs: PairRecipe { width, ..PairRecipe::default() },
        queue_length: fixture.shape::<3>("queue")[1],
        from_epoch: FROM,
        threshold,
        threshold_min: threshold,
        ..SstRecipe::default()
    }
}

fn restated(fixture: &Fixture, recipe: &SstRecipe, device: &Device) -> Sst {
    let mut sst = Sst::new(recipe, channels(fixture), &knowledge(fixture), 0, device);
    load_network(fixture, &mut sst.network);
    load_pairs(fixture, pairs(&mut sst));
    sst.queue.directions.update(unit(fixture.tensor("queue", device)));
    sst.queue.directions.value_sync();
    sst.queue.filled.update(fixture.tensor("queue_filled", device));
    sst.queue.filled.value_sync();
    sst
}

fn pairs(sst: &mut Sst) -> &mut PairHead {
    sst.pairs.as_mut().expect("several categories")
}

fn losses(sst: &Sst, fixture: &Fixture, epoch: usize, device: &Device) -> Losses {
    let labels: LabelMatrix = fixture.labels("target");
    let maps = maps(fixture, device);
    let indices = (0..labels.images()).collect();
    let batch = Batch { input: Input::Maps(maps.clone()), labels, indices, ..Batch::empty() };
    let at = Progress { seed: 0, epoch, step: 0, steps: 1 };
    sst.loss(maps, &batch, Normalization::Supervised, at)
}

#[test]
fn scores_and_queue_equal_the_restatement_in_pytorch() {
    let (fixture, device) = (fixture(), crate::fixture::device().autodiff());
    for (inter, reference) in [("inter", false), ("inter_reference", true)] {
        let mut recipe = recipe(&fixture);
        if reference {
            recipe.follow_reference();
        }
        let mut sst = restated(&fixture, &recipe, &device);
        let representations = sst.network.represent(maps(&fixture, &device));
        fixture.assert_equals("representations", representations.clone());
        let logits = pairs(&mut sst).forward(representations.clone());
        fixture.assert_equals("pair_logits", logits.clone());
        fixture.assert_equals("logits", sst.forward(maps(&fixture, &device)));

        let labels = fixture.labels("target");
        sst.queue.push(unit(representations.clone()), &labels);
        fixture.assert_equals("pushed", sst.queue.directions.value());
        fixture.assert_equals("pushed_filled", sst.queue.filled.value());
        let positive: Tensor<2> = Masks::new(&labels, &device).positive;
        let scores = sst.scores(representations, Some(logits), positive);
        fixture.assert_equals("intra", scores.intra);
        fixture.assert_equals(inter, scores.inter);
    }
}

#[test]
fn losses_and_every_gradient_equal_the_restatement_in_pytorch() {
    let (fixture, device) = (fixture(), crate::fixture::device().autodiff());
    let cases = [
        ("early.loss.", "early.grad.", FROM - 1, 3, false),
        ("late.loss.", "late.grad.", FROM, 5, false),
        ("reference.loss.", "reference.grad.", FROM, 5, true),
    ];
    for (values, slopes, epoch, terms, reference) in cases {
        let mut recipe = recipe(&fixture);
        if reference {
            recipe.follow_reference();
        }
        let mut sst = restated(&fixture, &recipe, &device);
        let losses = losses(&sst, &fixture, epoch, &device);
        assert_eq!((losses.terms().count(), fixture.count(values)), (terms, terms));
        for (name, value) in losses.terms() {
            fixture.assert_equals(&format!("{values}{name}"), value.clone());
        }
        let gradients = losses.total().backward();
        let mut check = GradientCheck::of(&fixture, &gradients, slopes);
        check.network(&sst.network);
        check.pairs(pairs(&mut sst));
        check.finish();
    }
}
