//! What browsers send from forms.

use std::collections::BTreeMap;

use guildmint_core::api::Problem;
use tide::{http::Url, Request};

use crate::{body::body, problem};

const KIND: &str = "application/x-www-form-urlencoded";

/// The fields of a form, each of which may be there once.
///
/// # Errors
/// If it is no form, too large, or a field is there twice.
pub async fn form<S>(
    request: &mut Request<S>,
    limit: usize,
) -> Result<BTreeMap<String, String>, Problem> {
    let kind = request.content_type();
    if kind.as_ref().map(|mime| mime.essence()) != Some(KIND) {
        return Err(problem::unsupported_form());
    }
    let body = body(request, limit).await?;
    let body = String::from_utf8(body).map_err(problem::malformed)?;
    // A form is written like the parameters of a URL.
    let mut url = Url::parse("http://form/").map_err(problem::malformed)?;
    url.set_query(Some(&body));
    parameters(&url)
}

/// The parameters of a URL, each of which may be there once.
///
/// # Errors
/// If one is there twice.
pub fn parameters(url: &Url) -> Result<BTreeMap<String, String>, Problem> {
    let mut parameters = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        let name = name.into_owned();
        if parameters.contains_key(&name) {
            let name = name.escape_debug();
            return Err(problem::malformed(format!(
                "the parameter {name} is there twice"
            )));
        }
        parameters.insert(name, value.into_owned());
    }
    Ok(parameters)
}
