//! Dumps under other names, and of several runs.

use super::files::safetensors_of;
use crate::brought::*;
use crate::support::*;

type Renaming = fn(&str) -> String;

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
