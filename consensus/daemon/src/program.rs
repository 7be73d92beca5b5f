//! What a program does around its work: what it says when it fails, passwords that it is given, threads.

use std::{
    env,
    fs::File,
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
};

use serde_json::json;
use zeroize::Zeroizing;

use crate::admin::files::first_line;

/// What is said of an argument that nobody expected, in its place.
const ONE_TOO_MANY: &str =
    "there is an argument too many, which is not shown here: it may be a secret; see --help";

/// How async-std learns how many threads it may have.
const THREADS_VARIABLE: &str = "ASYNC_STD_THREAD_COUNT";

/// Says why the program has failed: a line for people, a document for programs, and the exit status.
#[must_use]
pub fn fail(code: &str, message: &str, status: u8) -> ExitCode {
    eprintln!("{message}");
    let error = json!({"code": code, "message": message, "retryable": false});
    println!("{:#}", json!({ "error": error }));
    ExitCode::from(status)
}

/// What can be said of a command line that is not understood: the message, unless it is about an unknown argument that is no option. ⚠ That may be
/// a password, or words, in the wrong place.
#[must_use]
pub fn complaint<'a>(is_unknown: bool, argument: Option<&str>, message: &'a str) -> &'a str {
    let is_option = argument.is_some_and(|argument| argument.starts_with('-'));
    match is_unknown && !is_option {
        true => ONE_TOO_MANY,
        false => message,
    }
}

/// A password: the first line of a file, or of standard input if that is no terminal.
///
/// # Errors
/// If there is none; the error says where it was looked for.
pub fn given_password(from: Option<&Path>) -> io::Result<Zeroizing<String>> {
    let told = |place: String| {
        move |error: io::Error| io::Error::new(error.kind(), format!("{place}: {error}"))
    };
    match from {
        Some(path) => {
            let password = File::open(path).and_then(first_line);
            password.map_err(told(path.display().to_string()))
        }
        None if io::stdin().is_terminal() => Err(io::Error::other(
            "a password that is typed here would show; give --from, or pipe it in",
        )),
        None => first_line(io::stdin()).map_err(told("no password on standard input".to_owned())),
    }
}

/// Says how many threads there are to be for what waits for others, unless the environment says so. What is slow has threads of its own. Call it
/// before the first task.
pub fn limit_threads(threads: usize) {
    if env::var_os(THREADS_VARIABLE).is_none() {
        env::set_var(THREADS_VARIABLE, threads.max(1).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_in_no_complaint() {
        let message = "see hunter2";
        assert_eq!(complaint(true, Some("--prot"), message), message);
        assert_eq!(complaint(false, Some("hunter2"), message), message);
        for argument in [Some("hunter2"), Some(""), None] {
            assert_eq!(complaint(true, argument, message), ONE_TOO_MANY);
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_a_file_and_where_there_is_none_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let missing = given_password(Some(&path)).unwrap_err().to_string();
        assert!(missing.contains("password"), "{missing}");
        std::fs::write(&path, "hunter22\nmore").unwrap();
        assert_eq!(*given_password(Some(&path)).unwrap(), "hunter22");
    }
}
