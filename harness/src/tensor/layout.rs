//! Layouts in the notation of einops: `"b c h w"`, `"b (h w) c"`.

use std::fmt;

use ndarray::{IxDyn, ShapeError};

use super::{Elements, Tensor, Values, element_count, standard, unravel};

/// The axes of a tensor by name, slowest first; a parenthesised product is one extent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    groups: Vec<Vec<String>>,
}

/// What is wrong with a layout's text, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LayoutError {
    /// Byte offset in the text.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

/// A shape with the layout that it should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaidOut {
    /// The declared axes.
    pub layout: Layout,
    /// Extents, slowest first.
    pub shape: Vec<usize>,
}

/// Two shapes that do not fit each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeMismatch {
    /// The candidate's.
    pub candidate: LaidOut,
    /// The reference's.
    pub reference: LaidOut,
    /// What does not fit.
    pub cause: MismatchCause,
}

/// What does not fit in two shapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MismatchCause {
    /// One of them has another number of axes than its layout.
    Rank,
    /// Extents differ.
    Extents,
    /// Extents differ, and would not if these two axes were exchanged.
    Exchanged(String, String),
    /// An axis has two extents.
    Axis {
        /// Its name.
        name: String,
        /// Both extents.
        extents: [usize; 2],
    },
    /// A product of axes cannot have its extent.
    Product {
        /// The names of the axes.
        axes: Vec<String>,
        /// The extent.
        extent: usize,
    },
    /// The layouts name different axes.
    DifferentAxes,
}

impl Layout {
    /// Parses `"b c h w"` or `"b (h w) c"`.
    ///
    /// # Errors
    /// Unbalanced or nested parentheses, an axis named twice, a character that no name has.
    pub fn parse(text: &str) -> Result<Layout, LayoutError> {
        let mut groups: Vec<Vec<String>> = Vec::new();
        let mut open: Option<usize> = None;
        let mut rest = text.char_indices().peekable();
        let error = |offset, message: String| Err(LayoutError { offset, message });
        while let Some((offset, c)) = rest.next() {
            match c {
                ' ' => {}
                '(' if open.is_some() => return error(offset, "a product inside a product".into()),
                '(' => {
                    open = Some(offset);
                    groups.push(Vec::new());
                }
                ')' if open.take().is_none() => return error(offset, "`)` without `(`".into()),
                ')' if groups.last().is_some_and(Vec::is_empty) => {
                    return error(offset, "an empty product".into());
                }
                ')' => {}
                c if c.is_ascii_alphabetic() => {
                    let mut name = c.to_string();
                    while let Some((_, c)) = rest.next_if(|(_, c)| c.is_ascii_alphanumeric() || *c == '_') {
                        name.push(c);
                    }
                    if groups.iter().flatten().any(|known| *known == name) {
                        return error(offset, format!("axis `{name}` stands twice"));
                    }
                    match (open, groups.last_mut()) {
                        (Some(_), Some(group)) => group.push(name),
                        _ => groups.push(vec![name]),
                    }
                }
                c => {
                    return error(
                        offset,
                        format!("`{c}` is no axis; write names such as `b c h w` or `b (h w) c`"),
                    );
                }
            }
        }
        match open {
            Some(offset) => error(offset, "`(` without `)`".into()),
            None if groups.is_empty() => error(0, "no axis; write names such as `b c h w`".into()),
            None => Ok(Layout { groups }),
        }
    }

    /// The axes of each extent, slowest first.
    pub(crate) fn groups(&self) -> &[Vec<String>] {
        &self.groups
    }

    /// What each extent is called: the name of its axis, or of its product, `(h w)`.
    pub fn group_names(&self) -> Vec<String> {
        let name = |group: &Vec<String>| match group.as_slice() {
            [name] => name.clone(),
            names => format!("({})", names.join(" ")),
        };
        self.groups.iter().map(name).collect()
    }

