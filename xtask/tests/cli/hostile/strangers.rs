//! Sides that are one, and files beside a dump that are none of it.

use super::*;

/// A pair of folders with four tensors each, of different values.
fn four() -> HostilePair {
    let rules: String = ["b", "c", "d"]
        .map(|name| format!("[[rule]]\nname = \"{name}\"\ncandidate = \"{name}\"\nreference = \"{name}\"\n"))
        .concat();
    let pair = HostilePair::new(&format!("{}{rules}", mapping_of_one()));
    for side in ["candidate", "reference"] {
        for (name, value) in [("b", 3f32), ("c", 4.0), ("d", 5.0)] {
            let body: Vec<u8> = [value, 0.5].iter().flat_map(|x| x.to_le_bytes()).collect();
            pair.scratch.write(&format!("{side}/{name}.npy"), npy(&f32_header("(2,)"), &body));
        }
    }
    pair
}

#[test]
fn copies_of_the_reference() {
    let pair = four();
    pair.parity(&[]).assert().code(0).stdout(contains("4 of 4 layers are equal to the last bit"));
}

#[cfg(unix)]
#[test]
fn links_to_the_reference_and_the_reference_itself() {
    let pair = four();
    for name in ["a", "b", "c", "d"] {
        let [candidate, reference] =
            ["candidate", "reference"].map(|side| pair.scratch.path(side).join(format!("{name}.npy")));
        std::fs::remove_file(&candidate).unwrap();
        match name {
            "a" => std::fs::hard_link(reference, candidate).unwrap(),
            _ => std::os::unix::fs::symlink(reference, candidate).unwrap(),
        }
    }
    let said = "4 layers are one file on both sides";
    pair.parity(&[]).assert().code(0).stdout(contains(said));
    let (reference, mapping) = (pair.scratch.text("reference"), pair.scratch.text("mapping.toml"));
    bounded(&["parity", "--candidate", &reference, "--reference", &reference, "--mapping", &mapping])
        .assert()
        .code(0)
        .stdout(contains(said));
}

#[test]
fn tensors_of_one_value() {
    for value in [0f32, 1.0] {
        let pair = HostilePair::new(&mapping_of_one());
        for side in ["candidate", "reference"] {
            let body: Vec<u8> = [value; 2].iter().flat_map(|x| x.to_le_bytes()).collect();
            pair.scratch.write(&format!("{side}/a.npy"), npy(&f32_header("(2,)"), &body));
        }
        pair.parity(&[])
            .assert()
            .code(3)
            .stdout(contains("every reference holds zeros, or one magnitude throughout"));
    }
}

#[test]
fn a_manifest_of_another_program() {
    let pair = four();
    for place in ["reference/manifest.json", "manifest.json"] {
        pair.scratch.write(place, r#"{"name": "an extension of a browser", "manifest_version": 3}"#);
    }
    pair.parity(&[]).assert().code(0);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_stay_two() {
    use std::os::unix::ffi::OsStrExt;

    let pair = HostilePair::new(&mapping_of_one());
    for byte in [b'\xfe', b'\xff'] {
        let name = [b"b".as_slice(), &[byte], b".npy"].concat();
        let path = pair.scratch.path("candidate").join(std::ffi::OsStr::from_bytes(&name));
        std::fs::copy(pair.scratch.path("candidate/a.npy"), path).unwrap();
    }
    pair.parity(&[]).assert().code(3).stdout(contains(r"b\xfe")).stdout(contains(r"b\xff"));
}
