//! The manifest of a reference set: what made it, and the noise floor of each tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jsonc_parser::ast::Object;

use crate::files::regular;
use crate::limits::metric::Figures;
use crate::limits::tolerance::NoiseFloor;
use crate::provenance::sha256::Hashed;
use crate::provenance::{RecordedTensor, SettingFacts};
use crate::store::{Algorithm, Fingerprint};
use crate::text::document::{self, Document, DocumentMistake, DocumentMistakeKind, Fields};
use crate::text::facts::{Facts, Factual};
use crate::text::shown::escaped;

/// The file's name in a set's folder.
pub const FILE_NAME: &str = "manifest.json";
/// The newest version of the schema that this program reads; it reads every earlier one.
pub const SCHEMA_VERSION: u32 = 2;

/// f32 is never this far from f64 in a model that works; a limit made of more sees nothing.
pub const MAX_FLOOR: f64 = 1e-3;

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what its fields are")]
pub enum ManifestError {
    #[error("{}: cannot be read: {source}", crate::text::shown::path(path))]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {} mistakes", crate::text::shown::path(path), mistakes.len())]
    Invalid { path: PathBuf, text: String, mistakes: Vec<DocumentMistake> },
}

impl Factual for ManifestError {
    fn facts(&self) -> Facts {
        let at = |what, path: &Path| Facts::of(what, [("file", path.display().to_string())]);
        match self {
            ManifestError::Io { path, source } => at("unreadable", path).with("reason", source.to_string()),
            ManifestError::Invalid { path, mistakes, .. } => {
                at("mistakes", path).with("count", mistakes.len().to_string())
            }
        }
    }
}

/// What made a set.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The set's name.
    pub set: String,
    /// What it is for.
    pub description: String,
    /// What wrote it.
    pub generator: Generator,
    /// What the weights do not show.
    pub settings: SettingFacts,
    /// The model's weights.
    pub weights: Hashed,
    /// The model's input.
    pub input: Hashed,
    /// The tensors' folder.
    pub reference: ReferenceFolder,
    /// In the order of execution.
    pub tensors: Vec<TensorEntry>,
    positions: BTreeMap<String, usize>,
}

/// The script and the versions behind a set.
#[derive(Clone, Debug, Default)]
pub struct Generator {
    /// The program that computed the tensors, as `versions` calls it.
    pub tool: Option<String>,
    /// Versions by program.
    pub versions: BTreeMap<String, String>,
}

/// Where and how the reference tensors are stored.
#[derive(Clone, Debug)]
pub struct ReferenceFolder {
    /// Below the set's folder.
    pub folder: String,
    /// The arithmetic, such as `float64`.
    pub computed_in: Option<String>,
}

/// One reference tensor.
#[derive(Clone, Debug)]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// Its file below the tensors' folder, and its fingerprint.
    pub recorded: RecordedTensor,
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// The error of the reference's own f32 run.
    pub noise_floor: NoiseFloor,
}

impl Manifest {
    /// Reads `manifest.json`.
    ///
    /// # Errors
    /// A file that cannot be read, or every mistake in it.
    pub fn read(path: &Path) -> Result<Manifest, ManifestError> {
        let io = |source| ManifestError::Io { path: path.to_path_buf(), source };
        Manifest::parse(path, regular::read_text(path).map_err(io)?)
    }

    /// Whether a file of that name is one of another program, as browsers and package managers have them: an object without
    /// any key that tells a set.
    pub fn is_of_another_program(path: &Path) -> bool {
        let text = regular::read(path).unwrap_or_default();
        let keys = ["schema_version", "set", "generator", "weights", "reference", "tensors"];
        match serde_json::from_slice(&text) {
            Ok(serde_json::Value::Object(fields)) => !keys.iter().any(|key| fields.contains_key(*key)),
            _ => false,
        }
    }