    /// The layout with an axis of its own before all others.
    #[must_use]
    pub fn behind(&self, axis: &str) -> Layout {
        let mut groups = self.groups.clone();
        groups.insert(0, vec![axis.to_string()]);
        Layout { groups }
    }

    /// The extents that a tensor of another layout has in this one; `None` where the layouts or the shape do not fit.
    pub fn shape_of(&self, other: &Layout, shape: &[usize]) -> Option<Vec<usize>> {
        if other.groups.len() != shape.len() {
            return None;
        }
        let extents = extents([(other, shape), (other, shape)]).ok()?;
        let extent = |group: &Vec<String>| {
            let of_axes: Option<Vec<usize>> = group.iter().map(|name| extent_of(&extents, name)).collect();
            element_count(&of_axes?)
        };
        self.groups.iter().map(extent).collect()
    }

    /// The names of all axes, slowest first.
    pub fn axes(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().flatten().map(String::as_str)
    }

    /// Extents with their names: `b=1 c=8 h=48 w=64`; bare when the ranks differ.
    pub fn describe(&self, shape: &[usize]) -> String {
        if shape.len() != self.groups.len() {
            return format!("{shape:?} (rank {}, `{self}` has {})", shape.len(), self.groups.len());
        }
        let named = self.groups.iter().zip(shape).map(|(group, extent)| match group.as_slice() {
            [name] => format!("{name}={extent}"),
            names => format!("({})={extent}", names.join(" ")),
        });
        named.collect::<Vec<_>>().join(" ")
    }

    /// Whether both layouts name the same axes.
    pub fn same_axes(&self, other: &Layout) -> bool {
        let sorted = |layout: &Layout| {
            let mut axes: Vec<String> = layout.axes().map(String::from).collect();
            axes.sort();
            axes
        };
        sorted(self) == sorted(other)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, group) in self.groups.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            match group.as_slice() {
                [name] => write!(f, "{space}{name}")?,
                names => write!(f, "{space}({})", names.join(" "))?,
            }
        }
        Ok(())
    }
}

/// Brings a candidate to the reference's layout, without a copy where no element moves. Nothing is inferred from extents:
/// only declared layouts move axes.
///
/// # Errors
/// When the extents of any axis differ.
pub fn align(
    candidate: Tensor,
    from: &Layout,
    reference_shape: &[usize],
    to: &Layout,
) -> Result<Tensor, Box<ShapeMismatch>> {
    let shape = candidate.shape().to_vec();
    let mismatch = |cause| mismatch(from, &shape, to, reference_shape, cause);
    let Some(rearrangement) = plan(from, &shape, to, reference_shape)? else { return Ok(candidate) };
    let unfit = |_: ShapeError| mismatch(MismatchCause::Extents);
    let values = match candidate.values() {
        Values::F32(values) => Values::F32(rearrangement.apply(values.clone()).map_err(unfit)?),
        Values::F64(values) => Values::F64(rearrangement.apply(values.clone()).map_err(unfit)?),
    };
    Ok(Tensor::new(candidate.dtype(), values))
}

/// Holds two shapes against their layouts.
///
/// # Errors
/// When the extents of any axis differ.
pub fn check_shapes(
    from: &Layout,
    candidate_shape: &[usize],
    to: &Layout,
    reference_shape: &[usize],
) -> Result<(), Box<ShapeMismatch>> {
    plan(from, candidate_shape, to, reference_shape).map(drop)
}

/// How elements move from one layout to another.
struct Rearrangement {
    /// Extents with every product split into its axes.
    split: Vec<usize>,
    /// For each axis of the result, which one it was.
    order: Vec<usize>,
    /// Extents of the result.
    merged: Vec<usize>,
}

impl Rearrangement {
    fn apply<T: Clone>(&self, values: Elements<T>) -> Result<Elements<T>, ShapeError> {
        let split = values.into_shape_with_order(IxDyn(&self.split))?;
        let moved = standard(split.permuted_axes(IxDyn(&self.order)));
        moved.into_shape_with_order(IxDyn(&self.merged))
    }
}

