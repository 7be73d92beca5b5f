//! Many users at once, rude delivery, and a power line that fails at any time: whatever happens, money does not.

use guildmint_gateway::{
    fetched_name, node::SentState, Command, LightningNode, Reply, Ticket, Warning,
};
use guildmint_ln::{Closing, FetchRequest, OutgoingContract};
use proptest::prelude::*;

use crate::world::{preimage, Purchase, World, CHANNELS_MSAT, ECASH_MSAT};

const FEE: u64 = 10;

/// What a user does.
#[derive(Debug, Clone)]
enum Deed {
    /// Has an invoice of somebody outside paid, which is paid at once, or late, or never.
    Pay {
        federation: usize,
        amount: u64,
        payee: Payee,
    },
    /// Has the same invoice paid again, perhaps in another federation.
    PayAgain { federation: usize },
    /// Is paid from outside.
    Receive {
        federation: usize,
        amount: u64,
        hides: bool,
    },
    /// Is paid by another user.
    Swap {
        from: usize,
        to: usize,
        amount: u64,
        hides: bool,
        also_outside: bool,
    },
    /// Has an offer of somebody outside paid, and perhaps the power fails before the contract is shown.
    Offer {
        federation: usize,
        amount: u64,
        failing: bool,
    },
    /// Blocks come.
    Mine(u32),
    /// A federation stands still for some rounds.
    Stall { federation: usize, rounds: u32 },
    /// The power fails.
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Payee {
    Prompt,
    Slow,
    Unreachable,
}

fn deed() -> impl Strategy<Value = Deed> {
    let amount = 50_000..400_000u64;
    let payee = prop_oneof![
        Just(Payee::Prompt),
        Just(Payee::Slow),
        Just(Payee::Unreachable)
    ];
    prop_oneof![
        (0..2usize, amount.clone(), payee).prop_map(|(federation, amount, payee)| Deed::Pay {
            federation,
            amount,
            payee
        }),
        (0..2usize).prop_map(|federation| Deed::PayAgain { federation }),
        (0..2usize, amount.clone(), prop::bool::weighted(0.7)).prop_map(
            |(federation, amount, hides)| Deed::Receive {
                federation,
                amount,
                hides
            }
        ),
        (
            0..2usize,
            0..2usize,
            amount,
            prop::bool::weighted(0.7),
            any::<bool>()
        )
            .prop_map(|(from, to, amount, hides, also_outside)| Deed::Swap {
                from,
                to,
                amount,
                hides,
                also_outside
            }),
        (0..2usize, 50_000..400_000u64, any::<bool>()).prop_map(|(federation, amount, failing)| {
            Deed::Offer {
                federation,
                amount,
                failing,
            }
        }),
        (1..8u32).prop_map(Deed::Mine),
        (0..2usize, 1..20u32).prop_map(|(federation, rounds)| Deed::Stall { federation, rounds }),
        Just(Deed::Fail),
        Just(Deed::Fail),
    ]
}

#[derive(Default)]
struct Town {
    bought: Vec<(Purchase, Ticket)>,
    /// Offers, by number, with the federation.
    offered: Vec<(u8, usize)>,
    slow: Vec<u8>,
    last: Option<(u8, String, u64)>,
    number: u8,
}

impl Town {
    fn next(&mut self) -> u8 {
        self.number += 1;
        self.number
    }

    fn buy(&mut self, world: &mut World, place: usize, number: u8, invoice: &str, amount: u64) {
        let contract = world.contract(place, preimage(number).hash(), amount);
        let purchase = world.buy(place, contract, invoice);
        let ticket = world.pay(&purchase);
        self.bought.push((purchase, ticket));
    }

    /// An invoice of the gateway, if it makes one now.
    fn invoice(
        &mut self,
        world: &mut World,
        place: usize,
        amount: u64,
        hides: bool,
    ) -> Option<(u8, String)> {
        let number = self.next();
        let offer = world.offer(place, number, amount, hides);
        let request = world.request(place, offer);
        let ticket = world.ask(Command::Invoice(request));
        for _ in 0..50 {
            world.round();
            if let Some(Ok(Reply::Invoice(invoice))) = world.replies.get(&ticket) {
                self.offered.push((number, place));
                return Some((number, invoice.clone()));
            }
        }
        None
    }

    fn buy_offer(&mut self, world: &mut World, place: usize, amount_msat: u64, failing: bool) {
        let number = self.next();
        let offer = world.peer.offer(&preimage(number).into(), amount_msat);
        let ticket = world.ask(Command::Fetch(FetchRequest {
            federation: world.federations[place].id(),
            offer,
            amount_msat,
            note: None,
        }));
        world.settle();
        let Some(Ok(Reply::Fetched(fetched))) = world.replies.get(&ticket).cloned() else {
            return;
        };
        let contract = world.contract(place, fetched.hash, fetched.contract_amount.msat());
        let contract = OutgoingContract {
            invoice_hash: fetched.invoice_hash,
            ..contract
        };
        let purchase = Purchase {
            federation: place,
            contract: world.federations[place].fund(contract),
            invoice: fetched_name(fetched.request),
        };
        if failing {
            world.fail();
        }
        let ticket = world.pay(&purchase);
        self.bought.push((purchase, ticket));
    }

