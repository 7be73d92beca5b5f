//! The page on which the operator says the password.

use maud::html;
use tide::{Response, StatusCode};

use super::kit::{field, form, Page};

/// The page, with what was wrong with the last attempt.
pub(crate) fn page(status: StatusCode, program: &str, wrong: Option<&str>) -> Response {
    let body = html! {
        @if let Some(wrong) = wrong { p.bad role="alert" { (wrong) } }
        (form("/login", &field("Password", "password", "password"), "Log in"))
        p.quiet {
            "The password is set with " code { (program) " admin set-password" } ". Until there is one, the contents of "
            code { "admin.cookie" } " in the data directory open this page; they change whenever the program is started."
        }
    };
    Page::new("Log in").response(status, &body)
}
