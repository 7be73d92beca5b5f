use guildmint_core::{api::Problem, module::Reject};

/// The answer to a client whose transaction is not taken (SPEC TX-6).
pub(crate) fn rejection(reject: Reject) -> Problem {
    let status = match reject.code.as_str() {
        "pool_full" => 503,
        code if is_conflict(code) => 409,
        _ => 422,
    };
    Problem::new(status, &reject.code, reject.message, reject.retryable)
}

/// Whether the code says that something else came first. By convention such codes are `already_…` or `…_spent`.
fn is_conflict(code: &str) -> bool {
    code.starts_with("already_") || code.ends_with("_spent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejections_have_the_status_of_their_kind() {
        for (reject, status) in [
            (Reject::permanent("note_spent", "…"), 409),
            (Reject::permanent("already_claimed", "…"), 409),
            (Reject::permanent("unbalanced", "…"), 422),
            (Reject::retryable("not_buried", "…"), 422),
            (Reject::retryable("pool_full", "…"), 503),
        ] {
            let problem = rejection(reject.clone());
            assert_eq!(problem.status, status, "{reject:?}");
            assert_eq!(problem.code, reject.code);
            assert_eq!(problem.retryable, reject.retryable);
        }
    }
}
