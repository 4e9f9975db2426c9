//! The README's `git bisect run`, over a history with commits that cannot be tested.

#[cfg(unix)]
use std::{path::Path, process::Command};

use crate::support::*;

#[cfg(unix)]
fn git(folder: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"];
    let mut command = Command::new("git");
    command.current_dir(folder).args(identity).args(arguments);
    // The hooks and settings of whoever runs the tests have no part in it.
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let done = command.env("DUMPS", folder.parent().unwrap()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "git {arguments:?}: {text}");
    text
}

/// The command that README gives, with this program and the committed reference in the place of the user's.
#[cfg(unix)]
fn documented() -> String {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let line = readme.lines().find(|line| line.starts_with("git bisect run sh -c '")).unwrap();
    let command = line.strip_prefix("git bisect run sh -c '").unwrap().strip_suffix('\'').unwrap();
    let reference = root().join("fixtures/ggml-small");
    let profile = "--profile f16-weights";
    command
        .replace("~/parity/target/release/xtask", binary().to_str().unwrap())
        .replace("--reference debug_output", &format!("{profile} --reference {}", reference.display()))
}

#[cfg(unix)]
#[test]
fn bisection_finds_the_commit_past_those_that_cannot_be_tested() {
    let folder = tempfile::tempdir().unwrap();
    let dumps = folder.path();
    for name in ["right", "wrong", "cut"] {
        copy(&root().join(DUMP), &dumps.join(name));
    }
    edit(&dumps.join("wrong/debug_mobilenet_block_7_attn_norm.npy"), |_, values| values[17] += 1.0);
    std::fs::write(dumps.join("cut/debug_mobilenet_block_7_attn_norm.npy"), b"\x93NUMPY").unwrap();
    let port = dumps.join("port");
    std::fs::create_dir(&port).unwrap();
    git(&port, &["init", "--quiet"]);
    let builds = |works: bool| format!("#!/bin/sh\nexit {}\n", u8::from(!works));
    let history = [
        ("right", true),
        ("right", false),
        ("right", true),
        ("cut", true),
        ("right", true),
        ("wrong", true),
        ("wrong", true),
        ("cut", true),
        ("wrong", true),
    ];
    let mut commits = Vec::new();
    for (number, (dump, works)) in history.into_iter().enumerate() {
        let script =
            format!("# {number}\nrm -rf debug_ggml_output\ncp -r \"$DUMPS/{dump}\" debug_ggml_output\n");
        std::fs::write(port.join("build.sh"), builds(works)).unwrap();
        std::fs::write(port.join("dump.sh"), script).unwrap();
        for script in ["build.sh", "dump.sh"] {
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(port.join(script), executable).unwrap();
        }
        git(&port, &["add", "build.sh", "dump.sh"]);
        git(&port, &["commit", "--quiet", "--message", &format!("number {number}")]);
        commits.push(git(&port, &["rev-parse", "HEAD"]).trim().to_string());
    }
    git(&port, &["bisect", "start", commits.last().unwrap(), &commits[0]]);
    let found = git(&port, &["bisect", "run", "sh", "-c", &documented()]);
    assert!(found.contains(&format!("{} is the first bad commit", commits[5])), "{found}");
}

#[test]
fn what_is_not_about_numbers_skips_the_commit() {
    let parity =
        |arguments: &[&str]| xtask(&[&["parity", "--quiet", "--bisect"], arguments].concat()).assert();
    let reference = ["--profile", "f16-weights", "--reference", "fixtures/ggml-small", "--candidate"];
    parity(&[&reference[..], &[DUMP]].concat()).code(0);
    let cases: [(&str, &[&str]); 4] = [
        ("no folder", &["no-such-folder"]),
        ("nothing to compare", &["fixtures/pictures"]),
        ("a wrong profile", &[DUMP, "--profile=none"]),
        ("an option that is none", &[DUMP, "--no-such-option"]),
    ];
    for (case, arguments) in cases {
        eprintln!("{case}");
        parity(&[&reference[..], arguments].concat()).code(125);
    }
}
