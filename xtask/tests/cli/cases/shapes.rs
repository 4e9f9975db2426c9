//! Dumps in other shapes and orders of axes.

use harness::tensor::Tensor;

use crate::brought::*;
use crate::support::*;

const NHWC: [usize; 4] = [0, 2, 3, 1];

#[test]
fn a_batch_axis_that_is_left_out_is_taken_as_one() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let rank3 = dumped(&port.each(without_leading_ones));
    let seen = compare(rank3.path(), &port.reference(), &[]);
    findings.passes(
        "candidate",
        &seen,
        &["the candidate leaves out the batch axis of 46 layers: taken as 1"],
    );

    let reference = read_folder(&root().join("fixtures/ggml-small/reference"), "debug_activation_");
    let flat: BroughtTensors =
        reference.iter().map(|(name, x)| (name.clone(), without_leading_ones(x))).collect();
    let (whole, flat) = (reference_dumped(&reference), reference_dumped(&flat));
    let [whole, flat] = [&whole, &flat].map(|folder| folder.path().to_str().unwrap());
    let base = dumped(&port.tensors);
    let seen = compare(base.path(), flat, &[]);
    findings.passes(
        "reference",
        &seen,
        &["the reference leaves out the batch axis of 46 layers: taken as 1"],
    );
    let seen = compare(rank3.path(), flat, &[]);
    findings.passes("both", &seen, &["both sides leave out the batch axis of 46 layers: taken as 1"]);
    let seen = compare(base.path(), whole, &[]);
    findings.never("neither", &seen, &["leave out", "leaves out"]);
    findings.none();
}

/// The line that the output gives really reads the candidate.
#[test]
fn axes_in_another_order_get_the_one_line_that_reads_them() {
    let port = RightPort::encoded();
    let oblong = RightPort::of("blocks", &["--output-resolution", "2x4"]);
    let mut findings = Findings::default();
    let hwc = |x: &Tensor| if x.shape().len() == 4 { transposed(x, &NHWC) } else { x.clone() };
    let cases: [(&str, &RightPort, BroughtTensors, &str); 5] = [
        ("NHWC", &port, port.each(hwc), "\"b h w c\""),
        ("NHWC, oblong", &oblong, oblong.each(hwc), "\"b h w c\""),
        ("HWC", &port, port.each(|x| without_leading_ones(&hwc(x))), "\"b h w c\""),
        ("NCWH", &oblong, oblong.each(|x| maps_transposed(x, &[0, 1, 3, 2])), "\"b c w h\""),
        (
            "WHC",
            &oblong,
            oblong.each(|x| without_leading_ones(&maps_transposed(x, &[0, 3, 2, 1]))),
            "\"b w h c\"",
        ),
    ];
    for (case, port, tensors, layout) in cases {
        let dump = dumped(&tensors);
        let seen = compare(dump.path(), &port.reference(), &[]);
        findings.fails(case, &seen, 4, &[&format!("layout = {layout}"), "within the limits"]);
        findings.advice_holds(case, &seen, "candidate", &["layout"], (dump.path(), &port.reference()));
    }
    findings.none();
}

#[test]
fn extents_in_reverse_order_get_the_key_that_reads_them() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let reversed = |x: &Tensor| {
        let shape: Vec<usize> = x.shape().iter().rev().copied().collect();
        under(&shape, x)
    };
    let whole = port.each(reversed);
    let without_batch = port.each(|x| reversed(&without_leading_ones(x)));
    for (case, tensors) in [("with a batch axis", whole), ("without", without_batch)] {
        let dump = dumped(&tensors);
        let seen = compare(dump.path(), &port.reference(), &[]);
        findings.fails(case, &seen, 4, &["extents are in reverse order", "let the writer reverse the shape"]);
        findings.advice_holds(case, &seen, "candidate", &["extents"], (dump.path(), &port.reference()));
    }
    findings.none();
}

#[test]
fn memory_order_under_another_header_gets_the_key_that_reads_it() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    // What `permute` without a copy leaves where the writer takes the buffer as it is.
    let dump = dumped(&port.each(|x| match x.shape().len() {
        4 => under(x.shape(), &transposed(x, &NHWC)),
        _ => x.clone(),
    }));
    let seen = compare(dump.path(), &port.reference(), &[]);
    findings.fails("NHWC under NCHW", &seen, 1, &["memory = \"b h w c\""]);
    findings.advice_holds(
        "NHWC under NCHW",
        &seen,
        "candidate",
        &["memory"],
        (dump.path(), &port.reference()),
    );
    findings.none();
}

#[test]
fn square_maps_do_not_hide_that_height_and_width_are_exchanged() {
    let port = RightPort::encoded();
    let mut findings = Findings::default();
    let tokens = |x: &Tensor| {
        let side = x.shape()[1].isqrt();
        let map = under(&[1, side, side, x.shape()[2]], x);
        under(x.shape(), &transposed(&map, &[0, 2, 1, 3]))
    };
    let dump = dumped(&port.each(|x| match x.shape().len() {
        4 => transposed(x, &[0, 1, 3, 2]),
        _ => tokens(x),
    }));
    let seen = compare(dump.path(), &port.reference(), &[]);
    findings.fails("exchanged", &seen, 1, &["with h and w exchanged, 43 layers within the limits"]);
    findings.never("exchanged", &seen, &["what comes after it inherits its error"]);
    findings.none();
}
