//! The API as its document says it is (SPEC API-1).
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{collections::BTreeSet, sync::atomic::Ordering};

use common::{accepted, encoded, run, serve, transaction, Answer, Client, Scripted, TXID};
use guildmint_api::Limits;
use guildmint_core::{
    api::Problem, api::TransactionStatus, limits::MAX_TRANSACTION_BYTES, module::Reject,
};
use guildmint_kit::schema;
use serde_json::Value as Json;

const BYTES: &str = "application/octet-stream";

/// The document, and which of its answers were seen.
struct Document {
    json: Json,
    seen: BTreeSet<(String, String, String)>,
}

impl Document {
    /// Holds an answer to what the document says of its operation.
    fn hold(&mut self, method: &str, path: &str, answer: &Answer) {
        let status = answer.status.to_string();
        let operation = &self.json["paths"][path][method];
        let mut response = &operation["responses"][&status];
        if let Some(reference) = response["$ref"].as_str() {
            response = self
                .json
                .pointer(reference.trim_start_matches('#'))
                .unwrap();
        }
        let content = response["content"].as_object();
        let content = content.unwrap_or_else(|| {
            panic!("{method} {path} answers {status}, which is not in the document: {answer:?}")
        });
        let kind = answer.headers["content-type"].split(';').next().unwrap();
        let media = content
            .get(kind)
            .unwrap_or_else(|| panic!("{path} {status} is {kind}"));
        let value = match kind {
            kind if kind.ends_with("json") => answer.json(),
            _ => String::from_utf8_lossy(&answer.body).into(),
        };
        if let Err(error) = schema::check(&self.json, &media["schema"], &value) {
            panic!("{method} {path} {status}: {error} in {value}");
        }
        self.seen
            .insert((method.to_owned(), path.to_owned(), status));
    }

    /// All but those of modules, which are tested where they are answered.
    fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.json["paths"].as_object().unwrap().iter();
        let paths = paths.filter(|(path, _)| !path.starts_with("/v1/mint/"));
        let all = paths.flat_map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys();
            methods.map(move |method| (method.clone(), path.clone()))
        });
        all.collect()
    }
}

async fn document(client: &mut Client) -> Document {
    let json = client.get("/v1/openapi.json").await.json();
    Document {
        json,
        seen: BTreeSet::new(),
    }
}

#[test]
fn what_can_be_asked_is_in_the_document_and_nothing_else_is() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let document = document(&mut Client::connect(&serving).await).await;
        let routes = serving.routes().iter();
        let routes: BTreeSet<_> = routes
            .map(|(method, path)| ((*method).to_owned(), path.clone()))
            .collect();
        assert_eq!(document.operations(), routes);
        let version = document.json["openapi"].as_str().unwrap();
        assert!(version.starts_with("3.1."), "{version}");
    });
}

#[test]
fn modules_say_what_they_answer_and_change_nothing_else() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let document = document(&mut Client::connect(&serving).await).await.json;
        let at = |pointer: &str| document.pointer(pointer).unwrap();
        assert_eq!(at("/components/schemas/MintSpent/type"), "boolean");
        let responses = at("/paths/~1v1~1mint~1spent/get/responses");
        assert_eq!(responses["200"]["description"], "…");
        // What may go wrong is the same for all modules.
        assert_eq!(responses["429"]["$ref"], "#/components/responses/429");
        let parameters = at("/paths/~1v1~1mint~1spent/get/parameters");
        assert_eq!(parameters[0]["name"], "wait");
        assert!(at("/paths/~1v1~1status/get").is_object());
        assert!(at("/components/schemas/Hash").is_object());
    });
}

/// All that a client can submit, and what it is answered.
async fn submissions(backend: &Scripted, client: &mut Client, document: &mut Document) {
    let path = "/v1/transactions";
    let large = vec![0; MAX_TRANSACTION_BYTES + 1];
    for verdict in [
        Ok(TransactionStatus::Pending),
        Ok(accepted()),
        Ok(TransactionStatus::Rejected(Reject::permanent(
            "note_spent",
            "…",
        ))),
        Ok(TransactionStatus::Rejected(Reject::permanent(
            "unbalanced",
            "…",
        ))),
        Err(Problem::new(503, "halted", "…", false)),
        Err(Problem::new(500, "internal", "…", true)),
        Err(Problem::new(429, "slow_down", "…", true)),
    ] {
        backend.say(verdict);
        let answer = client.post(path, BYTES, &encoded()).await;
        document.hold("post", path, &answer);
    }
    let as_json = serde_json::to_vec(&transaction(10)).unwrap();
    for (kind, body) in [
        ("application/json", &as_json[..]),
        ("text/plain", b"x"),
        (BYTES, b"x"),
        (BYTES, &large[..]),
    ] {
        let answer = client.post(path, kind, body).await;
        document.hold("post", path, &answer);
    }
}

