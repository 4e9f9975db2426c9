//! The folder of a case.

use std::path::Path;

use encoder::Part;
use encoder::reference::Tensor64;
use harness::store::write_npy;
use harness::tensor::Tensor;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::case::PartCase;
use crate::gate::local::oracle::Oracle;
use crate::shell::failure::Failure;
use crate::shell::paths;

/// Refuses a folder that something is in.
pub(super) fn expect_free(out: &Path) -> Result<(), Failure> {
    let is_free = match std::fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    match is_free {
        true => Ok(()),
        false => Err(Failure::usage(
            format!("--out {}: expected a new or empty folder", paths::shown(out)),
            "name another one: nothing is replaced",
        )),
    }
}

/// Writes everything into a folder aside, and puts that in its place when it is whole.
pub(super) fn write(
    oracle: &Oracle<'_>,
    part: &Part,
    case: &PartCase,
    texts: &[(&str, String)],
    out: &Path,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::write(out, &error);
    let beside = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(beside).map_err(failed)?;
    let mut builder = tempfile::Builder::new();
    // Temporary folders are private by default.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let aside = builder.prefix(".repro-").tempdir_in(beside).map_err(failed)?;
    let folders = [
        ("inputs", case.inputs.as_slice()),
        ("expected", case.expected.as_slice()),
        ("candidate", case.candidate.as_slice()),
    ];
    for (folder, tensors) in folders {
        let folder = aside.path().join(folder);
        std::fs::create_dir(&folder).map_err(failed)?;
        for (name, tensor) in tensors {
            write_npy(&folder.join(format!("{name}.npy")), &as_f32(tensor)?).map_err(Failure::unwritable)?;
        }
    }
    write_weights(oracle, part, &aside.path().join("weights.safetensors"))?;
    for (name, text) in texts {
        std::fs::write(aside.path().join(name), text).map_err(failed)?;
    }
    if out.exists() {
        std::fs::remove_dir(out).map_err(failed)?;
    }
    let aside = aside.keep();
    std::fs::rename(&aside, out).map_err(|error| {
        // What was written is of no use elsewhere.
        let _ = std::fs::remove_dir_all(&aside);
        failed(error)
    })
}

/// Values as runtimes take them.
fn as_f32(tensor: &Tensor64) -> Result<Tensor, Failure> {
    let values = tensor.data.iter().map(|x| *x as f32).collect();
    Tensor::from_f32(tensor.shape.clone(), values)
        .ok_or_else(|| Failure::unusable("a tensor of another size than its shape"))
}

/// The weights of the part under timm's names, as the port read them.
fn write_weights(oracle: &Oracle<'_>, part: &Part, path: &Path) -> Result<(), Failure> {
    let checkpoint = oracle.model.checkpoint();
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for name in part.weight_names(oracle.model.architecture()) {
        let Some(shape) = checkpoint.shape(&name) else { continue };
        let values = checkpoint.load(&name, shape).map_err(Failure::unreadable)?;
        tensors.push((name, shape.to_vec(), values.iter().flat_map(|x| x.to_le_bytes()).collect()));
    }
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
        .map_err(Failure::unwritable)?;
    let bytes = safetensors::serialize(views, None).map_err(Failure::unwritable)?;
    std::fs::write(path, bytes).map_err(|error| Failure::write(path, &error))
}
