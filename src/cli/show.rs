//! How values of the API look in a table.

use serde_json::Value;

use super::out::{cell, rendered};

/// The value at a JSON pointer as it stands in a cell; nothing where there is none.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map(plain).unwrap_or_default()
}

/// A value without the signs of JSON where it is not nested.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let pairs = fields
                .iter()
                .map(|(name, value)| format!("{name}={}", plain(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
    }
}

/// The fields of an object, one a line; those without a value are left out.
pub(crate) fn fields(mut table: comfy_table::Table, value: &Value) -> String {
    for (name, value) in value.as_object().into_iter().flatten() {
        let text = plain(value);
        if !text.is_empty() {
            table.add_row([cell(name.replace('_', " ")), cell(text)]);
        }
    }
    rendered(&table)
}

/// A number of seconds in the two largest units that fit; parts of a second do not show.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = std::time::Duration::try_from_secs_f64(seconds)
        .unwrap_or_default()
        .as_secs();
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let first = UNITS.iter().position(|(_, size)| seconds >= *size);
    let Some(first) = first else {
        return "0s".to_owned();
    };
    let (name, size) = UNITS[first];
    let mut text = format!("{}{name}", seconds / size);
    if let Some((name, below)) = UNITS.get(first + 1) {
        let rest = seconds % size / below;
        if rest > 0 {
            text.push_str(&format!(" {rest}{name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_duration_has_its_two_largest_units() {
        for (seconds, text) in [
            (0.0, "0s"),
            (59.9, "59s"),
            (60.0, "1m"),
            (3_661.0, "1h 1m"),
            (86_400.0, "1d"),
            (90_061.0, "1d 1h"),
            (-1.0, "0s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn values_read_without_the_signs_of_json() {
        let value = json!({"a": "x", "b": [1, true], "c": {"k": "v"}, "d": null});
        assert_eq!(text(&value, "/b"), "1, true");
        assert_eq!(text(&value, "/c"), "k=v");
        assert_eq!(text(&value, "/d"), "");
        assert_eq!(text(&value, "/nowhere"), "");
    }
}
