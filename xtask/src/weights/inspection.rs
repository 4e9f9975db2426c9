//! What a checkpoint is.

use std::collections::BTreeMap;
use std::path::Path;

use encoder::architecture::BlockSpec;
use encoder::{Architecture, Checkpoint, Settings};
use harness::exit_code;
use harness::files::regular;
use serde::Serialize;

use super::text::few;

/// What a checkpoint is, for people and programs.
#[derive(Debug, Serialize)]
pub(crate) struct Inspection {
    file: String,
    container: String,
    files: Vec<String>,
    bytes: u64,
    /// None where the tensors are not those of a MobileNetV5, or not all of them.
    architecture: Option<Outline>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    parameters: u64,
    /// How many tensors are stored in each type.
    types: BTreeMap<String, usize>,
    tensors: Vec<InspectedTensor>,
    missing: Vec<String>,
    /// Tensors of the encoder that nothing reads.
    unused: Vec<String>,
    /// How many tensors are of something else, by what their names begin with.
    left_alone: BTreeMap<String, usize>,
    channels_last: bool,
    warnings: Vec<String>,
    /// What the file, or the configuration beside it, says of how the model is run.
    stated: BTreeMap<String, String>,
}

/// An architecture in short.
#[derive(Debug, Serialize)]
struct Outline {
    name: &'static str,
    stem: usize,
    stages: Vec<StageOutline>,
    fusion: Option<usize>,
    embedder: Option<usize>,
    head: Option<usize>,
}

#[derive(Debug, Serialize)]
struct StageOutline {
    blocks: usize,
    channels: usize,
    edge_residual: usize,
    inverted_residual: usize,
    attention: usize,
}

#[derive(Debug, Serialize)]
struct InspectedTensor {
    name: String,
    stored_name: String,
    #[serde(rename = "type")]
    kind: String,
    shape: Vec<usize>,
}

impl Inspection {
    pub(crate) fn of(path: &Path, checkpoint: &Checkpoint) -> Inspection {
        let architecture = Architecture::read(checkpoint, &Settings::default());
        let tensors: Vec<InspectedTensor> = checkpoint.names().map(|name| tensor(checkpoint, name)).collect();
        let mut types: BTreeMap<String, usize> = BTreeMap::new();
        tensors.iter().for_each(|tensor| *types.entry(tensor.kind.clone()).or_default() += 1);
        let mut left_alone: BTreeMap<String, usize> = BTreeMap::new();
        for name in checkpoint.left_alone() {
            *left_alone.entry(group(name)).or_default() += 1;
        }
        // A tensor of an unknown type may have any shape.
        let elements = |tensor: &InspectedTensor| {
            tensor.shape.iter().fold(1u64, |all, extent| all.saturating_mul(*extent as u64))
        };
        let size = |path: &std::path::PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let read = architecture.as_ref().ok();
        Inspection {
            file: path.display().to_string(),
            container: checkpoint.container().to_string(),
            files: checkpoint.files().iter().map(|path| path.display().to_string()).collect(),
            bytes: checkpoint.files().iter().map(size).sum(),
            unused: read.map(|read| read.unused_tensors(checkpoint)).unwrap_or_default(),
            problem: architecture.as_ref().err().map(ToString::to_string),
            parameters: tensors.iter().map(elements).fold(0, u64::saturating_add),
            types,
            missing: Architecture::missing_tensors(checkpoint),
            left_alone,
            channels_last: checkpoint.channels_last(),
            warnings: checkpoint.warnings().iter().map(ToString::to_string).collect(),
            stated: stated(path, checkpoint),
            architecture: read.map(outline),
            tensors,
        }
    }

    /// Whether it can be used, and if not, what keeps it from that.
    pub(crate) fn exit_code(&self) -> u8 {
        let unreadable = self.tensors.iter().any(|tensor| !encoder_reads(&tensor.kind));
        match self {
            _ if unreadable => exit_code::UNREADABLE,
            Inspection { missing, .. } if !missing.is_empty() => exit_code::COVERAGE,
            Inspection { problem: Some(_), .. } => exit_code::SHAPE,
            _ => exit_code::PASSED,
        }
    }

