//! Tests of `weights.rs`.

use std::path::PathBuf;

use tempfile::TempDir;

use super::testing::{closed_form, lite0_weights};
use super::*;
use crate::backbone::state_dict::Slot;

fn backbone(name: BackboneName) -> Backbone {
    Backbone::new(name, &Device::flex())
}

fn small() -> Backbone {
    let mut backbone = backbone(BackboneName::ResnetSmall);
    closed_form(&mut |visit| backbone.tensors(visit));
    backbone
}

fn values(backbone: &Backbone) -> BTreeMap<String, Vec<f32>> {
    let mut values = BTreeMap::new();
    backbone.clone().tensors(&mut |name, slot| {
        values.insert(name, slot.values());
    });
    values
}

/// Tensors of a file to be doctored: name, shape, values.
type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn tensors(backbone: &Backbone) -> Tensors {
    let mut tensors = Vec::new();
    backbone.clone().tensors(&mut |name, slot| tensors.push((name, slot.shape(), slot.values())));
    tensors
}

/// Writes `tensors` to a new folder's `weights.safetensors`.
fn written(tensors: &Tensors) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    (folder, path)
}

/// The error of loading doctored weights of the small network.
fn error_of(doctor: impl FnOnce(&mut Tensors)) -> Error {
    let mut tensors = tensors(&small());
    doctor(&mut tensors);
    let (_folder, path) = written(&tensors);
    backbone(BackboneName::ResnetSmall).load(&path).unwrap_err()
}

fn fixture_pth() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tiny.pth"))
}

#[test]
fn saved_weights_come_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backbone.safetensors");
    let original = small();
    original.save(&path).unwrap();
    let loaded = backbone(BackboneName::ResnetSmall).load(&path).unwrap();
    assert_eq!(values(&loaded), values(&original));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file is left");
}

#[test]
fn loading_keeps_what_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backbone.safetensors");
    small().save(&path).unwrap();
    let device = Device::flex().autodiff();
    let freeze = crate::backbone::Freeze::Trunk;
    let mut loaded = Backbone::new(BackboneName::ResnetSmall, &device).freeze(freeze).load(&path).unwrap();
    loaded.tensors(&mut |name, slot| match slot {
        Slot::Filters(param) => assert_eq!(param.is_require_grad(), name.starts_with("layer3"), "{name}"),
        Slot::Vector(param) => assert_eq!(param.is_require_grad(), name.starts_with("layer3"), "{name}"),
        Slot::Statistic(state) => assert!(state.value().device().is_autodiff(), "{name}"),
        _ => panic!("{name}: a backbone has filters, vectors and statistics alone"),
    });
}

#[test]
fn prefixes_counters_classifiers_and_heads_do_not_matter() {
    let original = small();
    let mut doctored = tensors(&original);
    for (name, _, _) in &mut doctored {
        name.insert_str(0, "module.");
    }
    doctored.push(("module.fc.weight".into(), vec![2, 3], vec![0.0; 6]));
    doctored.push(("module.bn1.num_batches_tracked".into(), vec![1], vec![7.0]));
    doctored.push(("classifiers.weight".into(), vec![1], vec![f32::NAN]));
    let (_folder, path) = written(&doctored);
    let loaded = backbone(BackboneName::ResnetSmall).load(&path).unwrap();
    assert_eq!(values(&loaded), values(&original));
}

#[test]
fn a_missing_tensor_is_named() {
    let error = error_of(|tensors| tensors.retain(|(name, _, _)| name != "layer2.0.bn1.bias"));
    assert_eq!(error.exit_code(), 7);
    let message = error.to_string();
    assert!(message.contains("missing tensors: 1 (layer2.0.bn1.bias)"), "{message}");
    assert!(message.contains("weights.safetensors") && message.contains("resnet-small"), "{message}");
}

#[test]
fn a_wrong_shape_is_said_with_both_shapes() {
    let error = error_of(|tensors| tensors[0] = ("conv1.weight".into(), vec![32, 1, 3, 3], vec![0.0; 288]));
    assert_eq!(error.exit_code(), 7);
    let message = error.to_string();
    assert!(message.contains("conv1.weight: expected [32, 3, 3, 3], found [32, 1, 3, 3]"), "{message}");
}

