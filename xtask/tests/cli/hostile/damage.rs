//! What is damaged or says two things is not taken.

use super::*;

#[test]
fn keys_that_are_there_twice() {
    let pair = HostilePair::new(&mapping_of_one());
    let twice = "{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (2,), }";
    pair.scratch.write("candidate/a.npy", npy(twice, &[0; 8]));
    pair.parity(&[]).assert().code(5).stdout(contains("malformed header: entry `descr` is there twice"));

    let checkout = crate::checkout::Checkout::of("symmetric");
    let path = checkout.path("f32.tolerances.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen('{', "{\"schema_version\": 1,", 1)).unwrap();
    checkout.run(&["parity", "--quiet"]).code(2).stderr(contains("duplicate field `schema_version`"));
}

#[test]
fn a_type_of_four_orders() {
    let pair = HostilePair::new(&mapping_of_one());
    let header = f32_header("(2,)").replace("<f4", "<<<<f4");
    pair.scratch.write("candidate/a.npy", npy(&header, &[0; 8]));
    pair.parity(&[]).assert().code(5).stdout(contains("found `<<<<f4`"));
}

#[test]
fn a_header_that_ends_within_its_length() {
    let pair = HostilePair::new(&mapping_of_one());
    pair.scratch.write("candidate/a.npy", b"\x93NUMPY\x02\x00\x10\x00");
    pair.parity(&[]).assert().code(5).stdout(contains("malformed header: cut short after 10 bytes"));
}

#[test]
fn a_placeholder_made_of_three() {
    let scratch = Scratch::new();
    let placeholder = "[placeholders.b]\nflatten = [\"s\", \"i\", \"j\"]\nlengths = [1]\n";
    let mapping = scratch.write("mapping.toml", format!("{}{placeholder}", mapping_of_one()));
    bounded(&["mapping", "check", &mapping]).assert().code(2).stderr(contains("not two placeholders"));
}

#[test]
fn limits_that_zeros_keep() {
    let with = |limits: &str| mapping_of_one().replace("{ rel_l2 = 1e-6 }", limits);
    for limits in ["{ rel_l2 = 1.0 }", "{ rel_l2 = 1e-6, rel_linf = 2 }", "{ rtol = 1 }"] {
        let pair = HostilePair::new(&with(limits));
        bounded(&["mapping", "check", &pair.scratch.text("mapping.toml")])
            .assert()
            .code(2)
            .stderr(contains("a limit that zeros pass"));
    }
    // Absolute limits and numbers of outliers are held against the tensors.
    for limits in ["{ atol = 0, outliers = 9223372036854775807 }", "{ max_abs = 1e9 }", "{ atol = 1e9 }"] {
        let pair = HostilePair::new(&with(limits));
        for values in [[0f32, 0.0], [-1000.0, -2000.0], [-1.0, -2.0]] {
            let body: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            pair.scratch.write("candidate/a.npy", npy(&f32_header("(2,)"), &body));
            pair.parity(&[]).assert().code(1);
        }
    }
}

#[test]
fn figures_of_very_large_and_very_small_values() {
    for factor in [1e160, 1e-170] {
        let pair = HostilePair::new(&mapping_of_one());
        for (side, values) in [("candidate", [1.0f64, 2.2]), ("reference", [1.0, 2.0])] {
            let body: Vec<u8> = values.iter().flat_map(|x| (x * factor).to_le_bytes()).collect();
            let header = f32_header("(2,)").replace("f4", "f8");
            pair.scratch.write(&format!("{side}/a.npy"), npy(&header, &body));
        }
        let report = pair.scratch.text("report.json");
        pair.parity(&["--report", &format!("json={report}")]).assert().code(1);
        let report: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
        let rel_l2 = report["layers"][0]["rel_l2"].as_f64().unwrap();
        assert!((rel_l2 - 0.2 / 5f64.sqrt()).abs() < 1e-9, "{rel_l2}");
    }
}

#[test]
fn a_manifest_that_leads_elsewhere() {
    for place in ["../elsewhere", "/etc"] {
        for (object, key) in [("weights", "file"), ("input", "file"), ("reference", "folder")] {
            let set = DamagedSet::of("symmetric");
            let path = set.folder.path().join("manifest.json");
            let mut manifest: serde_json::Value =
                serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            manifest[object][key] = place.into();
            std::fs::write(&path, manifest.to_string()).unwrap();
            set.parity().assert().code(5).stderr(contains("expected a path below the set's folder"));
        }
    }
}

#[test]
fn a_manifest_with_other_settings_or_shapes() {
    let change = |change: &dyn Fn(&mut serde_json::Value)| {
        let set = DamagedSet::of("symmetric");
        let path = set.folder.path().join("manifest.json");
        let mut manifest: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        change(&mut manifest);
        std::fs::write(&path, manifest.to_string()).unwrap();
        bounded(&["fixtures", "check", "--out", set.path()]).assert().code(5)
    };
    let padding = |manifest: &mut serde_json::Value| manifest["settings"]["padding"] = "same".into();
    change(&padding)
        .stdout(contains("are padding, output_resolution and kv_stride those that it was made with?"));
    let resolution = |manifest: &mut serde_json::Value| {
        manifest["settings"]["output_resolution"] = serde_json::json!([3, 3])
    };
    change(&resolution).stdout(contains("are padding, output_resolution and kv_stride those"));
    let shape = |manifest: &mut serde_json::Value| {
        let shape = manifest["tensors"][0]["shape"].as_array_mut().unwrap();
        shape.swap(0, 1);
    };
    change(&shape).stdout(contains("expected the recorded shape"));
}
