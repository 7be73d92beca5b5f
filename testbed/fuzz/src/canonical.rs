//! What decodes has one encoding.

use guildmint_core::{
    encoding::{read, write},
    Wire,
};
use serde::{de::DeserializeOwned, Serialize};
use serde_json::Value;

/// Decodes bytes; if that succeeds, they must be what is written.
pub fn wire<T: Wire>(bytes: &[u8]) -> Option<T> {
    let value = T::decode(bytes).ok()?;
    assert_eq!(value.encode(), bytes, "another encoding of the same value");
    Some(value)
}

/// The same for a bare encoding that is a part of something.
pub fn bare<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value: T = read(bytes).ok()?;
    let mut again = Vec::new();
    write(&mut again, &value);
    assert_eq!(again, bytes, "another encoding of the same value");
    Some(value)
}

/// Reads JSON; if that succeeds, what is written must be read as the same again. Fractions are left out of account: they come
/// up in modules' own answers only, and their digits are not kept.
pub fn json<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_value(&value).ok()?;
    if !has_fraction(&written) {
        let text = written.to_string();
        let again: Option<T> = serde_json::from_str(&text).ok();
        let again = again.and_then(|again| serde_json::to_value(again).ok());
        assert_eq!(again, Some(written), "{text}");
    }
    Some(value)
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_fraction),
        Value::Object(values) => values.values().any(has_fraction),
        _ => false,
    }
}
