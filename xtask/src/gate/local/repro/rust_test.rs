//! A case as a Rust test without dependencies.

use super::case::PartCase;

/// The test's file. As it is written it holds what the candidate dumped against what was expected; a port is called in
/// `of_the_port`.
pub(super) fn text(part: &str, case: &PartCase) -> String {
    let output = match &case.candidate {
        Some((name, _)) => name.as_str(),
        None => case.expected.last().map_or("", |(name, _)| name.as_str()),
    };
    let shape = |name: &str| -> String {
        let tensors = case.inputs.iter().chain(&case.expected);
        tensors.filter(|(given, _)| given == name).map(|(_, tensor)| format!("{:?}", tensor.shape)).collect()
    };
    let inputs: String = case
        .inputs
        .iter()
        .map(|(name, _)| format!("//!     inputs/{name}.npy    f32 {}\n", shape(name)))
        .collect();
    // What the dump cannot tell is not asked of it; a port that is called is asked for everything.
    let told = match &case.candidate {
        Some(_) => format!("read(\"candidate/{output}.npy\")"),
        None => format!("read(\"expected/{output}.npy\")"),
    };
    let of_the_port = match &case.candidate {
        Some(_) => format!(
            "    // What your dump has; NaN where it cannot tell.\n    read(\"candidate/{output}.npy\")"
        ),
        None => format!(
            "    // Your dump has none: call your port.\n    vec![f32::NAN; read(\"expected/{output}.npy\").len()]"
        ),
    };
    let limit = if case.limit.is_finite() { case.limit } else { 1e-5 };
    let function = part.replace('.', "_");
    format!(
        r#"//! {part} alone. In the folder beside this file, in C order:
//!
{inputs}//!     expected/{output}.npy    f32 {shape}
//!     weights.safetensors    f32, the part's weights under timm's names
//!
//! Put it into `tests/`, say where the folder is, and call your port in `of_the_port`.

use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/repro");

/// Values of an `.npy` file of f32.
fn read(name: &str) -> Vec<f32> {{
    let path = Path::new(FOLDER).join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{{}}: {{error}}", path.display()));
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[10 + header..].chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect()
}}

/// What your port gives on `inputs/`.
fn of_the_port() -> Vec<f32> {{
{of_the_port}
}}

#[test]
fn {function}() {{
    let (found, expected) = (of_the_port(), read("expected/{output}.npy"));
    // NaN where your dump cannot tell. Once your port is called, compare everything: `&expected` here.
    let told = {told};
    assert_eq!(found.len(), expected.len());
    let (mut difference, mut size) = (0.0, 0.0);
    for ((found, expected), _) in found.iter().zip(&expected).zip(&told).filter(|(_, told)| !told.is_nan()) {{
        difference += f64::from(found - expected).powi(2);
        size += f64::from(*expected).powi(2);
    }}
    let rel_l2 = (difference / size).sqrt();
    assert!(rel_l2 <= {limit:.2e}, "rel_l2 {{rel_l2:.3e}} is over {limit:.2e}");
}}
"#,
        shape = shape(output)
    )
}
