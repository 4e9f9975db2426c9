//! Output that cannot be written and signals end a command quietly, or with exit code 5.
#![cfg(unix)]

use super::*;

const PARITY: [&str; 3] = ["parity", "--reference", "fixtures/symmetric"];

fn run(arguments: &[&str], stdout: &str, stderr: &str) -> Option<i32> {
    let words: Vec<String> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
    let script = format!("exec {} {} {stdout} {stderr}", binary().display(), words.join(" "));
    let mut command = Command::new("sh");
    command.current_dir(root()).timeout(MOST).args(["-c", &script]);
    command.assert().get_output().status.code()
}

#[test]
fn outputs_that_are_closed_or_full() {
    let nothing = ["mapping", "check", "no-such-file.toml"];
    assert_eq!(run(&nothing, ">/dev/null", "2>&-"), Some(2));
    assert_eq!(run(&PARITY, ">/dev/null", "2>&-"), Some(0));
    // What is closed when a process begins is opened as a sink.
    assert_eq!(run(&PARITY, ">&-", "2>/dev/null"), Some(0));
    if Path::new("/dev/full").exists() {
        assert_eq!(run(&nothing, ">/dev/null", "2>/dev/full"), Some(2));
        assert_eq!(run(&PARITY, ">/dev/full", "2>/dev/full"), Some(5));
    }
}

/// Temporary files of a run that is told to stop while it writes.
#[test]
fn a_signal_leaves_no_temporary_file() {
    use std::os::unix::process::ExitStatusExt;

    for (signal, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let scratch = Scratch::new();
        let set = small_set();
        let pixels = std::fs::read(set.join("input.png")).unwrap();
        let inputs: Vec<String> =
            (0..400).map(|i| scratch.write(&format!("inputs/{i}.png"), &pixels)).collect();
        assert!(!inputs.is_empty());
        let out = scratch.path("out");
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("tokens.npy"), "earlier").unwrap();
        let mut child = std::process::Command::new(binary())
            .args(["encode", "--weights"])
            .arg(set.join("model.safetensors"))
            .arg("--input")
            .arg(scratch.path("inputs"))
            .arg("--out")
            .arg(out.join("tokens.npy"))
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let begun = (0..1000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            names(&out).len() > 1
        });
        assert!(begun, "nothing is written aside");
        let kill = std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(number), "{status:?}");
        assert_eq!(names(&out), ["tokens.npy"]);
        assert_eq!(std::fs::read_to_string(out.join("tokens.npy")).unwrap(), "earlier");
    }
}
