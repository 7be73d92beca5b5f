//! What can be seen of a world from outside.

use std::collections::BTreeMap;

use guildmint_core::{
    ledger::{Key, Scope, Space},
    Audit, Epoch, FederationId, GenesisConfig, PayloadHash, PeerId, Wire,
};
use guildmint_engine::{
    rows::{Clock, Tip},
    Payload,
};

use crate::{guardian::Guardian, world::World};

impl World {
    /// The time, in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// How many transactions some guardian has told to be accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.checks.accepted()
    }

    /// The last epoch that each guardian has committed; `None` for those that are down or have none.
    #[must_use]
    pub fn committed(&self) -> Vec<Option<Epoch>> {
        let head = |guardian: &Guardian| guardian.node.as_ref()?.head();
        self.guardians
            .iter()
            .map(|guardian| head(guardian).map(|head| head.epoch))
            .collect()
    }

    /// How many transactions a guardian that is up keeps in mind beside its pool.
    #[must_use]
    pub fn remembered(&self, peer: PeerId) -> usize {
        let node = self.guardians[usize::from(peer.0)].node.as_ref();
        node.map_or(0, guildmint_engine::Node::remembered)
    }

    /// The last epoch in which a guardian is silent because it has lost its memory.
    #[must_use]
    pub fn fenced(&self, peer: PeerId) -> Option<Epoch> {
        self.guardians[usize::from(peer.0)].node.as_ref()?.fenced()
    }

    /// How many transactions wait at a guardian that is up.
    #[must_use]
    pub fn pooled(&self, peer: PeerId) -> usize {
        let node = self.guardians[usize::from(peer.0)].node.as_ref();
        node.map_or(0, guildmint_engine::Node::pool_size)
    }

    /// How many transactions all guardians have had checked, counting each time.
    #[must_use]
    pub fn transactions_checked(&self) -> usize {
        self.transactions_checked
    }

    /// The balance sheet, as the first correct guardian that is up has it.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let node = self
            .guardians
            .iter()
            .filter(|guardian| !self.is_liar(guardian.me()))
            .find_map(|guardian| guardian.node.as_ref());
        let modules = node.map(guildmint_engine::Node::audit).unwrap_or_default();
        modules.values().fold(Audit::default(), |sum, part| Audit {
            assets_msat: sum.assets_msat + part.assets_msat,
            liabilities_msat: sum.liabilities_msat + part.liabilities_msat,
        })
    }

    /// What the federation owns beyond what it owes, in satoshi, rounded down: fees earned.
    #[must_use]
    pub fn surplus_sat(&self) -> u64 {
        let audit = self.audit();
        (audit.assets_msat - audit.liabilities_msat) / 1_000
    }

    /// How many guardians there are.
    #[must_use]
    pub fn size(&self) -> u16 {
        self.setup.guardians
    }

    /// Rows that all guardians have written.
    #[must_use]
    pub fn rows_written(&self) -> u64 {
        self.guardians.iter().map(|g| g.rows_written).sum()
    }

    /// How often a guardian asked its disk for rows.
    #[must_use]
    pub fn loads(&self, peer: PeerId) -> u64 {
        self.guardians[usize::from(peer.0)].loads
    }

    /// What correct guardians said of the liar.
    #[must_use]
    pub fn blamed(&self) -> Vec<&str> {
        let faults = self.checks.blamed.iter();
        faults.map(|fault| fault.kind.as_str()).collect()
    }

    /// What correct guardians said of each other.
    #[must_use]
    pub fn slander(&self) -> Vec<String> {
        let faults = self.checks.slander.iter();
        faults
            .map(|fault| format!("{}: {}", fault.peer, fault.kind))
            .collect()
    }

    /// The agreed rows of each guardian, as they are on its disk; but for the tips of the chain and the clock, which are told
    /// along with whatever else there is to say.
    #[must_use]
    pub fn agreed_rows(&self) -> Vec<BTreeMap<Key, Vec<u8>>> {
        let engine = Scope::engine(Space::Agreed);
        let told_along = [Key::table::<Tip>(engine), Key::table::<Clock>(engine)];
        let is_kept =
            |key: &Key| key.is_agreed() && !told_along.iter().any(|table| key.0.starts_with(table));
        let agreed = |guardian: &Guardian| {
            let rows = guardian.disk.0.iter().filter(|(key, _)| is_kept(key));
            rows.map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        self.guardians.iter().map(agreed).collect()
    }

    /// Whose contributions to the open epoch are undecided at a guardian that is up.
    #[must_use]
    pub fn undecided(&self, peer: PeerId) -> Vec<PeerId> {
        let node = self.guardians[usize::from(peer.0)].node.as_ref();
        node.map(guildmint_engine::Node::undecided)
            .unwrap_or_default()
    }

    /// What a guardian contributed to an epoch, if it did.
    #[must_use]
    pub fn contribution(&self, author: PeerId, epoch: Epoch) -> Option<PayloadHash> {
        if self.is_liar(author) {
            return self.lie(author, epoch);
        }
        let payload = self.checks.contribution(author, epoch)?;
        Some(Payload::decode(payload).ok()?.hash())
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let correct = self
            .guardians
            .iter()
            .filter(|guardian| !self.is_liar(guardian.me()) && guardian.node.is_some());
        let mut heads: Vec<_> = correct
            .filter_map(|guardian| guardian.node.as_ref())
            .map(|node| (node.head().map(|head| head.digest), node.pool_size()))
            .collect();
        heads.dedup();
        self.script.wanted() == 0 && heads.len() == 1 && heads[0].1 == 0
    }

    /// How many guardians are neither down nor liars.
    pub(crate) fn correct_and_up(&self) -> usize {
        let correct =
            |guardian: &&Guardian| !self.is_liar(guardian.me()) && guardian.node.is_some();
        self.guardians.iter().filter(correct).count()
    }

    /// The config that the federation was founded with.
    #[must_use]
    pub fn genesis(&self) -> GenesisConfig {
        self.guardians[0].federation.genesis().clone()
    }

    pub(crate) fn federation(&self) -> FederationId {
        self.guardians[0].federation.id()
    }
}
