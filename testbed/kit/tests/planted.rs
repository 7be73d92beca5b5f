//! The conformance suite finds what it is there to find: each of these modules is play money with one bug.
#![allow(clippy::unwrap_used)]

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{
    ledger::View,
    module::{
        At, Audit, BuildError, Charge, Fault, Federation, Later, NoConditions, Query, Reject,
        ServerModule, Spent, VerifiedKey,
    },
    Amount, Item, OutPoint, PeerId, Quorum, Row,
};
use guildmint_kit::{
    conformance::{checks, Dealt, Subject, World, MODULE},
    play::{Burn, Mint, Nothing, PlayConfig, PlayMoney, Seen},
    rand::Rng,
    ChaCha20Rng,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Guardians see different money.
const DIVERGES: u8 = 0;
/// The money in the books is not the money of the transaction.
const FALSE_BOOKS: u8 = 1;
/// A vote is never counted.
const CHATTERS: u8 = 2;
/// A vote needs rows that are not at hand.
const READS_STORED: u8 = 3;
/// A chain of look-ups.
const READS_LATE: u8 = 4;
/// A whole guardian is blamed for another's word.
const BLAMES: u8 = 5;
/// Some bytes make it panic.
const PANICS: u8 = 6;
/// Nothing at all.
const NO_BUG: u8 = 7;

struct Planted<const BUG: u8> {
    play: PlayMoney,
    me: PeerId,
}

#[derive(Serialize, Deserialize, Row)]
#[row(table = 99, value = u64)]
struct Chained(u64);

impl<const BUG: u8> ServerModule for Planted<BUG> {
    const KIND: &'static str = "planted";
    type Config = PlayConfig;
    type Secret = Nothing;
    type Input = Mint;
    type Output = Burn;
    type Outcome = u16;
    type Vote = Seen;
    type News = Seen;
    type Job = Seen;
    type Conditions = NoConditions;

    fn new(
        federation: Federation,
        config: PlayConfig,
        secret: Nothing,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            play: PlayMoney::new(federation, config, secret)?,
            me: federation.me,
        })
    }

    fn check_input(&self, input: &Mint) -> Result<Option<XOnlyPublicKey>, Reject> {
        assert!(BUG != PANICS || input.amount != Amount::ZERO);
        self.play.check_input(input)
    }

    fn proofs_hold(&self, inputs: &[Mint]) -> bool {
        self.play.proofs_hold(inputs)
    }

    fn check_output(&self, output: &Burn) -> Result<(), Reject> {
        self.play.check_output(output)
    }

    fn vote(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Option<Seen> {
        if BUG == READS_STORED {
            let _ = agreed.contains(&Chained(0));
        }
        self.play.vote(agreed, local)
    }

    fn sighted(&self, local: &mut View<'_, '_>, news: Seen) {
        self.play.sighted(local, news);
    }

    fn tally(&self, view: &mut View<'_, '_>, votes: Vec<(PeerId, Seen)>, at: At) -> Vec<Fault> {
        let differ = votes.windows(2).find(|pair| pair[0].1 != pair[1].1);
        let blamed = differ.map(|pair| Fault {
            peer: pair[1].0,
            kind: "says what another does not".into(),
        });
        if BUG != CHATTERS {
            self.play.tally(view, votes, at);
        }
        blamed.into_iter().filter(|_| BUG == BLAMES).collect()
    }

    fn spend(&self, view: &mut View<'_, '_>, input: &Mint, at: At) -> Result<Spent, Reject> {
        if BUG == READS_LATE {
            let mut next = 0;
            while let Some(chained) = view.get(&Chained(next)).filter(|_| next < 9) {
                next = chained;
            }
            view.put(&Chained(next), &(next + 1));
        }
        let mut booked = input.clone();
        let more = match BUG {
            DIVERGES => self.me.0.into(),
            FALSE_BOOKS => 1,
            _ => 0,
        };
        booked.amount = Amount::from_msat(input.amount.msat() + more).unwrap();
        Ok(Spent {
            amount: input.amount,
            ..self.play.spend(view, &booked, at)?
        })
    }

    fn accept(
        &self,
        view: &mut View<'_, '_>,
        output: &Burn,
        out_point: OutPoint,
        at: At,
    ) -> Result<Charge, Reject> {
        self.play.accept(view, output, out_point, at)
    }

    fn settle(&self, view: &mut View<'_, '_>, at: At) -> Vec<Seen> {
        self.play.settle(view, at)
    }

    fn resume(&self, agreed: &View<'_, '_>, local: &View<'_, '_>) -> Vec<Seen> {
        self.play.resume(agreed, local)
    }

    fn outcome(
        &self,
        view: &View<'_, '_>,
        output: &Burn,
        out_point: OutPoint,
        asker: Option<VerifiedKey>,
    ) -> Option<Later<u16>> {
        self.play.outcome(view, output, out_point, asker)
    }

    fn audit(&self, view: &View<'_, '_>) -> Audit {
        self.play.audit(view)
    }

    fn query(
        &self,
        agreed: &View<'_, '_>,
        local: &View<'_, '_>,
        query: &Query,
    ) -> Option<Result<Json, Reject>> {
        self.play.query(agreed, local, query)
    }
}

struct Players<const BUG: u8>;

impl<const BUG: u8> Subject for Players<BUG> {
    type Module = Planted<BUG>;
    const SEEDS: u64 = 4;

    fn deal(quorum: Quorum, _: &mut ChaCha20Rng) -> Dealt<Planted<BUG>> {
        (PlayConfig::default(), vec![Nothing; quorum.guardians()])
    }

    fn begin(_: &World<Planted<BUG>>, _: &PlayConfig) -> Self {
        Self
    }

    fn act(&mut self, world: &mut World<Planted<BUG>>, rng: &mut ChaCha20Rng) {
        for peer in world.quorum().peers() {
            world.news(peer, &Seen(rng.gen_range(0..50)));
        }
        let amount = Amount::from_msat(rng.gen_range(1..100)).unwrap();
        let mint = Mint {
            name: rng.gen_range(0..9),
            amount,
            key: None,
            honest: true,
        };
        let out = world.pay_out(amount);
        let _ = world.submit(vec![Item::new(MODULE, &mint)], vec![out], |_| vec![None]);
    }
}

macro_rules! found {
    ($($name:ident: $bug:ident, $check:ident, $message:literal;)*) => {
        $(
            #[test]
            #[should_panic(expected = $message)]
            fn $name() {
                checks::$check::<Players<$bug>>();
            }
        )*
    };
}

found! {
    divergence: DIVERGES, guardians_agree, "differs after";
    stories_without_outputs: NO_BUG, guardians_agree, "no output was ever accepted";
    a_vote_that_is_never_counted: CHATTERS, guardians_agree, "repeats a vote";
    endless_votes: CHATTERS, a_federation_without_news_falls_silent, "always something to say";
    votes_that_read_stored_rows: READS_STORED, guardians_agree, "must do with resident rows";
    look_ups_in_a_chain: READS_LATE, guardians_agree, "asks for yet more rows";
    false_books: FALSE_BOOKS, money_is_explained, "change by the wrong amount";
    blame: BLAMES, liars_are_named_and_nobody_else, "is blamed, but honest";
    panics: PANICS, damaged_bytes_do_no_harm, "assertion failed: BUG != PANICS";
}
