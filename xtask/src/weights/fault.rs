//! What is wrong with a tensor that another program converted. Nothing is said that was not tried on the values.

use encoder::WeightType;
use half::{bf16, f16};
use harness::tensor::Dtype;
use serde::Serialize;

use super::sides::{StoredWeight, WeightSides};

/// Why a tensor of B is not that of A.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum WeightFault {
    /// B cannot be read.
    Unreadable { text: String },
    /// B has values that are not finite.
    NotFinite { count: usize },
    /// B is 0 throughout.
    Zero,
    /// B holds A with its axes in this order.
    Transposed { axes: Vec<usize> },
    /// B holds A's values in their order under another shape.
    Reshaped,
    /// B has another shape, and holds A's values in no order that was tried.
    Shape,
    /// B is A reversed along these axes.
    Reversed { axes: Vec<usize> },
    /// B holds another tensor of A's, which holds this one.
    Exchanged { with: String },
    /// B holds another tensor of A's.
    HoldsOther { other: String },
    /// B is A times a factor.
    Factor { factor: f64 },
    /// B is A plus a number.
    Offset { offset: f64 },
    /// B is A with a factor for each index of an axis.
    FactorOfEach { axis: usize },
    /// B is A rounded to a type that is not the one it is stored in.
    RoundedOnTheWay { to: &'static str },
    /// B was quantised to so many bits on the way, in blocks of 32.
    QuantisedOnTheWay { bits: u32 },
    /// B is A cut off, where its type should be rounded to.
    CutOff { to: &'static str },
    /// B is made of A's bytes read as something else.
    BytesReadAs { from: &'static str, as_: &'static str },
    /// In each block of this size, B has A's values in another order.
    BlockOrder { block: usize },
    /// In each block of this size, B is A with a factor and an offset of its own.
    BlockScale { block: usize },
    /// Nothing that was tried explains it.
    Unexplained { elements: usize, of: usize, channel: Option<usize> },
}

/// What is wrong with B, whose elements are not all A's.
pub(super) fn find(sides: WeightSides<'_>) -> WeightFault {
    let (a, b) = (sides.a, sides.b);
    let not_finite = b.values.iter().filter(|x| !x.is_finite()).count();
    if a.len() != b.len() {
        return WeightFault::Shape;
    }
    let bytes = bytes_read_as(sides);
    if not_finite > 0 {
        return bytes.unwrap_or(WeightFault::NotFinite { count: not_finite });
    }
    if b.values.iter().all(|x| *x == 0.0) {
        return WeightFault::Zero;
    }
    let of_shape = || (a.shape != b.shape).then_some(WeightFault::Shape);
    moved(sides)
        .or_else(of_shape)
        .or_else(|| scaled(sides))
        .or_else(|| rounded(sides))
        .or(bytes)
        .or_else(|| quantised_on_the_way(sides))
        .or_else(|| in_blocks(sides))
        .unwrap_or_else(|| unexplained(sides))
}

/// All orders of so many axes, the usual one first.
fn orders(axes: usize) -> Vec<Vec<usize>> {
    if axes == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for order in orders(axes - 1) {
        for at in (0..axes).rev() {
            let mut order = order.clone();
            order.insert(at, axes - 1);
            all.push(order);
        }
    }
    all
}

/// Where an element of a tensor of permuted axes is in the tensor.
fn place_of(shape: &[usize], axes: &[usize]) -> impl Fn(usize) -> usize + Send + Sync + use<> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let steps: Vec<(usize, usize)> = axes.iter().rev().map(|axis| (shape[*axis], strides[*axis])).collect();
    move |mut flat| {
        let mut place = 0;
        for (extent, stride) in &steps {
            place += flat % extent * stride;
            flat /= extent;
        }
        place
    }
}

