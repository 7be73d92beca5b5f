//! Stories: what happens to a module, epoch by epoch, all of it drawn from a seed.

use std::collections::BTreeMap;

use guildmint_core::{ledger::Memory, Digest, PeerId, Quorum};
use guildmint_engine::{Batch, EpochOutput, Statement};
use rand::{seq::SliceRandom, Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::{Dealt, Subject, World};

/// Sizes of federations that every check is made in: no faults, one fault and two faults are tolerated.
const SIZES: [u16; 3] = [1, 4, 7];

/// What guardians contribute to an epoch besides transactions.
pub type Statements = BTreeMap<PeerId, Statement>;

/// A story under way.
pub struct Story<S: Subject> {
    /// The federation.
    pub world: World<S::Module>,
    /// Where all chance comes from.
    pub rng: ChaCha20Rng,
    subject: S,
}

/// An epoch of a story.
pub struct Turn {
    /// The first guardian's rows before the epoch.
    pub before: Memory,
    /// The state before it.
    pub previous: Digest,
    /// What was agreed.
    pub batch: Batch,
    /// What came of it.
    pub output: EpochOutput,
}

/// Tells `S::SEEDS` stories in federations of each size. A failing test shows which one it was.
pub fn tell<S: Subject>(mut check: impl FnMut(Story<S>)) {
    for guardians in SIZES {
        let quorum = Quorum::new(guardians).unwrap_or_else(|error| panic!("{error}"));
        let mut rng = ChaCha20Rng::seed_from_u64(guardians.into());
        let dealt = S::deal(quorum, &mut rng);
        for seed in 0..S::SEEDS {
            println!("{guardians} guardians, seed {seed}");
            check(Story::begin(quorum, &dealt, seed));
        }
    }
}

impl<S: Subject> Story<S> {
    fn begin(quorum: Quorum, dealt: &Dealt<S::Module>, seed: u64) -> Self {
        let world = World::new(quorum, dealt);
        Self {
            subject: S::begin(&world, &dealt.0),
            world,
            rng: ChaCha20Rng::seed_from_u64(seed),
        }
    }

    /// Something happens, and then an epoch to which t guardians or more contribute.
    pub fn turn(&mut self) -> Turn {
        self.turn_with(|_, _, _| {})
    }

    /// The same, with a last word on what guardians contribute.
    pub fn turn_with(
        &mut self,
        tamper: impl FnOnce(&World<S::Module>, &mut Statements, &mut ChaCha20Rng),
    ) -> Turn {
        self.subject.act(&mut self.world, &mut self.rng);
        let mut statements = self.statements();
        let quorum = self.world.quorum();
        let mut peers: Vec<PeerId> = quorum.peers().collect();
        peers.shuffle(&mut self.rng);
        let absent = self.rng.gen_range(0..=quorum.max_faulty());
        for peer in &peers[..absent] {
            statements.remove(peer);
        }
        tamper(&self.world, &mut statements, &mut self.rng);
        self.epoch(statements)
    }

    /// What all guardians would contribute.
    pub fn statements(&self) -> Statements {
        let statements = self.world.sequencer.statements();
        statements.unwrap_or_else(|error| panic!("{error}"))
    }

    /// An epoch with these contributions.
    pub fn epoch(&mut self, statements: Statements) -> Turn {
        let sequencer = &mut self.world.sequencer;
        let before = sequencer.rows().clone();
        let previous = sequencer.digest();
        let batch = Batch {
            epoch: sequencer.now().epoch,
            statements: statements.clone(),
            transactions: sequencer.pool().to_vec(),
        };
        let output = sequencer
            .epoch_with(statements)
            .unwrap_or_else(|error| panic!("{error}"));
        let turn = Turn {
            before,
            previous,
            batch,
            output,
        };
        self.world.record(&turn.output);
        turn
    }

    /// Tells the rest of the story.
    pub fn finish(&mut self, mut check: impl FnMut(&mut Self, &Turn)) {
        for _ in 0..S::EPOCHS {
            let turn = self.turn();
            check(self, &turn);
        }
    }
}
