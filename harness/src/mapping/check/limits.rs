//! Limits: those of profiles and of rules.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::{Checker, in_one_line};
use crate::limits::tolerance::Limits;
use crate::mapping::definition::Profile;
use crate::mapping::file::{FileLimits, FileProfile};
use crate::mapping::mistake::MappingMistakeKind;

impl Checker<'_> {
    pub(super) fn limits(&mut self, limits: &Spanned<FileLimits>) -> Option<Limits> {
        let checked = limits.get_ref().check().map_err(|name| self.not_a_limit(limits.span(), name)).ok()?;
        for name in checked.passing_zeros() {
            self.mistake(limits.span(), MappingMistakeKind::PassesZeros { name });
        }
        Some(checked)
    }

    fn not_a_limit(&mut self, span: Range<usize>, name: &'static str) {
        self.mistake(span, MappingMistakeKind::Limit { name });
    }

    pub(super) fn profiles(
        &mut self,
        written: &BTreeMap<Spanned<String>, FileProfile>,
    ) -> BTreeMap<String, Profile> {
        let mut profiles = BTreeMap::new();
        for (key, profile) in written {
            let name = key.get_ref().clone();
            let limits = profile.limits.as_ref().and_then(|limits| self.limits(limits)).unwrap_or_default();
            let times_floor = profile.times_floor.as_ref().and_then(|factors| {
                let checked = factors.get_ref().check();
                checked.map_err(|name| self.not_a_limit(factors.span(), name)).ok()
            });
            // A mean passes one wrong element, a cosine any factor.
            let bounds_every_element = limits.rel_linf.or(limits.max_abs).or(limits.rel_l2).is_some()
                || limits.atol.or(limits.rtol).is_some()
                || times_floor.is_some();
            if !bounds_every_element {
                self.mistake(key.span(), MappingMistakeKind::SeesTooLittle { profile: name.clone() });
            }
            if limits.outliers.is_some() && limits.atol.or(limits.rtol).is_none() {
                self.mistake(key.span(), MappingMistakeKind::OutliersWithoutElementRule);
            }
            let description = in_one_line(&profile.description);
            profiles.insert(name.clone(), Profile { name, description, times_floor, limits });
        }
        profiles
    }
}
