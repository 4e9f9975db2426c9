//! What people really bring to `cargo xtask parity`, by kind: dumps that other scripts wrote, in other shapes, types,
//! names and containers, of right ports and of wrong ones.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use harness::tensor::Tensor;
use safetensors::tensor::{Dtype as StoredType, TensorView};

use crate::brought::*;
use crate::support::*;

type Renaming = fn(&str) -> String;

const NHWC: [usize; 4] = [0, 2, 3, 1];

#[test]
fn a_batch_axis_that_is_left_out_is_taken_as_one() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let rank3 = dumped(&port.each(without_leading_ones));
    let seen = compare(rank3.path(), &port.reference(), &[]);
    findings.passes(
        "candidate",
        &seen,
        &["the candidate leaves out the batch axis of 46 layers: taken as 1"],
    );

    let reference = read_folder(&root().join("fixtures/ggml-small/reference"), "debug_activation_");
    let flat: BroughtTensors =
        reference.iter().map(|(name, x)| (name.clone(), without_leading_ones(x))).collect();
    let (whole, flat) = (reference_dumped(&reference), reference_dumped(&flat));
    let [whole, flat] = [&whole, &flat].map(|folder| folder.path().to_str().unwrap());
    let base = dumped(&port.tensors);
    let seen = compare(base.path(), flat, &[]);
    findings.passes(
        "reference",
        &seen,
        &["the reference leaves out the batch axis of 46 layers: taken as 1"],
    );
    let seen = compare(rank3.path(), flat, &[]);
    findings.passes("both", &seen, &["both sides leave out the batch axis of 46 layers: taken as 1"]);
    let seen = compare(base.path(), whole, &[]);
    findings.never("neither", &seen, &["leave out", "leaves out"]);
    findings.none();
}

/// The names that the published patch of llama.cpp gives, and its shapes.
fn published(port: &RightPort) -> BroughtTensors {
    let mut tensors = BroughtTensors::new();
    for (name, tensor) in &port.tensors {
        let block = name.strip_prefix("mobilenet_block_").and_then(|rest| rest.split_once('_'));
        let name = match block {
            Some((block, "edge_residual" | "inverted_residual" | "attn_output")) => {
                format!("mobilenet_block_{block}_output")
            }
            Some(_) => continue,
            None => name.clone(),
        };
        let known = ["mobilenet_", "msfa_", "mm_input", "mm_soft"];
        if known.iter().any(|known| name.starts_with(known)) {
            tensors.insert(name, without_leading_ones(tensor));
        }
    }
    tensors.insert("final_output".to_string(), without_leading_ones(&port.tensors["mm_post_proj_norm"]));
    tensors
}

#[test]
fn the_published_patchs_names_are_in_the_shipped_mapping() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let input = without_leading_ones(&port.input);
    for names in [&["inp_raw", "inp_raw_from_graph"][..], &["inp_raw"], &[]] {
        let mut tensors = published(&port);
        for name in names {
            tensors.insert(name.to_string(), input.clone());
        }
        let seen = compare(dumped(&tensors).path(), &port.reference(), &[]);
        findings.passes(&format!("with {names:?}"), &seen, &[]);
        findings.never(&format!("with {names:?}"), &seen, &["missing", "unmapped"]);
    }
    findings.none();
}

#[test]
fn the_input_is_the_first_layer() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let dump = dumped(&port.with("inp_raw", port.input.clone()));
    let seen = compare(dump.path(), &port.reference(), &["--verbose"]);
    let rows = seen.rows();
    let at = |name: &str| rows.iter().position(|row| row.starts_with(name));
    assert!(at("inp_raw").unwrap() < at("mobilenet_stem_output").unwrap(), "{rows:#?}");
    findings.passes("the input", &compare(dump.path(), &port.reference(), &[]), &[]);
    // A picture that was rounded to 8 bits otherwise is the same picture.
    let rounded = mapped(&port.input, |x| x + 0.4 / 255.0);
    let dump = dumped(&port.with("inp_raw", rounded));
    findings.passes("its rounding", &compare(dump.path(), &port.reference(), &[]), &[]);
    findings.none();
}