#[test]
fn everything_is_answered_as_the_document_says() {
    run(async {
        let (backend, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let mut document = document(&mut client).await;
        submissions(&backend, &mut client, &mut document).await;
        backend.news.0.send(()).await.unwrap();
        for (path, asked) in [
            ("/", "/".to_owned()),
            ("/livez", "/livez".to_owned()),
            ("/readyz", "/readyz".to_owned()),
            ("/v1/openapi.json", "/v1/openapi.json".to_owned()),
            ("/v1/config", "/v1/config".to_owned()),
            ("/v1/status", "/v1/status".to_owned()),
            ("/v1/audit", "/v1/audit".to_owned()),
            ("/v1/announcements", "/v1/announcements".to_owned()),
            ("/v1/revisions", "/v1/revisions".to_owned()),
            ("/v1/revisions", "/v1/revisions?after=1".to_owned()),
            ("/v1/revisions", "/v1/revisions?after=-1".to_owned()),
            (
                "/v1/transactions/{txid}",
                format!("/v1/transactions/{TXID}"),
            ),
            (
                "/v1/transactions/{txid}",
                format!("/v1/transactions/{TXID}?wait=30"),
            ),
            ("/v1/transactions/{txid}", "/v1/transactions/xyz".to_owned()),
            ("/v1/{module}/{path}", "/v1/mint/a/b".to_owned()),
            ("/v1/{module}/{path}", "/v1/nothing/x".to_owned()),
            ("/v1/{module}/{path}", "/v1/mint/x?a=1&a=2".to_owned()),
        ] {
            let answer = client.get(&asked).await;
            document.hold("get", path, &answer);
        }
        backend.ready.store(false, Ordering::Relaxed);
        let answer = client.get("/readyz").await;
        document.hold("get", "/readyz", &answer);
        client
            .send("GET /v1/events HTTP/1.1\r\nHost: guardian\r\n\r\n")
            .await;
        let stream = client.head().await;
        document.hold("get", "/v1/events", &stream);
        let mut chunked = Client::connect(&serving).await;
        let head = "POST /v1/transactions HTTP/1.1\r\nHost: guardian\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = chunked.send(head).await.answer().await;
        document.hold("post", "/v1/transactions", &answer);

        let unseen = document.operations().into_iter().filter(|(method, path)| {
            !document
                .seen
                .contains(&(method.clone(), path.clone(), "200".to_owned()))
        });
        assert_eq!(
            unseen.collect::<Vec<_>>(),
            [],
            "good answers that nobody looked at"
        );
        let submitted = document
            .seen
            .iter()
            .filter(|(method, _, _)| method == "post");
        let statuses: Vec<_> = submitted.map(|(_, _, status)| status.as_str()).collect();
        assert_eq!(
            statuses,
            ["200", "202", "400", "409", "411", "413", "415", "422", "429", "500", "503"]
        );
    });
}

/// The check itself must be able to fail.
#[test]
fn what_the_document_does_not_say_is_noticed() {
    run(async {
        let (_, serving) = serve(Limits::default()).await;
        let mut client = Client::connect(&serving).await;
        let document = document(&mut client).await;
        let mut status = client.get("/v1/status").await.json();
        let status_schema = &document.json["components"]["schemas"]["Status"];
        assert_eq!(
            schema::check(&document.json, status_schema, &status),
            Ok(())
        );
        status["height"] = "high".into();
        assert!(schema::check(&document.json, status_schema, &status).is_err());
        status["height"] = 1.into();
        status["more"] = 1.into();
        assert!(schema::check(&document.json, status_schema, &status).is_err());
        status.as_object_mut().unwrap().remove("more");
        status.as_object_mut().unwrap().remove("halted");
        assert!(schema::check(&document.json, status_schema, &status).is_err());
    });
}
