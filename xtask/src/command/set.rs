//! `cargo xtask set`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use harness::making::{MadeSet, MakeSetError, SetSource, make};

use crate::committed::set;
use crate::shell::ci;
use crate::shell::console::say;
use crate::shell::failure::{CommandResult, Failure};
use crate::shell::paths;

/// Make reference sets, of any model.
#[derive(clap::Args)]
pub(crate) struct SetCommand {
    #[command(subcommand)]
    action: SetAction,
}

#[derive(Subcommand)]
enum SetAction {
    Make(SetMake),
}

/// Make a set of two runs of a reference: tensors, hashes, their order, and for each the noise floor.
///
/// The run in f64 is the reference; how far the run in f32 is from it is the noise floor, of which limits are
/// multiples. Both are folders of .npy files with a dump.json beside them, as examples/capture.py writes
/// them for any PyTorch module.
///
/// Example:
///   cargo xtask set make --f64 captured/f64 --f32 captured/f32 --weights model.safetensors --input input.npy --out my-set
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
struct SetMake {
    /// The run in f64.
    #[arg(long = "f64", value_name = "DIR")]
    exact: PathBuf,
    /// The run in f32.
    #[arg(long = "f32", value_name = "DIR")]
    rounded: PathBuf,
    /// The model's weights; they are copied into the set.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The model's input; it is copied into the set.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The folder of the set, which is not there yet.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The set's name (default: that of its folder).
    #[arg(long)]
    name: Option<String>,
    /// A tensor to leave out, such as a mask with infinities; may be given several times.
    #[arg(long, value_name = "NAME")]
    without: Vec<String>,
}

impl SetCommand {
    pub(crate) fn run(self) -> CommandResult {
        let SetAction::Make(asked) = self.action;
        ci::refuse()?;
        let of_folder = || asked.out.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = asked.name.clone().or_else(of_folder).unwrap_or_default();
        let source = SetSource {
            name: &name,
            exact: &asked.exact,
            rounded: &asked.rounded,
            weights: &asked.weights,
            input: &asked.input,
            without: &asked.without,
        };
        if !set::is_plain(&name) {
            return Err(Failure::usage(
                format!("`{name}`: expected letters, digits, `-`, `_` and `.` in a set's name"),
                "name it: --name NAME",
            ));
        }
        let MadeSet { tensors, noisiest: (noisiest, floor) } =
            make(&source, &asked.out).map_err(|error| failure(&error))?;
        let out = paths::shown(&asked.out);
        say(&format!(
            "{out}: {tensors} tensors; the highest noise floor is that of {noisiest}, rel_l2 {floor:.1e}"
        ));
        say(&format!(
            "next: cargo xtask mapping suggest --candidate DIR --reference {out} --out mapping.toml, DIR being what your \
             port dumps; it pairs its names with these by their values"
        ));
        Ok(ExitCode::SUCCESS)
    }
}

fn failure(error: &MakeSetError) -> Failure {
    let failure = Failure::unusable(error.to_string());
    let leave_out = |name: &str| format!("where it says nothing about the model: --without {name}");
    match error {
        MakeSetError::NoRecord { .. } => failure.help("examples/capture.py writes one"),
        MakeSetError::Exists { .. } => failure.help("name another folder, or remove this one"),
        MakeSetError::OtherType { name, .. } => failure.help(format!(
            "are --f64 and --f32 the right way round, and both runs whole? {}",
            leave_out(name)
        )),
        MakeSetError::NotFinite { name, .. } | MakeSetError::Vanishing { name } => {
            failure.help(leave_out(name))
        }
        MakeSetError::NoNoise => failure.help("is --f32 the run in f32?"),
        MakeSetError::NotAsRecorded { .. } => failure.help("capture both runs again"),
        _ => failure,
    }
}
