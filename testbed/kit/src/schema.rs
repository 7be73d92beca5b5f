//! As much of JSON Schema as the API's document and those of modules use. A word that is not understood fails, so that none is passed over.

use serde_json::Value as Json;

/// Holds a value to a schema, whose references lead into a document.
///
/// # Errors
/// What is wrong with the value or the schema.
pub fn check(document: &Json, schema: &Json, value: &Json) -> Result<(), String> {
    let Some(words) = schema.as_object() else {
        return Err(format!("{schema} is no schema"));
    };
    for (word, argument) in words {
        let holds = match word.as_str() {
            "description" | "example" => true,
            "$ref" => {
                let pointer = argument.as_str().and_then(|text| text.strip_prefix('#'));
                let target = pointer.and_then(|pointer| document.pointer(pointer));
                check(
                    document,
                    target.ok_or(format!("{argument} leads nowhere"))?,
                    value,
                )?;
                true
            }
            "type" => is_of_type(argument, value),
            "enum" => argument
                .as_array()
                .is_some_and(|values| values.contains(value)),
            "oneOf" => {
                let schemas = argument.as_array().ok_or("oneOf is no list")?;
                schemas
                    .iter()
                    .filter(|schema| check(document, schema, value).is_ok())
                    .count()
                    == 1
            }
            "pattern" => matches(
                argument.as_str().unwrap_or_default(),
                value.as_str().unwrap_or_default(),
            )?,
            "minimum" => value.as_f64() >= argument.as_f64(),
            "required" => {
                let names = argument.as_array().ok_or("required is no list")?;
                names
                    .iter()
                    .all(|name| name.as_str().is_some_and(|name| value.get(name).is_some()))
            }
            "properties" | "additionalProperties" => {
                members(document, words, value)?;
                true
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(document, argument, item)?;
                }
                true
            }
            unknown => return Err(format!("the schema's word {unknown} is not understood")),
        };
        if !holds {
            return Err(format!("{value} is not {word}: {argument}"));
        }
    }
    Ok(())
}

fn members(
    document: &Json,
    words: &serde_json::Map<String, Json>,
    value: &Json,
) -> Result<(), String> {
    for (name, member) in value.as_object().into_iter().flatten() {
        let known = words
            .get("properties")
            .and_then(|properties| properties.get(name));
        match known.or(words.get("additionalProperties")) {
            Some(Json::Bool(false)) => return Err(format!("{name} is not in the schema")),
            Some(Json::Bool(true)) | None => {}
            Some(schema) => {
                check(document, schema, member).map_err(|error| format!("{name}: {error}"))?
            }
        }
    }
    Ok(())
}

fn is_of_type(kind: &Json, value: &Json) -> bool {
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    match kind {
        Json::Array(kinds) => kinds.iter().filter_map(Json::as_str).any(is),
        kind => kind.as_str().is_some_and(is),
    }
}

/// The patterns that there are.
fn matches(pattern: &str, text: &str) -> Result<bool, String> {
    let is_hex = text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match pattern {
        "^[0-9]+$" => Ok(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())),
        "^[0-9a-f]*$" => Ok(is_hex),
        "^[0-9a-f]{64}$" => Ok(is_hex && text.len() == 64),
        _ => Err(format!("the pattern {pattern} is not understood")),
    }
}
