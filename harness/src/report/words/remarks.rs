//! Sentences about a comparison as a whole.

use super::count;
use crate::compare::remark::{Remark, RemarkKind};
use crate::limits::derived::Dropped;
use crate::limits::waiver::{self, WaiverError};
use crate::provenance::{RecordDifference, RecordDifferenceKind};
use crate::side::Side;
use crate::text::shown::escaped;

/// What a reader should know, and what to do about it.
pub fn remark(remark: &Remark) -> String {
    let sentence = of_kind(&remark.kind);
    match &remark.advice {
        Some(advice) => format!("{sentence}; {advice}"),
        None => sentence,
    }
}

/// What a reader should know, a sentence each; what is so of both sides, once.
pub fn remarks(remarks: &[Remark]) -> Vec<String> {
    let has = |kind: &RemarkKind| remarks.iter().any(|remark| remark.kind == *kind);
    let told = |remark: &Remark| match &remark.kind {
        RemarkKind::OriginUnknown { side } if has(&RemarkKind::OriginUnknown { side: other(*side) }) => {
            let both = "it is not recorded what weights and input the two sides were computed from";
            (*side == Side::Candidate).then(|| both.to_string())
        }
        RemarkKind::WithoutBatch { side, layers }
            if has(&RemarkKind::WithoutBatch { side: other(*side), layers: *layers }) =>
        {
            let layers = count(*layers, "layer");
            (*side == Side::Candidate)
                .then(|| format!("both sides leave out the batch axis of {layers}: taken as 1"))
        }
        _ => Some(self::remark(remark)),
    };
    remarks.iter().filter_map(told).collect()
}

/// Parts that are named of those that are judged together with the next.
const JOINED: usize = 4;

fn other(side: Side) -> Side {
    match side {
        Side::Candidate => Side::Reference,
        Side::Reference => Side::Candidate,
    }
}

fn of_kind(kind: &RemarkKind) -> String {
    match kind {
        RemarkKind::JudgedLocally { parts, joined, rounding, is_known, next } => {
            let named: Vec<_> = joined.iter().take(JOINED).map(|part| escaped(part)).collect();
            let more = if joined.len() > JOINED { ", …" } else { "" };
            let joined = match joined.len() {
                0 => String::new(),
                n => format!(
                    ", {n} of them together with the next, for the dump lacks what they give ({}{more})",
                    named.join(", ")
                ),
            };
            let margin = match next {
                _ if !is_known => ", for its values do not show how it rounds".to_string(),
                Some((next, times)) => format!(" ({next} is {times:.1} times farther)"),
                None => String::new(),
            };
            format!(
                "{} judged one by one, from the candidate's own tensors{joined}; rounded as {rounding}{margin}",
                count(*parts, "part")
            )
        }
        RemarkKind::NoManifest => "the reference has no manifest, and so no noise floor".to_string(),
        RemarkKind::SameFiles { layers } => {
            format!("{} one file on both sides: a file held against itself proves nothing", are(*layers))
        }
        RemarkKind::SameBits { layers, of } => format!(
            "{layers} of {of} layers are equal to the last bit, which rounding makes unlikely: is one side a copy of the \
             other?"
        ),
        RemarkKind::Uniform { layers, of } => format!(
            "{layers} of {of} layers hold zeros, or one magnitude throughout: they are little evidence"
        ),
        RemarkKind::NoMinimum => {
            "the mapping does not say how many layers must be compared: one would do (`[coverage]` has `min_layers`)".to_string()
        }
        RemarkKind::FarOverFloor { layers, layer, times } => format!(
            "the limits of {} exceed {} times the noise floor ({layer}: {times:.0} times): they see little",
            count(*layers, "layer"),
            waiver::MAX_FACTOR
        ),
        RemarkKind::LooserLimits { than, layers, layer, limit, other } => format!(
            "{} {} looser limits than in {than}: {layer} {limit:.1e}, there {other:.1e}",
            count(*layers, "layer"),
            if *layers == 1 { "has" } else { "have" }
        ),
        RemarkKind::LeftOut { by_mapping, references } => {
            let first = references.first().map(|name| escaped(name)).unwrap_or_default();
            match references.len() {
                1 => format!("a reference tensor that {by_mapping} compares is left out: {first}"),
                n => format!("{n} reference tensors that {by_mapping} compares are left out, such as {first}"),
            }
        }
        RemarkKind::NarrowValues { side, dtype } => {
            format!(
                "the values of the {side} that were looked at are all numbers of {dtype}: it was computed or stored in it"
            )
        }
        RemarkKind::WithinProfile { profile, description, layers } => format!(
            "off from the first layer on, and all {} within the limits of profile `{profile}` ({description})",
            count(*layers, "layer")
        ),
        RemarkKind::WholeNames { side, patterns } => {
            format!("no file of the {side} is named like {patterns}: their whole names were taken")
        }
        RemarkKind::WithoutBatch { side, layers } => {
            format!("the {side} leaves out the batch axis of {}: taken as 1", count(*layers, "layer"))
        }
        RemarkKind::RoundedByStorage { side, dtype, layers } => format!(
            "{} of the {side} are stored as {dtype}: their limits have room for half a unit in its last place, {:.1e}",
            count(*layers, "layer"),
            dtype.half_ulp()
        ),
        RemarkKind::PartlySeen { layers, elements, of } => format!(
            "in part only: {elements} of {of} elements of {} were printed, at the precision that they were printed with; \
             nothing is known of the others, and a pass says nothing of them: dump whole tensors",
            count(*layers, "layer")
        ),
        RemarkKind::LengthsFromNames(counted) => format!(
            "`{}` counts over {:?}, as the reference's names show",
            counted.placeholder, counted.lengths
        ),
        RemarkKind::Waived { layer, metric, waiver } => {
            format!("{layer}: {metric} is judged by a waiver until {}: {}", waiver.expires, waiver.reason)
        }
        RemarkKind::UnmeasuredConditions { layers, conditions } => format!(
            "{} without a known error on {conditions}: another runtime environment than was measured, so that they are held \
             against what is known of others",
            count(*layers, "layer")
        ),
        RemarkKind::LooseKnownErrors { layers } => format!(
            "the known errors of {} are larger than what the same conditions give: measure them anew, or they let it get worse \
             again",
            count(*layers, "layer")
        ),
        RemarkKind::OriginUnknown { side } => {
            format!("it is not recorded what weights and input the {side} was computed from")
        }
        RemarkKind::CoarserThanJudged { computed, judged } => {
            format!("the dump says that it was computed in {computed}, and is judged as {judged}")
        }
        RemarkKind::RoundedWeights { dtype, tensors, of } => format!(
            "{tensors} of {} of the candidate's weights are the reference's rounded to {dtype}",
            count(*of, "tensor")
        ),
        RemarkKind::NotDerived { layers } => {
            format!("{} without a derived tolerance: judged by the mapping's limits", count(*layers, "layer"))
        }
        RemarkKind::AnotherSet { set } => {
            format!("this is not the committed set {set}: it has no derived tolerances and no known errors")
        }
        RemarkKind::NoFigures { of, set, profile } => {
            format!("there are no {of} of set {set} under profile {profile}: its layers are not held to them")
        }
    }
}

