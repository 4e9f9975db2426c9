//! Weights in every container: the same tensors, the same bits.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fixtures;
mod gguf_file;

use std::path::{Path, PathBuf};

use encoder::{Checkpoint, Container, LoadOptions, Model, NoTaps, Settings, TapTensor, WeightType, input};
use gguf_file::{F16, F32, GgufTensor, Q8_0, gguf_bytes, gguf_tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use fixtures::fixtures;

/// Name, shape, elements.
type SavedWeight = (String, Vec<usize>, Vec<f32>);

const TYPES: [&str; 13] =
    ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"];

fn data(file: &str) -> PathBuf {
    fixtures().join("../encoder/tests/data").join(file)
}

/// The weights of a committed set by timm's names, in f32.
fn weights(set: &str) -> Vec<SavedWeight> {
    let checkpoint = Checkpoint::open(&fixtures().join(set).join("model.safetensors")).unwrap();
    let weight = |name: &str| {
        let shape = checkpoint.shape(name).unwrap().to_vec();
        (name.to_string(), shape.clone(), checkpoint.load(name, &shape).unwrap())
    };
    checkpoint.names().map(weight).collect()
}

fn save_safetensors(path: &Path, weights: &[SavedWeight]) {
    let bytes: Vec<Vec<u8>> =
        weights.iter().map(|(_, _, x)| x.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = weights
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A GGUF file of these weights, with tensors of audio beside them, and the weights as it holds them.
fn save_gguf(path: &Path, weights: &[SavedWeight], kind: u32) -> Vec<SavedWeight> {
    let mut stored = Vec::new();
    let mut tensors = Vec::new();
    for (name, shape, values) in weights {
        let (tensor, values) = gguf_tensor(name, shape, values, kind);
        tensors.push(tensor);
        stored.push((name.clone(), shape.clone(), values));
    }
    // Of a type that is not supported: nobody asks for it.
    let audio = ["a.blk.0.attn_q.weight", "mm.a.input_projection.weight"];
    tensors.extend(audio.map(|name| GgufTensor {
        name: name.to_string(),
        extents: vec![256],
        kind: 23,
        bytes: vec![0; 136],
    }));
    std::fs::write(path, gguf_bytes("clip", &tensors)).unwrap();
    stored
}

fn encode(path: &Path, set: &str) -> TapTensor {
    let image = input::read_image(&fixtures().join(set).join("input.png")).unwrap();
    let settings = Settings { output_resolution: (4, 4), ..Settings::default() };
    let checkpoint = Checkpoint::open(path).unwrap();
    let model = Model::load(&checkpoint, &LoadOptions { settings, ..LoadOptions::default() }).unwrap();
    let encoded = model.encode(&image.shape, &image.data, &mut NoTaps).unwrap();
    TapTensor { shape: encoded.shape, data: encoded.data }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// What ggml's own Python package makes of the specimens, by type.
fn expected() -> Vec<Vec<f32>> {
    let file = npyz::NpyFile::new(std::fs::File::open(data("types.npy")).unwrap()).unwrap();
    file.into_vec::<f32>().unwrap().chunks(512).map(<[f32]>::to_vec).collect()
}

fn assert_types(path: &Path, container: Container) {
    let checkpoint = Checkpoint::open(path).unwrap();
    assert_eq!(checkpoint.container(), container);
    assert_eq!(checkpoint.left_alone(), ["a.conv1d.weight"]);
    assert_eq!(checkpoint.facts()["clip.vision.image_size"], "768");
    assert_eq!(checkpoint.facts()["clip.vision.image_mean"], "[0, 0.5, 1]");
    assert_eq!(checkpoint.shape("conv_stem.conv.bias"), Some(&[8][..]));
    let stem: Vec<f32> = (0u8..216).map(f32::from).collect();
    assert_eq!(checkpoint.load("conv_stem.conv.weight", &[8, 3, 3, 3]).unwrap(), stem);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (kind, expected) in TYPES.iter().zip(expected()) {
        let name = format!("types.{kind}");
        let Some(stored) = checkpoint.stored_type(&name) else { continue };
        assert_eq!(stored.name(), *kind);
        let values = checkpoint.load(&name, &[2, 256]).unwrap();
        if bits(&values) != bits(&expected) {
            wrong.push(*kind);
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    let known = if container == (Container::Gguf { version: 3, big_endian: true }) { 7 } else { 13 };
    assert_eq!(seen, known);
}

#[test]
fn every_type_has_the_bits_that_ggmls_own_package_gives() {
    assert_types(&data("types.gguf"), Container::Gguf { version: 3, big_endian: false });
}

#[test]
fn so_it_has_in_the_other_byte_order() {
    assert_types(&data("types-big-endian.gguf"), Container::Gguf { version: 3, big_endian: true });
}

/// Versions 2 and 3 differ in what the number of the version says of byte orders, and in nothing else.
#[test]
fn version_2_is_read_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.gguf");
    let mut bytes = std::fs::read(data("types.gguf")).unwrap();
    bytes[4] = 2;
    std::fs::write(&path, &bytes).unwrap();
    assert_types(&path, Container::Gguf { version: 2, big_endian: false });
    for version in [0, 1, 4] {
        bytes[4] = version;
        std::fs::write(&path, &bytes).unwrap();
        let message = Checkpoint::open(&path).err().unwrap().to_string();
        let wanted = format!("expected a GGUF file of version 2 or 3, found version {version}");
        assert!(message.contains(&wanted), "{message}");
    }
}

#[test]
fn a_model_in_gguf_is_the_model_of_its_rounded_weights() {
    let folder = tempfile::tempdir().unwrap();
    let set = "wide";
    let weights = weights(set);
    let whole = encode(&fixtures().join(set).join("model.safetensors"), set);
    for (name, kind, most) in [("f32", F32, 0.0), ("f16", F16, 5e-3), ("q8_0", Q8_0, 5e-2)] {
        let gguf = folder.path().join(format!("{name}.gguf"));
        let stored = save_gguf(&gguf, &weights, kind);
        let rounded = folder.path().join("rounded.safetensors");
        save_safetensors(&rounded, &stored);
        let (found, expected) = (encode(&gguf, set), encode(&rounded, set));
        assert_eq!(bits(&found.data), bits(&expected.data), "{name}");
        let [difference, size] = [&whole.data, &vec![0.0; whole.data.len()]].map(|other| {
            let squares = other.iter().zip(&found.data).map(|(a, b)| f64::from(a - b).powi(2));
            squares.sum::<f64>().sqrt()
        });
        assert!(difference <= most * size, "{name}: {}", difference / size);
        let checkpoint = Checkpoint::open(&gguf).unwrap();
        assert_eq!(checkpoint.left_alone(), ["a.blk.0.attn_q.weight", "mm.a.input_projection.weight"]);
        let kinds: Vec<_> = checkpoint.names().filter_map(|name| checkpoint.stored_type(name)).collect();
        assert_eq!(kinds.contains(&&WeightType::Q8_0), kind == Q8_0);
    }
}

/// How far a stored value may be from the one that it was made of is what the type's own step says.
#[test]
fn quantised_weights_are_within_their_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights("wide");
    for (kind, closest) in [(F16, 0.9), (Q8_0, 0.8)] {
        let path = folder.path().join("model.gguf");
        save_gguf(&path, &weights, kind);
        let checkpoint = Checkpoint::open(&path).unwrap();
        let mut largest = 0f32;
        for (name, _, whole) in &weights {
            let (values, rounding) = checkpoint.values_and_rounding(name).unwrap();
            for ((value, rounding), whole) in values.iter().zip(&rounding).zip(whole) {
                assert!((value - whole).abs() <= *rounding, "{name}: {value} of {whole}, {rounding}");
                largest = largest.max((value - whole).abs() / rounding.max(f32::MIN_POSITIVE));
            }
        }
        assert!(largest > closest, "{largest}: a bound that nothing comes near");
    }
}

/// The same of every type, for blocks that ggml made.
#[test]
fn every_type_is_within_the_rounding_that_is_said_of_it() {
    let checkpoint = Checkpoint::open(&data("quantised.gguf")).unwrap();
    let (whole, _) = checkpoint.values_and_rounding("types.F32").unwrap();
    let mut wrong = Vec::new();
    for kind in TYPES.iter().filter(|kind| **kind != "F32") {
        let (values, rounding) = checkpoint.values_and_rounding(&format!("types.{kind}")).unwrap();
        let pairs = values.iter().zip(&whole).zip(&rounding);
        let most = pairs.map(|((value, whole), most)| (value - whole).abs() / most).fold(0.0, f32::max);
        if !(0.25..=1.0).contains(&most) {
            wrong.push(format!("{kind}: {most} of it"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn kernels_with_their_channels_last_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let set = "blocks";
    let mut weights = weights(set);
    let expected = encode(&fixtures().join(set).join("model.safetensors"), set);
    for (_, shape, values) in &mut weights {
        let &[out, input, height, width] = shape.as_slice() else { continue };
        let taps = height * width;
        let at = |i: usize| (i / (input * taps) * input + i % input) * taps + i / input % taps;
        *values = (0..values.len()).map(|i| values[at(i)]).collect();
        *shape = vec![out, height, width, input];
    }
    let path = folder.path().join("mlx.safetensors");
    save_safetensors(&path, &weights);
    assert!(Checkpoint::open(&path).unwrap().channels_last());
    assert_eq!(bits(&encode(&path, set).data), bits(&expected.data));
}

/// A folder as transformers saves a whole Gemma 3n: three shards, of which one is of language.
fn snapshot(folder: &Path) {
    let mut map = serde_json::Map::new();
    let language = ("model.language_model.norm.weight".to_string(), vec![2], vec![0.5; 2]);
    let mut all = weights("blocks");
    for (name, _, _) in &mut all {
        *name = match name.strip_prefix("embed_vision.") {
            Some(rest) => format!("model.embed_vision.{rest}"),
            None => format!("model.vision_tower.timm_model.{name}"),
        };
    }
    let rest = all.split_off(all.len() / 2);
    for (number, tensors) in [all, vec![language], rest].iter().enumerate() {
        let file = format!("model-0000{}-of-00003.safetensors", number + 1);
        save_safetensors(&folder.join(&file), tensors);
        map.extend(tensors.iter().map(|(name, _, _)| (name.clone(), file.clone().into())));
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map });
    std::fs::write(folder.join("model.safetensors.index.json"), index.to_string()).unwrap();
}

#[test]
fn only_shards_with_weights_of_the_encoder_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    snapshot(folder.path());
    let expected = encode(&fixtures().join("blocks/model.safetensors"), "blocks");
    std::fs::remove_file(folder.path().join("model-00002-of-00003.safetensors")).unwrap();
    assert_eq!(bits(&encode(folder.path(), "blocks").data), bits(&expected.data));
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.container(), Container::Sharded { opened: 2, shards: 3 });
    assert_eq!(checkpoint.files().len(), 2);
    assert_eq!(checkpoint.left_alone(), ["model.language_model.norm.weight"]);
    // By content: any name will do for the index.
    let index = folder.path().join("model.safetensors.index.json");
    std::fs::rename(&index, folder.path().join("index")).unwrap();
    assert_eq!(bits(&encode(&folder.path().join("index"), "blocks").data), bits(&expected.data));
    std::fs::remove_file(folder.path().join("model-00003-of-00003.safetensors")).unwrap();
    let message = Checkpoint::open(&folder.path().join("index")).err().unwrap().to_string();
    assert!(message.contains("model-00003-of-00003.safetensors"), "{message}");
}

#[test]
fn a_folder_with_one_file_of_weights_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    save_gguf(&place("mmproj-model-f16.gguf"), &weights("blocks"), F16);
    let open = || Checkpoint::open(folder.path()).map(|checkpoint| checkpoint.files().to_vec());
    assert_eq!(open().unwrap(), [place("mmproj-model-f16.gguf")]);
    std::fs::write(place("gemma-3n-Q4_K_M.gguf"), gguf_bytes("gemma3n", &[])).unwrap();
    assert_eq!(open().unwrap(), [place("mmproj-model-f16.gguf")]);
    std::fs::copy(place("mmproj-model-f16.gguf"), place("mmproj-2.gguf")).unwrap();
    let message = open().unwrap_err().to_string();
    assert!(message.contains("3 files of weights") && message.contains("name one"), "{message}");
}

#[test]
fn two_tensors_for_one_place_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twice.gguf");
    let tensor = |name: &str| GgufTensor {
        name: name.to_string(),
        extents: vec![3, 3, 3, 8],
        kind: F32,
        bytes: vec![0; 864],
    };
    let names = ["v.conv_stem.conv.weight", "v.blk.0.0.conv_exp.weight", "v.blocks.0.0.conv_exp.weight"];
    std::fs::write(&path, gguf_bytes("clip", &names.map(tensor))).unwrap();
    let message = Checkpoint::open(&path).err().unwrap().to_string();
    assert!(message.contains("which are both timm's `blocks.0.0.conv_exp.weight`"), "{message}");
}
