//! A Byzantine guardian's own ideas: each has some, drawn from the world's seed.

use std::collections::{BTreeMap, BTreeSet};

use guildmint_core::{
    api::{TransactionAnswer, TransactionStatus},
    module::Reject,
    Amount, Epoch, EpochResult, IdentityKey, Item, ModuleId, PeerId, SessionId, Transaction, Wire,
};
use guildmint_engine::{
    node::{forge, inspect, utter, Reply, Said},
    Contribution, Message, Payload, Vote,
};
use guildmint_kit::play::{self, Mint, Seen};
use rand::{seq::SliceRandom, Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde_json::Value as Json;

use crate::play_money;

/// The longest that it holds a message back, in milliseconds.
const LONGEST_DELAY_MS: u64 = 4_000;

/// Old messages that it keeps, to say them again.
const KEPT: usize = 50;

/// What it does with its signature on the result of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signs {
    TheResult,
    Nothing,
    /// Another digest; all liars the same.
    AnotherResult,
}

/// What a client gets from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    Honestly,
    Nothing,
    /// Figures, shares and signatures that are wrong.
    Falsely,
    /// That what was accepted never will be.
    Refusals,
}

/// What is behind one Byzantine guardian's words.
#[derive(Debug)]
pub(crate) struct Ways {
    rng: ChaCha12Rng,
    /// Percent of messages that it swallows.
    swallows: u32,
    /// Percent of messages that it garbles.
    garbles: u32,
    /// Percent of messages that it says again later, and that it holds back for a while.
    repeats: u32,
    dawdles: u32,
    /// Percent of its words in an agreement that are the contrary of what they should be, for one listener alone.
    contradicts: u32,
    ignores: BTreeSet<PeerId>,
    /// Contributions of its own invention.
    invents: bool,
    /// Whether one half of the guardians gets another contribution than the other half.
    is_two_faced: bool,
    signs: Signs,
    answers: Answers,
    /// From this word of an epoch on it speaks to one guardian alone.
    confides: Option<(u64, PeerId)>,
    contributions: BTreeMap<(Epoch, bool), Vec<u8>>,
    old: Vec<Vec<u8>>,
}

/// Who lies, in what.
pub(crate) struct Liar<'a> {
    pub(crate) me: PeerId,
    pub(crate) session: SessionId,
    pub(crate) identity: &'a IdentityKey,
}

impl Liar<'_> {
    /// If a message tells results of epochs, the same with other ones, properly signed.
    pub(crate) fn with_another_result(&self, bytes: Vec<u8>) -> Vec<u8> {
        let another = |mut result: EpochResult| {
            result.digest.0[0] ^= 1;
            (result, result.sign(self.session, self.identity))
        };
        forge(&bytes, another).unwrap_or(bytes)
    }
}

impl Ways {
    pub(crate) fn draw(me: PeerId, guardians: u16, rng: &mut ChaCha12Rng) -> Self {
        let others: Vec<PeerId> = (0..guardians).map(PeerId).filter(|it| *it != me).collect();
        let ignored = match rng.gen_range(0..6) {
            0 => others.len(),
            1 | 2 => rng.gen_range(1..=others.len()),
            _ => 0,
        };
        let mut often = |chance: f64, percent: u32| match rng.gen_bool(chance) {
            true => rng.gen_range(1..=percent),
            false => 0,
        };
        let [swallows, garbles, repeats] = [often(0.5, 40), often(0.5, 30), often(0.3, 30)];
        let [dawdles, contradicts] = [often(0.3, 60), often(0.4, 60)];
        let confides = rng.gen_bool(0.3).then(|| rng.gen_range(0..40));
        let confidant = others.choose(rng).copied();
        Self {
            swallows,
            garbles,
            repeats,
            dawdles,
            contradicts,
            ignores: others.choose_multiple(rng, ignored).copied().collect(),
            invents: rng.gen_bool(0.4),
            is_two_faced: rng.gen_bool(0.3),
            signs: [
                Signs::TheResult,
                Signs::TheResult,
                Signs::Nothing,
                Signs::AnotherResult,
            ][rng.gen_range(0..4)],
            answers: [
                Answers::Honestly,
                Answers::Nothing,
                Answers::Falsely,
                Answers::Refusals,
            ][rng.gen_range(0..4)],
            confides: confides.zip(confidant),
            contributions: BTreeMap::new(),
            old: Vec::new(),
            rng: ChaCha12Rng::seed_from_u64(rng.gen()),
        }
    }

