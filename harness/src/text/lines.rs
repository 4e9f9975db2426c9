//! JSON files that people read line by line in a diff: one line for each element of one list.

use serde::Serialize;

/// `document` as JSON, with the elements of its list `key` on a line each.
pub(crate) fn render<T: Serialize>(
    document: &impl Serialize,
    key: &str,
    elements: &[T],
) -> Result<String, serde_json::Error> {
    let mut value = serde_json::to_value(document)?;
    let mut out = String::from("{\n");
    if let Some(fields) = value.as_object_mut() {
        fields.remove(key);
        for (name, field) in fields.iter() {
            out += &format!("  {}: {},\n", serde_json::to_string(name)?, serde_json::to_string(field)?);
        }
    }
    let lines: Vec<String> = elements
        .iter()
        .map(|element| serde_json::to_string(element).map(|line| format!("    {line}")))
        .collect::<Result<_, _>>()?;
    out += &format!("  {}: [\n{}\n  ]\n}}\n", serde_json::to_string(key)?, lines.join(",\n"));
    Ok(out)
}
