//! Looking into JSON, where what is not there is null.

use serde_json::{Map, Value};

/// The value at a path of keys.
pub(crate) fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().try_fold(value, |value, key| value.get(key)).unwrap_or(&Value::Null)
}

/// The text at a path of keys.
pub(crate) fn text<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    at(value, path).as_str()
}

/// Sets the value at a path of keys. What is no map on the way becomes one.
pub(crate) fn set(value: &mut Value, path: &[&str], new: Value) {
    let Some((key, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Some(fields) = value.as_object_mut() {
        set(fields.entry(*key).or_insert(Value::Null), rest, new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_set_is_found_and_the_rest_stays() {
        let mut value = json!({"a": {"b": 1}, "c": 2});
        set(&mut value, &["a", "d"], 3.into());
        set(&mut value, &["c", "e"], 4.into());
        assert_eq!(value, json!({"a": {"b": 1, "d": 3}, "c": {"e": 4}}));
        assert_eq!(at(&value, &["a", "d"]), 3);
        assert_eq!(at(&value, &["x", "y"]), &Value::Null);
        assert_eq!(text(&value, &["a", "b"]), None);
    }
}
