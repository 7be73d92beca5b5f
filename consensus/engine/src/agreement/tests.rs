//! Whole federations in one thread, with random order and liars.

#![allow(clippy::unwrap_used, clippy::panic)]

use hbbft::binary_agreement::SbvMessage;
use rand::{rngs::StdRng, Rng, SeedableRng};

use super::*;

/// How the guardians that are not honest behave.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Liar {
    /// Says nothing.
    Silent,
    /// Sends its payload to one guardian only, and its messages to some.
    Selective,
    /// Tells each guardian another payload.
    TwoFaced,
    /// Floods with echoes, readys and terms that contradict each other.
    Flooding,
}

struct World {
    rng: StdRng,
    nodes: Vec<Agreement>,
    mail: Vec<(PeerId, PeerId, Message)>,
    liars: usize,
    liar: Option<Liar>,
    lies: usize,
}

fn coins(guardians: u16) -> Vec<Coin> {
    let quorum = Quorum::new(guardians).unwrap();
    let mut rng = <rand06::rngs::StdRng as rand06::SeedableRng>::seed_from_u64(1);
    let keys = crate::coin::deal(quorum, &mut rng);
    let secret = |me: PeerId| &keys.secrets[usize::from(me.0)];
    quorum
        .peers()
        .map(|me| Coin::new(quorum, me, &keys.public, secret(me)).unwrap())
        .collect()
}

fn hash(proposer: usize, version: u8) -> PayloadHash {
    PayloadHash([proposer as u8, version].repeat(16).try_into().unwrap())
}

impl World {
    fn new(coins: &[Coin], seed: u64, liar: Option<Liar>) -> Self {
        let quorum = coins[0].quorum();
        let nodes = coins
            .iter()
            .map(|coin| Agreement::new(coin, SessionId([1; 32]), Epoch(seed)))
            .collect();
        Self {
            rng: StdRng::seed_from_u64(seed),
            nodes,
            mail: Vec::new(),
            liars: liar.map_or(0, |_| quorum.max_faulty()),
            liar,
            lies: 0,
        }
    }

    fn honest(&self) -> usize {
        self.nodes.len() - self.liars
    }

    fn send(&mut self, from: usize, step: Step) {
        assert!(
            self.liar.is_some() || step.faults.is_empty(),
            "honest guardians blame nobody: {:?}",
            step.faults
        );
        let lossy = from >= self.honest() && self.liar == Some(Liar::Selective);
        for message in step.messages {
            for to in 0..self.nodes.len() {
                if to != from && !(lossy && self.rng.gen_bool(0.7)) {
                    self.mail
                        .push((PeerId(from as u16), PeerId(to as u16), message.clone()));
                }
            }
        }
    }

    fn payload(&mut self, at: usize, proposer: usize, version: u8) {
        let step = self.nodes[at].payload(PeerId(proposer as u16), hash(proposer, version));
        self.send(at, step);
    }

    fn start(&mut self) {
        let n = self.nodes.len();
        for proposer in 0..n {
            let honest = proposer < self.honest();
            for at in 0..n {
                match self.liar {
                    _ if honest => self.payload(at, proposer, 0),
                    Some(Liar::TwoFaced) => self.payload(at, proposer, at as u8 % 2),
                    Some(Liar::Selective) if at == 0 => self.payload(at, proposer, 0),
                    Some(Liar::Flooding) => self.payload(at, proposer, 0),
                    _ => {}
                }
            }
        }
        if self.liar == Some(Liar::Flooding) {
            self.flood();
        }
    }

    fn flood(&mut self) {
        let n = self.nodes.len();
        for from in self.honest()..n {
            for to in 0..n {
                for proposer in (0..n as u16).map(PeerId) {
                    let value = self.rng.gen();
                    let round = self.rng.gen_range(0..6);
                    let term = MessageContent::Term(value).with_epoch(round);
                    let lies = [
                        Message::Ballot(proposer, term),
                        Message::Echo(proposer, hash(9, 9)),
                        Message::Ready(proposer, hash(9, 9)),
                    ];
                    for lie in lies {
                        self.mail
                            .push((PeerId(from as u16), PeerId(to as u16), lie));
                    }
                }
            }
        }
    }

