//! The axes of a tensor by name, products split where their extents are known.

use super::layout::{Layout, extent_of, extents};

/// Names of the axis that counts feature maps.
const CHANNELS: [&str; 5] = ["c", "ch", "channel", "channels", "d"];
/// Names of the axis that counts tokens.
const TOKENS: [&str; 6] = ["t", "l", "s", "token", "tokens", "seq"];

/// One axis of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAxis {
    /// Its name, or that of a product whose parts are not known: `(h w)`.
    pub name: String,
    /// How many indices it has.
    pub extent: usize,
    /// How many elements one step along it is, in row-major order.
    pub stride: usize,
}

impl NamedAxis {
    /// Whether it counts feature maps.
    pub fn is_channels(&self) -> bool {
        CHANNELS.contains(&self.name.as_str())
    }

    /// Whether it counts the rows of a map.
    pub fn is_rows(&self) -> bool {
        matches!(self.name.as_str(), "h" | "height" | "rows")
    }

    /// Whether it counts the columns of a map.
    pub fn is_columns(&self) -> bool {
        matches!(self.name.as_str(), "w" | "width" | "columns")
    }

    /// Whether it counts tokens, or the pixels of a map one after the other.
    pub fn is_tokens(&self) -> bool {
        self.name.starts_with('(') || TOKENS.contains(&self.name.as_str())
    }

    /// The index along it of an element in row-major order.
    pub fn index(&self, flat: usize) -> usize {
        flat / self.stride % self.extent
    }
}

impl Layout {
    /// The axes of a tensor of this layout; those of a product one by one where another layout and shape of the same elements
    /// tell their extents. `None` where the shape is of another rank or has an extent of 0.
    pub fn named_axes(&self, shape: &[usize], other: (&Layout, &[usize])) -> Option<Vec<NamedAxis>> {
        if self.groups().len() != shape.len() || shape.contains(&0) {
            return None;
        }
        let known = extents([(self, shape), other]).unwrap_or_default();
        let mut axes: Vec<NamedAxis> = Vec::new();
        let names = self.group_names();
        for ((group, extent), whole) in self.groups().iter().zip(shape).zip(names) {
            let parts: Option<Vec<usize>> = group.iter().map(|name| extent_of(&known, name)).collect();
            match parts.filter(|parts| parts.iter().product::<usize>() == *extent) {
                Some(parts) => axes.extend(group.iter().zip(parts).map(|(name, extent)| NamedAxis {
                    name: name.clone(),
                    extent,
                    stride: 1,
                })),
                None => axes.push(NamedAxis { name: whole, extent: *extent, stride: 1 }),
            }
        }
        let mut stride = 1;
        for axis in axes.iter_mut().rev() {
            axis.stride = stride;
            stride *= axis.extent;
        }
        Some(axes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(
        layout: &str,
        shape: &[usize],
        other: (&str, &[usize]),
    ) -> Option<Vec<(String, usize, usize)>> {
        let [layout, from] = [layout, other.0].map(|text| Layout::parse(text).unwrap());
        let axes = layout.named_axes(shape, (&from, other.1))?;
        Some(axes.into_iter().map(|axis| (axis.name, axis.extent, axis.stride)).collect())
    }

    fn axis(name: &str, extent: usize, stride: usize) -> (String, usize, usize) {
        (name.to_string(), extent, stride)
    }

    #[test]
    fn products_are_split_where_the_other_side_tells_their_extents() {
        let found = described("b (h w) c", &[1, 12, 5], ("b c h w", &[1, 5, 3, 4]));
        assert_eq!(found, Some(vec![axis("b", 1, 60), axis("h", 3, 20), axis("w", 4, 5), axis("c", 5, 1)]));
        let found = described("b (h w) c", &[1, 12, 5], ("b (h w) c", &[1, 12, 5]));
        assert_eq!(found, Some(vec![axis("b", 1, 60), axis("(h w)", 12, 5), axis("c", 5, 1)]));
        assert_eq!(described("b c", &[1, 2, 3], ("b c", &[1, 2, 3])), None);
        assert_eq!(described("b c", &[0, 2], ("b c", &[0, 2])), None);
    }

    #[test]
    fn an_index_is_that_along_the_axis() {
        let layout = Layout::parse("c h w").unwrap();
        let axes = layout.named_axes(&[2, 3, 4], (&layout, &[2, 3, 4])).unwrap();
        let indices: Vec<usize> = axes.iter().map(|axis| axis.index(12 + 2 * 4 + 3)).collect();
        assert_eq!(indices, [1, 2, 3]);
    }
}
