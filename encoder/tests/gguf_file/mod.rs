//! GGUF files as llama.cpp writes them, made of tensors by timm's names.

/// A tensor of a GGUF file.
#[derive(Clone, Debug)]
pub(crate) struct GgufTensor {
    pub(crate) name: String,
    /// Fastest axis first.
    pub(crate) extents: Vec<u64>,
    /// ggml's number.
    pub(crate) kind: u32,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) const F32: u32 = 0;
pub(crate) const F16: u32 = 1;
pub(crate) const Q8_0: u32 = 8;

/// A file of version 3 that is little-endian, of an architecture.
pub(crate) fn gguf_bytes(architecture: &str, tensors: &[GgufTensor]) -> Vec<u8> {
    gguf_bytes_stating(&[], architecture, tensors)
}

/// The same with facts that are lists of f32.
pub(crate) fn gguf_bytes_stating(
    facts: &[(&str, &[f32])],
    architecture: &str,
    tensors: &[GgufTensor],
) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let mut out = b"GGUF\x03\0\0\0".to_vec();
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((1 + facts.len() as u64).to_le_bytes());
    out.extend(text("general.architecture"));
    out.extend(8u32.to_le_bytes());
    out.extend(text(architecture));
    for (name, list) in facts {
        out.extend(text(name));
        out.extend([9u32.to_le_bytes(), 6u32.to_le_bytes()].as_flattened());
        out.extend((list.len() as u64).to_le_bytes());
        list.iter().for_each(|number| out.extend(number.to_le_bytes()));
    }
    let mut offset = 0u64;
    for tensor in tensors {
        out.extend(text(&tensor.name));
        out.extend((tensor.extents.len() as u32).to_le_bytes());
        tensor.extents.iter().for_each(|extent| out.extend(extent.to_le_bytes()));
        out.extend(tensor.kind.to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += (tensor.bytes.len() as u64).next_multiple_of(32);
    }
    let pad = |out: &mut Vec<u8>| out.resize(out.len().next_multiple_of(32), 0);
    pad(&mut out);
    for tensor in tensors {
        out.extend(&tensor.bytes);
        pad(&mut out);
    }
    out
}

/// llama.cpp's name of a weight of timm's.
pub(crate) fn gguf_name(timm: &str) -> String {
    match timm {
        "embed_vision.embedding_projection.weight" => "mm.input_projection.weight".to_string(),
        "embed_vision.soft_embedding_norm.weight" => "mm.soft_emb_norm.weight".to_string(),
        _ => match timm.strip_prefix("blocks.") {
            Some(rest) => format!("v.blk.{rest}"),
            None => format!("v.{timm}"),
        },
    }
}

/// A weight as llama.cpp's converter stores it in F32 or F16, or as a quantiser does that makes matrices of 1 x 1 kernels;
/// and the values that it then has.
pub(crate) fn gguf_tensor(timm: &str, shape: &[usize], values: &[f32], kind: u32) -> (GgufTensor, Vec<f32>) {
    let mut shape = shape.to_vec();
    if timm == "conv_stem.conv.bias" || timm.ends_with("layer_scale.gamma") {
        shape = vec![1, shape[0], 1, 1];
    }
    let of_stem = timm.starts_with("conv_stem");
    let is_matrix = shape.len() == 2 || shape.ends_with(&[1, 1]);
    let kind = match kind {
        _ if shape[1..].iter().all(|extent| *extent == 1) || shape[0] == 1 || of_stem => F32,
        Q8_0 if is_matrix && shape[1].is_multiple_of(32) => Q8_0,
        Q8_0 => F16,
        kind => kind,
    };
    if kind == Q8_0 {
        shape.truncate(2);
    }
    let (bytes, stored) = match kind {
        F32 => (values.iter().flat_map(|x| x.to_le_bytes()).collect(), values.to_vec()),
        F16 => {
            let rounded = values.iter().map(|x| half::f16::from_f32(*x));
            (rounded.clone().flat_map(|x| x.to_le_bytes()).collect(), rounded.map(|x| x.to_f32()).collect())
        }
        _ => values.chunks(32).map(q8_0).fold((Vec::new(), Vec::new()), |mut all, (bytes, stored)| {
            all.0.extend(bytes);
            all.1.extend(stored);
            all
        }),
    };
    let extents = shape.iter().rev().map(|extent| *extent as u64).collect();
    (GgufTensor { name: gguf_name(timm), extents, kind, bytes }, stored)
}

/// A block as ggml quantises it.
fn q8_0(values: &[f32]) -> (Vec<u8>, Vec<f32>) {
    let step = values.iter().fold(0f32, |most, x| most.max(x.abs())) / 127.0;
    let stored = half::f16::from_f32(step);
    let levels = values.iter().map(|x| if step == 0.0 { 0 } else { (x / step).round() as i8 });
    let bytes = stored.to_le_bytes().into_iter().chain(levels.clone().map(|q| q as u8)).collect();
    (bytes, levels.map(|q| f32::from(q) * stored.to_f32()).collect())
}
