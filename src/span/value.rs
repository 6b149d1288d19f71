//! Attribute values as JSON.

use super::Attributes;
use crate::otlp::proto::{AnyValue, KeyValue, Value as Told};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// A value as JSON: bytes in base64, numbers that JSON has not (NaN) as null.
pub fn json_of(any: &AnyValue) -> Value {
    match &any.value {
        None => Value::Null,
        Some(Told::String(text)) => text.as_str().into(),
        Some(Told::Bool(value)) => (*value).into(),
        Some(Told::Int(value)) => (*value).into(),
        Some(Told::Double(value)) => (*value).into(),
        Some(Told::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        Some(Told::Array(of)) => of.values.iter().map(json_of).collect(),
        Some(Told::Map(of)) => Value::Object(of.values.iter().map(pair).collect()),
    }
}

fn pair(of: &KeyValue) -> (String, Value) {
    (of.key.clone(), of.value.as_ref().map(json_of).unwrap_or_default())
}

/// Attributes in order.
pub fn attributes_of(of: &[KeyValue]) -> Attributes {
    Attributes(of.iter().map(pair).collect())
}

/// A value that is structured, or is structured JSON in a text: instrumentations do both.
pub fn structured(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => serde_json::from_str(text).ok(),
        Value::Object(_) | Value::Array(_) => Some(value.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_in_a_text_is_as_good_as_json() {
        assert_eq!(structured(&json!("[{\"a\": 1}]")), Some(json!([{"a": 1}])));
        assert_eq!(structured(&json!({"a": 1})), Some(json!({"a": 1})));
        for plain in [json!("x"), json!("{not json"), json!(5), Value::Null] {
            assert_eq!(structured(&plain), None);
        }
    }

    #[test]
    fn what_json_has_not_is_null_or_text() {
        let any = |value| AnyValue { value: Some(value) };
        assert_eq!(json_of(&any(Told::Double(f64::NAN))), Value::Null);
        assert_eq!(json_of(&any(Told::Bytes(vec![0, 1]))), json!("AAE="));
        assert_eq!(json_of(&AnyValue::default()), Value::Null);
    }
}
