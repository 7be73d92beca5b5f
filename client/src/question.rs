//! What whoever embeds the wallet asks guardians.

use std::collections::BTreeMap;

use guildmint_core::PeerId;
use serde_json::Value as Json;

use crate::{
    api::ApiRequest,
    ask::{Reader, Rule, Whom},
};

/// A question to guardians, with the rule by which their answers become one (SPEC API-4). It has 15 seconds; what has no answer then, or not
/// enough that agree, fails as [`TooFewGuardians`](crate::ClientError::TooFewGuardians), and may be asked again.
#[derive(Debug, Clone)]
pub enum Question {
    /// A fact: what f + 1 guardians say, the same to the letter.
    Same(ApiRequest),
    /// A number: the (f + 1)-th highest that 2f + 1 guardians name. The function takes it from an answer; what has none counts for nothing.
    Number(ApiRequest, fn(&Json) -> Option<Json>),
    /// Something that each guardian is asked in its own way and says for itself. The answer is an object, by the guardians' numbers.
    Each {
        /// Whom, and what.
        requests: BTreeMap<PeerId, ApiRequest>,
        /// With so many answers it is over. With fewer it is when all were asked.
        enough: usize,
    },
}

impl Question {
    pub(crate) fn parts(self) -> (Whom, Rule, Reader) {
        match self {
            Self::Same(request) => (request.into(), Rule::Same, whole),
            Self::Number(request, reader) => (request.into(), Rule::Number, reader),
            Self::Each { requests, enough } => (Whom::Each(requests), Rule::Some(enough), whole),
        }
    }
}

#[allow(clippy::unnecessary_wraps)]
fn whole(answer: &Json) -> Option<Json> {
    Some(answer.clone())
}
