//! Semantic-aware representation blending (SARB Sec. "Instance-Level" and "Prototype-Level
//! Representation Blending", Eq. 6–11): unknown labels get a soft target by mixing in, category by
//! category, a representation that is known to be positive.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::{Label, LabelMatrix};

use crate::batch::targets;
use crate::kernels::shared_states::{SharedStates, select_rows};

/// What is trained in a branch: the clean representations but for some cells, and targets for all.
#[derive(Debug, Clone)]
pub struct Blended {
    /// The cells that are blended, `b · C + c`, ascending.
    pub cells: Vec<usize>,
    /// Their representations, `[cells, D]`; nothing without cells.
    pub rows: Option<Tensor<2>>,
    /// Known labels as they are, 1 − α (1 − β) where blended, else 0, `[B, C]`.
    pub targets: Tensor<2>,
}

impl Blended {
    /// The clean representations with the known labels.
    pub fn none(labels: &LabelMatrix, device: &Device) -> Self {
        Self { cells: Vec::new(), rows: None, targets: targets(labels, device) }
    }
}

/// The representations of all branches one after the other; `clean` ones are `[B, C, D]`.
pub fn shared_by<'a>(clean: &Tensor<3>, branches: impl IntoIterator<Item = &'a Blended>) -> SharedStates {
    let [images, categories, dim] = clean.dims();
    let cells = images * categories;
    let mut distinct = vec![clean.clone().reshape([cells, dim])];
    let (mut rows, mut origin) = (cells, Vec::new());
    for branch in branches {
        let first = origin.len();
        origin.extend(0..cells);
        for (row, cell) in (rows..).zip(&branch.cells) {
            origin[first + cell] = row;
        }
        rows += branch.cells.len();
        distinct.extend(branch.rows.clone());
    }
    SharedStates::new(Tensor::cat(distinct, 0), origin, categories)
}

/// Instance level: image b with image B − 1 − b. Where c is unknown in b and positive in its partner,
/// f^ = α f + (1 − α) f_partner with target 1 − α; representations `[B, C, D]`, `alpha` `[1]`.
///
/// The middle image of an odd batch is its own partner and stays as it is.
pub fn blend_instances(representations: &Tensor<3>, labels: &LabelMatrix, alpha: Tensor<1>) -> Blended {
    let [images, ..] = representations.dims();
    blend_instances_of(0..images, representations, labels, alpha)
}

/// [`blend_instances`] of those images of a batch that are at `places`, with partners from the whole of it.
pub fn blend_instances_of(
    places: Range<usize>,
    representations: &Tensor<3>,
    labels: &LabelMatrix,
    alpha: Tensor<1>,
) -> Blended {
    let [images, categories, dim] = representations.dims();
    let all = representations.clone().reshape([images * categories, dim]);
    let own = all.clone().narrow(0, places.start * categories, places.len() * categories);
    let partner = |image: usize| images - 1 - image;
    let across = |cell: usize| partner(places.start + cell / categories) * categories + cell % categories;
    // Where c is unknown in an image and positive in its partner.
    let mask: Vec<bool> = places
        .clone()
        .flat_map(|image| labels.row(image).zip(labels.row(partner(image))))
        .map(|(own, partner)| own == Label::Unknown && partner == Label::Positive)
        .collect();
    let own_labels = labels.select(&places.clone().collect::<Vec<usize>>());
    blend(own, all, across, &mask, &own_labels, alpha)
}

/// Prototype level: where `mask` (`B · C` values) holds, f^ = β f + (1 − β) p_c with target 1 − β;
/// representations `[B, C, D]`, `prototypes` one per category, `[C, D]`, `beta` `[1]`.
pub fn blend_prototypes(
    representations: &Tensor<3>,
    labels: &LabelMatrix,
    mask: &[bool],
    prototypes: Tensor<2>,
    beta: Tensor<1>,
) -> Blended {
    let categories = labels.categories();
    blend_rows(representations, labels, mask, prototypes, |cell| cell % categories, beta)
}

/// [`blend_prototypes`] of several prototypes a category, `[K, D]`: cell b · C + c takes the row that `row` says.
pub fn blend_rows(
    representations: &Tensor<3>,
    labels: &LabelMatrix,
    mask: &[bool],
    prototypes: Tensor<2>,
    row: impl Fn(usize) -> usize,
    beta: Tensor<1>,
) -> Blended {
    let [images, categories, dim] = representations.dims();
    let own = representations.clone().reshape([images * categories, dim]);
    blend(own, prototypes, row, mask, labels, beta)
}

/// One unknown label an image: that of the highest `priority` (`B · C` values) among the categories
/// with a prototype. Images without one are skipped (official code: their first label is
/// overwritten, although it is known).
pub fn one_unknown_mask(labels: &LabelMatrix, with_prototype: &[bool], priority: &[f32]) -> Vec<bool> {
    let unknown = every_unknown_mask(labels, with_prototype);
    let categories = labels.categories();
    let mut mask = vec![false; unknown.len()];
    for image in 0..labels.images() {
        let row = image * categories..(image + 1) * categories;
        let chosen = row
            .filter(|&cell| unknown[cell])
            .reduce(|best, cell| if priority[cell] > priority[best] { cell } else { best });
        if let Some(cell) = chosen {
            mask[cell] = true;
        }
    }
    mask
}