/// The line that the output gives really reads the candidate.
#[test]
fn axes_in_another_order_get_the_one_line_that_reads_them() {
    let port = RightPort::encoded();
    let oblong = RightPort::of("blocks", &["--output-resolution", "2x4"]);
    let mut findings = Findings::default();
    let hwc = |x: &Tensor| if x.shape().len() == 4 { transposed(x, &NHWC) } else { x.clone() };
    let cases: [(&str, &RightPort, BroughtTensors, &str); 5] = [
        ("NHWC", &port, port.each(hwc), "\"b h w c\""),
        ("NHWC, oblong", &oblong, oblong.each(hwc), "\"b h w c\""),
        ("HWC", &port, port.each(|x| without_leading_ones(&hwc(x))), "\"b h w c\""),
        ("NCWH", &oblong, oblong.each(|x| maps_transposed(x, &[0, 1, 3, 2])), "\"b c w h\""),
        (
            "WHC",
            &oblong,
            oblong.each(|x| without_leading_ones(&maps_transposed(x, &[0, 3, 2, 1]))),
            "\"b w h c\"",
        ),
    ];
    for (case, port, tensors, layout) in cases {
        let dump = dumped(&tensors);
        let seen = compare(dump.path(), &port.reference(), &[]);
        findings.fails(case, &seen, 4, &[&format!("layout = {layout}"), "within the limits"]);
        findings.advice_holds(case, &seen, "candidate", &["layout"], (dump.path(), &port.reference()));
    }
    findings.none();
}

#[test]
fn extents_in_reverse_order_get_the_key_that_reads_them() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let reversed = |x: &Tensor| {
        let shape: Vec<usize> = x.shape().iter().rev().copied().collect();
        under(&shape, x)
    };
    let whole = port.each(reversed);
    let without_batch = port.each(|x| reversed(&without_leading_ones(x)));
    for (case, tensors) in [("with a batch axis", whole), ("without", without_batch)] {
        let dump = dumped(&tensors);
        let seen = compare(dump.path(), &port.reference(), &[]);
        findings.fails(case, &seen, 4, &["extents are in reverse order", "let the writer reverse the shape"]);
        findings.advice_holds(case, &seen, "candidate", &["extents"], (dump.path(), &port.reference()));
    }
    findings.none();
}

#[test]
fn memory_order_under_another_header_gets_the_key_that_reads_it() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    // What `permute` without a copy leaves where the writer takes the buffer as it is.
    let dump = dumped(&port.each(|x| match x.shape().len() {
        4 => under(x.shape(), &transposed(x, &NHWC)),
        _ => x.clone(),
    }));
    let seen = compare(dump.path(), &port.reference(), &[]);
    findings.fails("NHWC under NCHW", &seen, 1, &["memory = \"b h w c\""]);
    findings.advice_holds(
        "NHWC under NCHW",
        &seen,
        "candidate",
        &["memory"],
        (dump.path(), &port.reference()),
    );
    findings.none();
}

#[test]
fn square_maps_do_not_hide_that_height_and_width_are_exchanged() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let tokens = |x: &Tensor| {
        let side = x.shape()[1].isqrt();
        let map = under(&[1, side, side, x.shape()[2]], x);
        under(x.shape(), &transposed(&map, &[0, 2, 1, 3]))
    };
    let dump = dumped(&port.each(|x| match x.shape().len() {
        4 => transposed(x, &[0, 1, 3, 2]),
        _ => tokens(x),
    }));
    let seen = compare(dump.path(), &port.reference(), &[]);
    findings.fails("exchanged", &seen, 1, &["with h and w exchanged, 43 layers within the limits"]);
    findings.never("exchanged", &seen, &["what comes after it inherits its error"]);
    findings.none();
}

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
fn several_runs_in_one_folder_get_the_keys_that_choose_one() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let runs = |name: fn(&str, usize) -> String| {
        let folder = tempfile::tempdir().unwrap();
        for (tensor, x) in &port.tensors {
            for run in [0, 1] {
                let path = folder.path().join(format!("debug_{}.npy", name(tensor, run)));
                harness::store::write_npy(&path, x).unwrap();
            }
        }
        folder
    };
    let cases = [
        ("behind", runs(|name, run| format!("{name}_{run}"))),
        ("with a dot", runs(|name, run| format!("{name}.{run}"))),
        ("in front", runs(|name, run| format!("{run}_{name}"))),
    ];
    for (case, dump) in &cases {
        let sides = (dump.path(), port.reference());
        let seen = compare(sides.0, &sides.1, &[]);
        findings.fails(
            case,
            &seen,
            3,
            &["number of a run (0, 1)", "call = \"last\"", "call = \"must_agree\""],
        );
        findings.advice_holds(case, &seen, "candidate", &["files", "call"], (sides.0, &sides.1));
        let Some(files) = seen.advised("files") else { continue };
        for choice in ["1", "\"last\"", "\"must_agree\""] {
            let (_kept, mapping) = mapping_with("candidate", &[("files", &files), ("call", choice)]);
            let seen = compare(sides.0, &sides.1, &["--mapping", mapping.to_str().unwrap()]);
            findings.passes(&format!("{case}, call = {choice}"), &seen, &[]);
        }
    }
    // Runs that differ do not agree; each of them alone is still judged.
    let (_, dump) = &cases[0];
    edit(&dump.path().join("debug_msfa_concat_0.npy"), |_, values| values[7] += 1.0);
    let choices = [("0", 1, "msfa_concat"), ("1", 0, "PASS"), ("\"must_agree\"", 3, "msfa_concat")];
    for (choice, code, says) in choices {
        let files = "\"debug_{name}_{call}.npy\"";
        let (_kept, mapping) = mapping_with("candidate", &[("files", files), ("call", choice)]);
        let seen = compare(dump.path(), &port.reference(), &["--mapping", mapping.to_str().unwrap()]);
        match code {
            0 => findings.passes(choice, &seen, &[says]),
            code => findings.fails(choice, &seen, code, &[says]),
        }
    }
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

