//! A size that somebody else chose is held against what there is before memory is taken for it.

use super::*;

#[test]
fn a_picture_of_many_pixels_in_a_small_file() {
    // The header alone says how large it is.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(23_000u32.to_be_bytes());
    png.extend(23_000u32.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    let crc = png[12..].iter().fold(!0u32, |crc, byte| {
        (0..8)
            .fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (0u32.wrapping_sub(crc & 1))))
    });
    png.extend((!crc).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    let scratch = Scratch::new();
    let input = scratch.write("input.png", png);
    let weights = small_set().join("model.safetensors");
    bounded(&[
        "encode",
        "--weights",
        weights.to_str().unwrap(),
        "--input",
        &input,
        "--out",
        &scratch.text("o.npy"),
    ])
    .assert()
    .code(5)
    .stderr(contains("at most 178956970 pixels, found 23000 x 23000 = 529000000 pixels"));
}

#[test]
fn a_resolution_of_the_output() {
    encode(&["--out", "tokens.npy", "--output-resolution", "4096x4096"])
        .assert()
        .code(2)
        .stderr(contains("each from 1 to 256"));
    let set = DamagedSet::of("symmetric");
    let path = set.folder.path().join("manifest.json");
    let mut manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    manifest["settings"]["output_resolution"] = serde_json::json!([4096, 4096]);
    std::fs::write(&path, manifest.to_string()).unwrap();
    set.parity().timeout(MOST).assert().code(5).stderr(contains(
        "an output resolution and a k/v stride from 1 to 256, found output resolution 4096x4096",
    ));
}

#[test]
fn a_sparse_candidate_is_not_read_where_its_shape_is_wrong() {
    let pair = HostilePair::new(&mapping_of_one());
    let path = pair.scratch.path("candidate/a.npy");
    let header = npy(&f32_header("(1500000000,)"), b"");
    std::fs::write(&path, &header).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(header.len() as u64 + 6_000_000_000).unwrap();
    pair.parity(&[]).assert().code(4);
}

#[cfg(target_os = "linux")]
#[test]
fn many_pictures_in_one_file_are_taken_in_parts() {
    let scratch = Scratch::new();
    let body = vec![0u8; 20_000 * 3 * 4];
    let input = scratch.write("input.npy", npy(&f32_header("(20000, 3, 1, 1)"), &body));
    let set = small_set();
    let weights = set.join("model.safetensors");
    // As many as there is time for: memory does not grow with them.
    let mut command = std::process::Command::new(binary());
    command.args(["encode", "--weights", weights.to_str().unwrap(), "--input", &input, "--out"]);
    let mut child = command.arg(scratch.path("out.npy")).stderr(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none(), "it ended before all were encoded");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: u64 = peak.trim().trim_end_matches("kB").trim().parse().unwrap();
    assert!(kibibytes < 500 << 10, "{peak}");
}

/// Under a limit of address space, as `ulimit -v` sets it.
#[cfg(target_os = "linux")]
#[test]
fn what_does_not_fit_in_memory_is_told() {
    let scratch = Scratch::new();
    let pixels = 3000 * 3000 * 3;
    let input = scratch.write("input.npy", npy(&f32_header("(1, 3, 3000, 3000)"), &vec![0u8; 4 * pixels]));
    let weights = small_set().join("model.safetensors");
    let script = format!(
        "ulimit -v 420000; exec {} encode --threads 1 --weights {} --input {input} --out {}",
        binary().display(),
        weights.display(),
        scratch.text("out.npy")
    );
    let mut command = Command::new("sh");
    command.timeout(MOST).args(["-c", &script]).env_remove("ENCODER_MAX_ISA");
    command.assert().code(5).stderr(contains("MiB of memory; ")).stderr(contains("MiB are available"));
}
