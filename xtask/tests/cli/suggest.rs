//! `cargo xtask mapping suggest`, on a real dump whose names are scrambled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use harness::mapping::{Mapping, pairing};
use harness::provenance::Dump;
use harness::reference::Reference;
use harness::store::ReadAs;
use tempfile::TempDir;

use crate::support::*;

const REFERENCE: &str = "fixtures/ggml-small/reference";
const MAPPING: &str = "mappings/gemma3n.toml";

/// A copy of the real dump and its reference under other names.
struct Scrambled {
    folder: TempDir,
    /// The old name by the new one, of the candidate and of the reference.
    old: [BTreeMap<String, String>; 2],
}

/// Pairs of names, candidate first.
type NamePairs = BTreeSet<(String, String)>;

impl Scrambled {
    /// `rename` gives the new name of a side (0 is the candidate) for the old one.
    fn by(rename: impl Fn(usize, &str) -> String) -> Scrambled {
        let folder = tempfile::tempdir().unwrap();
        let mut old: [BTreeMap<String, String>; 2] = Default::default();
        for (side, (from, prefix)) in
            [(DUMP, "debug_"), (REFERENCE, "debug_activation_")].into_iter().enumerate()
        {
            let to = folder.path().join(["candidate", "reference"][side]);
            std::fs::create_dir(&to).unwrap();
            for entry in std::fs::read_dir(root().join(from)).unwrap() {
                let path = entry.unwrap().path();
                let name =
                    path.file_stem().unwrap().to_str().unwrap().strip_prefix(prefix).unwrap().to_string();
                let new = rename(side, &name);
                std::fs::copy(&path, to.join(format!("{new}.npy"))).unwrap();
                assert!(old[side].insert(new, name).is_none());
            }
        }
        Scrambled { folder, old }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Suggests a mapping, checks it, and compares with it.
    fn suggest(&self) -> Found {
        let (candidate, reference, out) =
            (self.path("candidate"), self.path("reference"), self.path("out.toml"));
        let sides = ["--candidate", &candidate, "--reference", &reference];
        xtask(&[&["mapping", "suggest", "--out", &out], &sides[..]].concat()).assert().code(0);
        xtask(&["mapping", "check", &out]).assert().code(0);
        let profile = ["--mapping", &out, "--profile", "f16-weights"];
        xtask(&[&["parity"], &profile[..], &sides[..]].concat()).assert().code(0).stdout(contains("PASS"));
        let text = std::fs::read_to_string(&out).unwrap();
        let pairs = pairs(Path::new(&out), Path::new(&candidate), Path::new(&reference));
        let old = |(c, r): (String, String)| (self.old[0][&c].clone(), self.old[1][&r].clone());
        Found { pairs: pairs.into_iter().map(old).collect(), text }
    }
}

/// A suggested mapping and its pairs under the old names.
struct Found {
    pairs: NamePairs,
    text: String,
}

fn pairs(mapping: &Path, candidate: &Path, reference: &Path) -> NamePairs {
    let mapping = Mapping::read(mapping).unwrap();
    let (dump, _) = Dump::open(candidate, &mapping.candidate.naming, ReadAs::default()).unwrap();
    let reference = Reference::open(reference, &mapping.reference.naming, ReadAs::default()).unwrap();
    let identical = |a: &str, b: &str| reference.dump().identical(a, b);
    let pairing = pairing::pair(&mapping, &dump.names(), reference.names(), &identical);
    pairing.pairs.into_iter().map(|pair| (pair.candidate, pair.reference)).collect()
}

/// The pairs that the shipped mapping makes.
fn shipped() -> NamePairs {
    let at = |path: &str| root().join(path);
    let pairs = pairs(&at(MAPPING), &at(DUMP), &at("fixtures/ggml-small"));
    assert_eq!(pairs.len(), 46);
    pairs
}

impl Found {
    /// Right are the pairs of the shipped mapping; those of references with the values of another one count once.
    fn is_right(&self, at_least: usize) {
        let shipped = shipped();
        let right = self.pairs.intersection(&shipped).count();
        let wrong: Vec<_> = self.pairs.difference(&shipped).collect();
        println!("{right} right, {} wrong", wrong.len());
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(right >= at_least, "{right} right\n{}", self.text);
    }
}

/// Three references have the values of another one: each candidate can meet only one of the two by a name of its own.
const ONE_TO_ONE: usize = 43;

/// A name without any meaning.
fn opaque(seed: u64, side: usize, name: &str) -> String {
    let mut state = name.bytes().fold(seed * 2 + side as u64 + 1, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(17)
    });
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[(state >> 33) as usize % 36])
    };
    (0..12).map(|_| letter()).collect()
}

#[test]
fn opaque_names_on_both_sides() {
    for seed in 0..4 {
        Scrambled::by(|side, name| opaque(seed, side, name)).suggest().is_right(ONE_TO_ONE);
    }
}

#[test]
fn opaque_names_on_one_side() {
    for scrambled in [0, 1] {
        let rename =
            |side, name: &str| if side == scrambled { opaque(9, side, name) } else { name.to_string() };
        Scrambled::by(rename).suggest().is_right(ONE_TO_ONE);
    }
}

/// Another port's words, with dots, that go on counting blocks over all stages.
fn structured(side: usize, name: &str) -> String {
    let words = [
        [("mobilenet_block_", "encoder.layer."), ("_inverted_residual", ".y"), ("_layer_scale", ".gamma")],
        [("timm_model_blocks_", "net/s"), ("embed_vision_", "proj/"), ("_layer_scale", "/ls")],
    ];
    let words = &words[side];
    let mut name = words.iter().fold(name.to_string(), |name, (from, to)| name.replace(from, to));
    // Folders cannot be in a file's name.
    name = name.replace('/', ".");
    name
}

