//! One of our nodes, Electrum, and channels between them.

use std::thread::{self, JoinHandle};

use bitcoin::Amount;
use guildmint_gateway::node::{
    ChannelChange, ChannelId, ChannelOrder, Command, Event, LightningNode as _, PaymentHash, Peer,
};
use guildmint_testbed::electrum::{CallError, Channel, Electrum, Payment};

use crate::world::{order, preimage, wait_for, Running, World, CHANNEL_SAT, LIMIT};

/// What is the other side's from the beginning.
pub const PUSHED_SAT: u64 = CHANNEL_SAT / 2;

/// Whose the channel is that is opened first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    Ours,
    Electrum,
}

pub struct Town {
    pub world: World,
    pub one: Running,
    pub electrum: Electrum,
}

impl Town {
    /// With money on both sides of one channel.
    pub fn new(opener: Opener) -> (Self, ChannelId) {
        let town = Self::without_channel();
        let channel = town.open(opener);
        (town, channel)
    }

    pub fn without_channel() -> Self {
        let mut world = World::new();
        let electrum = world.electrum();
        let one = world.start("one", None);
        world.fund(&[&one]);
        Self {
            world,
            one,
            electrum,
        }
    }

    pub fn open(&self, opener: Opener) -> ChannelId {
        let before = self.one.state().channels.len();
        match opener {
            Opener::Ours => self.open_ours(),
            Opener::Electrum => self.open_electrums(),
        }
        wait_for("the funding", || (self.world.mempool() > 0).then_some(()));
        self.mine(6);
        wait_for("a channel that both can use", || {
            let ours = self.one.state().channels;
            let theirs = self.electrum.channels().unwrap();
            let usable = ours.iter().filter(|channel| channel.usable).count() > before
                && theirs.iter().filter(|theirs| theirs.is_usable()).count() > before;
            usable.then_some(())
        });
        let mut ready = None;
        self.one
            .wait_for_event("a channel that is ready", |event| match event {
                Event::Channel {
                    channel,
                    change: ChannelChange::Ready,
                    ..
                } => {
                    ready = Some(*channel);
                    ready
                }
                _ => None,
            })
    }

    fn open_ours(&self) {
        let (id, address) = self.electrum_uri();
        let order = ChannelOrder {
            peer: Peer {
                id: id.parse().unwrap(),
                address,
            },
            amount_sat: CHANNEL_SAT,
            push_msat: PUSHED_SAT * 1000,
            public: false,
        };
        self.one.open_channel(&order).unwrap();
    }

    fn electrum_uri(&self) -> (String, String) {
        let uri = self.electrum.uri().unwrap();
        let (id, address) = uri.split_once('@').unwrap();
        (id.to_owned(), address.to_owned())
    }

    fn open_electrums(&self) {
        let peer = self.one.peer();
        let uri = format!("{}@{}", peer.id, peer.address);
        let (amount, push) = (Amount::from_sat(CHANNEL_SAT), Amount::from_sat(PUSHED_SAT));
        self.electrum.open_channel(&uri, amount, push).unwrap();
    }

    /// Mines, and waits until both have seen it.
    pub fn mine(&self, blocks: u64) {
        self.world.mine(blocks, &[&self.one]);
        let height = u64::from(self.world.height());
        wait_for("Electrum's tip", || {
            self.electrum.has_seen(height).unwrap().then_some(())
        });
    }

    /// What is Electrum's in open channels, in satoshi.
    pub fn electrum_sat(&self) -> u64 {
        let channels = self.electrum.channels().unwrap();
        let open = channels.iter().filter(|channel| channel.is_usable());
        open.map(|channel| channel.local_sat).sum()
    }

    pub fn electrum_channel(&self) -> Channel {
        let mut channels = self.electrum.channels().unwrap();
        channels.pop().unwrap()
    }

    /// Electrum begins to pay one of our invoices; its end is awaited elsewhere.
    pub fn electrum_pays(&self, number: u8, amount_msat: u64) -> Paying {
        let invoice = self.one.invoice(preimage(number).hash(), amount_msat);
        let electrum = self.electrum.clone();
        Paying(thread::spawn(move || electrum.pay(&invoice, LIMIT)))
    }

    /// Electrum pays one of our invoices, and we hold it.
    pub fn hold(&self, number: u8, amount_msat: u64) -> (PaymentHash, Paying) {
        let paying = self.electrum_pays(number, amount_msat);
        let hash = preimage(number).hash();
        let (held_msat, deadline) = self.one.wait_until_held(hash);
        assert_eq!(held_msat, amount_msat);
        assert!(deadline >= self.world.height() + 100, "{deadline}");
        (hash, paying)
    }

    pub fn claim(&self, number: u8) {
        let preimage = preimage(number);
        self.one.command(Command::Claim { preimage }).unwrap();
    }

    /// We begin to pay an invoice of Electrum's.
    pub fn pay(&self, amount_msat: u64) -> (PaymentHash, Command) {
        let amount = Amount::from_sat(amount_msat / 1000);
        let invoice = self.electrum.invoice(amount, "a test").unwrap();
        let hash = invoice.hash.parse().unwrap();
        let pay = Command::Pay(order(&invoice.text, hash, amount_msat));
        self.one.command(pay.clone()).unwrap();
        (hash, pay)
    }

    /// We begin to pay Electrum, which holds it.
    pub fn pay_and_be_held(&self, amount_msat: u64) -> PaymentHash {
        self.electrum.hold(true).unwrap();
        let (hash, _) = self.pay(amount_msat);
        wait_for("what Electrum holds", || {
            let channels = self.electrum.channels().unwrap();
            let held_sat: u64 = channels
                .iter()
                .map(|theirs| theirs.remote_in_flight_sat)
                .sum();
            (held_sat * 1000 >= amount_msat).then_some(())
        });
        hash
    }
}

/// A payment by Electrum that has not ended yet.
pub struct Paying(JoinHandle<Result<Payment, CallError>>);

impl Paying {
    pub fn end(self) -> Payment {
        self.0.join().unwrap().unwrap()
    }

    /// When nobody hears of the end, because Electrum was ended itself.
    pub fn forget(self) {
        let _ = self.0.join();
    }
}
