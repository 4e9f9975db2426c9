//! What other tools write of one network is read as NumPy's files of it are, by the names of its modules and in its order.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harness::provenance::Dump;
use harness::reference::Reference;
use harness::store::{self, CallChoice, Naming, ReadAs};
use harness::tensor::{Dtype, Tensor};

/// The outputs in the order in which they are there.
const IN_ORDER: [&str; 5] = ["stem", "blocks.0.proj", "blocks.0.act", "blocks.0", "cut"];

fn dumps(folder: &str) -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package when it runs tests");
    Path::new(&package).join("tests/dumps").join(folder)
}

fn naming(call: CallChoice) -> Naming {
    Naming { call, ..Naming::by_pattern("{name}") }
}

/// The tensors of a dump by name.
fn read(path: &Path, call: CallChoice) -> BTreeMap<String, Tensor> {
    let (dump, _) = Dump::open(path, &naming(call), ReadAs::default()).unwrap();
    assert_eq!(dump.several(), []);
    dump.names().into_iter().map(|name| (name.clone(), dump.read(&name).unwrap())).collect()
}

fn expected() -> BTreeMap<String, Tensor> {
    read(&dumps("npy"), CallChoice::Unchosen)
}

/// Tensors of another container are those of NumPy, but for what it has besides.
fn are_as_expected(found: &BTreeMap<String, Tensor>, names: &[&str]) {
    let expected = expected();
    for name in names {
        assert_eq!(found.get(*name), Some(&expected[*name]), "{name}");
    }
}

fn order(folder: &str, call: CallChoice) -> Vec<String> {
    let reference = Reference::open(&dumps(folder), &naming(call), ReadAs::default()).unwrap();
    assert!(reference.names().in_order);
    reference.names().present.clone()
}

#[test]
fn containers_of_several_tensors() {
    for file in ["stored.npz", "deflated.npz", "all.safetensors", "all.pt", "legacy.pt"] {
        assert_eq!(read(&dumps("containers").join(file), CallChoice::Unchosen), expected(), "{file}");
    }
}

#[test]
fn a_tree_of_modules() {
    let found = read(&dumps("net"), CallChoice::Unchosen);
    // Modules that hold others write no output.
    are_as_expected(&found, &["stem", "blocks.0.proj", "blocks.0.act", "cut"]);
    assert_eq!(found["cut_outputs_1"].shape(), [2, 2]);
    assert_eq!(found["Net"], found["cut"]);
    assert_eq!(found["blocks.0.act_inputs_args_0"], found["blocks.0.proj"]);
    let order = order("net", CallChoice::Unchosen);
    let outputs: Vec<&String> = order.iter().filter(|name| !name.contains("_inputs_")).collect();
    assert_eq!(
        outputs,
        ["stem", "blocks.0.proj", "blocks.0.act", "cut", "cut_outputs_1", "Net", "Net_outputs_1"]
    );
    assert_eq!(order[0], "Net_inputs_args_0");
}

