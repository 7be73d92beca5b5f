//! What the operator sets for each federation.

use guildmint_core::Amount;
use guildmint_ln::{FeeSchedule, Hop};
use serde::{Deserialize, Serialize};

/// How a federation is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Charged for paying an invoice, on top of its amount. The way there is paid from it.
    pub send_fees: FeeSchedule,
    /// Kept of that in any case, whatever the way costs.
    pub send_margin: FeeSchedule,
    /// Kept of a payment that is received.
    pub receive_fees: FeeSchedule,
    /// What limits the operator's risk.
    pub limits: Limits,
    /// Where wallets ask; none if the gateway is not announced in this federation.
    pub api_url: Option<String>,
    /// Ways to the node for payers who do not see it in the graph.
    pub route_hints: Vec<Vec<Hop>>,
}

impl Default for Settings {
    /// 2 sat and half a percent for paying, nothing for receiving.
    fn default() -> Self {
        Self {
            send_fees: FeeSchedule {
                base: Amount::from_sat(2).unwrap_or_default(),
                parts_per_million: 5_000,
            },
            send_margin: FeeSchedule::default(),
            receive_fees: FeeSchedule::default(),
            limits: Limits::default(),
            api_url: None,
            route_hints: Vec::new(),
        }
    }
}

/// What limits the operator's risk in one federation. What would exceed a limit is not begun: an outgoing contract is given up, an incoming
/// payment goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Money in the federation, at most: it is lost if the guardians are thieves. What may still be claimed counts.
    pub exposure: Amount,
    /// What may be paid in [`PERIOD_MS`](crate::limits::PERIOD_MS), by Lightning and into contracts: it bounds what an unknown fault costs. What
    /// has failed or come back does not count.
    pub spending: Amount,
    /// Payments to Lightning under way at once.
    pub paying: u32,
    /// Payments from Lightning that are held at once.
    pub held: u32,
}

impl Default for Limits {
    /// 1 million sat in a federation, 10 million a day, 100 payments each way.
    fn default() -> Self {
        let sat = |sat| Amount::from_sat(sat).unwrap_or_default();
        Self {
            exposure: sat(1_000_000),
            spending: sat(10_000_000),
            paying: 100,
            held: 100,
        }
    }
}
