//! KGGR, with a single and a double use of the classifiers.

use burn::module::Module;
use burn::tensor::Device;

use super::{GradientCheck, channels, knowledge, load, load_graph, load_network, maps, network_recipe};
use crate::fixture::{Fixture, TOLERANCE, assert_close};
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;
use crate::methods::Method;
use crate::methods::kggr::{Kggr, KggrRecipe};

fn restated(fixture: &Fixture, double: bool, device: &Device) -> Kggr {
    let recipe = KggrRecipe { network: network_recipe(fixture), double };
    let mut kggr = Kggr::new(&recipe, channels(fixture), &knowledge(fixture), 0, device);
    load_network(fixture, &mut kggr.network);
    load_graph(fixture, &mut kggr.weight_graph, "WeightGraph");
    load(fixture, &mut kggr.weight_fuse, "weight_fuse");
    kggr
}

#[test]
fn outputs_loss_and_every_gradient_equal_the_restatement_in_pytorch() {
    let fixture = Fixture::read(include_bytes!("../../../tests/fixtures/kggr.safetensors"));
    let device = crate::fixture::device().autodiff();
    for (double, logits_name, loss_name) in
        [(false, "logits", "loss"), (true, "logits_double", "loss_double")]
    {
        let kggr = restated(&fixture, double, &device);
        let evaluated = kggr.valid().forward(maps(&fixture, &crate::fixture::device()));
        fixture.assert_equals(&format!("eval.{logits_name}"), evaluated);
        if !double {
            fixture.assert_equals("fused_classifiers", kggr.propagated_classifiers());
        }
        let logits = kggr.forward(maps(&fixture, &device));
        fixture.assert_equals(&format!("train.{logits_name}"), logits.clone());
        let targets = fixture.tensor("target", &device);
        let loss = partial_bce(logits, targets, Normalization::Supervised);
        let gradients = loss.backward();
        fixture.assert_equals(loss_name, loss);
        let mut check = GradientCheck::new(&fixture, &gradients);
        if double {
            let official = fixture.values("grad_double.classifiers.weight");
            let ours = check.gradient(&kggr.network.classifiers.weight);
            assert_close("the classifiers' gradient", &ours, &official, TOLERANCE);
        } else {
            check.network(&kggr.network);
            check.graph("WeightGraph", &kggr.weight_graph);
            check.linear("weight_fuse", &kggr.weight_fuse);
            check.finish();
        }
    }
}
