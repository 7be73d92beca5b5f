//! Pages in a real browser (SPEC API-3).
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    thread,
};

use common::{browser::Browser, run, serve, serve_operator, token};
use guildmint_api::{Access, Limits};
use serde_json::json;

/// A name that runs a script wherever it is taken for more than text.
const HOSTILE: &str =
    "<img src=x onerror=\"pwned=1\"><script>pwned=1</script>\"><svg onload='pwned=1'>";

#[test]
fn everybodys_page_runs_its_own_script_and_no_other() {
    let (backend, serving) = run(serve(Limits::default()));
    *backend.name.lock().unwrap() = HOSTILE.into();
    let mut browser = Browser::start();
    let origin = format!("http://{}/", serving.address());
    browser.open(&origin);
    assert_eq!(browser.evaluate("typeof pwned"), json!("undefined"));
    assert_eq!(browser.evaluate("document.images.length"), json!(0));
    let shown = browser.evaluate("document.querySelector('h1').textContent");
    assert_eq!(shown, json!(HOSTILE));
    // The button is there only for those who can use it.
    assert_eq!(
        browser.evaluate("document.querySelector('[data-copy]').hidden"),
        json!(false)
    );
    let width =
        browser.evaluate("document.querySelector('svg.qr').getBoundingClientRect().width > 100");
    assert_eq!(width, json!(true));
    assert_eq!(
        browser.evaluate("getComputedStyle(document.querySelector('dl')).display"),
        json!("grid")
    );
    let complaints = browser.complaints();
    let about_pages: Vec<_> = complaints
        .iter()
        .filter(|text| !text.contains("favicon"))
        .collect();
    assert!(
        about_pages.iter().all(|text| text.contains("404")),
        "{complaints:?}"
    );
    let requests = browser.requests();
    assert!(
        requests.len() >= 3 && requests.iter().all(|url| url.starts_with(&origin)),
        "{requests:?}"
    );
}

/// A page of somebody else on this machine: to a browser the same site, whose pages get our cookies.
fn foreign_page(html: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
            let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{html}", html.len());
        }
    });
    address
}

#[test]
fn the_operator_logs_in_and_no_other_page_acts_for_him() {
    let (_, serving) = run(serve_operator(Access::by_token(token())));
    let operators = format!("http://{}", serving.address());
    let mut browser = Browser::start();
    browser.open(&operators);
    assert_eq!(browser.evaluate("location.pathname"), json!("/login"));
    let fill = |password: &str| {
        format!("document.querySelector('[name=password]').value = '{password}'; document.querySelector('button').click()")
    };
    browser.follow(&fill("wrong"));
    assert_eq!(
        browser.evaluate("document.querySelector('[role=alert]').textContent"),
        json!("This is not the password.")
    );
    browser.follow(&fill(token().reveal()));
    assert_eq!(browser.evaluate("location.pathname"), json!("/"));
    assert_eq!(
        browser.evaluate("document.cookie"),
        json!(""),
        "scripts do not see the session"
    );

    let form = format!("<form method=post action={operators}/logout></form><script>document.forms[0].submit()</script>");
    let foreign = foreign_page(form);
    browser.open(&format!("http://{foreign}/"));
    while browser.evaluate("location.pathname") != json!("/logout") {
        browser.call("Page.getFrameTree", json!({}));
    }
    let answer = browser.evaluate("document.body.innerText");
    assert!(
        answer.as_str().unwrap().contains("foreign_origin"),
        "{answer}"
    );
    browser.open(&operators);
    assert_eq!(
        browser.evaluate("location.pathname"),
        json!("/"),
        "still logged in"
    );

    browser.follow("document.querySelector('form[action=\"/logout\"] button').click()");
    assert_eq!(browser.evaluate("location.pathname"), json!("/login"));
    browser.open(&operators);
    assert_eq!(
        browser.evaluate("location.pathname"),
        json!("/login"),
        "logged out"
    );
}
