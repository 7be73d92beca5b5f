//! Where a federation's rows become durable.

use std::future::Future;

use guildmint_core::ledger::Changes;
use guildmint_gateway_store::Shelf;
use thiserror::Error;

/// Why changes cannot be saved. What is saved is safe, and goes on when the program is started again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the rows of a federation cannot be saved: {0}")]
pub struct DiskError(pub String);

/// Makes the rows of one federation durable.
pub trait Disk: Send + 'static {
    /// Makes all changes durable, or none.
    ///
    /// # Errors
    /// If that is not possible. The federation's task then ends: nothing that depends on them has happened.
    fn save(&mut self, changes: Changes) -> impl Future<Output = Result<(), DiskError>> + Send;
}

/// The gateway's one database, so that one witness guards it all.
impl Disk for Shelf {
    async fn save(&mut self, changes: Changes) -> Result<(), DiskError> {
        let saved = self.begin(changes).await;
        saved.map_err(|lost| DiskError(lost.to_string()))
    }
}
