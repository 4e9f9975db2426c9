//! The schema of mapping files, for editors.

use schemars::generate::SchemaSettings;

use super::file::File;

/// A JSON schema (draft 2020-12) of mapping files. It is derived from the types that read them, so it knows the same keys;
/// what it cannot say, such as which placeholders follow from which, the check of a mapping does.
pub fn schema() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>();
    format!("{:#}\n", schema.as_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> serde_json::Value {
        serde_json::from_str(&schema()).unwrap()
    }

    #[test]
    fn keys_are_those_that_are_read() {
        let schema = value();
        let rule = &schema["$defs"]["FileRule"];
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(rule["required"], serde_json::json!(["name", "candidate", "reference"]));
        assert_eq!(rule["additionalProperties"], false);
        assert_eq!(schema["properties"]["rule"]["type"], "array");
        assert_eq!(schema["$defs"]["Side"]["oneOf"][0]["const"], "candidate");
    }

    #[test]
    fn every_key_is_described() {
        let schema = value();
        let types = schema["$defs"].as_object().unwrap();
        let keys = types.values().chain([&schema]).filter_map(|of| of["properties"].as_object()).flatten();
        let bare: Vec<&String> =
            keys.filter(|(_, key)| key["description"].is_null()).map(|(name, _)| name).collect();
        assert!(bare.is_empty(), "{bare:?}");
    }
}
