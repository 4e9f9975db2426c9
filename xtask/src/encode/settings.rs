//! The encoder's settings as facts by name: what its weights do not show.

use encoder::{Padding, Settings};
use harness::provenance::{SettingFacts, settings};
use harness::reference::manifest::Manifest;
use serde_json::{Value, json};

use crate::shell::failure::Failure;

/// The names under which they are recorded.
const PADDING: &str = "padding";
const OUTPUT_RESOLUTION: &str = "output_resolution";
const KV_STRIDE: &str = "kv_stride";

/// Their names among the facts of a dump.json of version 1, each with the one that it has had since.
pub(crate) const OF_VERSION_1: [(&str, &str); 3] =
    [("padding", PADDING), ("output resolution", OUTPUT_RESOLUTION), ("k/v stride", KV_STRIDE)];

/// Settings as they are recorded.
pub(crate) fn by_name(settings: &Settings) -> SettingFacts {
    let (height, width) = settings.output_resolution;
    let facts = [
        (PADDING, json!(format!("{:?}", settings.padding).to_lowercase())),
        (OUTPUT_RESOLUTION, json!([height, width])),
        (KV_STRIDE, json!(settings.kv_stride)),
    ];
    facts.map(|(name, value)| (name.to_string(), value)).into()
}

/// The options that name settings, a space before each; those that are taken by themselves are left out.
pub(crate) fn options(settings: &Settings) -> String {
    let usual = Settings::default();
    let mut options = String::new();
    if settings.padding != usual.padding {
        options += &format!(" --padding {}", format!("{:?}", settings.padding).to_lowercase());
    }
    if settings.output_resolution != usual.output_resolution {
        let (height, width) = settings.output_resolution;
        options += &format!(" --output-resolution {height}x{width}");
    }
    options
}

/// The settings that a set was made with; those that its manifest does not give are the encoder's own.
pub(crate) fn of_manifest(manifest: &Manifest) -> Result<Settings, Failure> {
    let mut settings = Settings::default();
    for (name, value) in &manifest.settings {
        let expected = match name.as_str() {
            PADDING => set_padding(&mut settings, value).err(),
            OUTPUT_RESOLUTION => set_output_resolution(&mut settings, value).err(),
            KV_STRIDE => set_kv_stride(&mut settings, value).err(),
            _ => Some("a setting of MobileNetV5: padding, output_resolution or kv_stride"),
        };
        if let Some(expected) = expected {
            let (set, found) = (&manifest.set, settings_text(value));
            let message = format!("set {set}: {name}: expected {expected}, found `{found}`");
            return Err(Failure::unusable(message)
                .help("is this a set of MobileNetV5? --candidate DIR compares dumps of any model"));
        }
    }
    Ok(settings)
}

fn settings_text(value: &Value) -> String {
    settings::text(value)
}

fn set_padding(settings: &mut Settings, value: &Value) -> Result<(), &'static str> {
    settings.padding = match value.as_str() {
        Some("same") => Padding::Same,
        Some("symmetric") => Padding::Symmetric,
        _ => return Err("padding `same` or `symmetric`"),
    };
    Ok(())
}

fn set_output_resolution(settings: &mut Settings, value: &Value) -> Result<(), &'static str> {
    let extents: Option<Vec<usize>> = value
        .as_array()
        .and_then(|extents| extents.iter().map(|extent| usize::try_from(extent.as_u64()?).ok()).collect());
    match extents.as_deref() {
        Some(&[height, width]) => settings.output_resolution = (height, width),
        _ => return Err("height and width"),
    }
    Ok(())
}

fn set_kv_stride(settings: &mut Settings, value: &Value) -> Result<(), &'static str> {
    let stride = value.as_u64().and_then(|stride| usize::try_from(stride).ok());
    settings.kv_stride = stride.ok_or("a whole number")?;
    Ok(())
}