fn safetensors_of(path: &Path, tensors: &BroughtTensors) {
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

#[test]
fn what_all_names_begin_with_gets_the_key_that_takes_it_off() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let reference = read_folder(&root().join("fixtures/ggml-small/reference"), "debug_activation_");
    let whole: BroughtTensors = reference
        .iter()
        .map(|(name, x)| match name.starts_with("timm") {
            true => (format!("model_vision_tower_{name}"), x.clone()),
            false => (format!("model_{name}"), x.clone()),
        })
        .collect();
    let (base, whole) = (dumped(&port.tensors), reference_dumped(&whole));
    let whole = whole.path().to_str().unwrap();
    let seen = compare(base.path(), whole, &[]);
    let says = ["of the reference begin with", "model_vision_tower_", "under [reference]"];
    findings.fails("a reference of the whole model", &seen, 3, &says);
    findings.never("a reference of the whole model", &seen, &["git restore", "missing reference"]);
    findings.advice_holds(
        "a reference of the whole model",
        &seen,
        "reference",
        &["prefix"],
        (base.path(), whole),
    );

    let candidates: [(&str, Renaming); 3] = [
        ("a part", |name| format!("vision_tower.{name}")),
        ("two parts", |name| format!("model.vision_tower.{name}")),
        ("with slashes", |name| format!("vision_tower/{}", name.replace('_', "/"))),
    ];
    for (case, name) in candidates {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("activations.safetensors");
        safetensors_of(&file, &port.named(name));
        let seen = compare(&file, &port.reference(), &[]);
        findings.fails(case, &seen, 3, &["of the candidate begin with", "under [candidate]"]);
        findings.advice_holds(case, &seen, "candidate", &["prefix"], (&file, &port.reference()));
    }
    findings.none();
}

#[test]
fn dots_and_slashes_separate_names_as_underscores_do() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let reference = read_folder(&root().join("fixtures/ggml-small/reference"), "debug_activation_");
    // As torch's modules are called: dots between modules, underscores within.
    let modules = ["timm_model_", "blocks_", "attn_key_", "attn_value_", "embed_vision_", "msfa_", "ffn_"];
    let dotted = |name: &str| {
        let parted = modules.iter().fold(name.to_string(), |name, part| {
            name.replace(part, &format!("{}.", part.trim_end_matches('_')))
        });
        let parts: Vec<&str> = parted.split('.').collect();
        parts.iter().map(|part| numbers_parted(part)).collect::<Vec<_>>().join(".")
    };
    let named: BroughtTensors = reference.iter().map(|(name, x)| (dotted(name), x.clone())).collect();
    assert!(
        named.contains_key("timm_model.blocks.2.2.attn.key.norm")
            || named.contains_key("timm_model.blocks.2.0")
    );
    let folder = folder_of(&named, |name| format!("{name}.npy"));
    let base = dumped(&port.tensors);
    findings.passes("dots", &compare(base.path(), folder.path().to_str().unwrap(), &[]), &["46 passed"]);

    let file = folder.path().join("whole.safetensors");
    let slashes: BroughtTensors =
        reference.iter().map(|(name, x)| (name.replace('_', "/"), x.clone())).collect();
    safetensors_of(&file, &slashes);
    findings.passes("slashes", &compare(base.path(), file.to_str().unwrap(), &[]), &["46 passed"]);

    let whole: BroughtTensors = named
        .iter()
        .map(|(name, x)| match name.starts_with("timm") {
            true => (format!("model.vision_tower.{name}"), x.clone()),
            false => (format!("model.{name}"), x.clone()),
        })
        .collect();
    let folder = folder_of(&whole, |name| format!("{name}.npy"));
    let sides = (base.path(), folder.path().to_str().unwrap());
    let seen = compare(sides.0, sides.1, &[]);
    findings.fails("dots behind a prefix", &seen, 3, &["of the reference begin with", "under [reference]"]);
    findings.never("dots behind a prefix", &seen, &["git restore", "fixtures/"]);
    findings.advice_holds("dots behind a prefix", &seen, "reference", &["prefix"], sides);
    findings.none();
}

