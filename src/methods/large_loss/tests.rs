use super::super::prototypes::tests::Memory;
use super::super::ssgrl::tests::{batch, knowledge, maps};
use super::*;
use crate::fixture::Fixture;

fn recipe(variant: Variant, delta_rel: f64) -> LargeLossRecipe {
    LargeLossRecipe { variant, delta_rel, ..LargeLossRecipe::default() }
}

#[test]
fn loss_gradient_and_written_labels_equal_their_restatement_in_pytorch() {
    let fixture = Fixture::read(include_bytes!("../../../tests/fixtures/large_loss.safetensors"));
    let labels = fixture.labels("target");
    for (name, variant, epoch, normalization) in [
        ("first_epoch", Variant::Reject, 0, Normalization::All),
        ("reject", Variant::Reject, 2, Normalization::All),
        ("reject_supervised", Variant::Reject, 2, Normalization::Supervised),
        ("correct", Variant::Correct, 2, Normalization::All),
        ("correct_permanently", Variant::CorrectPermanently, 2, Normalization::All),
    ] {
        let recipe = recipe(variant, 8.0);
        let count = recipe.count(labels.images() * labels.categories(), epoch);
        let large = Large::of(&fixture.values("logits"), &labels, count);
        fixture.assert_loss(name, |logits, labels| recipe.loss(logits, labels, &large, normalization));
        if variant == Variant::CorrectPermanently {
            let mut written = labels.clone();
            let categories = labels.categories();
            large.above.iter().for_each(|c| written.set(c / categories, c % categories, Label::Positive));
            assert!(written == fixture.labels("written"), "{large:?}");
        }
    }
    assert_eq!(fixture.count(""), 3 + 2 * 5, "every tensor of the file is compared");
}

#[test]
fn the_number_of_large_losses_grows_by_the_percentage_of_every_epoch() {
    let counts = |variant, delta| [0, 1, 2, 3].map(|epoch| recipe(variant, delta).count(500, epoch));
    assert_eq!(counts(Variant::Reject, 0.2), [0, 1, 2, 3], "whole numbers are not rounded up");
    assert_eq!(counts(Variant::Correct, 0.3), [0, 2, 3, 5], "others are");
    assert_eq!(counts(Variant::CorrectPermanently, 0.3), [0, 2, 2, 2]);
}

#[test]
fn the_largest_unknown_entries_are_chosen_with_ties_and_never_more_than_there_are() {
    let labels = LabelMatrix::from_values(3, &[0, 1, 0, 0, -1, 0]);
    let logits = [1.0, 9.0, 3.0, 1.0, 8.0, -2.0];
    let large = |count| Large::of(&logits, &labels, count);
    assert_eq!(large(0), Large::default());
    assert_eq!(large(1), Large { all: vec![2], above: vec![] });
    assert_eq!(large(2), Large { all: vec![0, 2, 3], above: vec![2] });
    assert_eq!(large(100), Large { all: vec![0, 2, 3, 5], above: vec![0, 2, 3] });
    assert_eq!(Large::of(&logits, &LabelMatrix::from_values(3, &[1; 6]), 4), Large::default());
}

#[test]
fn large_losses_have_their_worked_out_values() {
    // Logits 0 and ln 3 (p = 3/4) unknown, 0 known.
    let labels = LabelMatrix::from_values(3, &[0, 0, 1]);
    let large = Large { all: vec![1], above: vec![] };
    let of = |variant| {
        let logits = Tensor::<2>::from_data([[0.0, 3f32.ln(), 0.0]], &Device::flex());
        let recipe = recipe(variant, 1.0);
        recipe.loss(logits, &labels, &large, Normalization::Supervised).into_scalar::<f32>()
    };
    let ln = f32::ln;
    assert!((of(Variant::Reject) - ln(2.0)).abs() < 1e-6, "2 ln 2 over two entries");
    let corrected = (2.0 * ln(2.0) + ln(4.0 / 3.0)) / 3.0;
    assert!((of(Variant::Correct) - corrected).abs() < 1e-6);
    assert_eq!(of(Variant::Correct), of(Variant::CorrectPermanently));
}

/// Eight images of five categories, every third label known.
fn train() -> Memory {
    let values: Vec<i8> = (0..40).map(|cell| [0, 1, 0, 0, -1, 0][cell % 6]).collect();
    Memory { maps: maps(8, &Device::flex().autodiff()), labels: LabelMatrix::from_values(5, &values) }
}

fn model(variant: Variant) -> LargeLoss {
    recipe(variant, 10.0).init(8, &knowledge(), 0, &Device::flex().autodiff())
}

/// One step of an epoch.
fn step(model: &LargeLoss, train: &Memory, epoch: usize) {
    let at = Progress { seed: 0, epoch, step: 0, steps: 1 };
    let rows = batch(&train.maps, train.labels.clone());
    model.loss(train.maps.clone(), &rows, Normalization::default(), at);
}

#[test]
fn permanent_corrections_are_written_from_the_second_epoch_on_and_known_labels_stay() {
    let train = train();
    let mut model = model(Variant::CorrectPermanently);
    let rows = batch(&train.maps, train.labels.clone());
    assert_eq!(model.scalars(&train.labels), [("corrected", 0.0)]);
    model.before_epoch(0, &train).unwrap();
    step(&model, &train, 0);
    assert!(model.labels(&rows) == train.labels);
    model.before_epoch(1, &train).unwrap();
    step(&model, &train, 1);
    // 10 % of 40 entries are large, three of them above the fourth largest.
    let written = model.labels(&rows);
    assert_eq!(written.count(Label::Unknown), train.labels.count(Label::Unknown) - 3);
    assert_eq!(written.count(Label::Positive), train.labels.count(Label::Positive) + 3);
    assert_eq!(written.count(Label::Negative), train.labels.count(Label::Negative));
    assert_eq!(model.scalars(&train.labels), [("corrected", 3.0 / 27.0)]);
    // A batch in another order finds the rows of its images.
    let turned = Batch { indices: (0..8).rev().collect(), ..rows.clone() };
    assert!(model.labels(&turned) == written.select(&[7, 6, 5, 4, 3, 2, 1, 0]));
}

#[test]
fn corrected_labels_survive_a_resume() {
    let train = train();
    let mut first = model(Variant::CorrectPermanently);
    assert!(first.state().is_none());
    first.before_epoch(0, &train).unwrap();
    step(&first, &train, 1);
    let mut resumed = model(Variant::CorrectPermanently);
    resumed.restore(&first.state().expect("labels")).unwrap();
    resumed.before_epoch(1, &train).unwrap();
    let rows = batch(&train.maps, train.labels.clone());
    assert!(resumed.labels(&rows) == first.labels(&rows) && resumed.labels(&rows) != train.labels);
    assert!(resumed.restore(&[1, 2, 3]).is_err());
}

#[test]
fn other_variants_keep_no_state() {
    let train = train();
    for variant in [Variant::Reject, Variant::Correct] {
        let mut model = model(variant);
        model.before_epoch(0, &train).unwrap();
        step(&model, &train, 1);
        assert!(model.state().is_none() && model.scalars(&train.labels).is_empty());
    }
}