#[test]
fn other_words_become_rules_with_placeholders() {
    let found = Scrambled::by(structured).suggest();
    found.is_right(shipped().len());
    let mapping = Mapping::parse(Path::new("out.toml"), found.text.clone()).unwrap();
    assert!(mapping.rules.len() <= 14, "{}", found.text);
    insta::assert_snapshot!(found.text.split_once("\n# ---- Tolerances").unwrap().0);
}

#[test]
fn the_names_as_they_are_against_a_set_with_a_manifest() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("out.toml");
    let sides = ["--candidate", DUMP, "--reference", "fixtures/ggml-small"];
    xtask(&[&["mapping", "suggest", "--out", out.to_str().unwrap()], &sides[..]].concat())
        .assert()
        .code(0)
        .stdout(contains("43 pairs in 13 rules: 38 high, 5 medium, 0 low"))
        .stdout(contains("3 more of the reference have the values of one that is compared"))
        .stdout(contains("next: cargo xtask parity --mapping"));
    let mapping = ["--mapping", out.to_str().unwrap(), "--profile", "f16-weights"];
    xtask(&[&["parity"], &mapping[..], &sides[..]].concat())
        .assert()
        .code(0)
        .stdout(contains("46 compared, 46 passed"));
    let found = pairs(&out, &root().join(DUMP), &root().join("fixtures/ggml-small"));
    assert_eq!(found, shipped());
}

#[test]
fn an_existing_mapping_is_extended_with_its_comments() {
    let folder = tempfile::tempdir().unwrap();
    let (known, out) = (folder.path().join("known.toml"), folder.path().join("out.toml"));
    let shipped_text = std::fs::read_to_string(root().join(MAPPING)).unwrap();
    let (before, rest) = shipped_text.split_once("[[rule]]\nname = \"attention norm\"").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    std::fs::write(&known, format!("{before}{after}")).unwrap();
    let sides = ["--candidate", DUMP, "--reference", "fixtures/ggml-small"];
    let files = ["--mapping", known.to_str().unwrap(), "--out", out.to_str().unwrap()];
    xtask(&[&["mapping", "suggest"], &files[..], &sides[..]].concat())
        .assert()
        .code(0)
        .stdout(contains("4 pairs in 1 rule: 4 high"));
    let text = std::fs::read_to_string(&out).unwrap();
    let lines: BTreeSet<&str> = text.lines().collect();
    let lost: Vec<&str> =
        format!("{before}{after}").leak().lines().filter(|line| !lines.contains(line)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(text.contains("candidate = \"mobilenet_block_{block}_attn_norm\""), "{text}");
    assert_eq!(pairs(&out, &root().join(DUMP), &root().join("fixtures/ggml-small")), shipped());
}

/// A rule of the mapping wants a candidate that the dump has under another name: the rule gets the name too.
#[test]
fn a_renamed_candidate_joins_the_rule_that_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let (dump, out) = (folder.path().join("dump"), folder.path().join("out.toml"));
    std::fs::create_dir(&dump).unwrap();
    for entry in std::fs::read_dir(root().join(DUMP)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().replace("_layer_scale", "_gamma");
        std::fs::copy(entry.path(), dump.join(name)).unwrap();
    }
    let sides = ["--candidate", dump.to_str().unwrap(), "--reference", "fixtures/ggml-small"];
    let files = ["--mapping", MAPPING, "--out", out.to_str().unwrap()];
    xtask(&[&["mapping", "suggest"], &files[..], &sides[..]].concat())
        .assert()
        .code(0)
        .stdout(contains("in 1 rule"));
    let text = std::fs::read_to_string(&out).unwrap();
    let names = r#"candidate = ["mobilenet_block_{block}_layer_scale", "mobilenet_block_{block}_gamma"]"#;
    assert!(text.contains(names), "{text}");
    let judged = ["--mapping", out.to_str().unwrap(), "--profile", "f16-weights"];
    xtask(&[&["parity", "--quiet"], &judged[..], &sides[..]].concat())
        .assert()
        .code(0)
        .stdout(contains("46 compared, 46 passed"));
}

#[test]
fn no_input_is_written_over() {
    let scrambled = Scrambled::by(|_, name| name.to_string());
    let (candidate, reference) = (scrambled.path("candidate"), scrambled.path("reference"));
    let mapping = scrambled.path("mapping.toml");
    std::fs::copy(root().join(MAPPING), &mapping).unwrap();
    for out in [mapping.clone(), format!("{candidate}/msfa_concat.npy")] {
        let before = std::fs::read(&out).unwrap();
        let sides = ["--candidate", &candidate, "--reference", &reference];
        xtask(&[&["mapping", "suggest", "--mapping", &mapping, "--out", &out], &sides[..]].concat())
            .assert()
            .code(2)
            .stderr(contains("this command reads that file"));
        assert!(std::fs::read(&out).unwrap() == before, "{out}");
    }
}

#[test]
fn dumps_of_another_input_give_no_mapping() {
    let sides = ["--candidate", "fixtures/blocks/reference", "--reference", "fixtures/symmetric/reference"];
    let mut command = xtask(&[&["mapping", "suggest"], &sides[..]].concat());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("# high"), "{text}");
}