    fn percent(&mut self, percent: u32) -> bool {
        self.rng.gen_range(0..100) < percent
    }

    /// What a guardian hears instead of what the liar's node says to it, and after how many milliseconds.
    pub(crate) fn say(
        &mut self,
        liar: &Liar<'_>,
        to: PeerId,
        bytes: Vec<u8>,
    ) -> Vec<(u64, Vec<u8>)> {
        if self.ignores.contains(&to) || self.percent(self.swallows) {
            return Vec::new();
        }
        let Some(mut bytes) = self.distort(liar, to, bytes) else {
            return Vec::new();
        };
        if self.percent(self.garbles) && !bytes.is_empty() {
            bytes = garbled(bytes, &mut self.rng);
        }
        let delay_ms = match self.percent(self.dawdles) {
            true => self.rng.gen_range(0..LONGEST_DELAY_MS),
            false => 0,
        };
        let mut said = Vec::new();
        if self.percent(self.repeats) {
            let old = self.old.choose(&mut self.rng).cloned();
            said.extend(old.map(|old| (delay_ms, old)));
            self.old.truncate(KEPT - 1);
            self.old.insert(0, bytes.clone());
        }
        said.push((delay_ms, bytes));
        said
    }

    fn distort(&mut self, liar: &Liar<'_>, to: PeerId, bytes: Vec<u8>) -> Option<Vec<u8>> {
        match inspect(&bytes) {
            Said::Contribution { author, epoch, .. } if author == liar.me => {
                Some(self.contribution(liar, to, epoch, bytes))
            }
            Said::Frames {
                epoch,
                first,
                mut frames,
            } => {
                if let Some((until, confidant)) = self.confides {
                    if to != confidant {
                        frames.truncate(usize::try_from(until.saturating_sub(first)).ok()?);
                    }
                }
                let frames: Vec<_> = frames
                    .into_iter()
                    .map(|frame| self.frame(liar, to, epoch, frame))
                    .collect();
                (!frames.is_empty()).then(|| crate::adversary::packet(epoch, first, frames))
            }
            Said::Signed(_) if self.signs == Signs::Nothing => None,
            Said::Signed(_) | Said::Other if self.signs == Signs::AnotherResult => {
                Some(liar.with_another_result(bytes))
            }
            _ => Some(bytes),
        }
    }

    /// Which of its two faces it shows to a guardian.
    fn face(&self, to: PeerId) -> bool {
        self.is_two_faced && to.0.is_multiple_of(2)
    }

    fn contribution(
        &mut self,
        liar: &Liar<'_>,
        to: PeerId,
        epoch: Epoch,
        true_one: Vec<u8>,
    ) -> Vec<u8> {
        let face = self.face(to);
        if let Some(before) = self.contributions.get(&(epoch, face)) {
            return before.clone();
        }
        let contribution = match (self.invents, face) {
            (false, false) => None,
            (true, _) => Some(self.invention()),
            // The same, but for one figure.
            (false, true) => Some(Contribution {
                transactions: Vec::new(),
                statement: guildmint_engine::Statement {
                    tip_height: Some(self.rng.gen_range(0..3)),
                    ..Default::default()
                },
            }),
        };
        let said = match contribution {
            None => true_one,
            Some(one) => utter(Payload::sign(
                &one,
                liar.me,
                epoch,
                liar.session,
                liar.identity,
            )),
        };
        self.contributions.insert((epoch, face), said.clone());
        said
    }

