//! Dumps that are wrong, and ports that are.

use harness::tensor::Tensor;

use crate::brought::*;

#[test]
fn a_dump_without_a_finite_number_was_read_too_late() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    for (case, value) in [("NaN", f32::NAN), ("Inf", f32::INFINITY)] {
        let dump = dumped(&port.each(|x| mapped(x, |_| value)));
        let seen = compare(dump.path(), &port.reference(), &[]);
        findings.fails(case, &seen, 1, &["not finite from the first tensor on: was the dump read too late"]);
        findings.never(case, &seen, &["inherits its error"]);
    }
    findings.none();
}

/// The dump is wrong and the port is right: what comes after the failing layer is within its limits.
#[test]
fn a_wrong_dump_of_a_right_port_is_told_as_such() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let inherits = "what comes after it inherits its error";
    let key = "mobilenet_block_9_attn_key_norm";
    let in_floats = |bytes: fn(f32) -> [u8; 2]| {
        let tensor = &port.tensors[key];
        let mut buffer: Vec<u8> = values(tensor).into_iter().flat_map(bytes).collect();
        buffer.resize(4 * tensor.len(), 0);
        let words = buffer.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap()));
        Tensor::from_f32(tensor.shape().to_vec(), words.collect()).unwrap()
    };
    let halves = [
        ("f16", in_floats(|x| half::f16::from_f32(x).to_le_bytes())),
        ("bf16", in_floats(|x| half::bf16::from_f32(x).to_le_bytes())),
    ];
    for (dtype, tensor) in halves {
        let dump = dumped(&port.with(key, tensor));
        let seen = compare(dump.path(), &port.reference(), &[]);
        let says = [&format!("read as {dtype}"), "the port is right, its dump is not", key];
        findings.fails(dtype, &seen, 1, &says);
        findings.never(dtype, &seen, &[inherits]);
    }

    let (one, other) = ("mobilenet_block_5_inverted_residual", "mobilenet_block_6_inverted_residual");
    assert_eq!(port.tensors[one].shape(), port.tensors[other].shape());
    let mut exchanged = port.with(one, port.tensors[other].clone());
    exchanged.insert(other.to_string(), port.tensors[one].clone());
    let seen = compare(dumped(&exchanged).path(), &port.reference(), &[]);
    let says = [&format!("{one}: its values are those of"), &format!("{other}: its values are those of")];
    findings.fails("two that are exchanged", &seen, 1, &says.map(String::as_str));
    findings.never("two that are exchanged", &seen, &[inherits]);

    let twice = port.with(other, port.tensors[one].clone());
    let seen = compare(dumped(&twice).path(), &port.reference(), &[]);
    findings.fails("one buffer under two names", &seen, 1, &[other, "its values are those of"]);
    findings.never("one buffer under two names", &seen, &[inherits]);

    let damaged = mapped(&port.tensors[one], f32::sin);
    let seen = compare(dumped(&port.with(one, damaged)).path(), &port.reference(), &[]);
    let says = ["every layer after it is within its limits: its dump is wrong, it seems, and not the port"];
    findings.fails("one that is anything", &seen, 1, &says);
    findings.never("one that is anything", &seen, &[inherits]);
    findings.none();
}

#[test]
fn a_factor_is_named_whether_of_all_or_of_each_channel() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let name = "msfa_concat_norm";
    let eight = port.with(name, mapped(&port.tensors[name], |x| x * 8.0));
    let seen = compare(dumped(&eight).path(), &port.reference(), &[]);
    findings.fails("times 8", &seen, 1, &["the candidate is the reference times 8.000000", name]);
    let tensor = &port.tensors[name];
    let inner: usize = tensor.shape()[2..].iter().product();
    let scaled = values(tensor).into_iter().enumerate().map(|(i, x)| x * (1.0 + (i / inner % 7) as f32));
    let scaled = Tensor::from_f32(tensor.shape().to_vec(), scaled.collect()).unwrap();
    let seen = compare(dumped(&port.with(name, scaled)).path(), &port.reference(), &[]);
    let says = ["the reference times a factor for each index of c, from 1.000000 to 7.00000", name];
    findings.fails("a factor for each channel", &seen, 1, &says);
    findings.none();
}

