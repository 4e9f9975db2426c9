//! One dump in every container: the same verdict and the same figures to the last bit.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod torch_file;

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use harness::compare::comparison::Comparison;
use harness::compare::terms::Terms;
use harness::exit_code;
use harness::mapping::Mapping;
use harness::provenance::Dump;
use harness::reference::Reference;
use harness::store::{ReadAs, read_npy};
use harness::tensor::Tensor;
use safetensors::tensor::{Dtype as StoredType, TensorView};
use tempfile::TempDir;
use zip::CompressionMethod;

use torch_file::{Pickled, torch_zip};

fn set() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package when it runs tests");
    Path::new(&package).join("tests/resnet")
}

type PortTensors = BTreeMap<String, Tensor>;

/// The port's dump, one value of which is wrong where `wrong` says so.
fn port(wrong: bool) -> PortTensors {
    let files = std::fs::read_dir(set().join("port")).unwrap().map(|entry| entry.unwrap().path());
    let mut tensors: PortTensors = files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_string(), read_npy(&path, None).unwrap()))
        .collect();
    if wrong {
        let tensor = tensors.get_mut("dump_unit_2_out").unwrap();
        let mut values: Vec<f32> = tensor.to_f32().iter().copied().collect();
        values[3] += 1e-2;
        *tensor = Tensor::from_f32(tensor.shape().to_vec(), values).unwrap();
    }
    tensors
}

fn compare(candidate: &Path) -> Comparison {
    let mapping = Mapping::read(&set().join("mapping.toml")).unwrap();
    let reference = Reference::open(&set(), &mapping.reference.naming, ReadAs::default()).unwrap();
    let (port, _) = Dump::open(candidate, &mapping.candidate.naming, ReadAs::default())
        .unwrap_or_else(|error| panic!("{}: {error}", candidate.display()));
    let profile = mapping.profile("f32").unwrap();
    let terms = Terms {
        mapping: &mapping,
        profile,
        reference: &reference,
        tolerances: None,
        input: None,
        known: None,
    };
    terms.compare_dump(&port)
}

/// What must not depend on the container: verdict, and each layer's figures by their bits.
fn figures(comparison: &Comparison) -> (u8, Vec<String>) {
    let layer = |layer: &harness::compare::comparison::Layer| {
        let compared = layer.compared().unwrap_or_else(|| panic!("{} is not compared", layer.name));
        let bits = |figure: Option<f64>| figure.map(f64::to_bits);
        let metrics = &compared.metrics;
        let worst = compared.worst.as_ref().map(|worst| (worst.index.clone(), worst.candidate.to_bits()));
        format!(
            "{} {} {:?} {:?} {:?} {worst:?} {:?}",
            layer.name,
            compared.judgement.passed,
            bits(metrics.rel_l2),
            bits(metrics.max_abs),
            bits(metrics.cosine),
            compared.shape,
        )
    };
    (comparison.exit_code(), comparison.layers.iter().map(layer).collect())
}

fn le_bytes(tensor: &Tensor) -> Vec<u8> {
    tensor.to_f32().iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn write_folder(path: &Path, tensors: &PortTensors) {
    std::fs::create_dir(path).unwrap();
    for (name, tensor) in tensors {
        harness::store::write_npy(&path.join(format!("{name}.npy")), tensor).unwrap();
    }
}

fn write_npz(path: &Path, tensors: &PortTensors, method: CompressionMethod) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, tensor) in tensors {
        archive.start_file(format!("{name}.npy"), options).unwrap();
        let header =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {}, }}\n", python(tensor.shape()));
        archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
        archive.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        archive.write_all(header.as_bytes()).unwrap();
        archive.write_all(&le_bytes(tensor)).unwrap();
    }
    archive.finish().unwrap();
}

fn python(shape: &[usize]) -> String {
    format!("({})", shape.iter().map(|extent| format!("{extent},")).collect::<String>())
}

fn write_safetensors(path: &Path, tensors: &PortTensors) {
    let bytes: HashMap<&String, Vec<u8>> = tensors.iter().map(|(name, x)| (name, le_bytes(x))).collect();
    let views = tensors
        .iter()
        .map(|(name, x)| (name, TensorView::new(StoredType::F32, x.shape().to_vec(), &bytes[name]).unwrap()));
    safetensors::serialize_to_file(views, None, path).unwrap();
}

fn write_shards(path: &Path, tensors: &PortTensors) {
    std::fs::create_dir(path).unwrap();
    for shard in 0..3 {
        let of_shard = tensors.iter().enumerate().filter(|(at, _)| at % 3 == shard);
        let some = of_shard.map(|(_, (name, x))| (name.clone(), x.clone())).collect();
        write_safetensors(&path.join(format!("model-0000{shard}-of-00003.safetensors")), &some);
    }
}

fn write_raw(path: &Path, tensors: &PortTensors, extension: &str, sidecar: fn(&[usize]) -> (String, String)) {
    std::fs::create_dir(path).unwrap();
    for (name, tensor) in tensors {
        std::fs::write(path.join(format!("{name}.{extension}")), le_bytes(tensor)).unwrap();
        let (of_sidecar, text) = sidecar(tensor.shape());
        std::fs::write(path.join(format!("{name}.{of_sidecar}")), text).unwrap();
    }
}

fn json(shape: &[usize]) -> (String, String) {
    ("json".to_string(), format!("{{\"shape\": {shape:?}, \"dtype\": \"float32\", \"mean\": 0.5}}"))
}