    /// A liar says something about some proposer to somebody, in some round, up to a bound that lets the world end.
    fn lie(&mut self) {
        let n = self.nodes.len();
        if self.lies >= 40 * n {
            return;
        }
        self.lies += 1;
        let from = PeerId(self.rng.gen_range(self.honest()..n) as u16);
        let to = PeerId(self.rng.gen_range(0..self.honest()) as u16);
        let proposer = PeerId(self.rng.gen_range(0..n) as u16);
        let (value, round) = (self.rng.gen(), self.rng.gen_range(0..3));
        let content = match self.rng.gen_range(0..4) {
            0 => MessageContent::SbvBroadcast(SbvMessage::BVal(value)),
            1 => MessageContent::SbvBroadcast(SbvMessage::Aux(value)),
            _ => MessageContent::Term(value),
        };
        let ballot = Message::Ballot(proposer, content.with_epoch(round));
        self.mail.push((from, to, ballot));
    }

    /// The next message to arrive. Links keep each sender's order; with liars about, not even that is relied on.
    fn next(&mut self) -> (PeerId, PeerId, Message) {
        let any = self.rng.gen_range(0..self.mail.len());
        if self.liar.is_some() {
            return self.mail.swap_remove(any);
        }
        let pair = (self.mail[any].0, self.mail[any].1);
        let first = self.mail.iter().position(|mail| (mail.0, mail.1) == pair);
        self.mail.remove(first.unwrap())
    }

    /// Delivers everything; liars that are silent hear nothing and say nothing.
    fn run(&mut self) {
        while !self.mail.is_empty() {
            if self.liar == Some(Liar::Flooding) && self.rng.gen_bool(0.3) {
                self.lie();
            }
            let (from, to, message) = self.next();
            let to = usize::from(to.0);
            if from.0 as usize == to || (to >= self.honest() && self.liar == Some(Liar::Silent)) {
                continue;
            }
            let message = Message::decode(&message.encode()).unwrap();
            let step = self.nodes[to].handle(from, message);
            self.send(to, step);
        }
    }

    fn check(&self, context: &str) {
        let results: Vec<_> = self.nodes[..self.honest()]
            .iter()
            .map(|node| {
                node.result()
                    .unwrap_or_else(|| panic!("stalled: {context}"))
            })
            .collect();
        assert!(
            results.windows(2).all(|pair| pair[0] == pair[1]),
            "fork: {context}"
        );
        assert!(
            results[0].len() >= self.nodes[0].quorum.threshold(),
            "{context}"
        );
    }
}

fn run(guardians: u16, seeds: u64, liar: Option<Liar>) {
    let coins = coins(guardians);
    for seed in 0..seeds {
        let mut world = World::new(&coins, seed, liar);
        world.start();
        world.run();
        world.check(&format!("n = {guardians}, {liar:?}, seed {seed}"));
    }
}

#[test]
fn honest_guardians_agree_on_all() {
    for guardians in [1, 2, 3, 4, 5, 7, 10] {
        run(guardians, 10, None);
    }
}

#[test]
fn silent_guardians_stop_nobody() {
    for guardians in [4, 5, 7, 10] {
        run(guardians, 20, Some(Liar::Silent));
    }
}

/// The equivalent of shards that are no code word (scenario 35): a payload sent to some only, with the support of the liar
/// withheld from some.
#[test]
fn a_payload_sent_to_some_only_stops_nobody() {
    for guardians in [4, 5, 7, 10] {
        run(guardians, 60, Some(Liar::Selective));
    }
}

#[test]
fn two_payloads_of_one_proposer_fork_nobody() {
    for guardians in [4, 5, 7, 10] {
        run(guardians, 40, Some(Liar::TwoFaced));
    }
}

/// Stalls at some seeds if a `Term` is handed to hbbft with its own round (scenario 35).
#[test]
fn false_terms_stop_nobody() {
    run(4, 800, Some(Liar::Flooding));
    run(5, 200, Some(Liar::Flooding));
}

#[test]
fn the_same_inputs_give_the_same_messages() {
    let replay = || {
        let mut world = World::new(&coins(4), 3, None);
        world.start();
        let mut said = Vec::new();
        while let Some((from, to, message)) = world.mail.pop() {
            let step = world.nodes[usize::from(to.0)].handle(from, message);
            said.extend(step.messages.iter().map(Wire::encode));
            world.send(usize::from(to.0), step);
        }
        said
    };
    assert_eq!(replay(), replay());
}

#[test]
fn messages_in_anothers_name_are_faults() {
    let mut world = World::new(&coins(4), 3, None);
    let step = world.nodes[0].handle(PeerId(0), Message::Echo(PeerId(1), hash(1, 0)));
    assert_eq!(step.faults.len(), 1);
    let step = world.nodes[0].handle(PeerId(9), Message::Echo(PeerId(1), hash(1, 0)));
    assert_eq!(step.faults.len(), 1);
    let step = world.nodes[0].handle(PeerId(1), Message::Ready(PeerId(9), hash(1, 0)));
    assert_eq!(step.faults.len(), 1);
}