/// Preprocessing that differs: with the dump's own input it is held against the set's, without it the encoder is run.
#[test]
fn another_input_is_named_where_it_can_be_had() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let shape = port.input.shape().to_vec();
    let (channels, side) = (shape[1], shape[2]);
    let bgr = moved(&port.input, &shape, |i| vec![i[0], channels - 1 - i[1], i[2], i[3]]);
    let upside_down = moved(&port.input, &shape, |i| vec![i[0], i[1], side - 1 - i[2], i[3]]);
    let mirrored = moved(&port.input, &shape, |i| vec![i[0], i[1], i[2], side - 1 - i[3]]);
    let cases = [
        ("BGR", bgr, "channels reversed (BGR for RGB)"),
        ("upside down", upside_down, "upside down"),
        ("mirrored", mirrored, "mirrored"),
    ];
    for (case, input, says) in &cases {
        let tensors = port.given(input);
        let seen = compare(dumped(&tensors).path(), &port.reference(), &[]);
        findings.fails(&format!("{case}, without its input"), &seen, 1, &["as with", says]);
    }
    let scaled = |factor: f32, shift: f32| mapped(&port.input, |x| factor * x + shift);
    let with_input = [
        ("BGR", port.given(&cases[0].1), cases[0].1.clone(), "channels reversed (BGR for RGB)"),
        ("upside down", port.given(&cases[1].1), cases[1].1.clone(), "h in reverse"),
        ("darker", port.given(&scaled(0.5, 0.25)), scaled(0.5, 0.25), "values times 0.500000 plus 0.250000"),
        ("-1 to 1", port.given(&scaled(0.5, 0.25)), scaled(2.0, -1.0), "values from -1 to 1"),
        ("0 to 255", port.given(&scaled(0.5, 0.25)), scaled(255.0, 0.0), "values from 0 to 255"),
    ];
    for (case, mut tensors, input, says) in with_input {
        tensors.insert("inp_raw".to_string(), input);
        let seen = compare(dumped(&tensors).path(), &port.reference(), &[]);
        findings.fails(
            &format!("{case}, with its input"),
            &seen,
            1,
            &["the input inp_raw differs already", says],
        );
    }
    // A port that is right, whose input was dumped before it was scaled.
    let seen = compare(dumped(&port.with("inp_raw", scaled(255.0, 0.0))).path(), &port.reference(), &[]);
    findings.fails("0 to 255, all else right", &seen, 1, &["values from 0 to 255", "the port is right"]);
    findings.never("0 to 255, all else right", &seen, &["inherits"]);
    findings.none();
}

#[test]
fn another_padding_is_named() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let wrong = encoded("ggml-small", "fixtures/ggml-small/input.png", &["--padding", "symmetric"]);
    let seen = compare(dumped(&wrong).path(), &port.reference(), &[]);
    let says = ["first failing layer: mobilenet_stem_output", "as with symmetric padding"];
    findings.fails("symmetric", &seen, 1, &says);
    // The same against a set whose right padding is the symmetric one.
    let size = ["--output-resolution", "5x8"];
    let other = RightPort::of("symmetric", &[&size[..], &["--padding", "symmetric"]].concat());
    let same = [&size[..], &["--padding", "same"]].concat();
    let same = encoded("symmetric", "fixtures/symmetric/input.png", &same);
    findings.passes("the set's own", &compare(dumped(&other.tensors).path(), &other.reference(), &[]), &[]);
    let seen = compare(dumped(&same).path(), &other.reference(), &[]);
    findings.fails("SAME", &seen, 1, &["as with TensorFlow's SAME padding"]);
    findings.none();
}
