//! What is said of values alone: moves, orders, factors and borders of a layer, and where its error is.

use crate::brought::*;
use crate::support::*;

const KEY_NORM: &str = "attn.key.norm.weight";

/// A layer of a right port, changed, and what is said.
#[test]
fn one_changed_layer_is_named_with_what_changed_it() {
    let port = RightPort::encoded();
    let name = "mobilenet_block_5_inverted_residual";
    let tensor = &port.tensors[name];
    let &[_, channels, height, width] = tensor.shape() else { panic!("expected a map") };
    let from = |place: fn(&[usize], [usize; 3]) -> [usize; 3]| {
        moved(tensor, tensor.shape(), |index| {
            let [c, h, w] = place(index, [channels, height, width]);
            vec![0, c, h, w]
        })
    };
    let border = {
        let values = values(tensor).into_iter().enumerate().map(|(flat, x)| {
            let (row, column) = (flat / width % height, flat % width);
            if row + 1 == height || column + 1 == width { 0.5 * x + 0.25 } else { x }
        });
        harness::tensor::Tensor::from_f32(tensor.shape().to_vec(), values.collect()).unwrap()
    };
    let cases = [
        (
            "moved",
            from(|i, [_, _, width]| [i[1], i[2], (i[3] + width - 1) % width]),
            vec!["the reference moved by +1 along w, with what is moved out coming in at the other end"],
        ),
        (
            "interleaved",
            from(|i, [channels, ..]| [i[1] % 4 * (channels / 4) + i[1] / 4, i[2], i[3]]),
            vec!["interleaved otherwise", "indices of c as"],
        ),
        (
            "border",
            border,
            vec![
                "only the last row and the last column differ",
                "of the error is in the last row and column",
                "9 the largest, 0 under a tenth",
            ],
        ),
    ];
    let mut findings = Findings::default();
    for (case, changed, mut says) in cases {
        let seen = compare(dumped(&port.with(name, changed)).path(), &port.reference(), &[]);
        says.extend([name, "every layer after it is within its limits: its dump is wrong, it seems"]);
        findings.fails(case, &seen, 1, &says);
        let causes = seen.rows().iter().filter(|row| row.starts_with("cause")).count();
        assert_eq!(causes, 1, "{case}: {:#?}", seen.rows());
    }
    findings.none();
}

/// A port that forgot the weight of one norm: what comes after it inherits the error, and is not explained.
#[test]
fn a_norm_weight_that_is_left_out_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(root().join("fixtures/ggml-small/model.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let entries: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let name = entries.as_object().unwrap().keys().find(|name| name.ends_with(KEY_NORM)).unwrap();
    let offset = |at: usize| 8 + header + entries[name]["data_offsets"][at].as_u64().unwrap() as usize;
    bytes[offset(0)..offset(1)].chunks_exact_mut(4).for_each(|x| x.copy_from_slice(&1f32.to_le_bytes()));
    let weights = folder.path().join("model.safetensors");
    std::fs::write(&weights, bytes).unwrap();
    let dump = folder.path().join("dump");
    let input = "fixtures/ggml-small/input.png";
    let (weights, shown) = (weights.to_str().unwrap(), dump.to_str().unwrap());
    xtask(&["encode", "--weights", weights, "--input", input, "--dump", shown]).assert().code(0);
    std::fs::remove_file(dump.join("dump.json")).unwrap();
    let seen = compare(&dump, "fixtures/ggml-small", &[]);
    let mut findings = Findings::default();
    let says = ["times a factor for each index of c", &format!("{KEY_NORM}, as if it were left out")];
    findings.fails("left out", &seen, 1, &says);
    assert_eq!(seen.rows().iter().filter(|row| row.starts_with("cause")).count(), 1);
    findings.none();
}

/// What the model does otherwise is told, and not what that makes of the values besides.
#[test]
fn a_cause_in_the_model_is_told_alone() {
    let wrong = encoded("ggml-small", "fixtures/ggml-small/input.png", &["--padding", "symmetric"]);
    let seen = compare(dumped(&wrong).path(), "fixtures/ggml-small", &[]);
    let rows = seen.rows();
    let causes: Vec<_> = rows.iter().filter(|row| row.starts_with("cause")).collect();
    assert_eq!(causes.len(), 1, "{rows:#?}");
    assert!(causes[0].contains("as with symmetric padding"), "{rows:#?}");
}

/// Ports that are right, judged by limits that are too tight for them: no cause is claimed.
#[test]
fn less_exact_ports_get_no_cause() {
    let input = "fixtures/ggml-small/input.png";
    for precision in ["bf16", "bf16x3"] {
        let tensors = encoded("ggml-small", input, &["--precision", precision]);
        let seen = compare(dumped(&tensors).path(), "fixtures/ggml-small", &["--profile", "f32"]);
        assert!(!seen.rows().iter().any(|row| row.starts_with("cause")), "{precision}: {:#?}", seen.rows());
    }
    let seen = compare(&root().join(DUMP), "fixtures/ggml-small", &[]);
    assert!(!seen.rows().iter().any(|row| row.starts_with("cause")), "{:#?}", seen.rows());
}

#[test]
fn values_of_an_earlier_dump_are_named_where_one_is_given() {
    let port = RightPort::encoded();
    let darker = port.given(&mapped(&port.input, |x| 0.5 * x));
    let name = "mobilenet_block_5_inverted_residual";
    let now = dumped(&port.with(name, darker[name].clone()));
    let then = dumped(&darker);
    let mut findings = Findings::default();
    let seen = compare(now.path(), &port.reference(), &["--earlier", then.path().to_str().unwrap()]);
    let says = [name, "bit by bit what", "layers before it differ there: it was not written anew"];
    findings.fails("stale", &seen, 1, &says);
    let seen = compare(now.path(), &port.reference(), &[]);
    findings.never("no earlier dump", &seen, &["bit by bit"]);
    let seen = compare(now.path(), &port.reference(), &["--earlier", "nowhere"]);
    findings.fails("none there", &seen, 5, &["nowhere"]);
    findings.none();
    xtask(&["parity", "--earlier", "nowhere"]).assert().code(2);
}
