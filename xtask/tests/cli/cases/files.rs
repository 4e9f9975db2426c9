//! Dumps in other types and containers.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use harness::tensor::Tensor;
use safetensors::tensor::{Dtype as StoredType, TensorView};

use crate::brought::*;

#[test]
fn types_of_two_bytes_are_judged_with_the_rounding_that_they_prove() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let (bf16, f16) = (half::bf16::from_f32, half::f16::from_f32);
    let as_read = [
        ("by ml_dtypes' name", dumped_as(&port.tensors, "'bfloat16'", |x| bf16(x).to_le_bytes()), "bf16"),
        ("as ml_dtypes writes it", dumped_as(&port.tensors, "'<V2'", |x| bf16(x).to_le_bytes()), "bf16"),
        ("f16", dumped_as(&port.tensors, "'<f2'", |x| f16(x).to_le_bytes()), "f16"),
        ("f16 from a big-endian machine", dumped_as(&port.tensors, "'>f2'", |x| f16(x).to_be_bytes()), "f16"),
    ];
    for (case, dump, dtype) in as_read {
        let seen = compare(dump.path(), &port.reference(), &[]);
        findings.passes(case, &seen, &[&format!("46 layers of the candidate are stored as {dtype}")]);
    }
    let declared = [
        ("bf16 as <i2", dumped_as(&port.tensors, "'<i2'", |x| bf16(x).to_le_bytes()), "bf16"),
        ("f16 as <u2", dumped_as(&port.tensors, "'<u2'", |x| f16(x).to_le_bytes()), "f16"),
    ];
    for (case, dump, dtype) in declared {
        let seen = compare(dump.path(), &port.reference(), &[]);
        findings.fails(case, &seen, 5, &[&format!("two_byte_integers = \"{dtype}\"")]);
        findings.advice_holds(
            case,
            &seen,
            "candidate",
            &["two_byte_integers"],
            (dump.path(), &port.reference()),
        );
    }
    findings.none();
}

/// Narrow storage gives no room to an error of the port.
#[test]
fn a_wrong_port_fails_in_narrow_storage_too() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let wrong = encoded("ggml-small", "fixtures/ggml-small/input.png", &["--padding", "symmetric"]);
    let dump = dumped_as(&wrong, "'<f2'", |x| half::f16::from_f32(x).to_le_bytes());
    findings.fails("f16", &compare(dump.path(), &port.reference(), &[]), 1, &["symmetric padding"]);
    findings.none();
}

#[test]
fn headers_that_numpy_reads_are_read() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let dump = dumped(&port.tensors);
    let maps: Vec<(&String, &Tensor)> =
        port.tensors.iter().filter(|(_, tensor)| tensor.shape().len() == 4).collect();
    let write = |at: usize, version: u8, descr: &str, shape: &dyn Fn(&[usize]) -> String, padding: usize| {
        let (name, tensor) = maps[at];
        let order = if descr.starts_with("'>") { f32::to_be_bytes } else { f32::to_le_bytes };
        let body: Vec<u8> = values(tensor).into_iter().flat_map(order).collect();
        let file = npy(version, descr, &shape(tensor.shape()), padding, &body);
        std::fs::write(dump.path().join(format!("debug_{name}.npy")), file).unwrap();
    };
    let longs = |shape: &[usize]| python_shape(shape).replace(", ", "L, ").replace("L, )", "L)");
    write(0, 1, "'<f4'", &longs, 0);
    write(1, 1, "'float32'", &python_shape, 0);
    write(2, 1, "'<f4'", &python_shape, 9000);
    write(3, 2, "'>f4'", &python_shape, 0);
    write(4, 3, "'=f4'", &python_shape, 0);
    write(5, 2, "'single'", &python_shape, 60_000);
    findings.passes("spellings", &compare(dump.path(), &port.reference(), &[]), &["46 passed"]);
    // A hook that was given a tuple.
    let (name, _) = maps[6];
    let file = npy(1, "'|O'", "(2,)", 0, b"\x80\x02]q\0.");
    std::fs::write(dump.path().join(format!("debug_{name}.npy")), file).unwrap();
    let seen = compare(dump.path(), &port.reference(), &[]);
    findings.fails("an object array", &seen, 5, &["a tuple or list was saved", name]);
    findings.never("an object array", &seen, &["git restore"]);
    findings.none();
}