#[test]
fn nan_and_infinite_values_are_counted_and_negative_variances_refused() {
    let error = error_of(|tensors| {
        tensors[1].2[3] = f32::NAN;
        tensors[1].2[4] = f32::INFINITY;
    });
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("bn1.weight: 2 of 32 values are NaN or infinite"), "{error}");
    let error = error_of(|tensors| tensors[4].2[0] = -0.5);
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("bn1.running_var: a variance is negative"), "{error}");
}

#[test]
#[ignore = "needs data that is not in the repository"]
fn outside_data_another_network_s_weights_are_recognized() {
    let path = lite0_weights();
    let error = backbone(BackboneName::Resnet18).load(&path).unwrap_err();
    assert_eq!(error.exit_code(), 7);
    assert!(error.to_string().contains("it looks like efficientnet-lite0"), "{error}");
}

#[test]
fn a_deeper_network_s_weights_are_not_taken_for_a_shallower_one_s() {
    let error = error_of(|tensors| tensors.push(("layer3.1.conv1.weight".into(), vec![1], vec![0.0])));
    assert_eq!(error.exit_code(), 7);
    assert!(
        error.to_string().contains("tensors that it does not have: 1 (layer3.1.conv1.weight)"),
        "{error}"
    );
}

#[test]
fn files_that_are_absent_cut_or_of_another_kind_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &Path| backbone(BackboneName::ResnetSmall).load(path).unwrap_err();
    for name in ["none.pth", "none.safetensors"] {
        assert_eq!(load(&folder.path().join(name)).exit_code(), 4, "{name}");
    }
    let whole = folder.path().join("whole.safetensors");
    small().save(&whole).unwrap();
    for (source, name) in [(whole, "cut.safetensors"), (fixture_pth(), "cut.pth")] {
        let bytes = std::fs::read(source).unwrap();
        for length in [0, 5, bytes.len() / 2, bytes.len() - 1] {
            let path = folder.path().join(name);
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = load(&path);
            assert_eq!(error.exit_code(), 3, "{name} {length}: {error}");
        }
    }
    let path = folder.path().join("weights.onnx");
    std::fs::write(&path, "?").unwrap();
    assert!(load(&path).to_string().contains("expected .safetensors, .pth or .pt"));
    let path = folder.path().join("folder.pth");
    std::fs::create_dir(&path).unwrap();
    assert_eq!(load(&path).exit_code(), 4);
}

#[test]
fn pytorch_checkpoints_are_read_in_every_float_type() {
    // tests/fixtures/tiny.pth, made by:
    //   x = torch.arange(6.).reshape(2, 3) / 4
    //   torch.save({"epoch": 3, "state_dict": {"module.a": x, "module.half": x.half(),
    //     "module.bf16": x.bfloat16(), "module.double": x.double(), "module.transposed": x.t(),
    //     "module.count": torch.tensor(7)}}, "tests/fixtures/tiny.pth")
    let quarters: Vec<f32> = (0..6).map(|index| index as f32 / 4.0).collect();
    with_sources(&fixture_pth(), |sources| {
        let read = |name: &str| {
            let name = format!("state_dict.module.{name}");
            (sources[&name].shape().to_vec(), finite(&name, &sources[&name], &fixture_pth()))
        };
        for name in ["a", "half", "bf16", "double"] {
            let (shape, values) = read(name);
            assert_eq!((shape, values?), (vec![2, 3], quarters.clone()), "{name}");
        }
        let (shape, values) = read("transposed");
        assert_eq!((shape, values?), (vec![3, 2], vec![0.0, 0.75, 0.25, 1.0, 0.5, 1.25]));
        let error = read("count").1.unwrap_err();
        assert_eq!(error.exit_code(), 7);
        assert!(error.to_string().contains("count holds I64"), "{error}");
        Ok(())
    })
    .unwrap();
    let error = backbone(BackboneName::Resnet18).load(&fixture_pth()).unwrap_err();
    assert_eq!(error.exit_code(), 7);
    assert!(error.to_string().contains("missing tensors: 100 (conv1.weight, bn1.weight"), "{error}");
}

#[test]
fn the_fingerprint_is_the_file_s_blake3_hash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    std::fs::write(&path, "abc").unwrap();
    // BLAKE3 test: b3sum of "abc".
    let expected = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
    assert_eq!(fingerprint(&path).unwrap(), expected);
    assert_eq!(fingerprint(&folder.path().join("none")).unwrap_err().exit_code(), 4);
}