/// A's values in other places.
fn moved(sides: WeightSides<'_>) -> Option<WeightFault> {
    let shape = &sides.a.shape;
    if sides.a.shape != sides.b.shape && sides.holds_at(|i| i) {
        return Some(WeightFault::Reshaped);
    }
    if shape.len() > 4 {
        return None;
    }
    let long = |axes: &[usize]| axes.iter().copied().filter(|axis| shape[*axis] > 1).collect::<Vec<_>>();
    for axes in orders(shape.len()) {
        // Axes of one element may be anywhere.
        if !long(&axes).is_sorted() && sides.holds_at(place_of(shape, &axes)) {
            return Some(WeightFault::Transposed { axes });
        }
    }
    if sides.a.shape != sides.b.shape {
        return None;
    }
    let usual: Vec<usize> = (0..shape.len()).collect();
    for chosen in 1usize..1 << shape.len() {
        let axes: Vec<usize> = usual.iter().copied().filter(|axis| chosen >> axis & 1 == 1).collect();
        if axes != long(&axes) {
            continue;
        }
        let reversed = |i: usize| {
            let (mut flat, mut place, mut stride) = (i, 0, 1);
            for axis in usual.iter().rev() {
                let index = flat % shape[*axis];
                let index = if axes.contains(axis) { shape[*axis] - 1 - index } else { index };
                (flat, place, stride) = (flat / shape[*axis], place + index * stride, stride * shape[*axis]);
            }
            place
        };
        if sides.holds_at(reversed) {
            return Some(WeightFault::Reversed { axes });
        }
    }
    None
}

/// A factor by which B is A, in the least squares.
fn factor(a: impl Iterator<Item = f32> + Clone, b: impl Iterator<Item = f32>) -> f64 {
    let (mut ab, mut aa) = (0.0, 0.0);
    for (a, b) in a.zip(b) {
        ab += f64::from(a) * f64::from(b);
        aa += f64::from(a) * f64::from(a);
    }
    if aa > 0.0 { ab / aa } else { 0.0 }
}

fn scaled(sides: WeightSides<'_>) -> Option<WeightFault> {
    let (a, b) = (&sides.a.values, &sides.b.values);
    let largest = a.iter().fold(0f32, |most, x| most.max(x.abs()));
    // What is fitted to rounded values is itself a little off.
    let near = |i: usize, expected: f64, factor: f64| {
        let allowed = f64::from(sides.a.rounding[i]) * factor.abs() + f64::from(sides.b.rounding[i]);
        (f64::from(b[i]) - expected).abs()
            <= 1.01 * allowed + 2e-6 * f64::from(largest) * factor.abs().max(1.0)
    };
    let all = factor(a.iter().copied(), b.iter().copied());
    if all != 0.0 && sides.holds(|i| near(i, all * f64::from(a[i]), all)) {
        return Some(WeightFault::Factor { factor: all });
    }
    let differences = a.iter().zip(b).map(|(a, b)| f64::from(*b) - f64::from(*a));
    let offset = differences.sum::<f64>() / a.len() as f64;
    if sides.holds(|i| near(i, offset + f64::from(a[i]), 1.0)) {
        return Some(WeightFault::Offset { offset });
    }
    let shape = &sides.a.shape;
    (0..shape.len().min(2)).find_map(|axis| {
        let after: usize = shape[axis + 1..].iter().product();
        // Fewer than a few values of each would fit by themselves.
        if shape[axis] < 2 || a.len() / shape[axis] < 4 {
            return None;
        }
        let index = |i: usize| i / after % shape[axis];
        let (mut ab, mut aa) = (vec![0.0; shape[axis]], vec![0.0; shape[axis]]);
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            ab[index(i)] += f64::from(*a) * f64::from(*b);
            aa[index(i)] += f64::from(*a) * f64::from(*a);
        }
        let factors: Vec<f64> =
            ab.iter().zip(&aa).map(|(ab, aa)| if *aa > 0.0 { ab / aa } else { 0.0 }).collect();
        let fits = sides.holds(|i| near(i, factors[index(i)] * f64::from(a[i]), factors[index(i)]));
        fits.then_some(WeightFault::FactorOfEach { axis })
    })
}