    /// What people read: at most a screen, unless every tensor is asked for.
    pub(crate) fn text(&self, verbose: bool) -> String {
        let mut lines = vec![format!("{}: {}, {}", self.file, self.container, bytes(self.bytes))];
        if let Some(outline) = &self.architecture {
            lines.extend(outline.lines());
        }
        let types: Vec<String> = self.types.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let order = if self.channels_last { "; kernels as [out, k, k, in], as MLX has them" } else { "" };
        lines.push(format!(
            "  {} parameters in {} tensors: {}{order}",
            count(self.parameters),
            self.tensors.len(),
            types.join(", ")
        ));
        lines.push(format!("  missing: {}", few(&self.missing, verbose)));
        lines.push(format!("  unused: {}", few(&self.unused, verbose)));
        if !self.left_alone.is_empty() {
            let groups: Vec<String> =
                self.left_alone.iter().map(|(group, count)| format!("{group} {count}")).collect();
            lines.push(format!("  left alone, of something else: {}", few(&groups, verbose)));
        }
        for name in ["padding", "output resolution", "image size"] {
            let stated = self.stated.get(name).map_or("not in the file", String::as_str);
            let default = match name {
                _ if self.stated.contains_key(name) => "",
                "padding" => " (same, unless --padding says otherwise)",
                "output resolution" => " (16x16, unless --output-resolution says otherwise)",
                _ => "",
            };
            lines.push(format!("  {name}: {stated}{default}"));
        }
        if let Some(stated) = self.stated.get("normalisation") {
            lines.push(format!("  normalisation: {stated}"));
        }
        if let Some(problem) = self.problem.as_ref().filter(|_| self.missing.is_empty()) {
            lines.push(format!("  not a whole MobileNetV5: {problem}"));
        }
        lines.extend(self.warnings.iter().map(|warning| format!("  warning: {warning}")));
        if verbose {
            lines.extend(self.tensors.iter().map(|tensor| {
                format!("  {:<5} {:?} {}{}", tensor.kind, tensor.shape, tensor.name, tensor.stored())
            }));
        }
        lines.join("\n")
    }
}

impl InspectedTensor {
    /// Its name in the file, where that is another.
    fn stored(&self) -> String {
        if self.name == self.stored_name { String::new() } else { format!(" ({})", self.stored_name) }
    }
}

impl Outline {
    fn lines(&self) -> Vec<String> {
        let part = |name: &str, width: Option<usize>| match width {
            Some(width) => format!("{name} of {width}"),
            None => format!("no {name}"),
        };
        let mut lines = vec![format!(
            "  {}: stem of {} channels, {} stages, {}, {}{}",
            self.name,
            self.stem,
            self.stages.len(),
            part("fusion", self.fusion),
            part("embedder", self.embedder),
            self.head.map(|width| format!(", head of {width}")).unwrap_or_default()
        )];
        for (number, stage) in self.stages.iter().enumerate() {
            let kinds = [
                ("edge residual", stage.edge_residual),
                ("inverted residual", stage.inverted_residual),
                ("attention", stage.attention),
            ];
            let kinds: Vec<String> = kinds
                .iter()
                .filter(|(_, count)| *count > 0)
                .map(|(kind, count)| format!("{count} {kind}"))
                .collect();
            let (blocks, channels) = (stage.blocks, stage.channels);
            lines.push(format!(
                "    stage {number}: {blocks} blocks of {channels} channels ({})",
                kinds.join(", ")
            ));
        }
        lines
    }
}

fn outline(architecture: &Architecture) -> Outline {
    let stage = |blocks: &Vec<BlockSpec>| {
        let of = |is: fn(&BlockSpec) -> bool| blocks.iter().filter(|block| is(block)).count();
        StageOutline {
            blocks: blocks.len(),
            channels: blocks.last().map_or(0, BlockSpec::output_channels),
            edge_residual: of(|block| matches!(block, BlockSpec::EdgeResidual(_))),
            inverted_residual: of(|block| matches!(block, BlockSpec::InvertedResidual(_))),
            attention: of(|block| matches!(block, BlockSpec::Attention(_))),
        }
    };
    let stages: Vec<StageOutline> = architecture.stages.iter().map(stage).collect();
    let sizes: Vec<(usize, usize)> = stages.iter().map(|stage| (stage.blocks, stage.channels)).collect();
    Outline {
        name: match sizes.as_slice() {
            [(3, 128), (5, 256), (37, 640), (39, 1280)] => "MobileNetV5 300M, the encoder of Gemma 3n",
            _ => "a MobileNetV5",
        },
        stem: architecture.stem.channels,
        stages,
        fusion: architecture.fusion.map(|spec| spec.output),
        embedder: architecture.embedder.map(|spec| spec.hidden),
        head: architecture.head.map(|spec| spec.output_channels()),
    }
}