    /// Anything but what it should contribute.
    fn invention(&mut self) -> Contribution {
        let rng = &mut self.rng;
        let mut contribution = Contribution::default();
        let extreme = [0, 1, u32::MAX - 1, u32::MAX];
        contribution.statement.tip_height = extreme.choose(rng).copied();
        let votes = [
            Seen(u32::MAX).encode(),
            Seen(0).encode(),
            vec![],
            vec![rng.gen(); 9],
            vec![7; 300 * 1_024],
        ];
        for module in [0, 1, play::MODULE.0, 77] {
            if rng.gen_bool(0.5) {
                let vote = votes.choose(rng).cloned().unwrap_or_default();
                let votes = &mut contribution.statement.votes;
                votes.insert(ModuleId(module), Vote(vote));
            }
        }
        let name = rng.gen();
        let mut forged: Transaction = play_money(name, 1_000);
        forged.inputs = vec![Item::new(
            play::MODULE,
            &Mint {
                name,
                amount: Amount::from_msat(1_000).unwrap_or(Amount::ZERO),
                key: None,
                honest: false,
            },
        )];
        contribution.transactions = match rng.gen_range(0..5) {
            0 => vec![forged],
            1 => vec![play_money(name, 5), play_money(name, 5)],
            2 => vec![play_money(name, 5), play_money(name, 6)],
            _ => Vec::new(),
        };
        contribution
    }

    fn frame(&mut self, liar: &Liar<'_>, to: PeerId, epoch: Epoch, mut frame: Vec<u8>) -> Vec<u8> {
        let of_face = self.contributions.get(&(epoch, self.face(to)));
        let hash = of_face.and_then(|said| match inspect(said) {
            Said::Contribution { payload, .. } => Payload::decode(&payload).ok(),
            _ => None,
        });
        let hash = hash.map(|payload| payload.hash());
        match (Message::decode(&frame), hash) {
            (Ok(Message::Echo(of, _)), Some(hash)) if of == liar.me => {
                frame = Message::Echo(of, hash).encode();
            }
            (Ok(Message::Ready(of, _)), Some(hash)) if of == liar.me => {
                frame = Message::Ready(of, hash).encode();
            }
            _ => {}
        }
        if self.percent(self.contradicts) {
            // Of a hash another one, of a yes a no, of a share of the coin a wrong one.
            if let Some(last) = frame.last_mut() {
                *last ^= 1;
            }
        }
        frame
    }

    /// What a client is told instead of an answer.
    pub(crate) fn answer(&mut self, reply: Reply) -> Option<Reply> {
        match (self.answers, reply) {
            (Answers::Honestly, reply) => Some(reply),
            (Answers::Nothing, _) => None,
            (Answers::Refusals, Reply::Transaction(answer)) => {
                Some(Reply::Transaction(TransactionAnswer {
                    status: TransactionStatus::Rejected(Reject::permanent(
                        "note_spent",
                        "a note was spent before",
                    )),
                    ..answer
                }))
            }
            (_, Reply::Transaction(mut answer)) => {
                if let TransactionStatus::Accepted { outcomes, .. } = &mut answer.status {
                    outcomes
                        .iter_mut()
                        .for_each(|it| falsify(it, &mut self.rng));
                }
                Some(Reply::Transaction(answer))
            }
            (_, Reply::Query(mut answer)) => {
                falsify(&mut answer, &mut self.rng);
                Some(Reply::Query(answer))
            }
            (_, reply) => Some(reply),
        }
    }
}

/// One bit is another, or the end is missing.
pub(crate) fn garbled(mut bytes: Vec<u8>, rng: &mut ChaCha12Rng) -> Vec<u8> {
    match rng.gen_bool(0.5) {
        true => {
            let at = rng.gen_range(0..bytes.len());
            bytes[at] ^= 1 << rng.gen_range(0..8);
        }
        false => bytes.truncate(rng.gen_range(0..bytes.len())),
    }
    bytes
}

/// Changes a figure or a letter of what is in a document.
fn falsify(document: &mut Json, rng: &mut ChaCha12Rng) {
    match document {
        Json::Number(number) => {
            *document = (number.as_u64().unwrap_or(1) * rng.gen_range(0..4)).into();
        }
        Json::String(text) if !text.is_empty() => {
            let at = rng.gen_range(0..text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                text.replace_range(at..=at, ["0", "7", "f", "x"][rng.gen_range(0..4)]);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| falsify(item, rng)),
        Json::Object(members) => members.values_mut().for_each(|item| falsify(item, rng)),
        _ => {}
    }
}