fn mismatch(
    from: &Layout,
    candidate_shape: &[usize],
    to: &Layout,
    reference_shape: &[usize],
    cause: MismatchCause,
) -> Box<ShapeMismatch> {
    Box::new(ShapeMismatch {
        candidate: LaidOut { layout: from.clone(), shape: candidate_shape.to_vec() },
        reference: LaidOut { layout: to.clone(), shape: reference_shape.to_vec() },
        cause,
    })
}

/// How a candidate comes to the reference's layout; `None` where nothing moves.
fn plan(
    from: &Layout,
    candidate_shape: &[usize],
    to: &Layout,
    reference_shape: &[usize],
) -> Result<Option<Rearrangement>, Box<ShapeMismatch>> {
    let mismatch = |cause| mismatch(from, candidate_shape, to, reference_shape, cause);
    if candidate_shape.len() != from.groups.len() || reference_shape.len() != to.groups.len() {
        return Err(mismatch(MismatchCause::Rank));
    }
    if from == to {
        return match candidate_shape == reference_shape {
            true => Ok(None),
            false => Err(mismatch(different(from, candidate_shape, reference_shape))),
        };
    }
    let extents = extents([(from, candidate_shape), (to, reference_shape)]).map_err(mismatch)?;
    let split: Vec<usize> = from.axes().filter_map(|name| extent_of(&extents, name)).collect();
    let order: Vec<usize> =
        to.axes().filter_map(|name| from.axes().position(|known| known == name)).collect();
    if order.len() != split.len() || to.axes().count() != from.axes().count() {
        return Err(mismatch(MismatchCause::DifferentAxes));
    }
    Ok(Some(Rearrangement { split, order, merged: reference_shape.to_vec() }))
}

/// Extents by axis.
pub(super) type Extents<'a> = Vec<(&'a str, usize)>;

pub(super) fn extent_of(extents: &Extents<'_>, name: &str) -> Option<usize> {
    extents.iter().find(|(known, _)| *known == name).map(|(_, extent)| *extent)
}

/// Extents of single axes on either side, then those of products by division; where they contradict each other, how.
pub(super) fn extents<'a>(sides: [(&'a Layout, &[usize]); 2]) -> Result<Extents<'a>, MismatchCause> {
    let mut extents = Extents::new();
    let groups = || sides.into_iter().flat_map(|(layout, shape)| layout.groups.iter().zip(shape));
    for (group, extent) in groups() {
        if let [name] = group.as_slice() {
            match extent_of(&extents, name) {
                Some(known) if known != *extent => {
                    let (name, extents) = (name.clone(), [known, *extent]);
                    return Err(MismatchCause::Axis { name, extents });
                }
                Some(_) => {}
                None => extents.push((name, *extent)),
            }
        }
    }
    for (group, extent) in groups() {
        let unknown: Vec<&String> = group.iter().filter(|name| extent_of(&extents, name).is_none()).collect();
        let known =
            element_count(&group.iter().filter_map(|name| extent_of(&extents, name)).collect::<Vec<_>>());
        match (unknown.as_slice(), known) {
            ([], Some(known)) if known == *extent => {}
            ([name], Some(known)) if known > 0 && extent.is_multiple_of(known) => {
                extents.push((name, extent / known));
            }
            _ => return Err(MismatchCause::Product { axes: group.clone(), extent: *extent }),
        }
    }
    Ok(extents)
}

/// The candidate's index of the element that the reference has at `index`; the shapes are known to fit.
pub fn candidate_index(
    index: &[usize],
    from: &Layout,
    candidate_shape: &[usize],
    to: &Layout,
    reference_shape: &[usize],
) -> Option<Vec<usize>> {
    let extents = extents([(from, candidate_shape), (to, reference_shape)]).ok()?;
    let mut at = Extents::new();
    for (group, i) in to.groups.iter().zip(index) {
        let shape: Option<Vec<usize>> = group.iter().map(|name| extent_of(&extents, name)).collect();
        at.extend(group.iter().map(String::as_str).zip(unravel(*i, &shape?)));
    }
    let flat = |group: &Vec<String>| {
        group.iter().try_fold(0, |flat, name| Some(flat * extent_of(&extents, name)? + extent_of(&at, name)?))
    };
    from.groups.iter().map(flat).collect()
}

