//! A Lightning network in memory, with every rudeness that the port allows: events come twice, late, in another order, and again
//! after a restart. All of it is drawn from a seed. Invoices are real ones; offers are not.

mod dice;
mod member;
mod node;
#[cfg(test)]
mod tests;
mod world;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::world::World;
use super::{ChannelId, NodeId, PaymentHash, Preimage};

/// How rudely events are delivered. The default is politely: once, at once, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Of 100 events that were handled, how many come once more.
    pub repeated_percent: u8,
    /// Of 100 events that wait, how many are kept for a later call.
    pub delayed_percent: u8,
    /// Whether those that wait come in any order.
    pub shuffled: bool,
}

impl Faults {
    /// As rude as is of use.
    pub const ALL: Self = Self {
        repeated_percent: 30,
        delayed_percent: 40,
        shuffled: true,
    };
}

/// A network. Its nodes reach each other as long as they have money.
#[derive(Clone)]
pub struct FakeLightning(Arc<Mutex<World>>);

impl FakeLightning {
    /// A network without nodes, at height 200. Its clock starts at `now_s`, in seconds since 1970.
    #[must_use]
    pub fn new(seed: u64, now_s: u64) -> Self {
        Self(Arc::new(Mutex::new(World::new(seed, now_s))))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a node that has `outbound_msat` to send.
    #[must_use]
    pub fn add_node(&self, outbound_msat: u64) -> FakeNode {
        let place = self.world().add(outbound_msat);
        FakeNode {
            lightning: self.clone(),
            place,
        }
    }

    /// From now on, events are delivered so.
    pub fn set_faults(&self, faults: Faults) {
        self.world().faults = faults;
    }

    /// Mines blocks: HTLCs whose deadline has come go back.
    pub fn mine(&self, blocks: u32) {
        self.world().mine(blocks);
        self.wake_all();
    }

    /// Lets time pass: invoices expire.
    pub fn pass_s(&self, seconds: u64) {
        self.world().now_s += seconds;
    }

    /// What a payment costs on its way, from now on. 1000 msat before.
    pub fn set_fee_msat(&self, fee_msat: u64) {
        self.world().fee_msat = fee_msat;
    }

    fn wake_all(&self) {
        let woken = self.world().take_woken();
        for wake in woken {
            wake();
        }
    }
}

/// A node of the network. Clones are the same node.
#[derive(Clone)]
pub struct FakeNode {
    lightning: FakeLightning,
    place: usize,
}

impl FakeNode {
    /// Its key.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.lightning.world().members[self.place].id
    }

    /// It claims by itself what is paid on this preimage's hash, as a payee does who made the invoice.
    pub fn know(&self, preimage: &Preimage) {
        let mut world = self.lightning.world();
        let member = &mut world.members[self.place];
        member.known.insert(preimage.hash(), preimage.clone());
    }

    /// An offer of it, which is paid on this preimage. ⚠ It is no BOLT12 offer: only this network knows what it means.
    #[must_use]
    pub fn offer(&self, preimage: &Preimage, amount_msat: u64) -> String {
        self.know(preimage);
        let mut world = self.lightning.world();
        world.offer(self.place, preimage.hash(), amount_msat)
    }

    /// Answers nothing and takes nothing until [`FakeNode::start`].
    pub fn stop(&self) {
        self.lightning.world().members[self.place].is_down = true;
    }

    /// Starts again: what was delivered and not handled is delivered again, and so is the last that was handled.
    pub fn start(&self) {
        self.lightning.world().restart(self.place);
        self.lightning.wake_all();
    }

    /// How often the hash was dispatched. More than once is what must never be.
    #[must_use]
    pub fn dispatched(&self, hash: PaymentHash) -> u32 {
        let world = self.lightning.world();
        let counted = world.members[self.place].dispatched.get(&hash);
        counted.copied().unwrap_or(0)
    }

    /// What it can send.
    #[must_use]
    pub fn outbound_msat(&self) -> u64 {
        self.lightning.world().members[self.place].outbound_msat
    }

    /// Whether no event waits.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.lightning.world().members[self.place]
            .waiting
            .is_empty()
    }
}

/// The one channel that each node seems to have.
const fn channel_of(place: usize) -> ChannelId {
    let mut id = [0xfa; 32];
    id[0] = place as u8;
    ChannelId(id)
}