fn cut_to_f16(x: f32) -> f32 {
    let nearest = f16::from_f32(x);
    match nearest.to_f32().abs() > x.abs() {
        true => f16::from_bits(nearest.to_bits() - 1).to_f32(),
        false => nearest.to_f32(),
    }
}

fn cut_to_bf16(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & 0xFFFF_0000)
}

fn rounded(sides: WeightSides<'_>) -> Option<WeightFault> {
    let is = |expected: fn(f32) -> f32| sides.holds(|i| sides.b.values[i] == expected(sides.a.values[i]));
    if is(|x| Dtype::Bf16.nearest(x)) || is(|x| Dtype::F16.nearest(Dtype::Bf16.nearest(x))) {
        return Some(WeightFault::RoundedOnTheWay { to: "BF16" });
    }
    if is(|x| Dtype::F16.nearest(x)) {
        return Some(WeightFault::RoundedOnTheWay { to: "F16" });
    }
    let cut = [(cut_to_f16 as fn(f32) -> f32, "F16"), (cut_to_bf16, "BF16")];
    cut.into_iter().find(|(cut, _)| is(*cut)).map(|(_, to)| WeightFault::CutOff { to })
}

fn bytes_read_as(sides: WeightSides<'_>) -> Option<WeightFault> {
    type ByteReading = (&'static str, &'static str, fn(f32) -> f32);
    let readings: [ByteReading; 5] = [
        ("F16", "F16 in the other byte order", |x| {
            f16::from_bits(f16::from_f32(x).to_bits().swap_bytes()).to_f32()
        }),
        ("BF16", "BF16 in the other byte order", |x| {
            bf16::from_bits(bf16::from_f32(x).to_bits().swap_bytes()).to_f32()
        }),
        ("F32", "F32 in the other byte order", |x| f32::from_bits(x.to_bits().swap_bytes())),
        ("F16", "BF16", |x| bf16::from_bits(f16::from_f32(x).to_bits()).to_f32()),
        ("BF16", "F16", |x| f16::from_bits(bf16::from_f32(x).to_bits()).to_f32()),
    ];
    let same = |a: f32, b: f32| a == b || (a.is_nan() && b.is_nan());
    let holds =
        |reading: fn(f32) -> f32| sides.holds(|i| same(sides.b.values[i], reading(sides.a.values[i])));
    let found = readings.into_iter().find(|(_, _, reading)| holds(*reading));
    found.map(|(from, as_, _)| WeightFault::BytesReadAs { from, as_ })
}

/// How near values have to be that were quantised on the way, to any number of bits: ‖error‖ / ‖A‖.
const QUANTISED: f64 = 0.25;

/// Whether B is near A, and its values in each block of 32 are whole multiples of one step.
fn quantised_on_the_way(sides: WeightSides<'_>) -> Option<WeightFault> {
    let b = &sides.b.values;
    if !b.len().is_multiple_of(32) || sides.relative(|i| sides.a.values[i]) > QUANTISED {
        return None;
    }
    let on_grid = |levels: f32| {
        b.chunks(32).all(|block| {
            let step = block.iter().fold(0f32, |most, x| most.max(x.abs())) / levels;
            // What an f16 leaves of a multiple.
            let near = |x: &f32| (x / step - (x / step).round()).abs() <= 0.002 + levels / 1024.0;
            step == 0.0 || block.iter().all(near)
        })
    };
    // The largest value of a block is the last level of its type, on either side.
    let types = [(7.0, 4), (8.0, 4), (15.0, 5), (16.0, 5), (127.0, 8)];
    let (_, bits) = types.into_iter().find(|(levels, _)| on_grid(*levels))?;
    Some(WeightFault::QuantisedOnTheWay { bits })
}

