//! Links over a network that loses, repeats and reorders packets, with guardians that crash, are cut off and catch up.
//!
//! The agreement on top is the simplest there is: a guardian sends the frames of its script, and commits an epoch when it
//! has sent its own and received all frames of as many guardians as the case demands.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use guildmint_core::{Epoch, PeerId, Quorum};
use guildmint_link::{Link, Packet};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LAST: Epoch = Epoch(6);

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    guardians: u16,
    /// Percentages.
    loss: u32,
    repeat: u32,
    /// How many complete streams, the guardian's own included, make it commit.
    suffice: usize,
    restarts: usize,
    /// When guardian 0 can reach nobody, in ms.
    cut_ms: std::ops::Range<u64>,
}

#[derive(Debug, Clone)]
enum Logged {
    Own,
    From(PeerId),
}

struct Guardian {
    link: Link,
    open: Epoch,
    pushed: usize,
    /// The write-ahead log of the open epoch.
    log: Vec<Logged>,
    received: BTreeMap<(Epoch, PeerId), Vec<Vec<u8>>>,
    skipped: Vec<Epoch>,
}

#[derive(Debug, Clone)]
enum Event {
    Packet {
        from: PeerId,
        packet: Packet,
    },
    Push,
    Restart,
    /// Somebody no longer has the frames of epoch `lacking`, but the results of all before `open`.
    CatchUp {
        lacking: Epoch,
        open: Epoch,
    },
}

struct Net {
    case: Case,
    quorum: Quorum,
    rng: ChaCha8Rng,
    now_ms: u64,
    /// Events by time, a counter that makes the key unique, and the guardian that they happen to.
    events: BTreeMap<(u64, u64), (PeerId, Event)>,
    counter: u64,
    guardians: BTreeMap<PeerId, Guardian>,
    fetches: usize,
    statuses: usize,
}

/// The frames that `author` sends in `epoch`.
fn script(case: &Case, author: PeerId, epoch: Epoch) -> Vec<Vec<u8>> {
    let seed = case.seed ^ (u64::from(author.0) << 32) ^ epoch.0;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let frames = rng.gen_range(1..12);
    (0..frames)
        .map(|_| (0..rng.gen_range(1..200)).map(|_| rng.gen()).collect())
        .collect()
}

impl Net {
    fn new(case: Case) -> Self {
        let quorum = Quorum::new(case.guardians).unwrap();
        let guardian = |me| Guardian {
            link: Link::new(me, quorum, Epoch(0)),
            open: Epoch(0),
            pushed: 0,
            log: Vec::new(),
            received: BTreeMap::new(),
            skipped: Vec::new(),
        };
        let rng = ChaCha8Rng::seed_from_u64(case.seed);
        let guardians = quorum.peers().map(|me| (me, guardian(me))).collect();
        let mut net = Self {
            quorum,
            rng,
            now_ms: 0,
            events: BTreeMap::new(),
            counter: 0,
            guardians,
            case,
            fetches: 0,
            statuses: 0,
        };
        for me in quorum.peers() {
            net.after(1, me, Event::Push);
        }
        for _ in 0..net.case.restarts {
            let me = PeerId(net.rng.gen_range(0..net.case.guardians));
            let wait_ms = net.rng.gen_range(0..3_000);
            net.after(wait_ms, me, Event::Restart);
        }
        net
    }

    fn after(&mut self, wait_ms: u64, at: PeerId, event: Event) {
        self.counter += 1;
        self.events
            .insert((self.now_ms + wait_ms, self.counter), (at, event));
    }

    fn is_cut(&self, from: PeerId, to: PeerId) -> bool {
        self.case.cut_ms.contains(&self.now_ms) && (from == PeerId(0) || to == PeerId(0))
    }

