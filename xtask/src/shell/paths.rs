//! Where the program's own files are: in the checkout that it is run in, in a folder that is named, or in the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use harness::mapping::Mapping;

use super::failure::Failure;

/// Names a root of fixtures, baselines and mappings, in the place of a checkout.
const ROOT_VARIABLE: &str = "PARITY_ROOT";
/// The mapping of the checkout that the program was compiled from.
const BUILT_IN: &str = include_str!("../../../mappings/gemma3n.toml");
/// The same with the tensors inside blocks.
const BUILT_IN_INNER: &str = include_str!("../../../mappings/gemma3n-inner.toml");
/// What it is called where it is shown.
const BUILT_IN_NAME: &str = "gemma3n.toml (built in)";

/// Where fixtures, baselines and mappings are.
#[derive(Clone, Debug)]
enum Root {
    /// Named by the environment.
    Given(PathBuf),
    /// The checkout that the program is run in.
    Checkout(PathBuf),
    /// There is none: an installed program, run elsewhere.
    Absent,
}

impl Root {
    fn find() -> Root {
        if let Some(given) = std::env::var_os(ROOT_VARIABLE) {
            return Root::Given(given.into());
        }
        checkout().map_or(Root::Absent, Root::Checkout)
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Root::Given(path) | Root::Checkout(path) => Some(path),
            Root::Absent => None,
        }
    }
}

/// The checkout above the current folder; where there is none, the one that cargo runs this program from.
fn checkout() -> Option<PathBuf> {
    let is_checkout = |path: &Path| {
        path.join("xtask").join("Cargo.toml").is_file()
            && path.join("mappings").join("gemma3n.toml").is_file()
    };
    let above = std::env::current_dir().ok()?;
    if let Some(found) = above.ancestors().find(|path| is_checkout(path)) {
        return Some(found.to_path_buf());
    }
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    package.parent().filter(|path| is_checkout(path)).map(Path::to_path_buf)
}

fn root() -> &'static Root {
    static ROOT: OnceLock<Root> = OnceLock::new();
    ROOT.get_or_init(Root::find)
}

/// The checkout's sources: what cargo works on.
pub(crate) fn sources() -> Result<PathBuf, Failure> {
    checkout().ok_or_else(|| {
        Failure::usage(
            "no checkout of this project above the current folder",
            "run this command in a checkout; parity, encode and mapping check work anywhere",
        )
    })
}

/// The folder of the reference sets, where there is one.
pub(crate) fn fixtures() -> Option<PathBuf> {
    root().path().map(|root| root.join("fixtures"))
}

/// The folder of the reference sets, for what needs them.
pub(crate) fn required_fixtures() -> Result<PathBuf, Failure> {
    fixtures().ok_or_else(|| {
        Failure::usage(
            "no reference sets: there is no checkout of this project above the current folder",
            "run this in a checkout, or name a reference with --reference DIR",
        )
    })
}

/// The folder of derived tolerances and known errors, where there is one.
pub(crate) fn baselines() -> Option<PathBuf> {
    root().path().map(|root| root.join("baselines"))
}

/// The file of the mapping: the one that is named, else the checkout's; `None` where it is the program's own.
pub(crate) fn mapping_file(named: Option<&Path>) -> Option<PathBuf> {
    named.map(Path::to_path_buf).or_else(default_mapping)
}

/// The file of the mapping that is used when none is named, where it is not the program's own.
fn default_mapping() -> Option<PathBuf> {
    let path = Some(root().path()?.join("mappings").join("gemma3n.toml")).filter(|path| path.is_file())?;
    Some(PathBuf::from(shown(&path)))
}

/// A mapping: the one that is named, else the checkout's, else the program's own.
pub(crate) fn mapping(named: Option<&Path>) -> Result<Mapping, Failure> {
    Ok(match mapping_file(named) {
        Some(file) => Mapping::read(&file)?,
        None => Mapping::parse(Path::new(BUILT_IN_NAME), BUILT_IN.to_string())?,
    })
}

/// The checkout's mapping for sets with the tensors inside blocks, where there is one.
pub(crate) fn inner_mapping() -> Result<Option<Mapping>, Failure> {
    let file = root().path().map(|root| root.join("mappings").join("gemma3n-inner.toml"));
    match file.filter(|file| file.is_file()) {
        Some(file) => Ok(Some(Mapping::read(Path::new(&shown(&file)))?)),
        None => Ok(None),
    }
}

/// The program's own mapping of every tensor that the encoder has a name for.
pub(crate) fn built_in_inner_mapping() -> Result<Mapping, Failure> {
    Ok(Mapping::parse(Path::new("gemma3n-inner.toml (built in)"), BUILT_IN_INNER.to_string())?)
}

/// Whether a mapping is the one that is used when none is named, which tolerances and known errors are of.
pub(crate) fn is_default(mapping: &Mapping) -> bool {
    match default_mapping() {
        None => mapping.path == Path::new(BUILT_IN_NAME),
        Some(default) => {
            let canonical = |path: &Path| std::fs::canonicalize(path).ok();
            canonical(&mapping.path) == canonical(&default)
        }
    }
}

/// Where what a run used was found, for reports.
pub(crate) fn resources(mapping: &Mapping) -> BTreeMap<String, String> {
    let folder = |path: Option<PathBuf>| path.map_or("none".to_string(), |path| path.display().to_string());
    let found = match root() {
        Root::Given(_) => format!("named by {ROOT_VARIABLE}"),
        Root::Checkout(_) => "the checkout that this was run in".to_string(),
        Root::Absent => "none: no checkout above the current folder".to_string(),
    };
    [
        ("mapping", mapping.path.display().to_string()),
        ("root", found),
        ("fixtures", folder(fixtures())),
        ("baselines", folder(baselines())),
    ]
    .map(|(name, place)| (name.to_string(), place))
    .into()
}

/// What to do about a file that cannot be read: those of the checkout's sets come back.
pub(crate) fn unreadable_help(path: &Path) -> Option<String> {
    let help = match (path.exists(), is_of_a_set(path)) {
        (false, true) => "is the path right? The files of a set come back with `git restore fixtures`",
        (false, false) => "is the path right?",
        (true, true) => "the files of a set come back with `git restore fixtures`",
        // What is wrong with what is there, the message says.
        (true, false) => return None,
    };
    Some(help.to_string())
}

/// Whether a path lies in the checkout's sets.
pub(crate) fn is_of_a_set(path: &Path) -> bool {
    // What is not there any more still lies where its folder does.
    let place = |path: &Path| {
        let absolute = std::path::absolute(path).ok()?;
        absolute.ancestors().find_map(|part| std::fs::canonicalize(part).ok())
    };
    fixtures()
        .and_then(|fixtures| Some((place(path)?, std::fs::canonicalize(fixtures).ok()?)))
        .is_some_and(|(path, fixtures)| path.starts_with(fixtures))
}

/// A path as people see it: relative to the current folder where it lies below.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match path.strip_prefix(&here) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_string(),
        Ok(below) => below.display().to_string(),
        Err(_) => path.display().to_string(),
    }
}