fn shape_file(shape: &[usize]) -> (String, String) {
    ("shape".to_string(), shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// A dictionary of all tensors by their whole names.
fn flat_dictionary(tensors: &PortTensors) -> Pickled {
    Pickled::Dict(tensors.iter().map(|(name, x)| (name.clone(), Pickled::Tensor(x.clone()))).collect())
}

/// The same with `dump_unit_{n}_…` in a dictionary of its own; paths join with dots.
fn nested_dictionary(tensors: &PortTensors) -> Pickled {
    let mut units: BTreeMap<String, Vec<(String, Pickled)>> = BTreeMap::new();
    let mut outer = Vec::new();
    for (name, x) in tensors {
        let tensor = Pickled::Tensor(x.clone());
        match name.split_once("unit_") {
            Some((_, rest)) => {
                units.entry("dump_unit".to_string()).or_default().push((rest.to_string(), tensor))
            }
            None => outer.push((name.clone(), tensor)),
        }
    }
    outer.extend(units.into_iter().map(|(name, inside)| (name, Pickled::Dict(inside))));
    Pickled::Dict(outer)
}

/// The dump in each container, by what it is.
fn containers(folder: &TempDir, tensors: &PortTensors) -> Vec<(&'static str, PathBuf)> {
    let path = |name: &str| folder.path().join(name);
    write_folder(&path("npy"), tensors);
    write_npz(&path("stored.npz"), tensors, CompressionMethod::Stored);
    write_npz(&path("deflated.npz"), tensors, CompressionMethod::Deflated);
    write_safetensors(&path("one.safetensors"), tensors);
    write_shards(&path("shards"), tensors);
    write_raw(&path("raw"), tensors, "f32", json);
    write_raw(&path("bin"), tensors, "bin", shape_file);
    std::fs::write(path("flat.pt"), torch_zip(&flat_dictionary(tensors))).unwrap();
    // Formats are told by content: a PyTorch file may be called anything.
    std::fs::write(path("tensors.bin"), torch_zip(&flat_dictionary(tensors))).unwrap();
    std::fs::create_dir(path("in a folder")).unwrap();
    std::fs::copy(path("flat.pt"), path("in a folder").join("whole.pth")).unwrap();
    [
        "npy",
        "stored.npz",
        "deflated.npz",
        "one.safetensors",
        "shards",
        "raw",
        "bin",
        "flat.pt",
        "tensors.bin",
        "in a folder",
    ]
    .into_iter()
    .map(|name| (name, path(name)))
    .collect()
}

#[test]
fn a_dump_has_the_same_verdict_and_figures_in_every_container() {
    for (wrong, code) in [(false, exit_code::PASSED), (true, exit_code::NUMBERS)] {
        let folder = tempfile::tempdir().unwrap();
        let tensors = port(wrong);
        let expected = figures(&compare(&set().join("port")));
        let mut all = containers(&folder, &tensors);
        let (_, first) = all.remove(0);
        let of_folder = figures(&compare(&first));
        assert_eq!((of_folder.0, of_folder.1.len()), (code, 11));
        assert_eq!(
            of_folder == expected,
            !wrong,
            "a folder of .npy files that are written again is the same dump"
        );
        for (name, path) in all {
            assert_eq!(figures(&compare(&path)), of_folder, "{name}");
        }
    }
}

/// `{"unit": {"0_out": …}}` is `unit.0_out`, which separators that count as one make `unit_0_out`.
#[test]
fn nested_dictionaries_of_a_pytorch_file_are_named_by_their_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nested.pt");
    std::fs::write(&path, torch_zip(&nested_dictionary(&port(false)))).unwrap();
    let text = std::fs::read_to_string(set().join("mapping.toml")).unwrap();
    let text =
        text.replace("files = \"dump_{name}.npy\"", "files = \"dump_{name}.npy\"\nseparators = \"_.\"");
    let mapping = Mapping::parse(&set().join("mapping.toml"), text).unwrap();
    let reference = Reference::open(&set(), &mapping.reference.naming, ReadAs::default()).unwrap();
    let (port, _) = Dump::open(&path, &mapping.candidate.naming, ReadAs::default()).unwrap();
    let profile = mapping.profile("f32").unwrap();
    let terms = Terms {
        mapping: &mapping,
        profile,
        reference: &reference,
        tolerances: None,
        input: None,
        known: None,
    };
    assert_eq!(figures(&terms.compare_dump(&port)), figures(&compare(&set().join("port"))));
}

/// Views of one storage, strides and offsets among them, are what PyTorch would show.
#[test]
fn views_of_a_pytorch_storage_are_gathered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("views.pt");
    let values: Vec<f32> = (0..24).map(|i| i as f32).collect();
    let views = torch_file::torch_zip_of_views(
        &values,
        &[("rows", 6, &[2, 3], &[3, 1]), ("transposed", 0, &[4, 6], &[1, 4]), ("scalar", 5, &[], &[])],
    );
    std::fs::write(&path, views).unwrap();
    let store = harness::store::open(&path, &harness::store::Naming::default(), ReadAs::default()).unwrap();
    let read = |name: &str| {
        let tensor = store.open(name).unwrap().read().unwrap();
        (tensor.shape().to_vec(), tensor.iter().collect::<Vec<f64>>())
    };
    assert_eq!(read("rows"), (vec![2, 3], vec![6.0, 7.0, 8.0, 9.0, 10.0, 11.0]));
    let expected = (0..4).flat_map(|i| (0..6).map(move |j| f64::from(i + 4 * j))).collect();
    assert_eq!(read("transposed"), (vec![4, 6], expected));
    assert_eq!(read("scalar"), (vec![], vec![5.0]));
}