    /// Reads a manifest from its text; `path` is only shown.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse(path: &Path, text: String) -> Result<Manifest, ManifestError> {
        document::read(&text, manifest).map_err(|mistakes| ManifestError::Invalid {
            path: path.to_path_buf(),
            text: text.clone(),
            mistakes,
        })
    }

    /// The entry of a tensor.
    pub fn tensor(&self, name: &str) -> Option<&TensorEntry> {
        self.positions.get(name).map(|at| &self.tensors[*at])
    }

    /// What the set is, in a few words: its name, the program and its version, the arithmetic. `tool` is the program's
    /// name where the manifest does not give it.
    pub fn title(&self, tool: Option<&str>) -> String {
        let versions = &self.generator.versions;
        let known = self.generator.tool.as_deref().or(tool.filter(|tool| versions.contains_key(*tool)));
        let tool = known.map(|tool| match versions.get(tool) {
            Some(version) => format!("{tool} {version}"),
            None => tool.to_string(),
        });
        let computed = self.reference.computed_in.as_ref().map(|arithmetic| format!("in {arithmetic}"));
        let how = [tool, computed].into_iter().flatten().collect::<Vec<_>>().join(" ");
        match how.as_str() {
            "" => format!("set {}", self.set),
            how => format!("set {}, {how}", self.set),
        }
    }
}

fn manifest(document: &mut Document<'_>, object: &Object<'_>) -> Option<Manifest> {
    let fields = document.fields(
        object,
        &[
            "schema_version",
            "set",
            "description",
            "generator",
            "settings",
            "weights",
            "input",
            "reference",
            "tensors",
        ],
    );
    let version = document.whole_number(&fields, "schema_version");
    if let Some(version) = version
        && !(1..=u64::from(SCHEMA_VERSION)).contains(&version)
    {
        document.mistakes.clear();
        document.expected(fields.place("schema_version"), "schema_version 1 or 2", version.to_string());
        // Of another version nothing else is known.
        return None;
    }
    let set = document.text(&fields, "set");
    let description = document.optional_text(&fields, "description").unwrap_or_default();
    let generator = document.optional_object(&fields, "generator");
    let generator = generator.map(|object| generator_of(document, object)).unwrap_or_default();
    let settings = document.optional_object(&fields, "settings");
    let settings = settings.map(|object| settings_of(document, object)).unwrap_or_default();
    let weights = hashed(document, &fields, "weights");
    let input = hashed(document, &fields, "input");
    let reference = document.object(&fields, "reference");
    let reference = reference.and_then(|object| reference_folder(document, object));
    let tensors = tensors(document, &fields);
    let tensors = tensors?;
    let positions = tensors.iter().enumerate().map(|(at, tensor)| (tensor.name.clone(), at)).collect();
    Some(Manifest {
        set: set?,
        description,
        generator,
        settings,
        weights: weights?,
        input: input?,
        reference: reference?,
        tensors,
        positions,
    })
}

fn generator_of(document: &mut Document<'_>, object: &Object<'_>) -> Generator {
    let fields = document.fields(object, &["tool", "script", "arguments", "seed", "python", "versions"]);
    let tool = document.optional_text(&fields, "tool");
    let mut versions = BTreeMap::new();
    if let Some(python) = document.optional_text(&fields, "python") {
        versions.insert("python".to_string(), python);
    }
    if let Some(object) = document.optional_object(&fields, "versions") {
        for property in &object.properties {
            let version = document.value(&property.value);
            let version = version.as_str().map_or_else(|| version.to_string(), String::from);
            versions.insert(escaped(property.name.as_str()).into_owned(), version);
        }
    }
    Generator { tool, versions }
}

fn settings_of(document: &mut Document<'_>, object: &Object<'_>) -> SettingFacts {
    let of = object
        .properties
        .iter()
        .map(|property| (escaped(property.name.as_str()).into_owned(), document.value(&property.value)));
    of.collect()
}

fn reference_folder(document: &mut Document<'_>, object: &Object<'_>) -> Option<ReferenceFolder> {
    let fields = document.fields(object, &["folder", "computed_in", "stored_in"]);
    let computed_in = document.optional_text(&fields, "computed_in");
    let folder = path_below(document, &fields, "folder");
    Some(ReferenceFolder { folder: folder?, computed_in })
}

