//! The engines of others that the encoder is measured beside.

use encoder::{Isa, Precision};

use crate::shell::failure::Failure;

/// An engine of `bench/peers/worker.py`, in one precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) engine: &'static str,
    pub(crate) precision: &'static str,
}

/// All of them.
const ALL: [Peer; 8] = [
    Peer { engine: "openvino", precision: "f32" },
    Peer { engine: "onnxruntime", precision: "f32" },
    Peer { engine: "torch-compile", precision: "f32" },
    Peer { engine: "torch-eager", precision: "f32" },
    Peer { engine: "openvino", precision: "bf16" },
    Peer { engine: "torch-compile", precision: "bf16" },
    Peer { engine: "torch-autocast", precision: "bf16" },
    Peer { engine: "torch-eager", precision: "bf16" },
];

/// What caps oneDNN, under its new and its old name.
const ONEDNN: [&str; 2] = ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"];
/// What caps PyTorch's own kernels.
const ATEN: &str = "ATEN_CPU_CAPABILITY";
/// What caps MKL, which PyTorch uses.
const MKL: &str = "MKL_ENABLE_INSTRUCTIONS";

impl Peer {
    /// Those whose names begin with one of `names`, all, if there are none; of these, those that compute in what a precision of
    /// the encoder is compared with: bf16 with bf16, the others with f32.
    pub(crate) fn chosen(names: &[String], precision: Option<Precision>) -> Result<Vec<Peer>, Failure> {
        let is_named = |peer: &Peer, name: &str| !name.is_empty() && peer.engine.starts_with(name);
        if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|peer| is_named(peer, name))) {
            let mut known: Vec<&str> = ALL.map(|peer| peer.engine).to_vec();
            known.sort_unstable();
            known.dedup();
            let message = format!("--engines: expected some of {}, found `{unknown}`", known.join(", "));
            return Err(Failure::usage(message, "leave it out to run them all"));
        }
        let is_chosen =
            |peer: &Peer| names.is_empty() || names.iter().any(|name| is_named(peer, name.as_str()));
        let named: Vec<Peer> = ALL.into_iter().filter(is_chosen).collect();
        let Some(precision) = precision else { return Ok(named) };
        let wanted = if precision == Precision::Bf16 { "bf16" } else { "f32" };
        let comparable: Vec<Peer> = named.into_iter().filter(|peer| peer.precision == wanted).collect();
        if comparable.is_empty() {
            let message = format!(
                "--engines {} with --precision {precision}: none computes in {wanted}",
                names.join(",")
            );
            return Err(Failure::usage(message, "leave one of them out"));
        }
        Ok(comparable)
    }

    /// Such as `openvino f32`.
    pub(crate) fn name(self) -> String {
        format!("{} {}", self.engine, self.precision)
    }

    /// The variables under which it uses no better instructions than `cap` on a CPU whose best are `best`; none, where nothing
    /// better could be used. `Err` says why there are none that do it, for people.
    pub(crate) fn environment(
        self,
        cap: Isa,
        best: Isa,
    ) -> Result<Vec<(&'static str, &'static str)>, &'static str> {
        if cap >= best {
            return Ok(Vec::new());
        }
        match (self.engine, cap) {
            ("onnxruntime", _) => return Err("it cannot be kept from the CPU's better instructions"),
            ("openvino", Isa::Portable) => return Err("it does not run this model with SSE4.1 alone"),
            _ => {}
        }
        let (onednn, aten, mkl) = match cap {
            Isa::Portable => ("SSE41", "default", "SSE4_2"),
            Isa::Avx2 => ("AVX2", "avx2", "AVX2"),
            Isa::Avx512 => ("AVX512_CORE", "avx512", "AVX512"),
            Isa::Avx512Bf16 => ("AVX512_CORE_BF16", "avx512", "AVX512_E3"),
            Isa::Amx => ("AVX512_CORE_AMX", "avx512", "AVX512_E4"),
        };
        let all = ONEDNN.map(|variable| (variable, onednn)).into_iter().chain([(ATEN, aten), (MKL, mkl)]);
        Ok(all.filter(|(variable, _)| self.variables().contains(variable)).collect())
    }

    /// The variables that keep its libraries from better instructions.
    fn variables(self) -> &'static [&'static str] {
        match self.engine {
            // Its kernels are MLAS's, which takes the best that it finds.
            "onnxruntime" => &[],
            "openvino" => &ONEDNN,
            _ => &[ONEDNN[0], ONEDNN[1], ATEN, MKL],
        }
    }

    /// What is to be said behind its version of the caps that it runs under: those `given`, and those that it inherits.
    pub(crate) fn caps_in_force(
        self,
        given: &[(&str, &str)],
        inherited: impl Fn(&str) -> Option<String>,
    ) -> String {
        let cap = |name: &&str| {
            let given = given.iter().find(|(given, _)| given == name).map(|(_, value)| value.to_string());
            let value = given.or_else(|| inherited(name)).filter(|value| !value.is_empty())?;
            Some(format!("{name}={value}"))
        };
        let caps: Vec<String> = self.variables().iter().filter_map(cap).collect();
        if caps.is_empty() { String::new() } else { format!(" with {}", caps.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn peers_are_chosen_by_the_beginnings_of_their_names() {
        assert_eq!(Peer::chosen(&[], None).unwrap(), ALL);
        let chosen = Peer::chosen(&names(&["openvino", "torch-a"]), None).unwrap();
        let chosen: Vec<String> = chosen.into_iter().map(Peer::name).collect();
        assert_eq!(chosen, ["openvino f32", "openvino bf16", "torch-autocast bf16"]);
        for unknown in ["tensorrt", ""] {
            let refused = Peer::chosen(&names(&["openvino", unknown]), None).unwrap_err();
            let expected = format!(
                "--engines: expected some of onnxruntime, openvino, torch-autocast, torch-compile, \
                 torch-eager, found `{unknown}`"
            );
            assert_eq!(refused.message(), expected);
        }
    }

    #[test]
    fn a_precision_is_compared_with_peers_that_compute_in_it() {
        let of = |given: &[&str], precision| {
            let chosen = Peer::chosen(&names(given), Some(precision));
            chosen.map(|peers| peers.into_iter().map(Peer::name).collect::<Vec<_>>())
        };
        let f32 = ["openvino f32", "onnxruntime f32", "torch-compile f32", "torch-eager f32"];
        assert_eq!(of(&[], Precision::F32).unwrap(), f32);
        assert_eq!(of(&[], Precision::Bf16x3).unwrap(), f32);
        assert_eq!(
            of(&["openvino", "torch-a"], Precision::Bf16).unwrap(),
            ["openvino bf16", "torch-autocast bf16"]
        );
        let refused = of(&["torch-autocast"], Precision::F32).unwrap_err();
        assert_eq!(refused.message(), "--engines torch-autocast with --precision f32: none computes in f32");
    }

    #[test]
    fn a_cap_reaches_every_library_or_the_peer_is_left_out() {
        for (peer, cap, best) in ALL.into_iter().flat_map(|peer| {
            let pairs = Isa::ALL.into_iter().flat_map(|cap| Isa::ALL.map(|best| (cap, best)));
            pairs.map(move |(cap, best)| (peer, cap, best))
        }) {
            let found = peer.environment(cap, best);
            let case = format!("{peer:?}, {cap} of {best}: {found:?}");
            // ATen uses what it is told to use, whether the CPU has it or not.
            if cap >= best {
                assert_eq!(found, Ok(Vec::new()), "{case}");
            } else if peer.engine == "onnxruntime" || (peer.engine == "openvino" && cap == Isa::Portable) {
                assert!(found.is_err(), "{case}");
            } else {
                let names: Vec<&str> = found.unwrap().into_iter().map(|(name, _)| name).collect();
                let expected: &[&str] = match peer.engine {
                    "openvino" => &["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"],
                    _ => &[
                        "ONEDNN_MAX_CPU_ISA",
                        "DNNL_MAX_CPU_ISA",
                        "ATEN_CPU_CAPABILITY",
                        "MKL_ENABLE_INSTRUCTIONS",
                    ],
                };
                assert_eq!(names, expected, "{peer:?}, {cap} of {best}");
            }
        }
        let capped = ALL[0].environment(Isa::Avx2, Isa::Amx).unwrap();
        assert!(capped.iter().all(|(_, value)| value.eq_ignore_ascii_case("avx2")), "{capped:?}");
    }

    #[test]
    fn caps_are_named_by_whichever_side_set_them() {
        let named = |name: &str| ALL.into_iter().find(|peer| peer.name() == name).unwrap();
        let [torch, openvino, onnxruntime] =
            ["torch-eager f32", "openvino f32", "onnxruntime f32"].map(named);
        let shell = |name: &str| match name {
            "ATEN_CPU_CAPABILITY" => Some("avx2".to_string()),
            "DNNL_MAX_CPU_ISA" => Some(String::new()),
            _ => None,
        };
        assert_eq!(torch.caps_in_force(&[], |_| None), "");
        assert_eq!(torch.caps_in_force(&[], shell), " with ATEN_CPU_CAPABILITY=avx2");
        for peer in [openvino, onnxruntime] {
            assert_eq!(peer.caps_in_force(&[], shell), "", "{peer:?} reads no such variable");
        }
        let given = torch.environment(Isa::Avx512Bf16, Isa::Amx).unwrap();
        let expected = "ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 DNNL_MAX_CPU_ISA=AVX512_CORE_BF16";
        assert_eq!(openvino.caps_in_force(&given, shell), format!(" with {expected}"));
        let all = format!(" with {expected} ATEN_CPU_CAPABILITY=avx512 MKL_ENABLE_INSTRUCTIONS=AVX512_E3");
        assert_eq!(torch.caps_in_force(&given, shell), all);
    }
}
