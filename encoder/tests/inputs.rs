//! Inputs that are refused.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod fixtures;

use encoder::{Checkpoint, LoadOptions, Model, NoTaps, dump, input};

use fixtures::fixtures;

fn model() -> Model {
    let path = fixtures().join("blocks/model.safetensors");
    Model::load(&Checkpoint::open(&path).unwrap(), &LoadOptions::default()).unwrap()
}

#[test]
fn shapes_and_values_are_checked_before_any_work() {
    let model = model();
    let cases: [(&[usize], usize, f32); 8] = [
        (&[3, 64, 64], 3 * 64 * 64, 0.5),
        (&[1, 4, 64, 64], 4 * 64 * 64, 0.5),
        (&[1, 3, 64, 64], 3 * 64 * 63, 0.5),
        (&[1, 3, 0, 64], 0, 0.5),
        (&[0, 3, 64, 64], 0, 0.5),
        (&[1, 3, 64, 64], 3 * 64 * 64, 127.0),
        (&[1, 3, 64, 64], 3 * 64 * 64, f32::NAN),
        (&[usize::MAX, 3, 2, 2], 12, 0.5),
    ];
    let messages = cases
        .map(|(shape, n, value)| model.encode(shape, &vec![value; n], &mut NoTaps).unwrap_err().to_string());
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn files_without_an_image_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("text.png"), b"no picture").unwrap();
    std::fs::write(path("input.gif"), b"GIF89a").unwrap();
    std::fs::write(path("empty.jpg"), b"").unwrap();
    std::fs::create_dir(path("folder.png")).unwrap();
    for name in ["text.png", "input.gif", "empty.jpg", "folder.png", "none.png"] {
        let message = input::read_image(&path(name)).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn a_dump_is_complete_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("debug_x.npy");
    std::fs::create_dir(&taken).unwrap();
    let message = dump::write_npy(&taken, &[2], &[1.0, 2.0]).unwrap_err().to_string();
    assert!(message.contains("debug_x.npy"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something was left behind");
}

#[test]
fn memory_is_told_before_a_run() {
    let model = model();
    let of = |shape: &[usize]| model.working_memory(shape);
    let input = |n: usize| u64::try_from(n * size_of::<f32>()).unwrap();
    let small = of(&[1, 3, 64, 64]).unwrap();
    // The input itself and the stem's output, half as high and as wide, are held at once.
    assert!(small > input(3 * 64 * 64), "{small}");
    assert!(of(&[7, 3, 64, 64]).unwrap().abs_diff(7 * small) < 8);
    let large = of(&[1, 3, 512, 512]).unwrap();
    assert!(large > small && large < 70 * small, "{large} and {small}");
    assert_eq!((of(&[3, 64, 64]), of(&[1, 3, usize::MAX, usize::MAX])), (None, None));
    // What a run really took stays for the next one: between half of what was told and twice as much.
    model.encode(&[1, 3, 64, 64], &vec![0.5; 3 * 64 * 64], &mut NoTaps).unwrap();
    let left = of(&[1, 3, 64, 64]).unwrap();
    let large_after = of(&[1, 3, 512, 512]).unwrap();
    let kept = large - large_after;
    assert!(kept > small / 2 && kept < 2 * small && left == small.saturating_sub(kept), "{kept} of {small}");
}