fn tensor(checkpoint: &Checkpoint, name: &str) -> InspectedTensor {
    InspectedTensor {
        name: name.to_string(),
        stored_name: checkpoint.stored_name(name).unwrap_or(name).to_string(),
        kind: checkpoint.stored_type(name).map(ToString::to_string).unwrap_or_default(),
        shape: checkpoint.shape(name).unwrap_or_default().to_vec(),
    }
}

fn encoder_reads(kind: &str) -> bool {
    encoder::WeightType::SUPPORTED.iter().any(|known| known.name() == kind)
}

/// What the names of a group of tensors begin with.
fn group(name: &str) -> String {
    let mut parts = name.split('.');
    match (parts.next(), parts.next()) {
        (Some("model" | "mm"), Some(second)) => {
            format!("{}.{second}", name.split('.').next().unwrap_or_default())
        }
        (Some(first), _) => first.to_string(),
        (None, _) => name.to_string(),
    }
}

/// What a GGUF file, or a configuration beside the weights, says of how the model is run.
fn stated(path: &Path, checkpoint: &Checkpoint) -> BTreeMap<String, String> {
    let facts = checkpoint.facts();
    let mut stated = BTreeMap::new();
    let mut state = |name: &str, text: String| drop(stated.insert(name.to_string(), text));
    if let Some(size) = facts.get("clip.vision.image_size") {
        state("image size", format!("{size}x{size}, as clip.vision.image_size says"));
    }
    if let (Some(mean), Some(std)) = (facts.get("clip.vision.image_mean"), facts.get("clip.vision.image_std"))
    {
        state(
            "normalisation",
            format!("mean {mean}, deviation {std}, as clip.vision.image_mean and _std say"),
        );
    }
    let projector =
        ["clip.vision.projector_type", "clip.projector_type"].iter().find_map(|key| facts.get(*key));
    if projector.is_some_and(|projector| projector == "gemma3nv") {
        state("padding", "same, as projector type gemma3nv has it".to_string());
        state("output resolution", "16x16, as projector type gemma3nv has it".to_string());
    }
    let folder = if path.is_dir() { Some(path) } else { path.parent() };
    let read = |file: &str| -> Option<serde_json::Value> {
        let path = folder?.join(file);
        serde_json::from_slice(&regular::read(&path).ok()?).ok()
    };
    if let Some(config) = read("config.json") {
        let vision = config.get("vision_config").unwrap_or(&config);
        let text = |key: &str| vision.get(key).and_then(serde_json::Value::as_str);
        // timm's entry points of encoders pad as TensorFlow does.
        match text("architecture") {
            Some(name) if name.starts_with("mobilenetv5") && name.ends_with("_enc") => {
                state("padding", format!("same, as {name} of config.json has it"));
            }
            _ => {}
        }
    }
    if let Some(config) = read("preprocessor_config.json") {
        let extent = |key: &str| config.get("size").and_then(|size| size.get(key)).and_then(|x| x.as_u64());
        if let (Some(height), Some(width)) = (extent("height"), extent("width")) {
            state("image size", format!("{height}x{width}, as preprocessor_config.json says"));
        }
    }
    stated
}

fn count(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{:.1} thousand", number as f64 / 1e3),
        _ => format!("{:.1} million", number as f64 / 1e6),
    }
}

fn bytes(number: u64) -> String {
    match number {
        0..1_048_576 => format!("{:.0} KiB", number as f64 / 1024.0),
        _ => format!("{:.0} MiB", number as f64 / 1_048_576.0),
    }
}
