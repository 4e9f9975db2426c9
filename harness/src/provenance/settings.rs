//! Settings: what a model was run with that its weights do not show, as facts by name.

use std::collections::BTreeMap;

use serde_json::Value;

/// Settings by name, such as `padding`. Which there are is up to the model.
pub type SettingFacts = BTreeMap<String, Value>;

/// A setting as people write it: text without quotes, a list as `16x16`.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join("x"),
        other => other.to_string(),
    }
}

/// The first setting that both sides have and that differs: its name, and its value on either side.
pub(super) fn difference(
    candidate: &SettingFacts,
    reference: &SettingFacts,
) -> Option<(String, String, String)> {
    candidate.iter().find_map(|(name, candidate)| {
        let (candidate, reference) = (text(candidate), text(reference.get(name)?));
        (candidate != reference).then(|| (name.clone(), candidate, reference))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(value: Value) -> SettingFacts {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn settings_are_compared_by_name_and_as_people_write_them() {
        let a = settings(json!({"mode": "zeros", "size": [24, 32], "stride": 2}));
        for same in [json!({"size": "24x32"}), json!({"stride": "2", "other": 1}), json!({})] {
            assert_eq!(difference(&a, &settings(same)), None);
        }
        let other = settings(json!({"size": [32, 24]}));
        assert_eq!(difference(&a, &other), Some(("size".into(), "24x32".into(), "32x24".into())));
    }
}
