use super::super::prototypes::tests::Memory;
use super::super::ssgrl::tests::{batch, knowledge, maps, small};
use super::*;
use burn::optim::{AdamConfig, GradientsParams};
use sarb_labels::Label;

use crate::soft_labels::SoftLabels;

fn recipe() -> SarbRecipe {
    SarbRecipe {
        network: small(),
        blend_from_epoch: 1,
        prototype_interval: 2,
        prototypes_per_category: 3,
        ..SarbRecipe::default()
    }
}

fn sarb(recipe: &SarbRecipe) -> Sarb {
    Sarb::new(recipe, 8, &knowledge(), 0, &Device::flex().autodiff())
}

/// Eight images, a third of the labels of each kind; category 2 never positive.
fn train() -> Memory {
    let mut random = sarb_labels::random::rng(3, Stream::Synthetic, 0, 0);
    let values: Vec<i8> = (0..40).map(|_| random.random_range(-1..=1)).collect();
    let mut labels = LabelMatrix::from_values(5, &values);
    (0..8).for_each(|image| labels.set(image, 2, Label::Unknown));
    Memory { maps: maps(8, &Device::flex().autodiff()), labels }
}

fn names(sarb: &Sarb, train: &Memory, epoch: usize) -> Vec<&'static str> {
    let at = Progress { seed: 0, epoch, step: 1, steps: 4 };
    let losses = sarb.loss(
        train.maps.clone(),
        &batch(&train.maps, train.labels.clone()),
        Normalization::default(),
        at,
    );
    losses.terms().map(|(name, _)| name).collect()
}

#[test]
fn blended_branches_start_at_their_epoch() {
    let train = train();
    let mut model = sarb(&recipe());
    assert_eq!(names(&model, &train, 0), ["bce", "contrastive"]);
    model.before_epoch(1, &train).expect("in memory");
    assert_eq!(names(&model, &train, 1), ["bce", "instance", "prototype", "contrastive"]);
    let plain = SarbRecipe { blends: vec![], contrastive_weight: 0.0, ..recipe() };
    assert_eq!(names(&sarb(&plain), &train, 1), ["bce"]);
}

#[test]
fn prototypes_are_computed_on_schedule_and_survive_a_resume() {
    let train = train();
    let mut model = sarb(&recipe());
    model.before_epoch(0, &train).expect("in memory");
    assert_eq!(model.prototypes.filled(), [0; 5]);
    model.before_epoch(1, &train).expect("in memory");
    let filled = model.prototypes.filled();
    assert!(filled[2] == 0 && filled.iter().filter(|&&count| count > 0).count() == 4, "{filled:?}");

    let centers = |model: &Sarb| model.prototypes.centres.value().into_data();
    let mut resumed = sarb(&recipe()).load_record(model.clone().into_record());
    resumed.before_epoch(2, &train).expect("in memory");
    centers(&resumed).assert_eq(&centers(&model), true);
    assert_eq!(resumed.prototypes.filled(), filled);
}

#[test]
fn the_contrastive_weight_grows_over_the_first_epoch() {
    let at = |epoch, step| Progress { seed: 0, epoch, step, steps: 4 };
    let model = sarb(&recipe());
    let weights = [at(0, 0), at(0, 2), at(1, 0)].map(|at| model.contrastive_weight(at));
    assert_eq!(weights, [0.0, 0.025, 0.05]);
    let steady = sarb(&SarbRecipe { contrastive_warm_up: false, ..recipe() });
    assert_eq!(steady.contrastive_weight(at(0, 0)), 0.05);
}

#[test]
fn a_last_batch_of_one_image_trains() {
    let mut train = train();
    let model = sarb(&SarbRecipe { blend_from_epoch: 0, ..recipe() });
    train.maps = train.maps.narrow(0, 0, 1);
    train.labels = train.labels.select(&[0]);
    let at = Progress { seed: 0, epoch: 0, step: 3, steps: 4 };
    let losses =
        model.loss(train.maps.clone(), &batch(&train.maps, train.labels), Normalization::default(), at);
    assert!(losses.total().into_scalar::<f32>().is_finite());
}

