//! The document that tells programs what they may ask (SPEC API-1): what is the same for every federation, and what its modules answer.

use serde_json::{Map, Value as Json};

/// Where a question to a module is answered, whatever it is. What may go wrong is the same for all of them.
const ANY_QUESTION: &str = "/paths/~1v1~1{module}~1{path}/get/responses";

/// The whole document. A module that describes itself in something else than what it is asked for is left out.
pub(crate) fn document(questions: &[&str]) -> Json {
    let mut document: Json = serde_json::from_str(include_str!("openapi.json")).unwrap_or_default();
    let refusals = document.pointer(ANY_QUESTION).cloned();
    let refusals = refusals.as_ref().and_then(Json::as_object);
    for module in questions {
        let module: Json = serde_json::from_str(module).unwrap_or_default();
        let mut paths = module["paths"].as_object().cloned().unwrap_or_default();
        for path in paths.values_mut() {
            let responses = path.pointer_mut("/get/responses");
            if let Some(responses) = responses.and_then(Json::as_object_mut) {
                add(responses, refusals);
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