/// How the extents of equal layouts differ: whether two of them would fit in exchange.
fn different(layout: &Layout, candidate: &[usize], reference: &[usize]) -> MismatchCause {
    let different: Vec<usize> = (0..candidate.len()).filter(|i| candidate[*i] != reference[*i]).collect();
    match different.as_slice() {
        [i, j] if candidate[*i] == reference[*j] && candidate[*j] == reference[*i] => {
            let name = |i: usize| layout.groups[i].join(" ");
            MismatchCause::Exchanged(name(*i), name(*j))
        }
        _ => MismatchCause::Extents,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(shape: &[usize]) -> Tensor {
        let n = element_count(shape).unwrap();
        Tensor::from_f32(shape.to_vec(), (0..n).map(|i| i as f32).collect()).unwrap()
    }

    #[test]
    fn display_gives_the_text_back() {
        for text in ["b c h w", "b (h w) c", "n"] {
            assert_eq!(Layout::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn errors_say_where() {
        for (text, offset) in
            [("", 0), ("b (h", 2), ("b h) c", 3), ("b c b", 4), ("b ((h w))", 3), ("b 1 c", 2), ("b () c", 3)]
        {
            assert_eq!(Layout::parse(text).unwrap_err().offset, offset, "{text}");
        }
    }

    #[test]
    fn tokens_become_maps() {
        let (from, to) = (Layout::parse("b (h w) c").unwrap(), Layout::parse("b c h w").unwrap());
        let out = align(counting(&[1, 6, 2]), &from, &[1, 2, 3, 2], &to).unwrap();
        let values: Vec<f64> = out.iter().collect();
        assert_eq!(values, [0., 2., 4., 6., 8., 10., 1., 3., 5., 7., 9., 11.]);
        // h=1, w=0 of width 2 is token 2.
        assert_eq!(candidate_index(&[0, 1, 1, 0], &from, &[1, 6, 2], &to, &[1, 2, 3, 2]).unwrap(), [0, 2, 1]);
        let back = align(out, &to, &[1, 6, 2], &from).unwrap();
        assert_eq!(back, counting(&[1, 6, 2]));
    }

    #[test]
    fn nothing_is_copied_where_no_element_moves() {
        let address = |tensor: &Tensor| match tensor.values() {
            Values::F32(values) => values.as_ptr() as usize,
            Values::F64(_) => panic!("expected f32"),
        };
        let (from, to) = (Layout::parse("b (h w) c").unwrap(), Layout::parse("b h w c").unwrap());
        let tensor = counting(&[1, 6, 2]);
        let out = align(tensor.clone(), &from, &[1, 2, 3, 2], &to).unwrap();
        assert_eq!((out.shape(), address(&out)), (&[1, 2, 3, 2][..], address(&tensor)));
        assert_eq!(address(&align(tensor.clone(), &from, &[1, 6, 2], &from).unwrap()), address(&tensor));
    }

    #[test]
    fn trap_09_a_wrong_shape_of_equal_volume_is_never_reshaped() {
        let layout = Layout::parse("b c h w").unwrap();
        let error = align(counting(&[1, 2, 6, 4]), &layout, &[1, 2, 4, 6], &layout).unwrap_err();
        assert_eq!(error.cause, MismatchCause::Exchanged("h".into(), "w".into()));
        let flat = Layout::parse("n").unwrap();
        assert!(align(counting(&[2, 2]), &flat, &[2, 2], &flat).is_err());
        assert!(align(counting(&[1, 48]), &layout, &[1, 2, 4, 6], &layout).is_err());
        let tokens = Layout::parse("b (h w) c").unwrap();
        assert!(align(counting(&[1, 23, 2]), &tokens, &[1, 2, 4, 6], &layout).is_err());
    }
}
