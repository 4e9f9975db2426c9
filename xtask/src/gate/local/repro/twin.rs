//! A part written out in PyTorch, in float64 with the rounding of the port's runtime.

use encoder::architecture::{AttentionSpec, BlockSpec, InvertedResidualSpec};
use encoder::part::Site;
use encoder::reference::{ActivationBlocks, Operations, ReferenceModel, Rounding};
use encoder::{Padding, Part};

/// What a script is made from.
pub(super) struct Twin<'a> {
    pub(super) model: &'a ReferenceModel<'a>,
    pub(super) settings: encoder::Settings,
    pub(super) part: &'a Part,
    pub(super) operations: &'a Operations,
    /// What the part gives, in the order of execution.
    pub(super) outputs: Vec<&'a str>,
    pub(super) limit: f64,
}

const START: &str = r#"import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file

here = pathlib.Path(__file__).parent
W = {name: torch.from_numpy(values).double() for name, values in load_file(here / "weights.safetensors").items()}
load = lambda name: torch.from_numpy(np.load(here / f"{name}.npy")).double()
"#;

const OPERATIONS: &str = r#"

def conv(x, name, stride=1, groups=1, held=held):
    w = W[f"{name}.weight"]
    w = w if w.dim() == 4 else w[:, :, None, None]
    k = w.shape[-1]
PADS
    return kept(F.conv2d(F.pad(held(x), pads), held(w), stride=stride, groups=groups))


def rms(x):
    return x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6)


def norm(x, name):
    return kept(rms(x) * W[f"{name}.weight"].view(1, -1, 1, 1))


# The part.
"#;

const BLOCKS: &str = r#"

def blocks(x, length):  # what ggml makes of what it multiplies quantised weights with
    groups = x.unflatten(1, (-1, length))
    scale = groups.abs().amax(2, keepdim=True) / 127
    stored = (scale.half() if length == 32 else scale.float()).double()
    return (torch.where(scale > 0, groups / scale, 0.0).round() * stored).flatten(1, 2)
"#;

const SAME: &str =
    "    pads = [max((-(-n // stride) - 1) * stride + k - n, 0) for n in (x.shape[3], x.shape[2])]
    pads = [half for total in pads for half in (total // 2, total - total // 2)]";
const SYMMETRIC: &str = "    pads = [(stride - 1 + k - 1) // 2] * 4";

const END: &str = r#"
expected, names = load(f"expected/{NAME}"), sorted(path.stem for path in (here / "candidate").glob("*.npy"))
off = lambda a, b: float((a - b).norm() / b.norm())
print(f"PyTorch against expected/{NAME}: rel_l2 {off(y.reshape(expected.shape), expected):.2e}")
for name in names:
    own, expected = load(f"candidate/{name}"), load(f"expected/{name}")
    told = ~own.isnan()
    print(f"the candidate's {name}: rel_l2 {off(own[told], expected[told]):.2e}LIMIT")
"#;

/// What is rounded: operands of products, results of operations, and GELU.
fn rounding_lines(rounding: Rounding) -> [String; 3] {
    let to = |dtype: &str| format!("lambda x: x.{dtype}().double()");
    let as_it_is = "lambda x: x".to_string();
    let tanh = "F.gelu(x, approximate=\"tanh\")";
    let (held, kept) = match rounding {
        Rounding::GgmlF16 | Rounding::GgmlF16ExactGelu | Rounding::GgmlQuantised => (to("half"), as_it_is),
        Rounding::Bf16All => (to("bfloat16"), to("bfloat16")),
        Rounding::EncoderBf16 => (to("bfloat16"), as_it_is),
        Rounding::F16All => (to("half"), to("half")),
        _ => (as_it_is.clone(), as_it_is),
    };
    let gelu = match rounding {
        Rounding::GgmlF16 | Rounding::GgmlQuantised => {
            "lambda x: torch.where(x <= -10, 0.0, torch.where(x >= 10, x, \
                              held(F.gelu(held(x), approximate=\"tanh\"))))"
                .to_string()
        }
        _ => format!("lambda x: kept({tanh})"),
    };
    [
        format!("held = {held}  # what the runtime keeps of an operand of a product"),
        format!("kept = {kept}  # and of the result of an operation"),
        format!("gelu = {gelu}"),
    ]
}

/// Names of operations, taken one after another in the order of execution.
struct InOrder<'a> {
    model: &'a ReferenceModel<'a>,
    convolutions: std::slice::Iter<'a, encoder::reference::NamedConvolution>,
    norms: std::slice::Iter<'a, encoder::reference::NamedNorm>,
}

impl InOrder<'_> {
    fn conv(&mut self, x: &str) -> String {
        let Some(next) = self.convolutions.next() else { return x.to_string() };
        let stride = if next.stride == 1 { String::new() } else { format!(", stride={}", next.stride) };
        let weight = format!("{}.weight", next.name);
        let x = match self.model.activation_blocks(&weight) {
            Some(ActivationBlocks { length, .. }) => format!("blocks({x}, {length})"),
            None => x.to_string(),
        };
        let held = if self.model.takes_as_it_is(&weight) { ", held=lambda x: x" } else { "" };
        format!("conv({x}, \"{}\"{stride}{held})", next.name)
    }

    fn depthwise(&mut self, x: &str) -> String {
        let Some(next) = self.convolutions.next() else { return x.to_string() };
        format!("conv({x}, \"{}\", stride={}, groups={x}.shape[1])", next.name, next.stride)
    }

    fn norm(&mut self, x: &str) -> String {
        self.norms.next().map_or(x.to_string(), |norm| format!("norm({x}, \"{}\")", norm.name))
    }

    fn normed(&mut self, x: &str) -> String {
        let x = self.conv(x);
        self.norm(&x)
    }

    fn normed_depthwise(&mut self, x: &str) -> String {
        let x = self.depthwise(x);
        self.norm(&x)
    }
}

