use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use guildmint_core::{
    api::{
        AnnouncementsAnswer, AuditAnswer, ConfigAnswer, Problem, Revise, RevisionReport,
        RevisionsAnswer, StatusAnswer, TransactionAnswer,
    },
    module::Query,
    TxId,
};
use guildmint_daemon::health::Check;
use serde_json::Value as Json;

use crate::{EventHub, Overview};

/// What a guardian knows and does, as far as the API asks. An implementation is a handle: clones speak to the same guardian.
///
/// A call may be dropped before it has answered, when its client or the time is gone.
#[async_trait]
pub trait Backend: Clone + Send + Sync + 'static {
    /// Takes a transaction, in its canonical bytes, which decode. Safe to repeat (SPEC TX-6).
    ///
    /// # Errors
    /// If the guardian cannot say anything about it now. A transaction that it does not take is an answer, not an error.
    async fn submit(&self, bytes: Vec<u8>) -> Result<TransactionAnswer, Problem>;

    /// What is known of a transaction: at once if that is final, else when it changes, and after `wait` at the latest.
    ///
    /// # Errors
    /// If the guardian cannot say anything about it now.
    async fn transaction(&self, txid: TxId, wait: Duration) -> Result<TransactionAnswer, Problem>;

    /// The balance sheet (SPEC AUD-1).
    ///
    /// # Errors
    /// If the guardian cannot say it now.
    async fn audit(&self) -> Result<AuditAnswer, Problem>;

    /// How the guardian is.
    async fn status(&self) -> StatusAnswer;

    /// Which federation this is.
    async fn config(&self) -> ConfigAnswer;

    /// Where guardians say that they are (SPEC NET-4).
    ///
    /// # Errors
    /// If the guardian cannot say it now.
    async fn announcements(&self) -> Result<AnnouncementsAnswer, Problem>;

    /// The next revisions after a number (SPEC GEN-6).
    ///
    /// # Errors
    /// If the guardian cannot say it now.
    async fn revisions(&self, after: u32) -> Result<RevisionsAnswer, Problem>;

    /// What the operator asks or says about revisions.
    ///
    /// # Errors
    /// If nobody could agree to that, or the guardian cannot say it now.
    async fn revise(&self, said: Revise) -> Result<RevisionReport, Problem>;

    /// A read-only question to the module of this kind.
    ///
    /// # Errors
    /// If there is no such module or path, or the module refuses the question.
    async fn query(&self, kind: String, query: Query) -> Result<Json, Problem>;

    /// What each module says of the questions that it answers, as [`guildmint_core::module::ServerModule::QUESTIONS`] has it.
    fn questions(&self) -> Vec<&'static str>;

    /// What clients need to be in order, cheaply: asked without any credentials, and often.
    async fn ready(&self) -> Vec<Check>;

    /// All that its operator wants to know. Answered within seconds, from a moment ago if asked often.
    async fn overview(&self) -> Arc<Overview>;

    /// Where clients hear of what happens.
    fn events(&self) -> &EventHub;

    /// The guardian's metrics as OpenMetrics text.
    async fn metrics(&self) -> String;
}
