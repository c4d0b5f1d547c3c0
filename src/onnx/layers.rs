//! Layers that the runtime would run otherwise than the file says, or not without harm.

use rten_onnx::onnx::{AttributeProto, GraphProto, NodeProto};

/// Most layers of a network: large ones have thousands, and the runtime follows them by recursion, for which
/// `threads.rs` gives it stack enough.
pub(super) const MOST_LAYERS: usize = 50_000;

/// Looks at all layers of a graph and of those in it.
///
/// # Errors
/// What is wrong with them.
pub(super) fn check(graph: &GraphProto) -> Result<(), String> {
    let layers = all(graph);
    if layers.len() > MOST_LAYERS {
        return Err(format!("it has {} layers; expected at most {MOST_LAYERS}", layers.len()));
    }
    match layers.iter().find(|layer| is_cubic(layer)) {
        None => Ok(()),
        Some(layer) => Err(format!(
            "layer {:?} is a bicubic Resize, which the runtime would replace by a bilinear one; where it fits position \
             embeddings to the size of the images, do that before the export",
            layer.name.as_deref().unwrap_or_default()
        )),
    }
}

fn all(graph: &GraphProto) -> Vec<&NodeProto> {
    let mut layers: Vec<&NodeProto> = graph.node.iter().collect();
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    layers.extend(attributes.filter_map(|attribute| attribute.g.as_ref()).flat_map(all));
    layers
}

/// Whether `rten` 0.27 takes a layer for something else: of all attributes that it does not know this is the one
/// that it does not refuse (`op_registry/onnx_registry.rs`, "fall back to linear").
fn is_cubic(layer: &NodeProto) -> bool {
    let says_cubic =
        |a: &AttributeProto| a.name.as_deref() == Some("mode") && a.s.as_deref() == Some("cubic");
    layer.op_type.as_deref() == Some("Resize") && layer.attribute.iter().any(says_cubic)
}
