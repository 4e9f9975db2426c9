//! Changes of values that ports make, planted in random tensors with noise under them: each is named, and noise never is.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use harness::compare::comparison::Run;
use harness::diagnosis::{Background, WeightVector};
use harness::provenance::Dump;
use harness::report::json;
use harness::report::terminal::{self, Detail, Options};
use harness::store::{ReadAs, write_npy};
use harness::tensor::Tensor;

mod planted;

use planted::*;

/// Orders that have no name are found by the values; channels of zeros are alike.
#[test]
fn orders_without_a_name_and_channels_of_zeros() {
    let reference = random(MAPS.1, 5);
    let order: Vec<usize> = (0..24).map(|c| if c < 2 { c } else { 2 + (c * 5 + 3) % 22 }).collect();
    let found = |reference: &Tensor, from: &dyn Fn(usize) -> usize| {
        let candidate = noisy(&reordered(reference, 1, from), NOISE, 6);
        said(&compared(MAPS.0, &[(candidate, reference.clone())], &Background::default()))
    };
    let said = found(&reference, &|c| order[c]);
    assert!(said.contains("24 indices of c in another order, "), "{said}");
    let index = |i: &[usize]| i.iter().map(|i| *i as isize).collect::<Vec<_>>();
    let dead = made(MAPS.1, |i| if i[1] % 5 == 0 { 0.0 } else { at(&reference, &index(i)) });
    let said = found(&dead, &|c| c / 6 * 6 + (c % 6 + 3) % 6);
    assert!(said.contains("24 indices of c in exchanged halves, in each 6 of them"), "{said}");
}

