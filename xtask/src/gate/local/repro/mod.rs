//! A part that fails, as a case of its own: its inputs, its weights, what it should give, and what computes it elsewhere.

mod case;
mod files;
mod rust_test;
mod twin;

use std::path::Path;

use self::case::PartCase;
use super::floors::TIMES_FLOOR;
use super::oracle::Oracle;
use crate::shell::failure::Failure;
use crate::shell::paths;

/// Writes the part that a user names into a new folder; what was written, in lines.
pub(super) fn write(
    oracle: &Oracle<'_>,
    asked: &str,
    settings: encoder::Settings,
    out: &Path,
) -> Result<Vec<String>, Failure> {
    files::expect_free(out)?;
    let part = oracle.tensors.part_named(asked)?;
    let Some(computed) = oracle.by_inputs(part)? else {
        let lacks = |name: &&String| !oracle.tensors.has(name);
        let lacking: Vec<&str> = part.inputs.iter().filter(lacks).map(String::as_str).collect();
        return Err(Failure::usage(
            format!("{}: the dump lacks what it takes: {}", part.name, lacking.join(", ")),
            "dump these too, or name a part whose inputs are there",
        ));
    };
    for (name, exact) in &computed.outputs {
        let own = oracle.tensors.tensor(name).map(|own| own.shape.clone());
        if let Some(own) = own.filter(|own| *own != exact.shape) {
            return Err(Failure::usage(
                format!("{}: the dump's {name} is {own:?}, and {:?} was computed", part.name, exact.shape),
                "name what the port ran with: --output-resolution HxW, --padding, --input",
            ));
        }
    }
    let case = PartCase::of(oracle, &computed, TIMES_FLOOR)?;
    let operations = oracle.model.operations(part, &computed.inputs.tensors).map_err(Failure::unreadable)?;
    let twin = twin::Twin {
        model: oracle.model,
        settings,
        part,
        operations: &operations,
        outputs: case.expected.iter().map(|(name, _)| name.as_str()).collect(),
        limit: case.limit,
    };
    let texts = [("twin.py", twin.text()), ("repro.rs", rust_test::text(&part.name, &case))];
    files::write(oracle, part, &case, &texts, out)?;
    let said = match case.error {
        Some(error) if error > case.limit => {
            format!("the candidate is off by rel_l2 {error:.2e}, over the limit {:.2e}", case.limit)
        }
        Some(error) => format!(
            "the candidate is off by rel_l2 {error:.2e}, within the limit {:.2e}: nothing was made smaller",
            case.limit
        ),
        None => "the candidate has no output of this part of finite numbers to hold against it".to_string(),
    };
    let sizes = |tensors: &[(String, encoder::reference::Tensor64)]| -> String {
        let each = tensors.iter().map(|(name, tensor)| format!("{name} {:?}", tensor.shape));
        each.collect::<Vec<_>>().join(", ")
    };
    let place = paths::shown(out);
    Ok(vec![
        format!("{}: {said}", part.name),
        format!("  takes {}", sizes(&case.inputs)),
        format!("  gives {}", sizes(&case.expected)),
        format!("{place}: inputs/, expected/, candidate/, weights.safetensors, repro.rs, twin.py"),
        format!(
            "next: uv run {place}/twin.py computes it in PyTorch; repro.rs is a test for your own port to be called in"
        ),
    ])
}
