//! Pages for people: made of nothing but what is in the program, and readable without scripts (SPEC API-3).

pub mod kit;
pub(crate) mod login;
pub mod money;
pub mod time;

use tide::{http::headers::CACHE_CONTROL, Response, Server, StatusCode};

/// Files that pages name, which tell nobody anything.
pub(crate) const ASSETS: [(&str, &str, &str); 2] = [
    (
        "/style.css",
        "text/css; charset=utf-8",
        include_str!("style.css"),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page.js"),
    ),
];

/// Serves what pages name.
pub fn add_assets<S: Clone + Send + Sync + 'static>(server: &mut Server<S>) {
    for (path, kind, text) in ASSETS {
        server.at(path).get(move |_| async move {
            let mut response = Response::new(StatusCode::Ok);
            response.set_body(text);
            response.insert_header("content-type", kind);
            response.insert_header("x-content-type-options", "nosniff");
            response.insert_header(CACHE_CONTROL, "max-age=300");
            Ok(response)
        });
    }
}
