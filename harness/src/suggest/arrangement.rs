//! In which orders of its axes one shape can hold another.

/// More axes than this are held against each other in their own order only.
const MAX_MOVED_AXES: usize = 6;

/// The candidate's elements laid out as the reference's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrangement {
    /// Extents of the axes in the reference's order, slowest first; those of one element are left out.
    extents: Vec<usize>,
    /// How far apart two neighbours along each of them are in the candidate.
    strides: Vec<usize>,
    /// What the mapping calls it.
    pub(super) layouts: LayoutPair,
}

/// The layouts of a pair in the mapping's notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LayoutPair {
    /// How many axes pass each other, and one more where the shapes differ: fewer is simpler.
    pub(super) moved: usize,
    pub(super) candidate: String,
    pub(super) reference: String,
}

impl Arrangement {
    /// Where the candidate has the element that the reference has at `flat`.
    pub(super) fn candidate_at(&self, mut flat: usize) -> usize {
        let mut at = 0;
        for (extent, stride) in self.extents.iter().zip(&self.strides).rev() {
            at += flat % extent * stride;
            flat /= extent;
        }
        at
    }
}

/// An axis with more than one element.
#[derive(Clone, Copy)]
struct FineAxis {
    /// Its place in the shape.
    place: usize,
    extent: usize,
}

fn fine_axes(shape: &[usize]) -> Vec<FineAxis> {
    let axes = shape.iter().enumerate().map(|(place, extent)| FineAxis { place, extent: *extent });
    axes.filter(|axis| axis.extent != 1).collect()
}

/// Every order of the axes in which the candidate's shape holds the reference's, the simplest first. Axes may be merged on
/// one side, and axes of one element may be absent.
pub(super) fn arrangements(candidate: &[usize], reference: &[usize]) -> Vec<Arrangement> {
    let (of_candidate, of_reference) = (fine_axes(candidate), fine_axes(reference));
    let finer = |axes: &[FineAxis], shape: &[usize]| (axes.len(), shape.len());
    let candidate_is_finer = finer(&of_candidate, candidate) > finer(&of_reference, reference);
    let (fine, coarse) = if candidate_is_finer { (candidate, reference) } else { (reference, candidate) };
    let axes = if candidate_is_finer { of_candidate } else { of_reference };
    if axes.is_empty() || fine.contains(&0) {
        return Vec::new();
    }
    let mut found: Vec<Arrangement> = orders(axes.len())
        .into_iter()
        .filter_map(|order| {
            let ordered: Vec<FineAxis> = order.iter().map(|at| axes[*at]).collect();
            let groups = grouped(&ordered, coarse)?;
            let later = |at: usize| order[at + 1..].iter().filter(|axis| **axis < order[at]).count();
            let inversions: usize = (0..order.len()).map(later).sum();
            let moved = inversions + usize::from(candidate != reference);
            let (fine_layout, coarse_layout) = layouts(fine, coarse, &groups);
            let (extents, strides) = strides(&axes, &ordered, candidate_is_finer);
            let (candidate, reference) = match candidate_is_finer {
                true => (fine_layout, coarse_layout),
                false => (coarse_layout, fine_layout),
            };
            Some(Arrangement { extents, strides, layouts: LayoutPair { moved, candidate, reference } })
        })
        .collect();
    found.sort_by_key(|found| found.layouts.moved);
    found
}

/// Extents in the reference's order, and the candidate's strides. `axes` are in the order of the finer side, `ordered` in
/// that of the other one.
fn strides(axes: &[FineAxis], ordered: &[FineAxis], candidate_is_finer: bool) -> (Vec<usize>, Vec<usize>) {
    let (of_reference, of_candidate) = if candidate_is_finer { (ordered, axes) } else { (axes, ordered) };
    let stride = |axis: &FineAxis| -> usize {
        let after = of_candidate.iter().skip_while(|other| other.place != axis.place).skip(1);
        after.map(|other| other.extent).product()
    };
    (of_reference.iter().map(|axis| axis.extent).collect(), of_reference.iter().map(stride).collect())
}