fn npz_of(
    path: &Path,
    tensors: &BroughtTensors,
    name: impl Fn(&str) -> String,
    method: zip::CompressionMethod,
) {
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (tensor, x) in tensors {
        archive.start_file(format!("{}.npy", name(tensor)), options).unwrap();
        let body: Vec<u8> = values(x).into_iter().flat_map(f32::to_le_bytes).collect();
        archive.write_all(&npy(1, "'<f4'", &python_shape(x.shape()), 0, &body)).unwrap();
    }
    archive.finish().unwrap();
}

pub(super) fn safetensors_of(path: &Path, tensors: &BroughtTensors) {
    let bytes: HashMap<&String, Vec<u8>> = tensors
        .iter()
        .map(|(name, x)| (name, values(x).into_iter().flat_map(f32::to_le_bytes).collect()))
        .collect();
    let views = tensors
        .iter()
        .map(|(name, x)| (name, TensorView::new(StoredType::F32, x.shape().to_vec(), &bytes[name]).unwrap()));
    safetensors::serialize_to_file(views, None, path).unwrap();
}

#[test]
fn the_usual_containers_are_read_as_they_are() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let debug = |name: &str| format!("debug_{name}");
    npz_of(&path("stored.npz"), &port.tensors, debug, zip::CompressionMethod::Stored);
    npz_of(&path("deflated.npz"), &port.tensors, debug, zip::CompressionMethod::Deflated);
    npz_of(&path("archive.zip"), &port.tensors, str::to_string, zip::CompressionMethod::Stored);
    safetensors_of(&path("activations.safetensors"), &port.tensors);
    safetensors_of(&path("dotted.st"), &port.named(|name| name.replace('_', ".")));
    for name in ["in/a.npz", "in/b.safetensors"] {
        let inside = path(&name.replace(['/', '.'], "_"));
        std::fs::create_dir(&inside).unwrap();
        let whole = if name.ends_with("npz") { "stored.npz" } else { "activations.safetensors" };
        std::fs::copy(path(whole), inside.join(&name[3..])).unwrap();
    }
    let shards = path("shards");
    std::fs::create_dir(&shards).unwrap();
    for shard in 0..3 {
        let some = port.tensors.iter().enumerate().filter(|(at, _)| at % 3 == shard);
        let some = some.map(|(_, (name, x))| (name.clone(), x.clone())).collect();
        safetensors_of(&shards.join(format!("activations-{shard}.safetensors")), &some);
    }
    for (folder, sidecar) in [("raw", "json"), ("bin", "shape")] {
        std::fs::create_dir(path(folder)).unwrap();
        for (name, x) in &port.tensors {
            let file = path(folder).join(format!("{name}.{}", if sidecar == "json" { "f32" } else { "bin" }));
            let bytes: Vec<u8> = values(x).into_iter().flat_map(f32::to_le_bytes).collect();
            std::fs::write(&file, bytes).unwrap();
            let text = match sidecar {
                "json" => format!(
                    "{{\"name\": \"{name}\", \"shape\": {:?}, \"dtype\": \"f32\", \"layout\": \"row-major\"}}",
                    x.shape()
                ),
                _ => x.shape().iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            };
            std::fs::write(file.with_extension(sidecar), text).unwrap();
        }
    }
    for name in [
        "stored.npz",
        "deflated.npz",
        "archive.zip",
        "activations.safetensors",
        "dotted.st",
        "in_a_npz",
        "in_b_safetensors",
        "shards",
        "raw",
        "bin",
    ] {
        let seen = compare(&path(name), &port.reference(), &[]);
        findings.passes(name, &seen, &["46 compared, 46 passed"]);
    }
    findings.none();
}
