//! Tests of `backbone.rs`.

use burn::tensor::Distribution;

use super::*;
use crate::backbone::state_dict::Slot;
use crate::backbone::weights::testing::{closed_form, fixture, lite0_weights, lite2_weights, relative_error};
use descriptor::{Descriptor, DescriptorRecipe};

pub(crate) fn small() -> Backbone {
    let device = Device::flex().autodiff();
    let mut backbone = Backbone::new(BackboneName::ResnetSmall, &device);
    closed_form(&mut |visit| backbone.tensors(visit));
    backbone
}

pub(crate) fn images(size: usize) -> Tensor<4> {
    let device = Device::flex();
    let ramp = Tensor::<1, burn::tensor::Int>::arange(0..(2 * 3 * size * size) as i64, &device);
    (ramp.float() * 0.7).sin().reshape([2, 3, size, size])
}

#[test]
fn names_are_spelt_alike_in_recipes_and_messages() {
    for name in BackboneName::ALL {
        assert_eq!(name.to_string().parse::<BackboneName>().unwrap(), name);
        assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{name}\""));
    }
    let message = "resnet100".parse::<BackboneName>().unwrap_err().to_string();
    assert!(message.contains("resnet101") && message.contains("\"resnet100\""), "{message}");
}

#[test]
fn map_size_and_channels_are_those_of_the_maps() {
    for (name, pool) in [
        (BackboneName::Resnet18, false),
        (BackboneName::Resnet18, true),
        (BackboneName::EfficientnetLite0, false),
        (BackboneName::ResnetSmall, true),
    ] {
        for size in [64, 100] {
            let backbone = Backbone::new(name, &Device::flex()).with_pool(pool);
            let maps = backbone.forward(images(size));
            let side = backbone.map_size(size);
            assert_eq!(maps.dims(), [2, backbone.channels(), side, side], "{name} {size} {pool}");
        }
    }
    let resnet101 = Backbone::new(BackboneName::Resnet101, &Device::flex());
    assert_eq!(resnet101.map_size(448), 14);
    assert_eq!(resnet101.with_pool(true).map_size(448), 7);
}

#[test]
#[ignore = "needs data that is not in the repository"]
fn outside_data_lite0_with_the_published_weights_equals_pytorch() {
    let path = lite0_weights();
    let device = Device::flex();
    let backbone = Backbone::new(BackboneName::EfficientnetLite0, &device).load(&path).unwrap().valid();
    let expected: Tensor<4> = fixture("backbones", "efficientnet_lite0.features", &device);
    let images: Tensor<4> = fixture("backbones", "images", &device);
    let error = relative_error(backbone.forward(images.clone()), expected.clone());
    assert!(error < 1e-4, "{error}");
    let error = relative_error(backbone.folded().forward(images), expected);
    assert!(error < 1e-4, "folded: {error}");
}

#[test]
#[ignore = "needs data that is not in the repository"]
fn outside_data_lite2_and_its_descriptor_equal_pytorch() {
    let (path, device) = (lite2_weights(), Device::flex());
    let backbone = Backbone::new(BackboneName::EfficientnetLite2, &device).load(&path).unwrap().valid();
    let images: Tensor<4> = fixture("backbones", "images", &device);
    let expected: Tensor<4> = fixture("descriptor", "efficientnet_lite2.features", &device);
    let error = relative_error(backbone.forward(images.clone()), expected.clone());
    assert!(error < 1e-4, "{error}");
    let error = relative_error(backbone.folded().forward(images.clone()), expected);
    assert!(error < 1e-4, "folded: {error}");

    let recipe = DescriptorRecipe { sizes_px: vec![64], ..DescriptorRecipe::default() };
    let descriptor = Descriptor::open(&recipe, &backbone, &path).unwrap();
    let expected: Tensor<4> = fixture("descriptor", "descriptor", &device);
    let found = descriptor.forward(&backbone.folded(), images);
    // Each block against its own largest entry: scores are a hundred times larger than roots of probabilities.
    for (from, to) in [(0, 1280), (1280, 2560), (2560, 3560), (3560, 4560)] {
        let block = |it: &Tensor<4>| it.clone().slice([0..2, from..to]);
        let error = relative_error(block(&found), block(&expected));
        assert!(error < 1e-4, "block from {from}: {error}");
    }
}

#[test]
fn folding_changes_nothing_but_rounding() {
    // 1e-4 of the largest entry: sums are taken in another order.
    for (name, size, pool) in [
        (BackboneName::Resnet18, 64, true),
        (BackboneName::Resnet50, 65, false),
        (BackboneName::ResnetSmall, 20, true),
        (BackboneName::EfficientnetLite0, 75, false),
        (BackboneName::EfficientnetLite2, 75, false),
    ] {
        let mut backbone = Backbone::new(name, &Device::flex()).with_pool(pool);
        closed_form(&mut |visit| backbone.tensors(visit));
        let backbone = backbone.valid();
        let error = relative_error(backbone.folded().forward(images(size)), backbone.forward(images(size)));
        assert!(error < 1e-4, "{name}: {error}");
    }
}