/// `2_0_norm` as `2.0.norm`.
fn numbers_parted(part: &str) -> String {
    let pieces: Vec<&str> = part.split('_').collect();
    let is_number = |piece: &&str| !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = pieces.iter().take_while(|piece| is_number(piece)).count();
    let (numbers, rest) = pieces.split_at(numbers);
    let rest = (!rest.is_empty()).then(|| rest.join("_"));
    numbers.iter().map(ToString::to_string).chain(rest).collect::<Vec<_>>().join(".")
}

#[test]
fn a_dump_without_a_finite_number_was_read_too_late() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    for (case, value) in [("NaN", f32::NAN), ("Inf", f32::INFINITY)] {
        let dump = dumped(&port.each(|x| mapped(x, |_| value)));
        let seen = compare(dump.path(), &port.reference(), &[]);
        findings.fails(case, &seen, 1, &["not finite from the first tensor on: was the dump read too late"]);
        findings.never(case, &seen, &["inherits its error"]);
    }
    findings.none();
}

/// The dump is wrong and the port is right: what comes after the failing layer is within its limits.
#[test]
fn a_wrong_dump_of_a_right_port_is_told_as_such() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let inherits = "what comes after it inherits its error";
    let key = "mobilenet_block_9_attn_key_norm";
    let in_floats = |bytes: fn(f32) -> [u8; 2]| {
        let tensor = &port.tensors[key];
        let mut buffer: Vec<u8> = values(tensor).into_iter().flat_map(bytes).collect();
        buffer.resize(4 * tensor.len(), 0);
        let words = buffer.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap()));
        Tensor::from_f32(tensor.shape().to_vec(), words.collect()).unwrap()
    };
    let halves = [
        ("f16", in_floats(|x| half::f16::from_f32(x).to_le_bytes())),
        ("bf16", in_floats(|x| half::bf16::from_f32(x).to_le_bytes())),
    ];
    for (dtype, tensor) in halves {
        let dump = dumped(&port.with(key, tensor));
        let seen = compare(dump.path(), &port.reference(), &[]);
        let says = [&format!("read as {dtype}"), "the port is right, its dump is not", key];
        findings.fails(dtype, &seen, 1, &says);
        findings.never(dtype, &seen, &[inherits]);
    }

    let (one, other) = ("mobilenet_block_5_inverted_residual", "mobilenet_block_6_inverted_residual");
    assert_eq!(port.tensors[one].shape(), port.tensors[other].shape());
    let mut exchanged = port.with(one, port.tensors[other].clone());
    exchanged.insert(other.to_string(), port.tensors[one].clone());
    let seen = compare(dumped(&exchanged).path(), &port.reference(), &[]);
    let says = [&format!("{one}: its values are those of"), &format!("{other}: its values are those of")];
    findings.fails("two that are exchanged", &seen, 1, &says.map(String::as_str));
    findings.never("two that are exchanged", &seen, &[inherits]);

    let twice = port.with(other, port.tensors[one].clone());
    let seen = compare(dumped(&twice).path(), &port.reference(), &[]);
    findings.fails("one buffer under two names", &seen, 1, &[other, "its values are those of"]);
    findings.never("one buffer under two names", &seen, &[inherits]);

    let damaged = mapped(&port.tensors[one], f32::sin);
    let seen = compare(dumped(&port.with(one, damaged)).path(), &port.reference(), &[]);
    let says = ["every layer after it is within its limits: its dump is wrong, it seems, and not the port"];
    findings.fails("one that is anything", &seen, 1, &says);
    findings.never("one that is anything", &seen, &[inherits]);
    findings.none();
}