impl Twin<'_> {
    /// The script.
    pub(super) fn text(&self) -> String {
        let mut text =
            "# /// script\n# requires-python = \">=3.10\"\n# dependencies = [\"numpy\", \"safetensors\", \
                        \"torch\"]\n# ///\n"
                .to_string();
        let rounding = self.model.rounding();
        let two_terms = match rounding {
            Rounding::Operands(_) => " Its operands in two terms are not written out here.",
            Rounding::EncoderBf16 => " Keys and values in two terms are not written out here.",
            _ => "",
        };
        text += &format!(
            "\"\"\"{} alone, in float64, rounded as {rounding}.{two_terms}\"\"\"\n\n",
            self.part.name
        );
        text += START;
        text += &rounding_lines(rounding).join("\n");
        let pads = match self.settings.padding {
            Padding::Same => SAME,
            Padding::Symmetric => SYMMETRIC,
        };
        text += "\n";
        if rounding == Rounding::GgmlQuantised {
            text += BLOCKS;
        }
        text += &OPERATIONS.replace("PADS", pads);
        text += &self.body().join("\n");
        let last = self.outputs.last().copied().unwrap_or_default();
        let limit = match self.limit.is_finite() {
            true => format!(", limit {:.2e}", self.limit),
            false => String::new(),
        };
        text + &END.replace("{NAME}", last).replace("LIMIT", &limit)
    }

    fn body(&self) -> Vec<String> {
        let mut next = InOrder {
            model: self.model,
            convolutions: self.operations.convolutions.iter(),
            norms: self.operations.norms.iter(),
        };
        let load = |name: &String| format!("load(\"inputs/{name}\")");
        let mut lines = match self.part.inputs.as_slice() {
            [high, low] => vec![format!("high, low = {}, {}", load(high), load(low))],
            [one] => vec![format!("x = {}", load(one))],
            _ => Vec::new(),
        };
        let architecture = self.model.architecture();
        match self.part.site() {
            Site::Stem => lines.extend(self.stem(&mut next, architecture.stem.bias)),
            Site::Block(number) => match architecture.blocks().nth(number) {
                Some((_, _, BlockSpec::EdgeResidual(spec))) => {
                    lines.push(format!("y = gelu({})", next.normed("x")));
                    lines.push(format!("y = {}", next.normed("y")));
                    let skips = spec.stride == 1 && spec.input == spec.output;
                    lines.extend(skips.then(|| "y = kept(y + x)".to_string()));
                }
                Some((_, _, BlockSpec::InvertedResidual(spec))) => {
                    lines.extend(inverted_residual(&mut next, spec));
                    lines.extend(self.scale_and_skip(spec.layer_scale, spec.skip));
                }
                Some((_, _, BlockSpec::Attention(spec))) => {
                    lines.extend(attention(&mut next, spec, self.model.rounding()));
                    lines.extend(self.scale_and_skip(spec.layer_scale, spec.skip));
                }
                None => {}
            },
            Site::Fusion => {
                lines.push("low = F.interpolate(low, size=high.shape[2:], mode=\"nearest\")".to_string());
                lines.push("x = torch.cat([high, low], 1)".to_string());
                lines.extend(architecture.fusion.iter().flat_map(|spec| inverted_residual(&mut next, spec)));
                let (height, width) = self.settings.output_resolution;
                lines.push(format!("size = ({height}, {width})"));
                lines.push("divides = all(n % out == 0 for n, out in zip(y.shape[2:], size))".to_string());
                lines.push("if divides: y = kept(F.adaptive_avg_pool2d(y, size))".to_string());
                lines.push("else: y = kept(F.interpolate(y, size=size, mode=\"bilinear\"))".to_string());
                lines.push(format!("y = {}", next.norm("y")));
            }
            Site::Embedder => {
                lines.push("y = kept(x * x.shape[1] ** 0.5)".to_string());
                lines.push(format!("y = {}", next.norm("y")));
                lines.push(format!("y = kept(rms({}))", next.conv("y")));
                lines.push("y = y.flatten(2).transpose(1, 2)".to_string());
            }
            Site::Head => lines.extend(self.head(&mut next)),
        }
        lines
    }

    fn stem(&self, next: &mut InOrder<'_>, bias: bool) -> Vec<String> {
        let mut lines = vec![format!("y = {}", next.conv("x"))];
        lines.extend(bias.then(|| "y = y + W[\"conv_stem.conv.bias\"].view(1, -1, 1, 1)".to_string()));
        lines.push(format!("y = gelu({})", next.norm("y")));
        lines
    }

    fn scale_and_skip(&self, layer_scale: bool, skip: bool) -> Vec<String> {
        let scale = format!("y = kept(y * W[\"{}.layer_scale.gamma\"].view(1, -1, 1, 1))", self.part.name);
        let steps = [(layer_scale, scale), (skip, "y = kept(y + x)".to_string())];
        steps.into_iter().filter(|(is_done, _)| *is_done).map(|(_, line)| line).collect()
    }

    fn head(&self, next: &mut InOrder<'_>) -> Vec<String> {
        let spec = self.model.architecture().head;
        let mut lines = vec!["y = kept(x.mean((2, 3), keepdim=True))".to_string()];
        if spec.is_some_and(|spec| spec.hidden.is_some()) {
            lines.push(format!("y = gelu({})", next.normed("y")));
        }
        if spec.is_some_and(|spec| spec.classes.is_some()) {
            lines.push(format!("y = {} + W[\"classifier.bias\"].view(1, -1, 1, 1)", next.conv("y")));
        }
        lines
    }
}

