//! What the operator is told of payments whose HTLCs will soon go back by themselves.

use super::{Payer, State};
use crate::{desk::Desk, limits::OPEN_BLOCKS, warning::Warning};

/// Looks after payments whose contract is funded, whenever there is a block, and at the start.
pub(crate) fn watch(desk: &mut Desk) {
    let mut late = Vec::new();
    for (hash, incoming) in &desk.receiving {
        let Some(Payer::Lightning(htlcs)) = incoming.payer() else {
            continue;
        };
        let height = desk.any_height(incoming.federation);
        let blocks = htlcs.deadline.saturating_sub(height);
        if blocks < OPEN_BLOCKS && !matches!(incoming.state, State::Funding { .. }) {
            late.push((*hash, blocks));
        }
    }
    for (hash, blocks) in late {
        desk.warn_once(hash, "late", Warning::ReceiptLate { hash, blocks });
    }
}
