//! What the operator is told of payments that take long.

use crate::{desk::Desk, limits, warning::Warning};

/// Looks after payments that take long, whenever there is a block, and at the start.
pub(crate) fn watch(desk: &mut Desk) {
    let open: Vec<_> = desk
        .paying
        .iter()
        .map(|(key, one)| (*key, one.clone()))
        .collect();
    for (key, outgoing) in open {
        let hash = outgoing.hash;
        let height = desk.any_height(key.federation);
        let blocks = outgoing.timelock.saturating_sub(height);
        if blocks < limits::ALARM_BLOCKS {
            let contract = key.contract;
            desk.warn_once(
                hash,
                "late",
                Warning::PaymentLate {
                    hash,
                    contract,
                    blocks,
                },
            );
        }
        if desk.now.since_ms(outgoing.since) > limits::STALE_MS {
            desk.warn_once(hash, "stale", Warning::Stale(hash));
        }
    }
}