fn inverted_residual(next: &mut InOrder<'_>, spec: &InvertedResidualSpec) -> Vec<String> {
    let mut lines = vec!["y = x".to_string()];
    if spec.dw_start.is_some() {
        lines.push(format!("y = {}", next.normed_depthwise("y")));
    }
    lines.push(format!("y = gelu({})", next.normed("y")));
    if spec.dw_mid.is_some() {
        lines.push(format!("y = gelu({})", next.normed_depthwise("y")));
    }
    lines.push(format!("y = {}", next.normed("y")));
    if spec.dw_end.is_some() {
        lines.push(format!("y = {}", next.normed_depthwise("y")));
    }
    lines
}

fn attention(next: &mut InOrder<'_>, spec: &AttentionSpec, rounding: Rounding) -> Vec<String> {
    // ggml rounds nothing of attention's own products.
    let held = if rounding.is_ggml_reduced() { "" } else { "held" };
    let mut lines = vec![format!("n = {}", next.norm("x")), format!("q = {}", next.conv("n"))];
    for side in ["k", "v"] {
        let of = match spec.downsample {
            Some(_) => {
                lines.push(format!("{side} = {}", next.normed_depthwise("n")));
                side
            }
            None => "n",
        };
        lines.push(format!("{side} = {}", next.conv(of)));
    }
    let (heads, dim) = (spec.heads, spec.key_dim);
    lines.push("b, _, h, w = q.shape".to_string());
    lines.push(format!("q = q.reshape(b, {heads}, {dim}, h * w).transpose(2, 3)"));
    lines.push("k, v = (s.flatten(2)[:, None] for s in (k, v))".to_string());
    lines.push(format!("p = kept(torch.softmax(kept({held}(q) @ {held}(k)) * {dim} ** -0.5, -1))"));
    lines.push(format!(
        "y = kept({held}(p) @ {held}(v).transpose(2, 3)).transpose(2, 3).reshape(b, -1, h, w)"
    ));
    lines.push(format!("y = {}", next.conv("y")));
    lines
}