/// How files differ from their record.
pub fn record_difference(difference: &RecordDifference) -> String {
    let RecordDifference { side, kind, files, record } = difference;
    let others = match files.len() {
        0 | 1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    let first = files.first().map(|file| escaped(file)).unwrap_or_default();
    let what = match kind {
        RecordDifferenceKind::Changed => {
            format!("not as {record} recorded it: changed, or of another run")
        }
        RecordDifferenceKind::Missing => format!("recorded in {record}, and not there"),
        RecordDifferenceKind::Unrecorded => format!("not recorded in {record}: of another run"),
    };
    format!("{side} {first}{others}: {what}")
}

/// Why a waiver of older tolerances was not kept.
pub fn dropped_waiver(dropped: &Dropped) -> String {
    match dropped {
        Dropped::NoSuchLayer => "there is no such layer any more".to_string(),
        Dropped::NoSmaller => "the derived tolerance is no smaller".to_string(),
        Dropped::UnderFloor => "its limit is under the floor that is measured now".to_string(),
        // Its reason stands beside it already.
        Dropped::Invalid(WaiverError::Expired { expires, .. }) => format!("it expired on {expires}"),
        Dropped::Invalid(error) => error.to_string(),
    }
}

/// `1 layer is`, `2 layers are`.
fn are(layers: usize) -> String {
    format!("{} {}", count(layers, "layer"), if layers == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_difference_is_named() {
        let kinds = [
            (RecordDifferenceKind::Changed, vec!["b".to_string(), "d".to_string()]),
            (RecordDifferenceKind::Missing, vec!["c".to_string()]),
            (RecordDifferenceKind::Unrecorded, vec!["stale".to_string()]),
        ];
        let sentences = kinds.map(|(kind, files)| {
            record_difference(&RecordDifference { side: Side::Candidate, kind, files, record: "dump.json" })
        });
        insta::assert_snapshot!(sentences.join("\n"), @r"
        candidate b and 1 more: not as dump.json recorded it: changed, or of another run
        candidate c: recorded in dump.json, and not there
        candidate stale: not recorded in dump.json: of another run
        ");
    }
}
