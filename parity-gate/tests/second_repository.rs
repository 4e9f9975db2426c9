//! The gate in another repository: the shell steps that the actions consist of, without GitHub, from an empty folder.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../harness/tests/folders/mod.rs"]
mod folders;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::store::{read_npy, write_npy};
use harness::tensor::Tensor;
use tempfile::TempDir;

use folders::copy;

fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the package when it runs tests");
    Path::new(&package).parent().unwrap().to_path_buf()
}

/// A repository with a port of the small residual network, and what a runner gives its steps.
struct SecondRepository {
    folder: TempDir,
}

/// What the steps of one run came to.
struct WorkflowRun {
    exit_code: String,
    summary: String,
    /// What was printed.
    log: String,
}

impl SecondRepository {
    fn new() -> SecondRepository {
        let repository = SecondRepository { folder: tempfile::tempdir().unwrap() };
        let network = root().join("harness/tests/resnet");
        copy(&network, &repository.path("parity"));
        std::fs::remove_dir_all(repository.path("parity/port")).unwrap();
        copy(&network.join("port"), &repository.path("dumps"));
        copy(&root().join("examples/second-repository/.github"), &repository.path(".github"));
        std::fs::create_dir(repository.path("bin")).unwrap();
        // The installed program.
        let program = env!("CARGO_BIN_EXE_parity-gate");
        std::os::unix::fs::symlink(program, repository.path("bin/parity-gate")).unwrap();
        repository
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a script of an action in the repository, with nothing in its environment but what is given.
    fn script(&self, name: &str, argument: &Path, environment: &[(&str, &str)]) -> Output {
        let script = root().join(".github/actions").join(name);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.path("bin").display());
        let mut command = Command::new("bash");
        command.arg(script).arg(argument).current_dir(self.folder.path()).env_clear();
        command.env("PATH", path).env("HOME", self.folder.path()).env("CI", "true");
        command.envs(environment.iter().copied()).output().unwrap()
    }