#[test]
fn a_factor_is_named_whether_of_all_or_of_each_channel() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let name = "msfa_concat_norm";
    let eight = port.with(name, mapped(&port.tensors[name], |x| x * 8.0));
    let seen = compare(dumped(&eight).path(), &port.reference(), &[]);
    findings.fails("times 8", &seen, 1, &["the candidate is the reference times 8.000000", name]);
    let tensor = &port.tensors[name];
    let inner: usize = tensor.shape()[2..].iter().product();
    let scaled = values(tensor).into_iter().enumerate().map(|(i, x)| x * (1.0 + (i / inner % 7) as f32));
    let scaled = Tensor::from_f32(tensor.shape().to_vec(), scaled.collect()).unwrap();
    let seen = compare(dumped(&port.with(name, scaled)).path(), &port.reference(), &[]);
    let says = ["the reference times a factor for each index of c, from 1.000000 to 7.00000", name];
    findings.fails("a factor for each channel", &seen, 1, &says);
    findings.none();
}

/// Preprocessing that differs: with the dump's own input it is held against the set's, without it the encoder is run.
#[test]
fn another_input_is_named_where_it_can_be_had() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let shape = port.input.shape().to_vec();
    let (channels, side) = (shape[1], shape[2]);
    let bgr = moved(&port.input, &shape, |i| vec![i[0], channels - 1 - i[1], i[2], i[3]]);
    let upside_down = moved(&port.input, &shape, |i| vec![i[0], i[1], side - 1 - i[2], i[3]]);
    let mirrored = moved(&port.input, &shape, |i| vec![i[0], i[1], i[2], side - 1 - i[3]]);
    let cases = [
        ("BGR", bgr, "channels reversed (BGR for RGB)"),
        ("upside down", upside_down, "upside down"),
        ("mirrored", mirrored, "mirrored"),
    ];
    for (case, input, says) in &cases {
        let tensors = port.given(input);
        let seen = compare(dumped(&tensors).path(), &port.reference(), &[]);
        findings.fails(&format!("{case}, without its input"), &seen, 1, &["as with", says]);
    }
    let scaled = |factor: f32, shift: f32| mapped(&port.input, |x| factor * x + shift);
    let with_input = [
        ("BGR", port.given(&cases[0].1), cases[0].1.clone(), "channels reversed (BGR for RGB)"),
        ("upside down", port.given(&cases[1].1), cases[1].1.clone(), "h in reverse"),
        ("darker", port.given(&scaled(0.5, 0.25)), scaled(0.5, 0.25), "values times 0.500000 plus 0.250000"),
        ("-1 to 1", port.given(&scaled(0.5, 0.25)), scaled(2.0, -1.0), "values from -1 to 1"),
        ("0 to 255", port.given(&scaled(0.5, 0.25)), scaled(255.0, 0.0), "values from 0 to 255"),
    ];
    for (case, mut tensors, input, says) in with_input {
        tensors.insert("inp_raw".to_string(), input);
        let seen = compare(dumped(&tensors).path(), &port.reference(), &[]);
        findings.fails(
            &format!("{case}, with its input"),
            &seen,
            1,
            &["the input inp_raw differs already", says],
        );
    }
    // A port that is right, whose input was dumped before it was scaled.
    let seen = compare(dumped(&port.with("inp_raw", scaled(255.0, 0.0))).path(), &port.reference(), &[]);
    findings.fails("0 to 255, all else right", &seen, 1, &["values from 0 to 255", "the port is right"]);
    findings.never("0 to 255, all else right", &seen, &["inherits"]);
    findings.none();
}

#[test]
fn another_padding_is_named() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let wrong = encoded("ggml-small", "fixtures/ggml-small/input.png", &["--padding", "symmetric"]);
    let seen = compare(dumped(&wrong).path(), &port.reference(), &[]);
    let says = ["first failing layer: mobilenet_stem_output", "as with symmetric padding"];
    findings.fails("symmetric", &seen, 1, &says);
    // The same against a set whose right padding is the symmetric one.
    let size = ["--output-resolution", "5x8"];
    let other = RightPort::of("symmetric", &[&size[..], &["--padding", "symmetric"]].concat());
    let same = [&size[..], &["--padding", "same"]].concat();
    let same = encoded("symmetric", "fixtures/symmetric/input.png", &same);
    findings.passes("the set's own", &compare(dumped(&other.tensors).path(), &other.reference(), &[]), &[]);
    let seen = compare(dumped(&same).path(), &other.reference(), &[]);
    findings.fails("SAME", &seen, 1, &["as with TensorFlow's SAME padding"]);
    findings.none();
}
