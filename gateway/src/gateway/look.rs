//! What can be seen of a gateway without asking anybody.

use bitcoin::{secp256k1::XOnlyPublicKey, Network};
use guildmint_core::{Amount, FederationId};
use guildmint_ln::{ContractId, PaymentHash};

use super::Gateway;
use crate::{
    announce,
    federation::FederationState,
    ledger::Totals,
    operation::{pay, receive, Kind},
    rows::{IncomingRow, ServedRow, TotalsRow},
    settings::Settings,
};

/// A federation, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederationView {
    /// Which.
    pub federation: FederationId,
    /// Its network.
    pub network: Network,
    /// How it is served.
    pub settings: Settings,
    /// Nothing new is begun in it.
    pub left: bool,
    /// The gateway's key in it.
    pub key: XOnlyPublicKey,
    /// What was last heard of it.
    pub state: Option<FederationState>,
    /// Why nothing new is begun in it now, if so: it, the node, or the operator.
    pub trouble: Option<String>,
    /// Why wallets do not see the gateway in it, and what to do about it, if so.
    pub unseen: Option<String>,
    /// What was spent in this period.
    pub spent: Amount,
    /// Invoices that can be paid.
    pub invoices: usize,
}

/// A payment, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentView {
    /// Its hash.
    pub hash: PaymentHash,
    /// What it is. A swap is seen twice, on both of its sides.
    pub kind: Kind,
    /// The federation of its contract.
    pub federation: FederationId,
    /// Its contract, once there is one.
    pub contract: Option<ContractId>,
    /// What the contract holds, or will.
    pub amount: Amount,
    /// Where it stands, in a word.
    pub state: &'static str,
    /// Whether nothing more will happen.
    pub ended: bool,
    /// Why it was given up or goes back, if it does.
    pub reason: Option<String>,
}

impl Gateway {
    /// The federations that are or were served.
    #[must_use]
    pub fn federations(&self) -> Vec<FederationView> {
        let desk = &self.desk;
        let view = |(ServedRow(federation), served): (ServedRow, crate::rows::Served)| {
            let spent = Amount::from_msat(desk.spent_msat(federation));
            let trouble = desk
                .may_begin(&served)
                .and_then(|()| desk.sound_height(federation));
            FederationView {
                federation,
                network: served.network,
                settings: served.settings,
                left: served.left,
                key: desk.keys.gateway(federation).x_only_public_key().0,
                state: desk.federations.get(&federation).cloned(),
                trouble: trouble.err(),
                unseen: announce::unseen(desk, federation),
                spent: spent.unwrap_or(Amount::MAX),
                invoices: desk.invoices.get(&federation).copied().unwrap_or(0),
            }
        };
        desk.rows.scan().into_iter().map(view).collect()
    }

    /// Contracts of users that were taken on or given up. ⚠ All there ever were: see [`Gateway::open`].
    #[must_use]
    pub fn outgoing(&self) -> Vec<PaymentView> {
        pay::all(&self.desk).into_iter().map(paid).collect()
    }

    /// Payments that users want to receive, or have. ⚠ All there ever were: see [`Gateway::open`].
    #[must_use]
    pub fn incoming(&self) -> Vec<PaymentView> {
        self.desk.rows.scan().into_iter().map(received).collect()
    }

    /// Payments that have not ended. However many have, that takes no longer.
    #[must_use]
    pub fn open(&self) -> Vec<PaymentView> {
        let desk = &self.desk;
        let out = desk
            .paying
            .iter()
            .map(|(key, one)| paid((*key, one.clone())));
        let into = desk.offers.values().filter_map(|hash| {
            let one = desk.incoming(*hash)?;
            Some(received((IncomingRow(*hash), one)))
        });
        out.chain(into).collect()
    }

    /// Whether a user has had, or has, an invoice on this hash paid, or made one.
    #[must_use]
    pub fn is_users(&self, hash: PaymentHash) -> bool {
        pay::is_taken(&self.desk, hash) || self.desk.incoming(hash).is_some()
    }

    /// What all payments brought and cost.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.desk.rows.get(&TotalsRow(())).unwrap_or_default()
    }

    /// All that the gateway has: on Lightning, in federations, and in contracts that it can claim.
    #[must_use]
    pub fn worth(&self) -> Amount {
        self.desk.worth()
    }
}

fn paid((key, one): (crate::ContractKey, pay::Outgoing)) -> PaymentView {
    let (state, kind, reason) = one.describe();
    PaymentView {
        hash: one.hash,
        kind,
        federation: key.federation,
        contract: Some(key.contract),
        amount: one.amount,
        state,
        ended: one.has_ended(),
        reason,
    }
}

fn received((IncomingRow(hash), one): (IncomingRow, receive::Incoming)) -> PaymentView {
    let (state, kind, reason) = one.describe();
    PaymentView {
        hash,
        kind,
        federation: one.federation,
        contract: one.contract(),
        amount: one.offer.offer.amount,
        state,
        ended: one.has_ended(),
        reason,
    }
}
