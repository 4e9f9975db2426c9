//! Checkpoints as found in the wild: names, types and shards, and those that are refused.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fixtures;

use std::path::{Path, PathBuf};

use encoder::{Checkpoint, Encoded, LoadOptions, Model, NoTaps, Settings, input};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

use fixtures::fixtures;

const TOWER: &str = "model.vision_tower.timm_model.";
const EMBEDDER: &str = "model.embed_vision.";

struct Weight {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn fixture(file: &str) -> PathBuf {
    fixtures().join("blocks").join(file)
}

fn weights() -> Vec<Weight> {
    let bytes = std::fs::read(fixture("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let weight = |(name, view): (String, TensorView<'_>)| Weight {
        name,
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    let mut weights: Vec<Weight> = tensors.tensors().into_iter().map(weight).collect();
    weights.sort_by(|a, b| a.name.cmp(&b.name));
    weights
}

fn save(path: &Path, weights: &[Weight]) {
    let views =
        weights.iter().map(|w| (&w.name, TensorView::new(w.dtype, w.shape.clone(), &w.bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn load(path: &Path) -> Result<Model, encoder::Error> {
    let settings = Settings { output_resolution: (2, 4), ..Settings::default() };
    Model::load(&Checkpoint::open(path)?, &LoadOptions { settings, ..LoadOptions::default() })
}

fn encode(path: &Path) -> Encoded {
    let image = input::read_image(&fixture("input.png")).unwrap();
    load(path).unwrap().encode(&image.shape, &image.data, &mut NoTaps).unwrap()
}

/// The error for the fixture's weights after a change.
fn refusal(change: impl FnOnce(&mut Vec<Weight>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut changed = weights();
    change(&mut changed);
    let path = folder.path().join("model.safetensors");
    save(&path, &changed);
    load(&path).map(|_| ()).unwrap_err().to_string().replace(&path.display().to_string(), "model.safetensors")
}

fn find<'a>(weights: &'a mut [Weight], name: &str) -> &'a mut Weight {
    weights.iter_mut().find(|weight| weight.name == format!("{TOWER}{name}")).unwrap()
}

#[test]
fn every_naming_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let expected = encode(&fixture("model.safetensors"));
    for (tower, embedder) in [("vision_tower.timm_model.", "embed_vision."), ("", "embed_vision.")] {
        let mut renamed = weights();
        for weight in &mut renamed {
            weight.name = weight.name.replace(TOWER, tower).replace(EMBEDDER, embedder);
        }
        let path = folder.path().join("model.safetensors");
        save(&path, &renamed);
        assert_eq!(encode(&path).data, expected.data, "`{tower}`");
    }
}

#[test]
fn a_sharded_checkpoint_and_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let all = weights();
    let (first, second) = all.split_at(all.len() / 2);
    save(&folder.path().join("model-00001-of-00002.safetensors"), first);
    save(&folder.path().join("model-00002-of-00002.safetensors"), second);
    let entry =
        |weight: &Weight, shard| format!("{:?}: \"model-0000{shard}-of-00002.safetensors\"", weight.name);
    let map: Vec<String> =
        first.iter().map(|w| entry(w, 1)).chain(second.iter().map(|w| entry(w, 2))).collect();
    let index = folder.path().join("model.safetensors.index.json");
    std::fs::write(&index, format!("{{\"metadata\": {{}}, \"weight_map\": {{{}}}}}", map.join(", ")))
        .unwrap();
    let expected = encode(&fixture("model.safetensors"));
    assert_eq!(encode(&index).data, expected.data);
    assert_eq!(encode(folder.path()).data, expected.data);
    std::fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).unwrap();
    let message = load(&index).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("model-00002-of-00002.safetensors"), "{message}");
}

/// The fixture with its weights rounded to a 16-bit type, stored in it and stored in f32.
fn rounded(folder: &TempDir, dtype: Dtype) -> [PathBuf; 2] {
    let (mut narrow, mut wide) = (weights(), weights());
    for (narrow, wide) in narrow.iter_mut().zip(&mut wide) {
        let values = wide.bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let pairs: Vec<([u8; 2], [u8; 4])> = values
            .map(|x| match dtype {
                Dtype::F16 => {
                    let x = half::f16::from_f32(x);
                    (x.to_le_bytes(), x.to_f32().to_le_bytes())
                }
                _ => {
                    let x = half::bf16::from_f32(x);
                    (x.to_le_bytes(), x.to_f32().to_le_bytes())
                }
            })
            .collect();
        narrow.dtype = dtype;
        narrow.bytes = pairs.iter().flat_map(|(narrow, _)| *narrow).collect();
        wide.bytes = pairs.iter().flat_map(|(_, wide)| *wide).collect();
    }
    let paths = ["narrow", "wide"].map(|name| folder.path().join(format!("{name}.safetensors")));
    save(&paths[0], &narrow);
    save(&paths[1], &wide);
    paths
}

#[test]
fn sixteen_bit_weights_are_widened_exactly() {
    for dtype in [Dtype::F16, Dtype::BF16] {
        let folder = tempfile::tempdir().unwrap();
        let [narrow, wide] = rounded(&folder, dtype);
        assert_eq!(encode(&narrow).data, encode(&wide).data, "{dtype:?}");
    }
}

#[test]
fn incomplete_or_foreign_checkpoints_are_refused() {
    let messages = [
        refusal(|w| w.retain(|w| !w.name.ends_with("blocks.0.1.bn2.weight"))),
        refusal(|w| w.retain(|w| !w.name.contains("conv_stem"))),
        refusal(|w| w.retain(|w| !w.name.contains("blocks."))),
        refusal(|w| w.retain(|w| !w.name.starts_with(TOWER))),
        refusal(|w| find(w, "blocks.0.1.bn2.weight").name = format!("{TOWER}blocks.0.1.bn3.weight")),
        refusal(|w| {
            let extra = Weight {
                name: format!("{TOWER}blocks.0.1.bias"),
                dtype: Dtype::F32,
                shape: vec![1],
                bytes: vec![0; 4],
            };
            w.push(extra);
        }),
        refusal(|w| find(w, "conv_stem.bn.weight").bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
        refusal(|w| find(w, "msfa.norm.weight").bytes[..4].copy_from_slice(&f32::INFINITY.to_le_bytes())),
        refusal(|w| {
            let weight = find(w, "msfa.norm.weight");
            weight.shape = vec![weight.shape[0] / 2, 2];
        }),
        refusal(|w| {
            let weight = find(w, "msfa.norm.weight");
            weight.shape[0] -= 1;
            weight.bytes.truncate(weight.shape[0] * 4);
        }),
        refusal(|w| find(w, "msfa.norm.weight").dtype = Dtype::I32),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

/// The last tensor of a block as another tool stores it: of another type, or with tensors of scales beside it.
fn quantised_by(weights: &mut Vec<Weight>, dtype: Dtype, ending: &str, beside: &[&str]) {
    let stem = format!("{TOWER}blocks.0.1.conv_pwl");
    let weight = find(weights, "blocks.0.1.conv_pwl.weight");
    let elements: usize = weight.shape.iter().product();
    (weight.name, weight.dtype, weight.bytes) = (format!("{stem}{ending}"), dtype, vec![0x11; elements]);
    if dtype == Dtype::U32 {
        // Eight numbers of four bits in each word.
        (weight.shape, weight.bytes) = (vec![elements / 8], vec![0x11; elements / 2]);
    }
    weights.extend(beside.iter().map(|ending| Weight {
        name: format!("{stem}{ending}"),
        dtype: Dtype::F32,
        shape: vec![1],
        bytes: vec![0; 4],
    }));
}

#[test]
fn what_other_tools_have_quantised_is_refused_by_name() {
    let messages = [
        refusal(|w| quantised_by(w, Dtype::U32, ".weight", &[".scales", ".biases"])),
        refusal(|w| quantised_by(w, Dtype::U32, ".qweight", &[".qzeros", ".scales", ".g_idx"])),
        refusal(|w| quantised_by(w, Dtype::U8, ".weight", &[".weight.absmax", ".weight.quant_map"])),
        refusal(|w| quantised_by(w, Dtype::F8_E4M3, ".weight", &[])),
        refusal(|w| quantised_by(w, Dtype::F8_E5M2, ".weight", &[])),
        refusal(|w| quantised_by(w, Dtype::F8_E4M3, ".weight", &[".weight_scale_inv"])),
        refusal(|w| quantised_by(w, Dtype::I8, ".weight", &[".weight_scale"])),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn malformed_checkpoint_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let whole = std::fs::read(fixture("model.safetensors")).unwrap();
    std::fs::write(path("cut.safetensors"), &whole[..whole.len() - 1]).unwrap();
    std::fs::write(path("empty.safetensors"), b"").unwrap();
    let mut absurd = whole.clone();
    absurd[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    std::fs::write(path("absurd.safetensors"), absurd).unwrap();
    std::fs::write(path("list.index.json"), b"[]").unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    let names =
        ["cut.safetensors", "empty.safetensors", "absurd.safetensors", "list.index.json", "folder", "none"];
    let messages = names.map(|name| {
        let message = load(&path(name)).map(|_| ()).unwrap_err().to_string();
        message.replace(&folder.path().display().to_string(), "ROOT").replace('\\', "/")
    });
    insta::with_settings!({ filters => vec![(r"No such file or directory|The system cannot find.*", "NOT FOUND")] }, {
        insta::assert_snapshot!(messages.join("\n"));
    });
}
