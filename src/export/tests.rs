//! Every method and backbone as a graph, run by `rten`, against its own forward pass.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};

use crate::backbone::{Backbone, BackboneName};
use crate::batch::Input;
use crate::methods::knowledge::CategoryKnowledge;
use crate::methods::{Exported, Method, MethodRecipe, NAMES};
use crate::model::{Inference, Model};
use crate::onnx::encode::About;
use crate::onnx::graph::Graph;
use crate::onnx::session::{Numbers, Session};

const CATEGORIES: usize = 5;
const SIZE_PX: usize = 40;

/// Moves every number a little, so that nothing is 0, 1 or as it was drawn; variances stay above 0.
struct Moved(u32);

impl ModuleMapper for Moved {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let (shape, device) = (tensor.dims(), tensor.device());
            let count = shape.iter().product::<usize>();
            let offsets: Vec<f32> = (0..count)
                .map(|_| {
                    self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    0.2 * (self.0 as f32 / u32::MAX as f32 - 0.5)
                })
                .collect();
            tensor + Tensor::from_data(TensorData::new(offsets, shape), &device)
        })
    }
}

fn knowledge() -> CategoryKnowledge {
    let cooccurrence =
        (0..CATEGORIES * CATEGORIES).map(|at| if at % 6 == 0 { 1.0 } else { 0.1 * (at % 7) as f32 });
    CategoryKnowledge {
        words: Some(((0..CATEGORIES * 4).map(|at| (at as f32).sin()).collect(), 4)),
        cooccurrence: cooccurrence.collect(),
        counts: (1..=CATEGORIES).map(|positive| (positive, 20)).collect(),
        images: 20,
    }
}

/// Settings under which a method's network is small.
fn small(name: &str, more: &str) -> MethodRecipe {
    let network = match name {
        "ssgrl" | "kggr" | "fm-mixup" | "ip-mixup" | "sarb" | "sst" | "hst" => {
            "network = { dim = 12, joint = 6, steps = 2 }"
        }
        "ml-gcn" => "hidden = 7",
        _ => "",
    };
    let settings: toml::Table = toml::from_str(&format!("{network}\n{more}")).expect("a table");
    MethodRecipe::from_settings(name, settings).unwrap_or_else(|why| panic!("{name}: {why}"))
}

