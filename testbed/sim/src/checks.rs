//! What must hold at every step, in every world.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{api::TransactionStatus, module::Fault, Digest, Epoch, PeerId, TxId};
use guildmint_engine::{
    node::{inspect, Said},
    Node,
};

/// Remembers what was seen, and finds contradictions.
#[derive(Default)]
pub(crate) struct Checks {
    digests: BTreeMap<Epoch, Digest>,
    /// The longest prefix of each guardian's stream in each epoch, and its contribution.
    said: BTreeMap<(PeerId, Epoch, u64), Vec<u8>>,
    contributed: BTreeMap<(PeerId, Epoch), Vec<u8>>,
    accepted: BTreeMap<TxId, Epoch>,
    /// Whether this world is one in which guardians should halt.
    pub(crate) halts_are_expected: bool,
    /// Guardians that have lost their memory where messages get lost, too. They count among the faulty ones: what would tell them of
    /// it may not arrive (SPEC EPO-5).
    pub(crate) forgetful: BTreeSet<PeerId>,
    /// Faults that correct guardians reported of correct guardians.
    pub(crate) slander: Vec<Fault>,
    /// Faults reported of the liar.
    pub(crate) blamed: Vec<Fault>,
}

impl Checks {
    /// Correct guardians have one history.
    #[allow(clippy::panic)]
    pub(crate) fn node(&mut self, node: &Node) {
        if let Some(why) = node.halted().filter(|_| !self.halts_are_expected) {
            panic!("{} halted: {why}", node.me());
        }
        if let Some(head) = node.head() {
            let digest = self.digests.entry(head.epoch).or_insert(head.digest);
            assert_eq!(
                *digest,
                head.digest,
                "{} forked in {}",
                node.me(),
                head.epoch
            );
        }
    }

    /// A correct guardian never says two different things in one place, whatever crashes lie between.
    pub(crate) fn speech(&mut self, from: PeerId, bytes: &[u8]) {
        if self.forgetful.contains(&from) {
            return;
        }
        match inspect(bytes) {
            Said::Contribution {
                author,
                epoch,
                payload,
            } if author == from => {
                let before = self.contributed.entry((from, epoch));
                assert_eq!(
                    *before.or_insert_with(|| payload.clone()),
                    payload,
                    "{from} contributed twice to {epoch}"
                );
            }
            Said::Frames {
                epoch,
                first,
                frames,
            } => {
                assert!(
                    self.contributed.contains_key(&(from, epoch)),
                    "{from} spoke in {epoch} before it contributed"
                );
                for (number, frame) in (first..).zip(frames) {
                    let before = self.said.entry((from, epoch, number));
                    assert_eq!(
                        *before.or_insert_with(|| frame.clone()),
                        frame,
                        "{from} changed frame {number} of {epoch}"
                    );
                }
            }
            _ => {}
        }
    }

    /// What a correct guardian contributed to an epoch, encoded.
    pub(crate) fn contribution(&self, author: PeerId, epoch: Epoch) -> Option<&Vec<u8>> {
        self.contributed.get(&(author, epoch))
    }

    /// An accepted transaction stays accepted, in the same epoch.
    pub(crate) fn status(&mut self, txid: TxId, status: &TransactionStatus) {
        match status {
            TransactionStatus::Accepted { epoch, .. } => {
                let before = *self.accepted.entry(txid).or_insert(*epoch);
                assert_eq!(before, *epoch, "{txid} was accepted twice");
            }
            TransactionStatus::Rejected(reject) => {
                assert!(
                    !self.accepted.contains_key(&txid),
                    "{txid} was accepted and then rejected: {reject}"
                );
            }
            _ => {}
        }
    }

    /// Who was blamed by a correct guardian.
    pub(crate) fn fault(&mut self, fault: Fault, is_liar: bool) {
        if is_liar || self.forgetful.contains(&fault.peer) {
            self.blamed.push(fault);
        } else {
            self.slander.push(fault);
        }
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.len()
    }
}