    fn send(&mut self, from: PeerId, to: PeerId, packet: Packet) {
        match packet {
            Packet::Fetch { .. } => self.fetches += 1,
            Packet::Status(_) => self.statuses += 1,
            Packet::Frames { .. } => {}
        }
        let copies = if self.rng.gen_ratio(self.case.repeat, 100) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            if self.is_cut(from, to) || self.rng.gen_ratio(self.case.loss, 100) {
                continue;
            }
            let slow = self.case.loss > 0 && self.rng.gen_ratio(1, 20);
            let delay_ms = self.rng.gen_range(if slow { 100..600 } else { 1..30 });
            self.after(
                delay_ms,
                to,
                Event::Packet {
                    from,
                    packet: packet.clone(),
                },
            );
        }
    }

    fn broadcast(&mut self, from: PeerId, packets: Vec<Packet>) {
        for packet in packets {
            for to in self.quorum.peers().filter(|to| *to != from) {
                self.send(from, to, packet.clone());
            }
        }
    }

    fn guardian(&mut self, me: PeerId) -> &mut Guardian {
        self.guardians.get_mut(&me).unwrap()
    }

    fn receive(&mut self, me: PeerId, from: PeerId, frames: Vec<Vec<u8>>) {
        let guardian = self.guardian(me);
        for frame in frames {
            guardian.log.push(Logged::From(from));
            guardian
                .received
                .entry((guardian.open, from))
                .or_default()
                .push(frame);
        }
    }

    fn happen(&mut self, me: PeerId, event: Event) {
        match event {
            Event::Push => self.push(me),
            Event::Restart => self.restart(me),
            Event::CatchUp { lacking, open } if lacking == self.guardian(me).open => {
                self.guardian(me)
                    .skipped
                    .extend((lacking.0..open.0).map(Epoch));
                self.open(me, open);
            }
            Event::CatchUp { .. } => {}
            Event::Packet { from, packet } => {
                let now_ms = self.now_ms;
                let lacking = match &packet {
                    Packet::Fetch { epoch, .. } | Packet::Frames { epoch, .. } => *epoch,
                    Packet::Status(status) => status.committed.map_or(Epoch(0), Epoch::next),
                };
                let output = self.guardian(me).link.handle(from, packet, now_ms);
                assert_eq!(output.fault, None);
                self.receive(me, from, output.deliver);
                for packet in output.reply {
                    self.send(me, from, packet);
                }
                if output.peer_behind {
                    let open = self.guardian(me).open;
                    self.after(50, from, Event::CatchUp { lacking, open });
                }
            }
        }
        while self.is_done(me) {
            let next = self.guardian(me).open.next();
            self.open(me, next);
        }
    }

    fn push(&mut self, me: PeerId) {
        let case = self.case.clone();
        let guardian = self.guardian(me);
        let frame = script(&case, me, guardian.open)
            .into_iter()
            .nth(guardian.pushed);
        if let Some(frame) = frame.filter(|_| guardian.open < LAST) {
            assert!(guardian.link.push(frame));
            guardian.log.push(Logged::Own);
            guardian.pushed += 1;
            let packets = guardian.link.flush();
            self.broadcast(me, packets);
            let wait_ms = self.rng.gen_range(0..20);
            self.after(wait_ms, me, Event::Push);
        }
    }

    fn is_done(&self, me: PeerId) -> bool {
        let guardian = &self.guardians[&me];
        let complete = |author: &PeerId| {
            let frames = script(&self.case, *author, guardian.open).len();
            let received = guardian
                .received
                .get(&(guardian.open, *author))
                .map_or(0, Vec::len);
            frames
                == if *author == me {
                    guardian.pushed
                } else {
                    received
                }
        };
        let complete: Vec<_> = self.quorum.peers().filter(complete).collect();
        guardian.open < LAST && complete.contains(&me) && complete.len() >= self.case.suffice
    }

    fn open(&mut self, me: PeerId, next: Epoch) {
        let guardian = self.guardian(me);
        guardian.open = next;
        guardian.pushed = 0;
        guardian.log.clear();
        for (from, frames) in guardian.link.commit(next) {
            self.receive(me, from, frames);
        }
        self.after(5, me, Event::Push);
    }

    fn restart(&mut self, me: PeerId) {
        let (case, quorum) = (self.case.clone(), self.quorum);
        let guardian = self.guardian(me);
        guardian.link = Link::new(me, quorum, guardian.open);
        let mut own = script(&case, me, guardian.open).into_iter();
        for logged in &guardian.log {
            match logged {
                Logged::Own => assert!(guardian.link.push(own.next().unwrap())),
                Logged::From(peer) => guardian.link.restore(*peer),
            }
        }
        let mut packets = guardian.link.flush();
        packets.truncate(1);
        packets.push(guardian.link.status(true));
        self.broadcast(me, packets);
    }

    /// Runs until nothing is in flight and no link wants to be woken, which must come.
    fn run(&mut self) {
        for _ in 0..200_000 {
            let event_ms = self.events.keys().next().map(|(at_ms, _)| *at_ms);
            let links = self.guardians.iter();
            let wake = links
                .filter_map(|(me, g)| Some((g.link.next_wake_ms()?, *me)))
                .min();
            match (event_ms, wake) {
                (None, None) => return,
                (Some(at_ms), wake) if wake.is_none_or(|(wake_ms, _)| at_ms <= wake_ms) => {
                    self.now_ms = at_ms;
                    if let Some((_, (me, event))) = self.events.pop_first() {
                        self.happen(me, event);
                    }
                }
                (_, Some((wake_ms, me))) => {
                    self.now_ms = self.now_ms.max(wake_ms);
                    let now_ms = self.now_ms;
                    for (to, packet) in self.guardian(me).link.tick(now_ms) {
                        self.send(me, to, packet);
                    }
                }
                (Some(_), None) => {}
            }
        }
        panic!("the network never falls silent");
    }

    /// All committed everything, and what they received is what was sent, in order and once.
    fn check(&self) {
        for (me, guardian) in &self.guardians {
            assert_eq!(guardian.open, LAST, "{me} at {} ms", self.now_ms);
            assert_eq!(guardian.link.held_bytes(), 0);
            for ((epoch, author), received) in &guardian.received {
                let script = script(&self.case, *author, *epoch);
                assert!(script.starts_with(received), "{author} to {me} in {epoch}");
            }
            let everything = self.case.suffice == usize::from(self.case.guardians);
            for epoch in (0..LAST.0)
                .map(Epoch)
                .filter(|e| !guardian.skipped.contains(e))
            {
                let complete = |author: &PeerId| {
                    let received = guardian.received.get(&(epoch, *author)).map_or(0, Vec::len);
                    author != me && received == script(&self.case, *author, epoch).len()
                };
                let complete = self.quorum.peers().filter(complete).count() + 1;
                assert!(complete >= self.case.suffice, "{me} in {epoch}");
                assert!(!everything || complete == self.guardians.len());
            }
        }
    }
}

