//! What a module says of the questions that it answers.

use guildmint_core::module::{Query, ServerModule};
use serde_json::{json, Value as Json};

use crate::schema;

/// A module's part of the API's document.
pub(super) struct Questions {
    kind: &'static str,
    /// As references in it see it.
    document: Json,
}

impl Questions {
    pub(super) fn of<M: ServerModule>() -> Self {
        let questions: Json = serde_json::from_str(M::QUESTIONS)
            .unwrap_or_else(|error| panic!("QUESTIONS is no JSON: {error}"));
        Self {
            kind: M::KIND,
            document: json!({
                "paths": questions["paths"],
                "components": { "schemas": questions["schemas"] },
            }),
        }
    }

    /// All paths in it.
    pub(super) fn paths(&self) -> Vec<String> {
        let paths = self.document["paths"].as_object();
        paths.expect("paths").keys().cloned().collect()
    }

    /// Holds an answer to what is said of it, and gives the path under which that is. Every answer must be in the document, and every
    /// parameter that was given.
    pub(super) fn hold(&self, query: &Query, answer: &Json) -> String {
        let asked = format!("/v1/{}/{}", self.kind, query.path);
        let path = self.paths().into_iter().find(|path| fits(path, &asked));
        let path = path.unwrap_or_else(|| panic!("{asked} is answered and not in QUESTIONS"));
        let operation = &self.document["paths"][&path]["get"];
        let known = operation["parameters"].as_array().cloned();
        let known = known.unwrap_or_default();
        for name in query.parameters.keys() {
            let is_known = known.iter().any(|known| known["name"] == **name);
            assert!(is_known, "{path} has no parameter {name}");
        }
        let media = &operation["responses"]["200"]["content"]["application/json"];
        if let Err(error) = schema::check(&self.document, &media["schema"], answer) {
            panic!("{path}: {error} in {answer}");
        }
        path
    }
}

/// Whether a path is a case of one with parts such as `{nonce}`.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    let part = |(template, part): (&&str, &&str)| template.starts_with('{') || template == part;
    template.len() == path.len() && template.iter().zip(&path).all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_braces_stand_for_any() {
        assert!(fits("/v1/mint/notes/{nonce}", "/v1/mint/notes/00"));
        assert!(!fits("/v1/mint/notes/{nonce}", "/v1/mint/notes"));
        assert!(!fits("/v1/mint/notes/{nonce}", "/v1/mint/coins/00"));
    }
}
