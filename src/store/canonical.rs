//! One text for equal configurations: JSON with sorted keys and no spaces.

use serde_json::Value;

/// The canonical text of `value`.
pub(super) fn text(value: &Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> =
                object.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_and_that_of_items_does() {
        let one = json!({ "b": [{ "y": 1, "x": 0.1 }], "a": "text" });
        let two = json!({ "a": "text", "b": [{ "x": 0.1, "y": 1 }] });
        assert_eq!(super::text(&one), super::text(&two));
        assert_eq!(super::text(&one), r#"{"a":"text","b":[{"x":0.1,"y":1}]}"#);
        assert_ne!(super::text(&json!([1, 2])), super::text(&json!([2, 1])));
    }
}
