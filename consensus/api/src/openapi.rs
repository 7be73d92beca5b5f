//! The document that tells programs what they may ask (SPEC API-1): what is the same for every federation, and what its modules answer.

use serde_json::{Map, Value as Json};

/// What any question to a module may be answered, if something goes wrong.
const RESPONSES: &str = "/paths/~1v1~1{module}~1{path}/get/responses";
/// What can be said with any question, besides what it is about.
const PARAMETERS: &str = "/paths/~1v1~1{module}~1{path}/get/parameters";

/// The whole document. A module that describes itself in something else than what it is asked for is left out.
pub(crate) fn document(questions: &[&str]) -> Json {
    let mut document: Json = serde_json::from_str(include_str!("openapi.json")).unwrap_or_default();
    let common = |pointer| document.pointer(pointer).cloned().unwrap_or_default();
    let (refusals, parameters) = (common(RESPONSES), common(PARAMETERS));
    let parameters = parameters.as_array().into_iter().flatten();
    let waiting: Vec<Json> = parameters
        .filter(|one| one["in"] == "query")
        .cloned()
        .collect();
    for module in questions {
        let module: Json = serde_json::from_str(module).unwrap_or_default();
        let mut paths = module["paths"].as_object().cloned().unwrap_or_default();
        for path in paths.values_mut() {
            let responses = path.pointer_mut("/get/responses");
            if let Some(responses) = responses.and_then(Json::as_object_mut) {
                add(responses, refusals.as_object());
            }
            if let Some(operation) = path.get_mut("get").and_then(Json::as_object_mut) {
                let parameters = operation
                    .entry("parameters")
                    .or_insert_with(|| Json::Array(Vec::new()));
                let parameters = parameters.as_array_mut();
                parameters
                    .into_iter()
                    .for_each(|all| all.extend(waiting.iter().cloned()));
            }
        }
        for (place, entries) in [
            ("/paths", Some(&paths)),
            ("/components/schemas", module["schemas"].as_object()),
        ] {
            if let Some(all) = document.pointer_mut(place).and_then(Json::as_object_mut) {
                add(all, entries);
            }
        }
    }
    document
}

/// Adds entries under names that are free.
fn add(all: &mut Map<String, Json>, entries: Option<&Map<String, Json>>) {
    for (name, entry) in entries.into_iter().flatten() {
        all.entry(name).or_insert_with(|| entry.clone());
    }
}