/// α after steps at a rate that would carry it far outside 0…1.
fn alpha_after_training(recipe: &SarbRecipe) -> f32 {
    let train = train();
    let mut model = sarb(recipe);
    let mut optimizer = AdamConfig::new().init();
    for step in 0..3 {
        let at = Progress { seed: 0, epoch: 1, step, steps: 3 };
        let loss = model.loss(
            train.maps.clone(),
            &batch(&train.maps, train.labels.clone()),
            Normalization::default(),
            at,
        );
        let gradients = GradientsParams::from_grads(loss.total().backward(), &model);
        model = optimizer.step(3.0, model, gradients);
        model.after_step();
    }
    model.alpha.val().into_scalar()
}

#[test]
fn alpha_stays_between_0_and_1_while_it_is_learned_and_where_it_is_when_not() {
    let learned = alpha_after_training(&recipe());
    assert!(learned == 0.0 || learned == 1.0, "{learned}");
    let fixed = SarbRecipe { learn_alpha: false, alpha: 0.25, ..recipe() };
    assert_eq!(alpha_after_training(&fixed), 0.25);
}

#[test]
fn it_reports_what_its_blends_learn() {
    let train = train();
    let mut model = sarb(&SarbRecipe { alpha: 0.25, beta: 0.75, ..recipe() });
    assert_eq!(model.scalars(&train.labels), [("alpha", 0.25), ("beta", 0.75), ("prototypes", 0.0)]);
    model.before_epoch(1, &train).expect("in memory");
    let prototypes = model.scalars(&train.labels)[2].1;
    assert!(prototypes > 4.0 && prototypes <= 12.0, "{prototypes} of four categories, three each");
    let instance = SarbRecipe { blends: vec![Blend::Instance], ..recipe() };
    assert_eq!(sarb(&instance).scalars(&train.labels).len(), 1);
}

#[test]
fn a_detached_target_changes_alphas_gradient() {
    let train = train();
    let gradient = |detach_blend_targets| {
        let model = sarb(&SarbRecipe { detach_blend_targets, ..recipe() });
        let at = Progress { seed: 0, epoch: 1, step: 0, steps: 1 };
        let loss = model.loss(
            train.maps.clone(),
            &batch(&train.maps, train.labels.clone()),
            Normalization::default(),
            at,
        );
        let gradients = loss.total().backward();
        model.alpha.val().grad(&gradients).expect("learned").into_scalar::<f32>()
    };
    assert_ne!(gradient(false), gradient(true));
}

fn by_quadrants() -> SarbRecipe {
    let recipe = SarbRecipe { prototypes: PrototypeKind::Quadrants, prototypes_per_category: 10, ..recipe() };
    recipe.check().expect("a valid recipe");
    recipe
}

#[test]
fn quadrants_give_four_prototypes_where_a_positive_is_known_and_survive_a_resume() {
    let train = train();
    let mut model = sarb(&by_quadrants());
    assert_eq!(names(&model, &train, 0), ["bce", "contrastive"]);
    model.before_epoch(1, &train).expect("in memory");
    assert_eq!(model.prototypes.filled(), [4, 4, 0, 4, 4]);
    assert_eq!(
        model.scalars(&train.labels)[2..],
        [("prototypes", 16.0), ("categories_without_prototype", 1.0)]
    );
    assert_eq!(names(&model, &train, 1), ["bce", "instance", "prototype", "contrastive"]);
    let resumed = sarb(&by_quadrants()).load_record(model.clone().into_record());
    resumed
        .prototypes
        .all(&Device::flex())
        .into_data()
        .assert_eq(&model.prototypes.all(&Device::flex()).into_data(), true);
}