    /// The step of the workflow that compares.
    fn compare(&self) -> WorkflowRun {
        let [summary, output] = ["summary.md", "output.txt"].map(|name| self.path(name));
        [&summary, &output].into_iter().for_each(|file| std::fs::write(file, "").unwrap());
        let inputs = self.inputs();
        let of = |name: &str| inputs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value);
        let ran = self.script(
            "parity/compare.sh",
            &self.path("reports"),
            &[
                ("CANDIDATE", of("candidate")),
                ("REFERENCE", of("reference")),
                ("MAPPING", of("mapping")),
                ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
                ("GITHUB_OUTPUT", output.to_str().unwrap()),
                ("GITHUB_ACTIONS", "true"),
            ],
        );
        let log = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{log}");
        let output = std::fs::read_to_string(output).unwrap();
        let exit_code = output.trim().strip_prefix("exit-code=").unwrap().to_string();
        WorkflowRun { exit_code, summary: std::fs::read_to_string(summary).unwrap(), log }
    }

    /// What the example's workflow gives the action: the keys under its last `with`.
    fn inputs(&self) -> Vec<(String, String)> {
        let workflow = std::fs::read_to_string(self.path(".github/workflows/parity.yml")).unwrap();
        let (_, with) = workflow.rsplit_once("with:\n").unwrap();
        let input = |line: &str| line.trim().split_once(": ").map(|(key, value)| (key.into(), value.into()));
        with.lines().filter_map(input).collect()
    }

    /// The step that comments, with a `gh` that knows one pull request, and a comment on it where there is one.
    fn comment(&self, head: &str, earlier: Option<&str>) -> String {
        let earlier = earlier
            .map_or(String::new(), |id| format!("echo '7 unrelated'\necho '{id} <!-- parity: parity -->'\n"));
        let gh = format!(
            "#!/usr/bin/env bash\necho \"$*\" >>calls.txt\ncase \"$*\" in\n*/pulls*) echo '12 {head}' ;;\n*--paginate*) \
             {earlier}:\n;;\n*) for last; do :; done; cp \"${{last#body=@}}\" comment.md ;;\nesac\n"
        );
        std::fs::write(self.path("bin/gh"), gh).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(self.path("bin/gh"), executable).unwrap();
        let ran = self.script(
            "parity-comment/comment.sh",
            &self.path("reports/parity.md"),
            &[
                ("REPOSITORY", "someone/port"),
                ("HEAD_OWNER", "a-fork"),
                ("HEAD_BRANCH", "faster"),
                ("HEAD_SHA", "c0ffee"),
                ("ARTIFACT", "parity"),
                ("RUN_URL", "https://example.org/run/1"),
            ],
        );
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

#[test]
fn from_an_empty_folder_to_a_red_pull_request_and_back() {
    let repository = SecondRepository::new();
    let run = repository.compare();
    assert_eq!(run.exit_code, "0", "{}", run.log);
    assert!(run.summary.contains("PASS"), "{}", run.summary);
    // The port loses a factor in one block.
    let block = repository.path("dumps/dump_unit_2_branch.npy");
    let right = std::fs::read(&block).unwrap();
    let tensor = read_npy(&block, None).unwrap();
    let values = tensor.iter().map(|x| (1.01 * x) as f32).collect();
    write_npy(&block, &Tensor::from_f32(tensor.shape().to_vec(), values).unwrap()).unwrap();
    let run = repository.compare();
    assert_eq!(run.exit_code, "1", "{}", run.log);
    assert!(run.log.contains("unit_2_branch") && run.log.contains("::error"), "{}", run.log);
    for report in ["parity.html", "parity.json", "parity.md"] {
        assert!(repository.path("reports").join(report).is_file(), "{report}");
    }
    assert_eq!(repository.comment("c0ffee", None), "commented on #12\n");
    let comment = repository.read("comment.md");
    assert!(
        comment.starts_with("<!-- parity: parity -->\n") && comment.contains("unit_2_branch"),
        "{comment}"
    );
    assert!(comment.contains("https://example.org/run/1"), "{comment}");
    // Nothing that the program says names the one that this project develops with, or its model.
    for text in [&run.log, &run.summary, &comment] {
        assert!(!text.contains("xtask") && !text.to_lowercase().contains("mobilenet"), "{text}");
    }
    std::fs::write(&block, right).unwrap();
    let run = repository.compare();
    assert_eq!(run.exit_code, "0", "{}", run.log);
    assert_eq!(repository.comment("c0ffee", Some("345")), "updated the comment on #12\n");
    assert!(repository.read("comment.md").contains("PASS"));
    let calls = repository.read("calls.txt");
    assert!(calls.contains("--method POST repos/someone/port/issues/12/comments"), "{calls}");
    assert!(calls.contains("--method PATCH repos/someone/port/issues/comments/345"), "{calls}");
}

#[test]
fn a_comment_is_for_the_head_that_was_run_and_calls_nobody() {
    let repository = SecondRepository::new();
    repository.compare();
    let report = repository.path("reports/parity.md");
    std::fs::write(&report, format!("```\n@everybody look\n{}", "@".repeat(100_000))).unwrap();
    assert!(repository.comment("another", None).contains("nothing to comment"));
    assert!(!repository.path("comment.md").exists());
    repository.comment("c0ffee", None);
    let comment = repository.read("comment.md");
    // Within one block of text, which nothing in it ends.
    assert_eq!(comment.matches("```").count(), 2, "{}", &comment[..200]);
    assert!(comment.contains("```text\n\n@everybody look"), "{}", &comment[..200]);
    assert!(comment.len() < 65_536);
    std::fs::remove_file(&report).unwrap();
    repository.comment("c0ffee", None);
    assert!(repository.read("comment.md").contains("There is no result"));
}

#[test]
fn what_keeps_a_comparison_from_being_made_fails_too() {
    let repository = SecondRepository::new();
    std::fs::remove_dir_all(repository.path("dumps")).unwrap();
    let run = repository.compare();
    assert_eq!(run.exit_code, "5", "{}", run.log);
    assert!(run.summary.contains("dumps"), "{}", run.summary);
}