#[test]
fn moves_of_a_map() {
    let cases = [
        planted("down", MAPS, |x| moved(x, 1, 0), &["moved by +1 along h, with zeros moved in"]),
        planted("left", MAPS, |x| moved(x, 0, -1), &["moved by -1 along w"]),
        planted("both", MAPS, |x| moved(x, -2, 1), &["moved by -2 along h and +1 along w"]),
        planted(
            "around",
            MAPS,
            |x| reordered(x, 3, |w| (w + 17) % 18),
            &["moved by +1 along w, with what is moved out coming in at the other end"],
        ),
        planted(
            "repeated",
            MAPS,
            |x| reordered(x, 2, |h| h.saturating_sub(1)),
            &["moved by +1 along h, with the edge repeated"],
        ),
        planted(
            "another border too",
            MAPS,
            |x| {
                made(x.shape(), |i| match (i[2], i[3]) {
                    (0 | 12, _) | (_, 0 | 17) => 0.3,
                    _ => at(x, &[0, i[1] as isize, i[2] as isize, i[3] as isize - 1]),
                })
            },
            &["moved by +1 along w, all but its outer 1 pixel"],
        ),
        planted("tokens", TOKENS, |x| reordered(x, 1, |t| (t + 36) % 37), &["moved by +1 along t"]),
    ];
    let wrong = not_said(&cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn borders() {
    let cases = [
        planted(
            "last row and column",
            MAPS,
            |x| {
                made(x.shape(), |i| {
                    at(x, &[0, i[1] as isize, i[2] as isize, i[3] as isize])
                        * if i[2] == 12 || i[3] == 17 { 0.8 } else { 1.0 }
                        + if i[2] == 12 || i[3] == 17 { 0.1 } else { 0.0 }
                })
            },
            &[
                "only the last row and the last column differ",
                "nearly all of the error is in the last row and column",
            ],
        ),
        planted(
            "two pixels around",
            MAPS,
            |x| {
                made(x.shape(), |i| {
                    let inside = (2..11).contains(&i[2]) && (2..16).contains(&i[3]);
                    let value = at(x, &[0, i[1] as isize, i[2] as isize, i[3] as isize]);
                    if inside { value } else { value + 0.1 * (value * 5.0).sin() }
                })
            },
            &["only the outer 2 pixels differ", "the outer ring of 2 pixels"],
        ),
    ];
    let wrong = not_said(&cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn orders_of_channels() {
    let cases = [
        planted("rotated", MAPS, |x| reordered(x, 1, |c| (c + 19) % 24), &["24 indices of c rotated by 5"]),
        planted("halves", MAPS, |x| reordered(x, 1, |c| (c + 12) % 24), &["of c in exchanged halves"]),
        planted(
            "[h, d] for [d, h]",
            MAPS,
            |x| reordered(x, 1, |c| c % 4 * 6 + c / 4),
            &["of c as [6, 4] for [4, 6]: interleaved otherwise"],
        ),
        planted(
            "halves of heads",
            TOKENS,
            |x| reordered(x, 2, |d| d / 12 * 12 + (d % 12 + 6) % 12),
            &["of d in exchanged halves, in each 12 of them"],
        ),
        planted(
            "pairs for halves in heads",
            TOKENS,
            |x| reordered(x, 2, |d| d / 16 * 16 + d % 16 % 2 * 8 + d % 16 / 2),
            &["of d as [8, 2] for [2, 8]: interleaved otherwise, in each 16 of them"],
        ),
        planted(
            "two",
            MAPS,
            |x| {
                reordered(x, 1, |c| match c {
                    3 => 17,
                    17 => 3,
                    c => c,
                })
            },
            &["of c in order but for 3 and 17, which are exchanged"],
        ),
    ];
    let wrong = not_said(&cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn factors_and_shifts() {
    let cases = [
        planted("a factor", MAPS, |x| lined(x, 1, |_| (0.25, 0.0)), &["the reference times 0.2500"]),
        planted("a shift", MAPS, |x| lined(x, 1, |_| (1.0, 0.5)), &["the reference plus 0.5000"]),
        planted("both", MAPS, |x| lined(x, 1, |_| (2.0, -1.0)), &["times 2.0000", "plus -1.0000"]),
        planted(
            "a factor each",
            MAPS,
            |x| lined(x, 1, |c| (1.0 + 0.01 * c as f64, 0.0)),
            &["times a factor for each index of c, from 1.0000", "to 1.23"],
        ),
        planted(
            "one that is lost",
            MAPS,
            |x| lined(x, 1, |c| (if c == 7 { 0.0 } else { 1.0 }, 0.0)),
            &["with index 7 of c alone times 0, of 24", "nearly all of the error is in 1 of 24 channels (7)"],
        ),
        planted(
            "three of them",
            TOKENS,
            |x| lined(x, 2, |d| (if [4, 9, 30].contains(&d) { 1.5 } else { 1.0 }, 0.0)),
            &["times a factor at 3 of 48 indices of d (4, 9, 30)"],
        ),
        planted(
            "a shift each",
            TOKENS,
            |x| lined(x, 2, |d| (1.0, 0.01 * d as f64)),
            &["plus a number for each index of d"],
        ),
        planted(
            "both each",
            MAPS,
            |x| lined(x, 1, |c| (1.0 + 0.1 * c as f64, 1.0 - 0.2 * c as f64)),
            &["times a factor and plus a number for each index of c"],
        ),
    ];
    let wrong = not_said(&cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A factor and a shift by the index of an axis.
fn lined(x: &Tensor, axis: usize, line: fn(usize) -> (f64, f64)) -> Tensor {
    made(x.shape(), |i| {
        let index: Vec<isize> = i.iter().map(|i| *i as isize).collect();
        let (factor, shift) = line(i[axis]);
        factor * at(x, &index) + shift
    })
}

#[test]
fn factors_that_a_weight_equals_name_it() {
    let reference = random(MAPS.1, 9);
    let mut numbers = Numbers(3);
    let weight: Vec<f64> = (0..24).map(|_| 1.0 + 0.2 * numbers.next()).collect();
    let other: Vec<f64> = (0..24).map(|_| 1.0 + 0.2 * numbers.next()).collect();
    let weights = |extent: usize| {
        let named =
            |name: &str, values: &[f64]| WeightVector { name: name.to_string(), values: values.to_vec() };
        if extent == 24 { vec![named("other", &other), named("norm.weight", &weight)] } else { Vec::new() }
    };
    let background = Background { earlier: None, weights: Some(&weights) };
    let index = |i: &[usize]| i.iter().map(|i| *i as isize).collect::<Vec<_>>();
    type OfWeight = fn(f64, f64) -> f64;
    let cases: [(&str, OfWeight, &str); 6] = [
        ("twice", |x, w| x * w, "which is norm.weight, as if it were applied once more"),
        ("left out", |x, w| x / w, "which is 1 / norm.weight, as if it were left out"),
        ("as 1 + w", |x, w| x * (1.0 + w), "which is 1 + norm.weight,"),
        ("1 added", |x, w| x * (1.0 + w) / w, "as if 1 were added to the weight"),
        ("bias left out", |x, w| x - w, "which is -norm.weight, as if it were left out"),
        ("squared", |x, w| x * w * w, "the reference times a factor for each index of c"),
    ];
    for (what, change, says) in cases {
        let changed = made(MAPS.1, |i| change(at(&reference, &index(i)), weight[i[1]]));
        let candidate = noisy(&changed, NOISE, 10);
        let said = said(&compared(MAPS.0, &[(candidate, reference.clone())], &background));
        assert!(said.contains(says), "{what}: expected `{says}` in {said}");
        assert_eq!(said.contains("norm.weight"), what != "squared", "{what}: {said}");
    }
}

#[test]
fn roundings() {
    let steps =
        |x: &Tensor, step: f64| tensor(x.shape(), x.iter().map(|x| (x / step).round() * step).collect());
    let reference = random(MAPS.1, 21);
    let most = reference.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    // As a right port is off before it rounds.
    let right = noisy(&reference, NOISE, 22);
    let half =
        |round: fn(f32) -> f32| tensor(MAPS.1, right.iter().map(|x| f64::from(round(x as f32))).collect());
    let cases = [
        ("f16", half(|x| half::f16::from_f32(x).to_f32()), "the reference rounded to f16, every value of it"),
        (
            "bf16",
            half(|x| half::bf16::from_f32(x).to_f32()),
            "the reference rounded to bf16, every value of it",
        ),
        ("int8", steps(&right, most / 127.0), "the reference rounded to 256 steps, as integers"),
        ("int8 by channel", steps_by_channel(&right), "rounded to 256 steps for each index of c"),
    ];
    for (what, candidate, says) in cases {
        let said = said(&compared(MAPS.0, &[(candidate, reference.clone())], &Background::default()));
        assert!(said.contains(says), "{what}: expected `{says}` in {said}");
    }
    // A port that computes in f16 is off by more than one rounding.
    let less_exact = noisy(&reference, 2e-3, 23);
    let candidate = tensor(
        MAPS.1,
        less_exact.iter().map(|x| f64::from(half::f16::from_f32(x as f32).to_f32())).collect(),
    );
    assert_eq!(said(&compared(MAPS.0, &[(candidate, reference)], &Background::default())), "");
}

/// Each channel in steps of its own.
fn steps_by_channel(x: &Tensor) -> Tensor {
    let inner = x.len() / 24;
    let values: Vec<f64> = x.iter().collect();
    let of_channel = |channel: &[f64]| {
        let step = channel.iter().fold(0.0, |most: f64, x| most.max(x.abs())) / 127.0;
        channel.iter().map(|x| (x / step).round() * step).collect::<Vec<_>>()
    };
    tensor(x.shape(), values.chunks(inner).flat_map(of_channel).collect())
}

#[test]
fn values_of_an_earlier_dump() {
    let folder = tempfile::tempdir().unwrap();
    let layers: Vec<(Tensor, Tensor)> = (0..3)
        .map(|i| {
            let reference = random(MAPS.1, 31 + i);
            let then = noisy(&reference, 0.3, 41 + i);
            write_npy(&folder.path().join(format!("layer_{i}.npy")), &then).unwrap();
            // The last is not written anew.
            (if i == 2 { then } else { noisy(&reference, NOISE, 51 + i) }, reference)
        })
        .collect();
    let mapping = mapping(MAPS.0);
    let (earlier, _) = Dump::open(folder.path(), &mapping.candidate.naming, ReadAs::default()).unwrap();
    let background = Background { earlier: Some(&earlier), weights: None };
    let comparison = compared(MAPS.0, &layers, &background);
    let of_stale = said(&comparison);
    assert!(of_stale.contains("layer_2: bit by bit what"), "{of_stale}");
    assert!(
        of_stale.contains("though 2 layers before it differ there: it was not written anew"),
        "{of_stale}"
    );
    assert_eq!(said(&compared(MAPS.0, &layers, &Background::default())), "");
    // Where nothing before it changed either, the port is as it was.
    let unchanged: Vec<(Tensor, Tensor)> = layers[2..].to_vec();
    write_npy(&folder.path().join("layer_0.npy"), &unchanged[0].0).unwrap();
    assert_eq!(said(&compared(MAPS.0, &unchanged, &background)), "");
}

/// Where the error is, and where it is not.
#[test]
fn places_of_errors() {
    let cases = [
        planted(
            "a row",
            MAPS,
            |x| spoilt(x, |i| i[2] == 5),
            &["nearly all of the error is in 1 of 13 rows (5)"],
        ),
        planted("the first column", MAPS, |x| spoilt(x, |i| i[3] == 0), &["in the first column"]),
        planted(
            "a phase",
            MAPS,
            |x| spoilt(x, |i| i[2] % 2 == 0 && i[3] % 2 == 1),
            &["in every second row, from 0 and every second column, from 1"],
        ),
        planted("columns", MAPS, |x| spoilt(x, |i| i[3] % 2 == 1), &["in every second column, from 1"]),
        planted("a head", TOKENS, |x| spoilt(x, |i| i[2] / 12 == 2), &["in indices of d 24 to 35 of 48"]),
        planted("a token", TOKENS, |x| spoilt(x, |i| i[1] == 0), &["in the first of 37 tokens"]),
        planted("an element", MAPS, |x| spoilt(x, |i| i == [0, 3, 4, 5]), &["in one element, [0, 3, 4, 5]"]),
        planted("a channel", MAPS, |x| spoilt(x, |i| i[1] == 7), &["in 1 of 24 channels (7)"]),
    ];
    let mut wrong = Vec::new();
    for (seed, PlantedChange { what, layout, shape, plant, says }) in cases.iter().enumerate() {
        let reference = random(shape, 177 + seed as u64);
        let candidate = noisy(&plant(&reference), NOISE, 900 + seed as u64);
        let comparison = compared(layout, &[(candidate, reference)], &Background::default());
        let said = said(&comparison);
        if !says.iter().all(|text| said.contains(text)) {
            wrong.push(format!("{what}: expected {says:?}, found: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Wrong numbers at some indices, which no simple change makes.
fn spoilt(x: &Tensor, wrong: fn(&[usize]) -> bool) -> Tensor {
    made(x.shape(), |i| {
        let index: Vec<isize> = i.iter().map(|i| *i as isize).collect();
        let x = at(x, &index);
        if wrong(i) { (7.0 * x).sin() + 2.0 } else { x }
    })
}

/// One wrong element in the first row is no border.
#[test]
fn a_few_wrong_elements_are_no_border() {
    for wrong in [[0, 3, 0, 5], [0, 3, 7, 17], [0, 0, 12, 0]] {
        let reference = random(MAPS.1, 61);
        let candidate = made(MAPS.1, |i| {
            let index: Vec<isize> = i.iter().map(|i| *i as isize).collect();
            at(&reference, &index) + if i == wrong { 1.0 } else { 0.0 }
        });
        let comparison =
            compared(MAPS.0, &[(noisy(&candidate, NOISE, 62), reference)], &Background::default());
        assert_eq!(comparison.explanations, [], "{wrong:?}");
        assert!(said(&comparison).contains(&format!("one element, {wrong:?}")), "{}", said(&comparison));
    }
}

/// Noise is explained by nothing, and is nowhere in particular: whatever its size, its shape, and that of the tensor.
#[test]
fn noise_gets_no_cause_and_no_place() {
    let shapes: [(&str, &[usize]); 8] = [
        MAPS,
        TOKENS,
        ("b c h w", &[1, 3, 32, 32]),
        ("b c h w", &[1, 96, 4, 4]),
        ("b c h w", &[1, 512, 1, 1]),
        ("b c h w", &[2, 8, 16, 7]),
        ("b c", &[1, 1000]),
        ("b t d", &[1, 256, 64]),
    ];
    let weights = |extent: usize| {
        vec![WeightVector { name: "w".to_string(), values: random(&[extent], 8).iter().collect() }]
    };
    let background = Background { earlier: None, weights: Some(&weights) };
    let mut wrong = Vec::new();
    for (case, (layout, shape)) in shapes.into_iter().enumerate() {
        for (seed, size) in [2e-4, 4e-4, 3e-3, 0.1, 0.7, 3.0].into_iter().enumerate() {
            let seed = (10 * case + seed) as u64;
            let plain = random(shape, 600 + seed);
            // Channels of very different sizes, as those of real maps are, with noise in proportion.
            let axis = shape.len().min(2) - 1 + usize::from(layout == "b t d");
            let uneven = made(shape, |i| {
                let index: Vec<isize> = i.iter().map(|i| *i as isize).collect();
                at(&plain, &index) * if i[axis] % 17 == 3 { 40.0 } else { 1.0 }
            });
            let even = noisy(&plain, size, 700 + seed);
            let mut numbers = Numbers(800 + seed);
            let in_proportion =
                tensor(shape, uneven.iter().map(|x| x * (1.0 + size * numbers.next())).collect());
            for (kind, candidate, reference) in
                [("even", even, plain), ("in proportion", in_proportion, uneven)]
            {
                let comparison = compared(layout, &[(candidate, reference)], &background);
                let said = said(&comparison);
                if !said.is_empty() {
                    wrong.push(format!("{layout} {shape:?}, {kind} noise of {size}: {said}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What inherits an error is not looked at again; a layer with one of its own is.
#[test]
fn each_layer_in_which_an_error_begins_is_looked_at() {
    let shifted = |seed: u64| {
        let reference = random(MAPS.1, seed);
        (noisy(&moved(&reference, 0, 1), NOISE, seed + 1), reference)
    };
    let right = |seed: u64, noise: f64| {
        let reference = random(MAPS.1, seed);
        (noisy(&reference, noise, seed + 1), reference)
    };
    let layers = [
        right(1, 0.0),
        shifted(2),
        right(3, 0.2),
        right(4, NOISE),
        right(5, 1e-3),
        shifted(6),
        right(7, 0.5),
    ];
    let comparison = compared(MAPS.0, &layers, &Background::default());
    let explained: Vec<&[String]> =
        comparison.explanations.iter().map(|found| found.explains.as_slice()).collect();
    assert_eq!(explained, [["layer_1".to_string(), "layer_5".to_string()]]);
    let shapes: Vec<&str> = comparison.error_shapes.iter().map(|shape| shape.layer.as_str()).collect();
    assert_eq!(shapes, ["layer_1", "layer_4", "layer_5"]);
}

#[test]
fn the_report_of_an_error_in_a_corner() {
    let reference = random(MAPS.1, 300);
    let candidate = noisy(&spoilt(&reference, |i| i[2] == 12 || i[3] == 17), NOISE, 301);
    let other = random(MAPS.1, 302);
    let layers = [(candidate, reference), (noisy(&spoilt(&other, |i| i[2] > 5), NOISE, 303), other)];
    let comparison = compared(MAPS.0, &layers, &Background::default());
    insta::assert_snapshot!("corner", terminal::comparison(&comparison, Options::default()));
    let options = Options { colours: true, detail: Detail::Verbose, several: false };
    insta::assert_snapshot!(
        "corner_coloured",
        terminal::comparison(&comparison, options).replace('\u{1b}', "^")
    );
    let run = Run { comparisons: vec![comparison], ..Run::default() };
    let report: serde_json::Value = serde_json::from_str(&json::render(&run).unwrap()).unwrap();
    let shape = &report["layers"][0]["error_shape"];
    assert_eq!(shape["place"]["part"]["of"], "edges");
    assert_eq!(shape["map"]["cells"].as_array().unwrap().len(), 13);
    assert!(
        report["layers"][1]["error_shape"].is_object() || report["layers"][1].get("error_shape").is_none()
    );
    let cause = &report["provenance"][0]["findings"][0];
    assert_eq!((&cause["of"], &cause["change"]["of"]), (&"values".into(), &"border".into()));
}
