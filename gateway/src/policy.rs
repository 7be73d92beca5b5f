//! Whether something new may be begun: health, halt, and the operator's limits.

use guildmint_core::{Amount, FederationId};

use crate::{
    desk::Desk,
    limits,
    operation::{Incoming, Outgoing},
    rows::Served,
};

impl Desk {
    /// The height to reckon with: the higher one of the node's and the federation's, if both are well and agree.
    ///
    /// ⚠ Never of one source alone: one that is behind makes time limits look further away than they are.
    pub(crate) fn sound_height(&self, federation: FederationId) -> Result<u32, String> {
        let state = self.federations.get(&federation);
        let state = state.ok_or("nothing is heard of the federation yet")?;
        if let Some(trouble) = &state.trouble {
            return Err(format!("the federation is not well: {trouble}"));
        }
        let node = self.node.as_ref();
        let node = node.ok_or("nothing is heard of the Lightning node yet")?;
        // Nothing is held or sent by it, so no height of its own matters.
        if node.swap_only {
            return Ok(state.height);
        }
        if let Some(trouble) = &node.trouble {
            return Err(format!("the Lightning node is not well: {trouble}"));
        }
        let synced = node.synced_at_ms.unwrap_or(0);
        if self.now.0.saturating_sub(synced) > limits::MAX_SYNC_AGE_MS {
            return Err("the Lightning node has not seen the chain's tip for too long".to_owned());
        }
        if node.height.abs_diff(state.height) > limits::MAX_SKEW_BLOCKS {
            return Err(format!(
                "the Lightning node is at height {}, and the federation at {}",
                node.height, state.height
            ));
        }
        Ok(node.height.max(state.height))
    }

    /// The highest height that anybody has named: for alarms, which should rather come early.
    pub(crate) fn any_height(&self, federation: FederationId) -> u32 {
        let state = self.federations.get(&federation);
        let node = self.node.as_ref().map_or(0, |node| node.height);
        state.map_or(0, |state| state.height).max(node)
    }

    /// Whether anything new may be begun in a federation.
    pub(crate) fn may_begin(&self, served: &Served) -> Result<(), String> {
        if served.left {
            return Err("it leaves this federation".to_owned());
        }
        match self.halted() {
            true => Err("it has lost money and waits for its operator".to_owned()),
            false => Ok(()),
        }
    }

    /// Whether an outgoing contract of this amount may be taken on, and so much paid for it.
    pub(crate) fn may_pay(
        &self,
        federation: FederationId,
        served: &Served,
        contract: Amount,
        pays: Amount,
    ) -> Result<(), String> {
        self.may_begin(served)?;
        let limits = &served.settings.limits;
        let there = |outgoing: &Outgoing| outgoing.amount.msat();
        let open = self
            .paying
            .iter()
            .filter(|(key, _)| key.federation == federation);
        if open.clone().count() >= limits.paying as usize {
            return Err("it has too many payments under way".to_owned());
        }
        let open_msat = open.fold(0, |sum: u64, (_, one)| sum.saturating_add(there(one)));
        let state = self.federations.get(&federation);
        let ecash_msat = state.map_or(0, |state| state.ecash.msat());
        let exposed_msat = ecash_msat
            .saturating_add(open_msat)
            .saturating_add(contract.msat());
        if exposed_msat > limits.exposure.msat() {
            return Err("it has as much in this federation as it may".to_owned());
        }
        self.may_spend(federation, served, pays)
    }

    /// Whether a contract of this amount may be funded.
    pub(crate) fn may_fund(
        &self,
        federation: FederationId,
        served: &Served,
        amount: Amount,
    ) -> Result<(), String> {
        self.may_begin(served)?;
        let limits = &served.settings.limits;
        let open = self
            .receiving
            .values()
            .filter(|one| one.federation == federation);
        if open.clone().count() >= limits.held as usize {
            return Err("it holds too many payments".to_owned());
        }
        // What is in a contract for sure has left the balance that is known; what may be, perhaps not.
        let reserved = |one: &Incoming| one.reserved_msat();
        let reserved_msat = open.fold(0, |sum: u64, one| sum.saturating_add(reserved(one)));
        let state = self.federations.get(&federation);
        let ecash_msat = state.map_or(0, |state| state.ecash.msat());
        if amount.msat() > ecash_msat.saturating_sub(reserved_msat) {
            return Err("it has too little e-cash in this federation".to_owned());
        }
        self.may_spend(federation, served, amount)
    }

    fn may_spend(
        &self,
        federation: FederationId,
        served: &Served,
        amount: Amount,
    ) -> Result<(), String> {
        let spent = self.spent_msat(federation).saturating_add(amount.msat());
        match spent > served.settings.limits.spending.msat() {
            true => Err("it has paid as much as it may for today".to_owned()),
            false => Ok(()),
        }
    }
}
