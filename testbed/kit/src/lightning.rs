//! A Lightning network that runs in a test: one node that is looked at, the rest of the world, and news that come twice, late and in any
//! order.

use std::collections::BTreeMap;

use rand::Rng;
use rand_chacha::ChaCha20Rng;

/// What a payment is called by.
pub type Hash = [u8; 32];

/// Opens a hash.
pub type Preimage = [u8; 32];

/// What the node hears of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LightningEvent {
    /// Somebody has paid, if the node knows the preimage.
    Claimable {
        /// The hash.
        hash: Hash,
        /// How much.
        amount_msat: u64,
        /// The last height at which it can be claimed.
        deadline: u32,
    },
    /// A payment of the node has arrived.
    Sent {
        /// The hash.
        hash: Hash,
        /// What proves it.
        preimage: Preimage,
    },
    /// A payment of the node has failed, and nothing of it is under way.
    Failed {
        /// The hash.
        hash: Hash,
    },
}

#[derive(Debug, Clone, Copy)]
struct Held {
    amount_msat: u64,
    deadline: u32,
    /// How it ended: claimed, or back with its payer.
    claimed: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Outgoing {
    amount_msat: u64,
    arrived: Option<bool>,
}

/// The network as one node sees it.
#[derive(Debug, Default)]
pub struct FakeLightning {
    height: u32,
    held: BTreeMap<Hash, Held>,
    sent: BTreeMap<Hash, Outgoing>,
    payees: BTreeMap<Hash, Preimage>,
    waiting: Vec<LightningEvent>,
    told: Vec<LightningEvent>,
    balance_msat: i64,
}

impl FakeLightning {
    /// What the node has, more or less than it began with.
    #[must_use]
    pub fn balance_msat(&self) -> i64 {
        self.balance_msat
    }

    /// Somebody out there will answer a payment on the hash of this preimage.
    pub fn expects(&mut self, hash: Hash, preimage: Preimage) {
        self.payees.insert(hash, preimage);
    }

    /// Somebody pays to the node, which can claim it up to a height.
    pub fn pay_in(&mut self, hash: Hash, amount_msat: u64, deadline: u32) {
        let held = Held {
            amount_msat,
            deadline,
            claimed: None,
        };
        self.held.insert(hash, held);
        self.waiting.push(LightningEvent::Claimable {
            hash,
            amount_msat,
            deadline,
        });
    }

    /// The node pays. ⚠ Once for each hash: a network that is asked again does nothing, and the test fails.
    ///
    /// # Panics
    /// If the node pays twice.
    #[allow(clippy::panic)]
    pub fn pay(&mut self, hash: Hash, amount_msat: u64) {
        let outgoing = Outgoing {
            amount_msat,
            arrived: None,
        };
        let before = self.sent.insert(hash, outgoing);
        assert!(before.is_none(), "paid twice");
    }

    /// Whether the node has paid on a hash, be it under way or over.
    #[must_use]
    pub fn was_paid(&self, hash: &Hash) -> bool {
        self.sent.contains_key(hash)
    }

    /// The node claims what was paid to it. Again is the same as once. Whether it has the money.
    pub fn claim(&mut self, hash: &Hash) -> bool {
        let height = self.height;
        let Some(held) = self.held.get_mut(hash) else {
            return false;
        };
        if held.claimed.is_none() && height <= held.deadline {
            held.claimed = Some(true);
            self.balance_msat += i64::try_from(held.amount_msat).unwrap_or(i64::MAX);
        }
        held.claimed == Some(true)
    }

    /// The node lets a payment go back.
    pub fn fail(&mut self, hash: &Hash) {
        if let Some(held) = self.held.get_mut(hash) {
            held.claimed.get_or_insert(false);
        }
    }

    /// Whether the payer of a hash has paid in the end; `None` while that is open.
    #[must_use]
    pub fn was_claimed(&self, hash: &Hash) -> Option<bool> {
        self.held.get(hash)?.claimed
    }

    /// The chain has come to a height: what is not claimed in time goes back.
    pub fn mine_to(&mut self, height: u32) {
        self.height = height;
        for held in self.held.values_mut() {
            if height > held.deadline {
                held.claimed.get_or_insert(false);
            }
        }
    }

    /// Some time passes. What the node hears in it: some of what there is to tell, and some of what it was told before.
    pub fn events(&mut self, rng: &mut ChaCha20Rng) -> Vec<LightningEvent> {
        let open = self
            .sent
            .iter_mut()
            .filter(|(_, one)| one.arrived.is_none());
        for (hash, outgoing) in open {
            if rng.gen_range(0..3) > 0 {
                continue;
            }
            let preimage = self.payees.get(hash).copied();
            outgoing.arrived = Some(preimage.is_some());
            let hash = *hash;
            self.waiting.push(match preimage {
                Some(preimage) => {
                    let amount = i64::try_from(outgoing.amount_msat).unwrap_or(i64::MAX);
                    self.balance_msat -= amount;
                    LightningEvent::Sent { hash, preimage }
                }
                None => LightningEvent::Failed { hash },
            });
        }
        let mut now = Vec::new();
        while !self.waiting.is_empty() && rng.gen_range(0..3) > 0 {
            let next = rng.gen_range(0..self.waiting.len());
            let event = self.waiting.swap_remove(next);
            self.told.push(event);
            now.push(event);
        }
        if !self.told.is_empty() && rng.gen_range(0..4) == 0 {
            now.push(self.told[rng.gen_range(0..self.told.len())]);
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn what_is_paid_in_is_claimed_in_time_or_goes_back() {
        let mut network = FakeLightning::default();
        network.pay_in([1; 32], 500, 10);
        network.pay_in([2; 32], 700, 10);
        network.mine_to(10);
        assert!(network.claim(&[1; 32]) && network.claim(&[1; 32]));
        assert_eq!(network.balance_msat(), 500);
        network.mine_to(11);
        assert!(!network.claim(&[2; 32]));
        assert_eq!(network.was_claimed(&[2; 32]), Some(false));
        assert_eq!(network.balance_msat(), 500);
    }

    #[test]
    fn all_is_told_in_the_end_and_some_of_it_twice() {
        let mut network = FakeLightning::default();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        network.expects([1; 32], [9; 32]);
        for hash in 1..=6 {
            network.pay([hash; 32], 100);
        }
        let told: Vec<_> = (0..60).flat_map(|_| network.events(&mut rng)).collect();
        let hash = [1; 32];
        let preimage = [9; 32];
        assert!(told.contains(&LightningEvent::Sent { hash, preimage }));
        for hash in 2..=6 {
            let hash = [hash; 32];
            assert!(told.contains(&LightningEvent::Failed { hash }));
        }
        assert!(told.len() > 6);
        assert_eq!(network.balance_msat(), -100);
    }
}