/// A path that does not leave the folder it is below.
fn path_below(document: &mut Document<'_>, fields: &Fields<'_, '_>, key: &'static str) -> Option<String> {
    let text = document.text(fields, key)?;
    let plain = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    let below = !text.is_empty() && Path::new(&text).components().all(plain);
    if !below {
        document.expected(fields.place(key), "a path below the set's folder", format!("`{text}`"));
    }
    below.then_some(text)
}

/// A hash in hex; what it should be where it is not one.
fn hex(
    document: &mut Document<'_>,
    fields: &Fields<'_, '_>,
    key: &'static str,
    digits: usize,
    expected: &'static str,
) -> Option<String> {
    let text = document.text(fields, key)?;
    let sound = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !sound {
        document.expected(fields.place(key), expected, format!("`{text}`"));
    }
    sound.then_some(text)
}

const SHA256: &str = "a SHA-256 of 64 hex digits";

fn hashed(document: &mut Document<'_>, fields: &Fields<'_, '_>, key: &'static str) -> Option<Hashed> {
    let object = document.object(fields, key)?;
    let fields = document.fields(object, &["file", "sha256", "source"]);
    document.optional_text(&fields, "source");
    let file = path_below(document, &fields, "file");
    let sha256 = hex(document, &fields, "sha256", 64, SHA256);
    Some(Hashed { file: file?, sha256: sha256? })
}

fn tensors(document: &mut Document<'_>, fields: &Fields<'_, '_>) -> Option<Vec<TensorEntry>> {
    let list = document.list(fields, "tensors")?;
    if list.elements.is_empty() {
        document.expected(fields.place("tensors"), "the tensors of a reference set", "an empty list");
    }
    let (mut names, mut entries) = (BTreeSet::new(), Vec::new());
    for value in &list.elements {
        let Some(object) = document.element(value) else { continue };
        let fields = document.fields(object, &["name", "file", "shape", "sha256", "xxh3_128", "noise_floor"]);
        let name = document.text(&fields, "name");
        if let Some(name) = &name
            && !names.insert(name.clone())
        {
            document.mistake(fields.place("name"), DocumentMistakeKind::Repeated(name.clone()));
        }
        let file = path_below(document, &fields, "file");
        let shape = document.extents(&fields, "shape");
        let fingerprint = fingerprint(document, &fields);
        let noise_floor = noise_floor(document, &fields);
        if let (Some(name), Some(file), Some(shape), Some(fingerprint), Some(noise_floor)) =
            (name, file, shape, fingerprint, noise_floor)
        {
            let recorded = RecordedTensor { key: file, fingerprint };
            entries.push(TensorEntry { name, recorded, shape, noise_floor });
        }
    }
    Some(entries)
}

fn fingerprint(document: &mut Document<'_>, fields: &Fields<'_, '_>) -> Option<Fingerprint> {
    let (algorithm, hex) = match fields.get("xxh3_128") {
        Some(_) => {
            if fields.get("sha256").is_some() {
                document.expected(fields.place("sha256"), "one fingerprint", "two");
            }
            (Algorithm::ElementsXxh3, hex(document, fields, "xxh3_128", 32, "an XXH3 of 32 hex digits"))
        }
        None => (Algorithm::FileSha256, hex(document, fields, "sha256", 64, SHA256)),
    };
    Some(Fingerprint { algorithm, hex: hex? })
}

fn noise_floor(document: &mut Document<'_>, fields: &Fields<'_, '_>) -> Option<NoiseFloor> {
    let object = document.object(fields, "noise_floor")?;
    let fields = document.fields(object, &["rel_l2", "rel_linf", "max_abs"]);
    let expected = "a figure from 0 to 1e-3: under a higher floor nothing is seen";
    let sound = |x: f64| (0.0..=MAX_FLOOR).contains(&x);
    let rel_l2 = document.figure(&fields, "rel_l2", expected, sound);
    let rel_linf = document.figure(&fields, "rel_linf", expected, sound);
    let finite = |x: f64| x.is_finite() && x >= 0.0;
    let max_abs = document.figure(&fields, "max_abs", "a figure of 0 or more", finite);
    Some(NoiseFloor { figures: Figures { rel_l2: rel_l2?, rel_linf: rel_linf? }, max_abs: max_abs? })
}
