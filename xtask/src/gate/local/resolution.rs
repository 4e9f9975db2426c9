//! Whether the fusion's result is of another resolution than the one that was computed: weights do not show it.

use encoder::Settings;
use encoder::reference::{ReferenceModel, Site};

use super::floors::{TIMES_FLOOR, distance};
use super::oracle::Oracle;
use crate::shell::failure::Failure;

/// What to do where it is, and what was found by trying it.
pub(super) fn advice<'m>(
    oracle: &Oracle<'_>,
    settings: &Settings,
    model: impl FnOnce(&Settings) -> Result<ReferenceModel<'m>, Failure>,
) -> Result<Option<String>, Failure> {
    let tensors = oracle.tensors;
    let fusion = tensors.parts.iter().find(|part| part.site() == Site::Fusion);
    let Some((part, name)) = fusion.and_then(|part| Some((part, part.outputs.last()?))) else {
        return Ok(None);
    };
    let Some(own) = tensors.tensor(name) else { return Ok(None) };
    let &[_, _, height, width] = own.shape.as_slice() else { return Ok(None) };
    let computed = settings.output_resolution;
    if (height, width) == computed || height == 0 || width == 0 {
        return Ok(None);
    }
    let model = model(&Settings { output_resolution: (height, width), ..*settings })?;
    // Tensors that do not fit the part are told where they are compared.
    let other = Oracle { model: &model, tensors }.alone(part).ok().flatten();
    let is_right = other.is_some_and(|other| {
        let exact = other.outputs.iter().find(|(output, _)| output == name).map(|(_, exact)| exact);
        let off = exact.and_then(|exact| distance(&own, exact)).map(|found| found.figures.rel_l2);
        let floor = other.floors.get(name).map(|floor| floor.figures.rel_l2);
        off.zip(floor).is_some_and(|(off, floor)| off <= TIMES_FLOOR * floor)
    });
    let found = if is_right { ", and so computed it is right" } else { "" };
    Ok(Some(format!(
        "the port's output is {height}x{width}, {}x{} was computed{found}: --output-resolution {height}x{width}, if that is the \
         model's",
        computed.0, computed.1
    )))
}