/// Blocks of quantised elements that were read wrongly.
fn in_blocks(sides: WeightSides<'_>) -> Option<WeightFault> {
    let n = sides.a.len();
    let a = &sides.a.values;
    // What is near A was not read wrongly, whatever else it is.
    if sides.relative(|i| a[i]) <= QUANTISED || differing(sides).len() <= n / 2 {
        return None;
    }
    for block in [32, 64] {
        if !n.is_multiple_of(block) || n < 2 * block {
            continue;
        }
        let half = block / 2;
        // Halves that lie side by side or one after the other, and halves exchanged.
        let orders: [fn(usize, usize) -> usize; 3] = [
            |i, half| i % 2 * half + i / 2,
            |i, half| i % half * 2 + i / half,
            |i, half| (i + half) % (2 * half),
        ];
        let found = orders.into_iter().any(|order| {
            let place = |i: usize| i / block * block + order(i % block, half);
            sides.relative(|i| a[place(i)]) <= QUANTISED
        });
        if found {
            return Some(WeightFault::BlockOrder { block });
        }
    }
    // Smaller blocks always fit a little better, by what is fitted to each.
    let fits = [256, 32, 16].into_iter().filter(|block| n.is_multiple_of(*block) && n >= 4 * block);
    let shares: Vec<(usize, f64)> = fits
        .map(|block| (block, unexplained_share(a, &sides.b.values, block) / (1.0 - 2.0 / block as f64)))
        .collect();
    let least = shares.iter().map(|(_, share)| *share).fold(f64::INFINITY, f64::min);
    let (block, _) =
        shares.into_iter().find(|(_, share)| *share <= 1.3 * least && *share <= QUANTISED * QUANTISED)?;
    Some(WeightFault::BlockScale { block })
}

/// The share of B's spread within blocks that A times a factor plus an offset does not explain.
fn unexplained_share(a: &[f32], b: &[f32], block: usize) -> f64 {
    let (mut all, mut rest) = (0.0, 0.0);
    for (a, b) in a.chunks(block).zip(b.chunks(block)) {
        let mean = |x: &[f32]| x.iter().map(|x| f64::from(*x)).sum::<f64>() / x.len() as f64;
        let (mean_a, mean_b) = (mean(a), mean(b));
        let (mut aa, mut ab, mut bb) = (0.0, 0.0, 0.0);
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
            (aa, ab, bb) = (aa + a * a, ab + a * b, bb + b * b);
        }
        all += bb;
        rest += if aa > 0.0 { bb - ab * ab / aa } else { bb };
    }
    if all > 0.0 { rest / all } else { 1.0 }
}

/// The elements of B that are not A's.
fn differing(sides: WeightSides<'_>) -> Vec<usize> {
    let apart = |i: &usize| (sides.a.values[*i] - sides.b.values[*i]).abs() > sides.allowance(*i, *i);
    (0..sides.b.len()).filter(apart).collect()
}

fn unexplained(sides: WeightSides<'_>) -> WeightFault {
    let (a, b) = (sides.a, sides.b);
    let differing = differing(sides);
    let of_channel = b.len() / a.shape.first().copied().unwrap_or(1).max(1);
    let channel = differing.first().map(|first| first / of_channel);
    let alone = a.shape.len() > 1 && differing.iter().all(|i| Some(i / of_channel) == channel);
    let channel = channel.filter(|_| alone);
    WeightFault::Unexplained { elements: differing.len(), of: b.len(), channel }
}

/// Whether A's values are rounded to B's type, one by one.
pub(super) fn is_rounded_to(a: &StoredWeight, b: &StoredWeight) -> bool {
    let dtype = match b.kind {
        WeightType::F16 => Dtype::F16,
        WeightType::Bf16 => Dtype::Bf16,
        _ => return false,
    };
    a.values.iter().zip(&b.values).all(|(a, b)| dtype.nearest(*a) == *b)
}