#[test]
fn a_folded_backbone_runs_images_of_any_shape_and_an_empty_batch() {
    let folded = small().folded();
    let wide = Tensor::<4>::random([1, 3, 12, 33], Distribution::Normal(0.0, 1.0), &Device::flex());
    let error = relative_error(folded.forward(wide.clone()), folded.backbone().forward(wide));
    assert!(error < 1e-4, "{error}");
    let none = Tensor::<4>::zeros([0, 3, 16, 16], &Device::flex());
    assert_eq!(folded.forward(none).dims(), [0, 128, 2, 2]);
}

#[test]
fn only_the_last_stage_gets_gradients_when_the_trunk_is_frozen() {
    for (freeze, trunk, last) in
        [(Freeze::All, false, false), (Freeze::Trunk, false, true), (Freeze::None, true, true)]
    {
        let backbone = small().freeze(freeze);
        let Network::ResNet(network) = &backbone.network else { unreachable!() };
        let maps = backbone.forward(images(16).autodiff());
        assert!(maps.device().is_autodiff());
        // A leaf of the head, so that there is something to differentiate in every case.
        let leaf = Tensor::<4>::ones([1, 1, 1, 1], &maps.device()).require_grad();
        let gradients = (maps.powi_scalar(2) * leaf).sum().backward();
        let has = |named: &str| {
            let mut found = Vec::new();
            backbone.clone().tensors(&mut |name, slot| {
                if let state_dict::Slot::Filters(param) = slot {
                    found.push((name, param.val().grad(&gradients).is_some()));
                }
            });
            found.into_iter().find(|(name, _)| name == named).unwrap().1
        };
        assert_eq!(is_trained(&network.trunk), trunk);
        assert_eq!((has("conv1.weight"), has("layer3.0.conv1.weight")), (trunk, last), "{freeze:?}");
    }
}

fn running_means(backbone: &Backbone) -> Vec<(String, Vec<f32>)> {
    let mut means = Vec::new();
    backbone.clone().tensors(&mut |name, slot| {
        if name.ends_with("running_mean") {
            means.push((name, slot.values()));
        }
    });
    means
}

#[test]
fn batch_statistics_move_in_the_trained_part_alone() {
    let backbone = small().freeze(Freeze::Trunk);
    let before = running_means(&backbone);
    let inference = backbone.valid().forward(images(16));
    let training = backbone.forward(images(16).autodiff()).inner();
    assert!(relative_error(training, inference) > 1e-2, "batch statistics differ from running ones");
    for (before, after) in before.iter().zip(running_means(&backbone)) {
        assert_eq!(before != &after, before.0.starts_with("layer3"), "{}", before.0);
    }
}

#[test]
fn a_fixed_batch_normalization_uses_and_keeps_its_running_statistics() {
    let backbone = small().freeze(Freeze::Trunk).freeze_batch_norm();
    let before = running_means(&backbone);
    let inference = backbone.valid().forward(images(16));
    let training = backbone.forward(images(16).autodiff()).inner();
    assert!(relative_error(training, inference) < 1e-5);
    assert_eq!(before, running_means(&backbone));
}

#[test]
fn trunk_and_last_stage_after_one_another_are_the_network() {
    let names = [BackboneName::ResnetSmall, BackboneName::Resnet18, BackboneName::EfficientnetLite2];
    for (name, size) in names.into_iter().flat_map(|name| [(name, 64), (name, 100)]) {
        let mut backbone = Backbone::new(name, &Device::flex());
        closed_form(&mut |visit| backbone.tensors(visit));
        let backbone = backbone.with_pool(true).freeze(Freeze::All);
        let folded = backbone.folded();
        let trunk = folded.forward_trunk(images(size));
        let [channels, height, width] = backbone.trunk_shape(size);
        assert_eq!(trunk.dims(), [2, channels, height, width], "{name}, {size} px");
        let whole = folded.forward(images(size));
        let error = relative_error(folded.forward_last(trunk.clone()), whole.clone());
        assert!(error < 1e-6, "{name}, {size} px: {error}");
        let error = relative_error(backbone.forward_last(trunk), whole);
        assert!(error < 1e-4, "{name}, {size} px, as it is trained: {error}");
    }
}