    fn act(&mut self, world: &mut World, deed: &Deed) {
        match *deed {
            Deed::Pay {
                federation,
                amount,
                payee,
            } => {
                let number = self.next();
                let invoice = match payee {
                    Payee::Prompt => world.invoice(number, amount),
                    Payee::Slow | Payee::Unreachable => {
                        world.invoice_on(preimage(number).hash(), amount)
                    }
                };
                let contract = amount + 2_000 + amount.div_ceil(100);
                if payee == Payee::Unreachable {
                    world.lightning.set_fee_msat(1_000_000);
                }
                self.buy(world, federation, number, &invoice, contract);
                world.rounds(5);
                world.lightning.set_fee_msat(1_000);
                // What could not be reached at once may be later.
                if payee != Payee::Prompt {
                    self.slow.push(number);
                }
                self.last = Some((number, invoice, contract));
            }
            Deed::PayAgain { federation } => {
                if let Some((number, invoice, contract)) = self.last.clone() {
                    self.buy(world, federation, number, &invoice, contract);
                }
            }
            Deed::Receive {
                federation,
                amount,
                hides,
            } => {
                if let Some((number, invoice)) = self.invoice(world, federation, amount, hides) {
                    world.pay_from_outside(number, &invoice, amount + 500);
                }
            }
            Deed::Swap {
                from,
                to,
                amount,
                hides,
                also_outside,
            } => {
                if let Some((number, invoice)) = self.invoice(world, to, amount, hides) {
                    self.buy(world, from, number, &invoice, amount + 500);
                    if also_outside {
                        world.pay_from_outside(number, &invoice, amount + 500);
                    }
                }
            }
            Deed::Offer {
                federation,
                amount,
                failing,
            } => self.buy_offer(world, federation, amount, failing),
            Deed::Mine(blocks) => world.mine(blocks),
            Deed::Stall { federation, rounds } => {
                world.federations[federation].stall(true);
                world.rounds(rounds);
                world.federations[federation].stall(false);
            }
            Deed::Fail => world.fail(),
        }
        let rounds = world.dice(6) as u32;
        world.rounds(rounds);
    }

    /// Those who took their time pay, or give back what they held.
    fn end(&mut self, world: &mut World) {
        world.settle();
        for number in self.slow.clone() {
            let hash = preimage(number).hash().into();
            if world
                .peer
                .held(None)
                .unwrap()
                .iter()
                .any(|held| held.hash == hash)
            {
                let command = match world.dice(2) {
                    0 => guildmint_gateway::node::Command::Fail { hash },
                    _ => guildmint_gateway::node::Command::Claim {
                        preimage: preimage(number).into(),
                    },
                };
                world.peer.command(command).unwrap();
            }
        }
        world.settle();
    }

    fn check(&self, world: &mut World) {
        let mut refunds = 0;
        for (purchase, ticket) in &self.bought {
            // ⚠ Each contract is either paid for and claimed, or refunded: nobody is left without an end.
            let paid = world.react(purchase, *ticket).expect("an end");
            let closing = world.federations[purchase.federation].closing(purchase.contract);
            assert_eq!(matches!(closing, Some(Closing::Claimed { .. })), paid);
            refunds += u64::from(!paid);
        }
        for number in 1..=self.number {
            world.state_of(number);
            assert!(world.dispatched(number) <= 1, "paid twice");
        }
        for (number, place) in &self.offered {
            // Nobody outside is left without an end either.
            let outside = world.paid_from_outside(*number);
            assert_ne!(outside, Some(SentState::InFlight));
            // Whoever was promised money can take it.
            let contract = world.federations[*place].incoming(preimage(*number).hash());
            let Some(contract) = contract else { continue };
            let closing = world.federations[*place].closing(contract);
            if closing.is_none() {
                let claimed = world.federations[*place].claim(contract, preimage(*number));
                assert!(claimed.is_ok());
            }
        }
        // ⚠ What is lost is at most fees of federations, for offers that hid nothing.
        let before = CHANNELS_MSAT + 2 * ECASH_MSAT;
        let fees = 2 * FEE * u64::from(self.number);
        assert!(
            world.worth_msat() + fees >= before,
            "{} msat after {refunds} refunds",
            world.worth_msat()
        );
        // And the ledger says the same.
        let earned = world.gateway.totals().earned_msat();
        let grown = i128::from(world.worth_msat()) - i128::from(before);
        assert_eq!(earned, grown);
        assert!(
            world
                .warnings
                .iter()
                .all(|warning| matches!(warning, Warning::Negative { .. })),
            "{:?}",
            world.warnings
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        // 64, or a quarter of what the environment asks for.
        cases: ProptestConfig::default().cases / 4,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_nothing_is_paid_twice_and_nothing_is_lost(
        seed in any::<u64>(),
        deeds in prop::collection::vec(deed(), 1..16),
    ) {
        let mut world = World::new(2);
        world.be_rude(seed);
        let mut town = Town::default();
        for deed in &deeds {
            town.act(&mut world, deed);
        }
        town.end(&mut world);
        town.check(&mut world);
    }
}