/// Adds the first label of every image without an unknown one, if its category has a prototype: the
/// official code takes the largest of all zeros, so that a known label is overwritten.
pub fn first_of_known_rows(labels: &LabelMatrix, with_prototype: &[bool], mask: &mut [bool]) {
    for (image, row) in mask.chunks_exact_mut(labels.categories()).enumerate() {
        row[0] |= with_prototype[0] && labels.row(image).all(|label| label != Label::Unknown);
    }
}

/// Every unknown label of the categories with a prototype.
pub fn every_unknown_mask(labels: &LabelMatrix, with_prototype: &[bool]) -> Vec<bool> {
    let rows = (0..labels.images()).flat_map(|image| labels.row(image).zip(with_prototype));
    rows.map(|(label, has)| label == Label::Unknown && *has).collect()
}

/// own + s (other − own) with the share s = 1 − kept where `mask` holds, with the row `partner(cell)` of
/// `others`. The share is also the target, so the gradient of `kept` has a part through the loss's target.
fn blend(
    own: Tensor<2>,
    others: Tensor<2>,
    partner: impl Fn(usize) -> usize,
    mask: &[bool],
    labels: &LabelMatrix,
    kept: Tensor<1>,
) -> Blended {
    let device = own.device();
    let share = kept.neg().add_scalar(1.0).unsqueeze::<2>(); // [1, 1]
    let cells: Vec<usize> = (0..mask.len()).filter(|&cell| mask[cell]).collect();
    let rows = (!cells.is_empty()).then(|| {
        let partners: Vec<usize> = cells.iter().map(|&cell| partner(cell)).collect();
        let (own, others) = (select_rows(own, &cells), select_rows(others, &partners));
        own.clone() + (others - own) * share.clone()
    });
    let mask: Vec<f32> = mask.iter().map(|&on| f32::from(u8::from(on))).collect();
    let mask = TensorData::new(mask, [labels.images(), labels.categories()]);
    let mask = Tensor::<2>::from_data(mask, &device);
    let known = targets(labels, &device) * mask.clone().neg().add_scalar(1.0);
    Blended { cells, rows, targets: known + mask * share }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    fn ramp(images: usize, categories: usize, device: &Device) -> Tensor<3> {
        let values: Vec<f32> = (0..images * categories * 2).map(|i| i as f32).collect();
        Tensor::from_data(TensorData::new(values, [images, categories, 2]), device)
    }

    /// The representations of one branch.
    fn representations(clean: &Tensor<3>, blended: &Blended) -> Tensor<3> {
        shared_by(clean, [blended]).to_tensor()
    }

    fn scalar(value: f32, device: &Device) -> Tensor<1> {
        Tensor::from_data([value], device)
    }

    #[test]
    fn unknown_labels_take_the_partners_positives_and_nothing_else() {
        let device = Device::flex();
        // Image 0 with 2; image 1 is the middle. Only (0, 1) is unknown with a positive partner.
        let labels = LabelMatrix::from_values(3, &[1, 0, 0, 0, 1, 0, 1, 1, -1]);
        let f = ramp(3, 3, &device); // f[0, 1] = (2, 3), f[2, 1] = (14, 15)
        let blended = blend_instances(&f, &labels, scalar(0.75, &device));
        let mut expected = f.to_data().try_to_vec::<f32>().expect("f32");
        expected[2..4].copy_from_slice(&[5.0, 6.0]); // 0.75 · 2 + 0.25 · 14
        let found = representations(&f, &blended).into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(found, expected);
        let targets = [[1.0, 0.25, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, -1.0]];
        blended.targets.into_data().assert_eq(&TensorData::from(targets), false);
    }

    #[test]
    fn alpha_one_is_the_identity_and_leaves_unknown_labels_unsupervised() {
        let device = Device::flex();
        let labels = LabelMatrix::from_values(2, &[0, 1, 1, 0]);
        let f = ramp(2, 2, &device);
        let blended = blend_instances(&f, &labels, scalar(1.0, &device));
        representations(&f, &blended).into_data().assert_eq(&f.into_data(), true);
        assert_eq!(blended.targets.into_data().try_to_vec::<f32>().expect("f32"), labels.to_floats());
    }

    #[test]
    fn prototypes_fill_the_masked_labels() {
        let device = Device::flex();
        let labels = LabelMatrix::from_values(2, &[0, 0, -1, 0]);
        let prototypes = Tensor::<2>::from_data([[10.0, 20.0], [30.0, 40.0]], &device);
        let f = Tensor::<3>::zeros([2, 2, 2], &device);
        let mask = [false, true, false, false];
        let blended = blend_prototypes(&f, &labels, &mask, prototypes, scalar(0.5, &device));
        let expected = TensorData::from([[[0.0, 0.0], [15.0, 20.0]], [[0.0, 0.0], [0.0, 0.0]]]);
        representations(&f, &blended).into_data().assert_eq(&expected, false);
        assert_eq!(blended.targets.into_data().try_to_vec::<f32>().expect("f32"), [0.0, 0.5, -1.0, 0.0]);
    }

    #[test]
    fn the_highest_priority_unknown_label_with_a_prototype_is_chosen_and_known_rows_are_skipped() {
        let labels = LabelMatrix::from_values(4, &[1, 0, 0, 0, 1, -1, 1, 1, 1, -1, 0, 1]);
        let with_prototype = [true, true, false, true];
        let priority = [0.9, 0.2, 0.8, 0.3, 0.9, 0.9, 0.9, 0.9, 0.1, 0.2, 0.3, 0.4];
        let mask = one_unknown_mask(&labels, &with_prototype, &priority);
        let chosen: Vec<usize> = (0..12).filter(|&cell| mask[cell]).collect();
        assert_eq!(chosen, [3], "image 1 knows all, image 2 lacks only a category without a prototype");
        let alike = one_unknown_mask(&labels, &with_prototype, &[0.5; 12]);
        assert_eq!((0..12).filter(|&cell| alike[cell]).collect::<Vec<_>>(), [1], "the first of equal ones");
        let all = every_unknown_mask(&labels, &with_prototype);
        assert_eq!((0..12).filter(|&cell| all[cell]).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn the_official_slip_overwrites_the_first_label_of_rows_that_know_all() {
        let labels = LabelMatrix::from_values(2, &[1, -1, 0, -1, -1, 1]);
        let mut mask = vec![false, false, true, false, false, false];
        first_of_known_rows(&labels, &[true, true], &mut mask);
        assert_eq!(mask, [true, false, true, false, true, false]);
        let device = Device::flex();
        let ones = Tensor::<2>::ones([2, 2], &device);
        let blended = blend_prototypes(&ramp(3, 2, &device), &labels, &mask, ones, scalar(0.75, &device));
        let targets = [[0.25, -1.0], [0.25, -1.0], [0.25, 1.0]];
        blended.targets.into_data().assert_eq(&TensorData::from(targets), false);
        let mut none = vec![false; 6];
        first_of_known_rows(&labels, &[false, true], &mut none);
        assert_eq!(none, [false; 6], "no prototype to blend with");
    }

    #[test]
    fn the_share_has_a_gradient_through_features_and_target() {
        let device = Device::flex().autodiff();
        let labels = LabelMatrix::from_values(1, &[0, 1]);
        let f = Tensor::<3>::from_data([[[1.0]], [[4.0]]], &device);
        let alpha = scalar(0.5, &device).require_grad();
        let blended = blend_instances(&f, &labels, alpha.clone());
        let gradients = (representations(&f, &blended).sum() * 2.0 + blended.targets.sum() * 10.0).backward();
        // d f^ / dα = 1 − 4 = −3, d target / dα = −1: 2 · −3 + 10 · −1.
        let gradient = alpha.grad(&gradients).expect("tracked").into_data();
        gradient.assert_approx_eq::<f32>(&TensorData::from([-16.0]), Tolerance::absolute(1e-6));
    }

    proptest::proptest! {
        /// Whatever is known and whatever is blended: known cells keep representation and target, and a blended cell
        /// lies between its own representation and the other one.
        #[test]
        fn blending_changes_unknown_cells_alone(
            values in proptest::collection::vec(-1_i8..2, 3..60),
            share in 0.0_f32..1.0,
        ) {
            let categories = 3;
            let values = &values[..values.len() / categories * categories];
            let (device, images) = (Device::flex(), values.len() / categories);
            let labels = LabelMatrix::from_values(categories, values);
            let clean = ramp(images, categories, &device);
            let own = clean.to_data().try_to_vec::<f32>().expect("f32");
            let blended = blend_instances(&clean, &labels, scalar(share, &device));
            let found = representations(&clean, &blended).into_data().try_to_vec::<f32>().expect("f32");
            let targets = blended.targets.clone().into_data().try_to_vec::<f32>().expect("f32");
            for cell in 0..values.len() {
                let pair = (images - 1 - cell / categories) * categories + cell % categories;
                let blends = values[cell] == 0 && values[pair] == 1;
                proptest::prop_assert_eq!(blended.cells.contains(&cell), blends);
                for d in [2 * cell, 2 * cell + 1] {
                    let other = own[2 * pair + d % 2];
                    let expected = if blends { share * own[d] + (1.0 - share) * other } else { own[d] };
                    proptest::prop_assert!((found[d] - expected).abs() <= 1e-4 * expected.abs().max(1.0));
                }
                let target = if blends { 1.0 - share } else { f32::from(values[cell]) };
                proptest::prop_assert!((targets[cell] - target).abs() < 1e-6);
            }
        }
    }
}