#[test]
fn a_tree_that_leaves_modules_out_gives_no_order() {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dumps("net")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let of = |tree: &str| {
        std::fs::write(copy.path().join("Net_debug_tree_FULL_TENSORS.json"), tree).unwrap();
        let reference =
            Reference::open(copy.path(), &naming(CallChoice::Unchosen), ReadAs::default()).unwrap();
        assert!(reference.names().present.contains(&"blocks.0.act".to_string()));
        reference.names().in_order
    };
    assert!(of(&std::fs::read_to_string(dumps("net/Net_debug_tree_FULL_TENSORS.json")).unwrap()));
    assert!(!of(r#"{"module_path": "Net", "children": []}"#));
    assert!(!of("{"));
    assert!(!of(&"[".repeat(100_000)));
    assert!(!of(&format!("{}{}", r#"{"children":[{"inputs":"#.repeat(5000), "}]}".repeat(5000))));
}

#[test]
fn a_folder_of_tagged_files() {
    let found = read(&dumps("tagged"), CallChoice::Number(1));
    let run = dumps("tagged/dump_20261130_101500_abc");
    assert_eq!(read(&run, CallChoice::Number(1)), found);
    are_as_expected(&read(&run, CallChoice::Number(0)), &["stem"]);
    assert_eq!(order("tagged", CallChoice::Last)[..5], IN_ORDER);
    assert_eq!(found["blocks.0.act"].shape(), [2, 3]);
    assert_eq!(found["cut.output.1"].shape(), [2, 2]);
}

#[test]
fn ranks_of_one_name_are_told_whatever_run_is_chosen() {
    let copy = tempfile::tempdir().unwrap();
    let file = |step, rank, index| {
        format!("step={step}___rank={rank}___dump_index={index}___name=non_intrusive__stem.output.pt")
    };
    let from = dumps("tagged/dump_20261130_101500_abc");
    let from = from.join(
        "step=0___rank=0___dump_index=1___name=non_intrusive__stem.output___recompute_status=disabled.pt",
    );
    for (step, rank) in [(0, 0), (1, 0), (1, 1)] {
        std::fs::copy(&from, copy.path().join(file(step, rank, step + 1))).unwrap();
    }
    let several = |call| {
        let (dump, _) = Dump::open(copy.path(), &naming(call), ReadAs::default()).unwrap();
        dump.several().iter().map(|several| several.keys.len()).collect::<Vec<_>>()
    };
    assert_eq!(several(CallChoice::Unchosen), [3]);
    assert_eq!(several(CallChoice::Last), [2]);
    assert_eq!(several(CallChoice::Number(1)), [2]);
    assert_eq!(several(CallChoice::Number(0)), [0; 0]);
}

#[test]
fn a_folder_of_steps() {
    let found = read(&dumps("stepped"), CallChoice::Number(0));
    are_as_expected(&found, &IN_ORDER);
    assert_eq!(found["cut.outputs_1"].shape(), [2, 2]);
    assert_eq!(read(&dumps("stepped/step_0"), CallChoice::Number(0)), found);
    let twice = read(&dumps("stepped"), CallChoice::Number(1));
    assert_eq!(twice["stem"].get(0), 2.0 * found["stem"].get(0));
    assert_eq!(order("stepped", CallChoice::Number(0))[..5], IN_ORDER);
}

#[test]
fn files_of_single_tensors_and_of_lists() {
    let stem = &expected()["stem"];
    let folder = tempfile::tempdir().unwrap();
    for name in ["stem", "transposed", "part", "parameter", "protocol4", "f64", "bf16", "list", "tuple"] {
        let file = format!("{name}.pt");
        std::fs::copy(dumps("bare").join(&file), folder.path().join(file)).unwrap();
    }
    let found = read(folder.path(), CallChoice::Unchosen);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let list = ["list.0", "list.1"];
    let tuple = ["tuple.0", "tuple.1.inner"];
    let mut expected = vec!["bf16", "f64", "parameter", "part", "protocol4", "stem", "transposed"];
    expected.extend(list.into_iter().chain(tuple));
    expected.sort_unstable();
    assert_eq!(names, expected);
    for name in ["stem", "transposed", "part", "parameter", "protocol4", "tuple.0", "tuple.1.inner"] {
        assert_eq!(&found[name], stem, "{name}");
    }
    assert!(found["f64"].iter().eq(stem.iter()));
    assert_eq!(found["bf16"].dtype(), Dtype::Bf16);
    assert_eq!((found["list.0"].shape(), found["list.1"].shape()), (&[2, 1][..], &[2, 2][..]));
    assert_eq!(&read(&dumps("bare/stem.pt"), CallChoice::Unchosen)["stem"], stem);
}

#[test]
fn tensors_of_onnx() {
    let stem = &expected()["stem"];
    let one = |name: &str| {
        let found = read(&dumps("onnx").join(name), CallChoice::Unchosen);
        assert_eq!(found.len(), 1, "{name}");
        found.into_iter().next().unwrap()
    };
    assert_eq!(one("raw.pb"), ("raw".to_string(), stem.clone()));
    assert_eq!(one("named.pb"), ("stem".to_string(), stem.clone()));
    assert_eq!(one("float_data.pb").1, *stem);
    assert!(one("double_data.pb").1.iter().eq(stem.iter()));
    let f16 = one("f16.pb").1;
    assert_eq!(f16.dtype(), Dtype::F16);
    assert_eq!(one("f16_data.pb").1, f16);
    let bf16 = one("bf16_data.pb").1;
    assert_eq!(bf16.dtype(), Dtype::Bf16);
    assert!(bf16.iter().zip(stem.iter()).all(|(a, b)| (a - b).abs() <= b.abs() / 256.0));
    assert_eq!((one("scalar.pb").1.shape(), one("scalar.pb").1.get(0)), (&[][..], stem.get(0)));
}

#[test]
fn what_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let raw = std::fs::read(dumps("onnx/raw.pb")).unwrap();
    std::fs::write(folder.path().join("short.pb"), &raw[..raw.len() - 4]).unwrap();
    let mut long = raw.clone();
    // Its `raw_data` says that it is longer than the file.
    long[7] = 0x7f;
    std::fs::write(folder.path().join("long.pb"), &long).unwrap();
    let mut more = raw;
    // Its first extent is 127.
    more[1] = 0x7f;
    std::fs::write(folder.path().join("more.pb"), &more).unwrap();
    let paths = [
        dumps("bare/legacy.pt"),
        dumps("bare/numbers.pt"),
        dumps("onnx/integers.pb"),
        dumps("onnx/external.pb"),
        folder.path().join("short.pb"),
        folder.path().join("long.pb"),
        folder.path().join("more.pb"),
    ];
    let messages: Vec<String> = paths
        .iter()
        .map(|path| {
            let root = path.parent().unwrap().display().to_string();
            let error = match store::open(path, &naming(CallChoice::Unchosen), ReadAs::default()) {
                Ok(store) => store.open(&store.entries()[0].key).map(|_| ()).unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            error.replace(&root, "ROOT").replace('\\', "/")
        })
        .collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn damaged_files_are_refused_or_read_and_never_worse() {
    let folder = tempfile::tempdir().unwrap();
    let net = "net/Net.stem_outputs.safetensors";
    for specimen in
        ["bare/stem.pt", "bare/list.pt", "onnx/raw.pb", "onnx/f16_data.pb", "onnx/float_data.pb", net]
    {
        let whole = std::fs::read(dumps(specimen)).unwrap();
        let path = folder.path().join("damaged");
        for at in 0..whole.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                read_all(&path, &bytes);
            }
            read_all(&path, &whole[..at]);
        }
    }
}

/// Reads all tensors of a file, whatever comes of it.
fn read_all(path: &Path, bytes: &[u8]) {
    // A new file each time: some file systems wait for the disk where one is written over.
    drop(std::fs::remove_file(path));
    std::fs::write(path, bytes).unwrap();
    let Ok(store) = store::open(path, &naming(CallChoice::Unchosen), ReadAs::default()) else { return };
    for entry in store.entries() {
        // A shape of gigabytes is refused before its elements are read.
        if let Ok(tensor) = store.open(&entry.key) {
            assert!(tensor.len() <= 1 << 40);
            drop(tensor.read());
        }
    }
}