fn run(case: Case) -> Net {
    let mut net = Net::new(case);
    net.run();
    net.check();
    net
}

fn case() -> impl Strategy<Value = Case> {
    (any::<u64>(), 2..6u16, 5..30u32, 5..30u32).prop_map(|(seed, guardians, loss, repeat)| Case {
        seed,
        guardians,
        loss,
        repeat,
        suffice: usize::from(guardians),
        restarts: 0,
        cut_ms: 0..0,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn all_frames_arrive_once_in_order_and_then_it_is_silent(case in case()) {
        let net = run(case);
        prop_assert!(net.guardians.values().all(|guardian| guardian.skipped.is_empty()));
    }

    #[test]
    fn restarts_with_replay_lose_and_repeat_nothing(case in case(), restarts in 1..12usize) {
        run(Case { restarts, ..case });
    }

    #[test]
    fn who_was_cut_off_comes_back(case in case(), restarts in 0..6usize, cut in 0..500u64) {
        let case = Case { guardians: 4, suffice: 3, restarts, cut_ms: cut..cut + 4_000, ..case };
        run(case);
    }
}

/// With nobody to ask about the epochs that it missed, a guardian jumps.
#[test]
fn who_was_cut_off_while_the_others_restart_jumps_ahead() {
    let mut net = Net::new(Case {
        seed: 1,
        guardians: 4,
        loss: 5,
        repeat: 5,
        suffice: 3,
        restarts: 0,
        cut_ms: 0..20_000,
    });
    for me in 1..4 {
        net.after(19_000, PeerId(me), Event::Restart);
    }
    net.run();
    net.check();
    assert_eq!(
        net.guardians[&PeerId(0)].skipped,
        (0..LAST.0).map(Epoch).collect::<Vec<_>>()
    );
}

/// Without loss nobody asks for frames, and each guardian tells each other of each commit and little else.
#[test]
fn a_good_network_carries_no_retries() {
    let net = run(Case {
        seed: 2,
        guardians: 4,
        loss: 0,
        repeat: 0,
        suffice: 4,
        restarts: 0,
        cut_ms: 0..0,
    });
    assert_eq!(net.fetches, 0);
    let announcements = 4 * 3 * LAST.0 as usize;
    assert!(
        net.statuses <= announcements,
        "{} of {announcements}",
        net.statuses
    );
}