fn images(count: usize, size_px: usize) -> Tensor<4> {
    let values = (0..count * 3 * size_px * size_px).map(|at| ((at * at % 1013) as f32 / 500.0) - 1.0);
    let data = TensorData::new(values.collect::<Vec<_>>(), [count, 3, size_px, size_px]);
    Tensor::from_data(data, &Device::flex())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Numbers {
    let shape = tensor.dims().to_vec();
    Numbers { shape, values: tensor.into_data().try_into_vec().expect("f32") }
}

/// Runs a graph from normalized images on the same images as `ours` came from.
fn run(graph: Graph, outputs: &[(&str, crate::onnx::graph::Value)], images: Tensor<4>) -> Vec<Numbers> {
    let about = About { description: "a test", version: "0", metadata: Vec::new() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    std::fs::write(&path, graph.encode(outputs, &about).unwrap()).unwrap();
    let names: Vec<&str> = outputs.iter().map(|(name, _)| *name).collect();
    Session::open(&path).unwrap().run(numbers(images), &names).unwrap()
}

fn assert_close(what: &str, found: &Numbers, expected: &Numbers) {
    let scale = expected.values.iter().fold(1.0, |most: f32, value| most.max(value.abs()));
    assert_eq!(found.values.len(), expected.values.len(), "{what}");
    let apart = found.values.iter().zip(&expected.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // 32-bit sums in another order; the least that `sarb export --verify` asks for.
    assert!(apart <= super::verify::TOLERANCE * scale, "{what}: off by {apart} of {scale}");
    assert!(expected.values.iter().any(|value| *value != expected.values[0]), "{what}: all the same");
}

/// A small network with the head of a recipe, and the differences of its graph from it.
fn check(name: &str, more: &str) {
    let device = Device::flex();
    device.seed(3);
    let backbone = Backbone::new(BackboneName::ResnetSmall, &device).with_pool(name == "sarb");
    let channels = backbone.channels();
    let head = small(name, more).init(channels, &knowledge(), 1, &device);
    let model = Model { backbone: Some(backbone), head }.map(&mut Moved(7));
    let inference = Inference::new(&model);

    let mut graph = Graph::default();
    let input = graph.input("image", &[3, SIZE_PX, SIZE_PX]);
    let maps = model.backbone.as_ref().expect("trained").export(&mut graph, &input);
    let Exported { logits, attention } = inference.head.export(&mut graph, &maps);
    assert_eq!(logits.axes(), [CATEGORIES], "{name}");
    let images = images(3, SIZE_PX);
    let found = run(graph, &[("logits", logits), ("attention", attention)], images.clone());
    let maps = inference.maps(Input::Images(images));
    assert_close(
        &format!("{name} {more}: logits"),
        &found[0],
        &numbers(inference.head.forward(maps.clone())),
    );
    let attention = numbers(inference.head.attention(maps));
    assert_eq!(found[1].shape, attention.shape, "{name}");
    assert_close(&format!("{name} {more}: attention"), &found[1], &attention);
}

#[test]
fn every_method_says_in_a_graph_what_it_says() {
    NAMES.iter().for_each(|name| check(name, ""));
}

#[test]
fn so_does_every_variant_of_a_head() {
    let ssgrl = "head = { kind = 'ssgrl', dim = 12, joint = 6 }";
    for (name, more) in [
        ("bce", ssgrl),
        ("em", ssgrl),
        ("role", ssgrl),
        ("sarb", "representation = 'attention'"),
        ("sarb", "representation = 'attention'\nattention_pooling = 'sum'"),
        ("sarb", "prototypes = 'quadrants'"),
        ("kggr", "double = true"),
        ("sr", "positions = 2"),
        ("sr", "positions = 400"),
        ("ml-gcn", "output_bias = 'zero'"),
    ] {
        check(name, more);
    }
}

#[test]
fn every_backbone_gives_the_same_maps_in_a_graph() {
    // Odd sizes, where paddings differ from side to side.
    for (name, size_px, pool) in [
        (BackboneName::ResnetSmall, 45, true),
        (BackboneName::Resnet18, 75, false),
        (BackboneName::Resnet50, 64, true),
        (BackboneName::EfficientnetLite0, 75, false),
        (BackboneName::EfficientnetLite2, 70, true),
    ] {
        let device = Device::flex();
        device.seed(4);
        let backbone = Backbone::new(name, &device).with_pool(pool).map(&mut Moved(9));
        let mut graph = Graph::default();
        let input = graph.input("image", &[3, size_px, size_px]);
        let maps = backbone.export(&mut graph, &input);
        let images = images(2, size_px);
        let expected = numbers(backbone.folded().forward(images.clone()));
        let found = run(graph, &[("maps", maps)], images).remove(0);
        assert_eq!(found.shape, expected.shape, "{name}");
        assert_close(&name.to_string(), &found, &expected);
    }
}

#[test]
fn what_no_output_needs_is_not_in_the_file() {
    let size = |with_attention: bool| {
        let device = Device::flex();
        let head = small("linear", "").init(3, &knowledge(), 0, &device);
        let mut graph = Graph::default();
        let input = graph.input("image", &[3, 8, 8]);
        let Exported { logits, attention } = head.export(&mut graph, &input);
        let outputs = [("logits", logits), ("attention", attention)];
        let about = About { description: "", version: "0", metadata: Vec::new() };
        graph.encode(&outputs[..if with_attention { 2 } else { 1 }], &about).unwrap().len()
    };
    // Filters of the class maps are a second copy of the 15 weights.
    assert!(size(true) > size(false) + 60, "{} and {}", size(true), size(false));
}