/// All orders of `n` axes, their own first.
fn orders(n: usize) -> Vec<Vec<usize>> {
    if n > MAX_MOVED_AXES {
        return vec![(0..n).collect()];
    }
    let mut orders = vec![Vec::new()];
    for _ in 0..n {
        let longer = |order: &Vec<usize>| {
            let more = (0..n).filter(|axis| !order.contains(axis));
            more.map(|axis| [order.as_slice(), &[axis]].concat()).collect::<Vec<_>>()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    orders
}

/// For each axis of the coarser shape with more than one element the axes that it is made of; `None` where they do not fit.
fn grouped(ordered: &[FineAxis], coarse: &[usize]) -> Option<Vec<Vec<usize>>> {
    let (mut groups, mut rest) = (Vec::new(), ordered.iter());
    for extent in coarse.iter().filter(|extent| **extent != 1) {
        let (mut group, mut product) = (Vec::new(), 1usize);
        while product < *extent {
            let axis = rest.next()?;
            product = product.checked_mul(axis.extent)?;
            group.push(axis.place);
        }
        if product != *extent {
            return None;
        }
        groups.push(group);
    }
    rest.next().is_none().then_some(groups)
}

/// Names of axes by rank, as they are usual.
fn names(rank: usize) -> Vec<String> {
    let usual: &[&str] = match rank {
        1 => &["c"],
        2 => &["t", "c"],
        3 => &["b", "t", "c"],
        4 => &["b", "c", "h", "w"],
        5 => &["b", "c", "d", "h", "w"],
        _ => &[],
    };
    match usual.is_empty() {
        true => (0..rank).map(|axis| format!("a{axis}")).collect(),
        false => usual.iter().map(ToString::to_string).collect(),
    }
}

/// The layouts of the finer and of the coarser shape. An axis of one element that a side lacks is part of its first product.
fn layouts(fine: &[usize], coarse: &[usize], groups: &[Vec<usize>]) -> (String, String) {
    let names = names(fine.len());
    let mut single = (0..fine.len()).filter(|place| fine[*place] == 1);
    let (mut groups, mut of_coarse, mut extra) = (groups.iter(), Vec::new(), Vec::new());
    for extent in coarse {
        let group: Vec<String> = match (extent, single.clone().next()) {
            (1, Some(place)) => {
                single.next();
                vec![names[place].clone()]
            }
            (1, None) => {
                extra.push(format!("u{}", extra.len()));
                extra[extra.len() - 1..].to_vec()
            }
            _ => groups.next().into_iter().flatten().map(|place| names[*place].clone()).collect(),
        };
        of_coarse.push((*extent, group));
    }
    let of_fine = fine.iter().zip(&names).map(|(extent, name)| (*extent, vec![name.clone()])).collect();
    let absent: Vec<String> = single.map(|place| names[place].clone()).collect();
    (layout(of_fine, &extra), layout(of_coarse, &absent))
}

/// Groups of axes as text; `absent` ones become part of the first group with more than one element. A batch axis may be
/// declared though it is absent.
fn layout(mut groups: Vec<(usize, Vec<String>)>, absent: &[String]) -> String {
    if absent == ["b"] {
        groups.insert(0, (1, absent.to_vec()));
    } else if let Some((_, first)) = groups.iter_mut().find(|(extent, _)| *extent != 1) {
        first.splice(0..0, absent.iter().cloned());
    }
    let text = groups.into_iter().map(|(_, group)| match group.as_slice() {
        [name] => name.clone(),
        names => format!("({})", names.join(" ")),
    });
    text.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tensor::fit::{DeclaredLayouts, Fit};
    use crate::tensor::layout::{Layout, align};
    use crate::tensor::{Tensor, element_count};

    fn shown(candidate: &[usize], reference: &[usize]) -> Vec<(String, String)> {
        let found = arrangements(candidate, reference);
        found.into_iter().map(|found| (found.layouts.candidate, found.layouts.reference)).collect()
    }

    fn pair(candidate: &str, reference: &str) -> (String, String) {
        (candidate.to_string(), reference.to_string())
    }

    #[test]
    fn every_order_that_fits_the_simplest_first() {
        assert_eq!(shown(&[1, 2, 3, 4], &[1, 2, 3, 4]), [pair("b c h w", "b c h w")]);
        assert_eq!(shown(&[1, 3, 4, 2], &[1, 2, 3, 4]), [pair("b h w c", "b c h w")]);
        assert_eq!(
            shown(&[1, 2, 4, 4], &[1, 2, 4, 4]),
            [pair("b c h w", "b c h w"), pair("b c w h", "b c h w")]
        );
        assert!(shown(&[1, 5], &[1, 6]).is_empty());
        assert!(shown(&[1], &[1, 1]).is_empty());
        assert!(shown(&[0, 2], &[0, 2]).is_empty());
    }

    #[test]
    fn axes_may_be_merged_on_either_side() {
        assert_eq!(shown(&[1, 12, 2], &[1, 2, 3, 4])[0], pair("b (h w) c", "b c h w"));
        assert_eq!(shown(&[1, 2, 3, 4], &[1, 12, 2])[0], pair("b c h w", "b (h w) c"));
        assert_eq!(shown(&[24], &[1, 2, 3, 4])[0], pair("b (c h w)", "b c h w"));
    }

    #[test]
    fn axes_of_one_element_may_be_absent() {
        assert_eq!(shown(&[2, 3, 4], &[1, 2, 3, 4]), [pair("b c h w", "b c h w")]);
        assert_eq!(shown(&[1, 2, 3, 4], &[2, 3, 4]), [pair("b c h w", "b c h w")]);
        assert_eq!(shown(&[2, 1, 3, 4], &[1, 2, 3, 4]), [pair("c b h w", "b c h w")]);
        assert_eq!(
            shown(&[1, 1, 6], &[2, 3]),
            [pair("u0 u1 (t c)", "(u0 u1 t) c"), pair("u0 u1 (c t)", "(u0 u1 t) c")]
        );
    }

    fn counting(shape: &[usize]) -> Option<Tensor> {
        Tensor::from_f64(shape.to_vec(), (0..element_count(shape)?).map(|i| i as f64).collect())
    }

    proptest! {
        /// What is tried here is what the mapping's layouts do.
        #[test]
        fn elements_are_where_the_layouts_put_them(
            extents in proptest::collection::vec(1usize..4, 1..5),
            order in Just([0usize, 1, 2, 3]).prop_shuffle(),
            merged in any::<bool>(),
        ) {
            let order: Vec<usize> = order.into_iter().filter(|axis| *axis < extents.len()).collect();
            let mut candidate: Vec<usize> = order.iter().map(|axis| extents[*axis]).collect();
            if merged && candidate.len() > 1 {
                let last = candidate.pop().unwrap();
                *candidate.last_mut().unwrap() *= last;
            }
            for found in arrangements(&candidate, &extents) {
                let from = Layout::parse(&found.layouts.candidate).unwrap();
                let to = Layout::parse(&found.layouts.reference).unwrap();
                let declared = DeclaredLayouts { candidate: &from, memory: None, reference: &to };
                let fit = Fit::of(declared, &candidate, &extents).unwrap();
                let aligned = align(counting(&fit.candidate).unwrap(), &from, &fit.reference, &to).unwrap();
                let expected: Vec<f64> = aligned.iter().collect();
                let ours: Vec<f64> =
                    (0..expected.len()).map(|flat| found.candidate_at(flat) as f64).collect();
                prop_assert_eq!(ours, expected, "{:?}", found);
            }
        }
    }
}