#[test]
fn frozen_layers_in_bf16_are_near_and_trained_ones_are_not_rounded() {
    let names = [BackboneName::ResnetSmall, BackboneName::Resnet50, BackboneName::EfficientnetLite0];
    for name in names {
        let mut backbone = Backbone::new(name, &Device::flex());
        closed_form(&mut |visit| backbone.tensors(visit));
        let [plain, rounded] = [Precision::F32, Precision::Bf16].map(|p| backbone.clone().with_precision(p));
        let exact = plain.clone().freeze(Freeze::All).folded().forward(images(96));
        let near = rounded.clone().freeze(Freeze::All).folded().forward(images(96));
        let error = relative_error(near, exact);
        // Sums of these weights nearly cancel, so that rounding weighs more than in a trained network.
        assert!((1e-5..0.1).contains(&error), "{name}: {error}");

        let [exact, near] = [plain, rounded].map(|backbone| backbone.freeze(Freeze::Trunk).folded());
        let trunk = exact.forward_trunk(images(96));
        assert!(relative_error(near.forward_trunk(images(96)), trunk.clone()) > 1e-5, "{name}");
        let [exact, near] = [exact, near].map(|folded| folded.forward_last(trunk.clone()).into_data());
        assert_eq!(exact, near, "{name}");
    }
}

#[test]
fn training_on_a_fixed_trunk_gives_the_maps_and_gradients_of_the_plain_network() {
    let device = Device::flex().autodiff();
    for name in [BackboneName::ResnetSmall, BackboneName::Resnet50, BackboneName::EfficientnetLite0] {
        let mut backbone = Backbone::new(name, &device);
        closed_form(&mut |visit| backbone.tensors(visit));
        // With the statistics of so few positions, rounding in the trunk would move the gradients by percents.
        let mut backbone = backbone.with_pool(true).freeze(Freeze::Trunk).freeze_batch_norm();
        let trunk = backbone.fixed_trunk().expect("a frozen trunk on the CPU");
        let images = images(128).autodiff();
        let plain = backbone.forward(images.clone());
        let fixed = backbone.forward_from(&trunk, images);
        let error = relative_error(fixed.clone().inner(), plain.clone().inner());
        assert!(error < 1e-4, "maps of {name}: {error}");

        let ramp = Tensor::<1, burn::tensor::Int>::arange(0..plain.shape().num_elements() as i64, &device);
        let weights = (ramp.float() * 0.7).sin().reshape(plain.dims());
        let gradients = [plain, fixed].map(|maps| (maps * weights.clone()).sum().backward());
        let mut compared = 0;
        backbone.tensors(&mut |parameter, slot| {
            let Slot::Filters(filters) = slot else { return };
            let [plain, fixed] = gradients.each_ref().map(|gradients| filters.val().grad(gradients));
            assert_eq!(plain.is_some(), fixed.is_some(), "{parameter}");
            if let (Some(plain), Some(fixed)) = (plain, fixed) {
                let error = relative_error(fixed, plain);
                assert!(error < 1e-4, "gradient of {name}'s {parameter}: {error}");
                compared += 1;
            }
        });
        assert!(compared >= 3, "{name} trains {compared} convolutions");
    }
}

/// `cargo test --release --lib speed -- --ignored --nocapture`: the best of several runs, because
/// other processes only ever slow one down.
#[test]
#[ignore = "a measurement"]
fn speed() {
    for (name, size, batch, repeats) in [
        (BackboneName::EfficientnetLite0, 224, 16, 20),
        (BackboneName::EfficientnetLite0, 224, 1, 50),
        (BackboneName::ResnetSmall, 32, 64, 20),
        (BackboneName::Resnet101, 448, 8, 3),
    ] {
        let device = Device::flex();
        let backbone = Backbone::new(name, &device);
        let folded = backbone.folded();
        let images = Tensor::<4>::random([batch, 3, size, size], Distribution::Default, &device);
        let time = |kind: &str, forward: &dyn Fn() -> Tensor<4>| {
            let times = (0..repeats).map(|_| {
                let start = std::time::Instant::now();
                let _ = forward().into_data();
                start.elapsed().as_secs_f64()
            });
            let best = times.fold(f64::INFINITY, f64::min);
            let rate = batch as f64 / best;
            println!("{name} {size} px, batch {batch}, {kind}: {best:.4} s, {rate:.1} images/s");
        };
        time("folded", &|| folded.forward(images.clone()));
        time("Burn's operations", &|| backbone.forward(images.clone()));
    }
}

#[test]
#[should_panic(expected = "images of 4×4 px leave no position in the maps of resnet-small")]
fn images_too_small_to_pool_are_refused() {
    let backbone = Backbone::new(BackboneName::ResnetSmall, &Device::flex()).with_pool(true);
    backbone.forward(Tensor::zeros([1, 3, 4, 4], &Device::flex()));
}