#[test]
fn each_label_is_blended_with_a_quadrant_where_its_category_is_not_seen() {
    let train = train();
    let model = sarb(&by_quadrants());
    let (representations, seen_in) =
        model.represent(train.maps.clone(), 1, &mut sarb_labels::random::rng(0, Stream::Dropout, 0, 0));
    let seen_in = seen_in.expect("blended from epoch 1 on");
    let at = |step| Progress { seed: 0, epoch: 1, step, steps: 4 };
    let numbers = |step| match model.draw(&train.labels, Some(seen_in.clone()), at(step)).number {
        Number::Each(numbers) => numbers,
        Number::Same(_) => panic!("each label has its own"),
    };
    let drawn = numbers(0);
    assert!(drawn.iter().zip(&seen_in).all(|(number, seen)| number != seen && *number < 4), "{drawn:?}");
    assert_ne!(drawn, numbers(1));
    // Prototype k of category c is 10 c + k everywhere; with β = 0 it takes the place of what is blended.
    let values = (0..5 * 4).flat_map(|row| vec![(row / 4 * 10 + row % 4) as f32; 12]);
    model.prototypes.set(values.collect(), &[4, 4, 0, 4, 4]);
    let model = Sarb { beta: model.beta.clone().map(|beta| beta.zeros_like()), ..model };
    let draw = model.draw(&train.labels, Some(seen_in), at(0));
    let blended = model.blend_prototypes(&representations, &train.labels, &draw);
    assert!(!blended.cells.is_empty() && blended.cells.iter().all(|cell| cell % 5 != 2), "no prototype");
    let rows = blended.rows.expect("cells").into_data().try_to_vec::<f32>().expect("f32");
    for (cell, row) in blended.cells.iter().zip(rows.chunks_exact(12)) {
        assert_eq!(train.labels.get(cell / 5, cell % 5), Label::Unknown, "known labels stay");
        assert!((row[0] - (cell % 5 * 10 + drawn[*cell]) as f32).abs() < 1e-5, "{row:?}");
    }
}

#[test]
fn what_says_nothing_of_quadrants_is_refused_beside_them() {
    let quadrants = by_quadrants();
    for refused in [
        SarbRecipe { representation: Representation::Attention, ..quadrants.clone() },
        SarbRecipe { blends: vec![Blend::Instance], ..quadrants.clone() },
        SarbRecipe { prototypes_per_category: 3, ..quadrants.clone() },
        SarbRecipe { prototype_restarts: 2, ..quadrants.clone() },
    ] {
        let message = refused.check().unwrap_err().to_string();
        assert!(message.starts_with("prototypes is \"quadrants\"; expected"), "{message}");
    }
    let mut reference = quadrants;
    reference.follow_reference();
    reference.check().expect("what the official code does with k-means says nothing here");
}

#[test]
fn the_loss_of_a_probable_label_is_its_expected_loss() {
    let model = sarb(&SarbRecipe { contrastive_weight: 0.0, ..recipe() });
    let maps = maps(2, &Device::flex().autodiff());
    let loss = |label: i8, soft: &[(usize, usize, f32)]| {
        let labels = LabelMatrix::from_values(5, &[1, label, 0, 0, -1, 0, 0, 0, 1, 0]);
        let soft = SoftLabels::new(2, soft.to_vec());
        let batch = Batch { soft, ..batch(&maps, labels) };
        let at = Progress { seed: 0, epoch: 0, step: 1, steps: 4 };
        model.loss(maps.clone(), &batch, Normalization::default(), at).total().into_scalar::<f32>()
    };
    let (there, absent, probable) = (loss(1, &[]), loss(-1, &[]), loss(0, &[(0, 1, 0.3)]));
    assert!((probable - (0.3 * there + 0.7 * absent)).abs() < 1e-5, "{probable}: {there} {absent}");
    assert!((there - absent).abs() > 0.01, "{there} {absent}");
    assert_ne!(probable, loss(0, &[]));
}
