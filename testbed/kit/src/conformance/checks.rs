//! What every module must do. Each of these is a test of its own, made by [`conformance!`](crate::conformance!).

use std::collections::BTreeSet;

use guildmint_core::{
    ledger::{Ledger, Scope, Space},
    limits,
    module::{At, DynModule, Query, ServerModule},
    OutPoint, PeerId, TxId, Wire,
};
use guildmint_engine::{Batch, Statement, Vote};
use rand::{seq::SliceRandom, Rng};
use rand_chacha::ChaCha20Rng;

use super::{
    damage,
    money::Books,
    questions::Questions,
    story::{tell, Statements, Story, Turn},
    Recorded, Subject, World, MODULE,
};

/// All guardians end every epoch in the same state, loading rows in no more than three passes, whoever is absent. No
/// guardian says again what was counted just now. And something happens in these stories.
pub fn guardians_agree<S: Subject>() {
    let (mut inputs, mut outputs, mut rejected) = (0, 0, 0);
    tell::<S>(|mut story| {
        story.finish(|story, turn| nothing_is_said_twice(story, &turn.batch.statements));
        let recorded = &story.world.recorded;
        inputs += recorded.accepted_inputs;
        outputs += recorded.accepted_outputs;
        rejected += recorded.rejected;
    });
    assert!(inputs > 0, "no input was ever accepted");
    assert!(outputs > 0, "no output was ever accepted");
    assert!(rejected > 0, "nothing was ever rejected");
}

/// Every question of the module's part of the API's document was asked in these stories, and answered as it says; and no other was.
pub fn every_question_of_its_document_is_answered<S: Subject>() {
    let mut open: BTreeSet<String> = Questions::of::<S::Module>().paths().into_iter().collect();
    tell::<S>(|mut story| {
        story.finish(|_, _| {});
        open.retain(|path| !story.world.recorded.answered.contains(path));
    });
    assert!(open.is_empty(), "nobody asked {open:?}");
}

fn nothing_is_said_twice<S: Subject>(story: &Story<S>, said: &Statements) {
    let next = story.statements();
    for (peer, statement) in said {
        if let Some(vote) = statement.votes.get(&MODULE) {
            let again = next[peer].votes.get(&MODULE);
            assert_ne!(again, Some(vote), "{peer} repeats a vote");
        }
    }
}

/// A guardian that was not there, and gets the effective batches, ends in the same states (SPEC EPO-7).
pub fn history_replays<S: Subject>() {
    tell::<S>(|mut story| {
        story.finish(|_, _| {});
        let peer = PeerId(story.rng.gen_range(0..story.world.quorum().into()));
        let replayed = story.world.sequencer.replay(peer);
        replayed.unwrap_or_else(|error| panic!("{error}"));
    });
}

/// An epoch with transactions that are rejected ends as it would without them.
pub fn a_rejected_transaction_changes_nothing<S: Subject>() {
    let mut rejected = 0;
    tell::<S>(|mut story| {
        story.finish(|story, turn| {
            let verdicts = &turn.output.verdicts;
            let mut batch: Batch = turn.batch.clone();
            batch.transactions.retain(|one| verdicts[&one.id()].is_ok());
            rejected += turn.batch.transactions.len() - batch.transactions.len();
            let rules = story.world.sequencer.rules();
            let without = rules.process_epoch(&turn.before, turn.previous, &batch);
            let without = without.unwrap_or_else(|stop| panic!("{stop:?}"));
            assert_eq!(without.agreed, turn.output.agreed);
            assert_eq!(without.result, turn.output.result);
        });
    });
    assert!(rejected > 0, "nothing was ever rejected");
}

/// In every step of every epoch, assets less liabilities change by exactly what an input brings or an output takes, and not
/// at all by votes. What is left over of a transaction is its fees.
pub fn money_is_explained<S: Subject>() {
    tell::<S>(|mut story| {
        story.finish(|story, turn| {
            let sequencer = &story.world.sequencer;
            let at = At {
                epoch: turn.batch.epoch,
                height: sequencer.now().height,
                version: 1,
            };
            let mut books = Books::open(sequencer.rules(), turn, at);
            books.tally(turn);
            for transaction in &turn.output.effective.transactions {
                books.apply(transaction);
            }
            books.settle(S::PAYS_OUTSIDE);
            books.close(turn);
        });
        let audit = story.world.sequencer.audit();
        let audit = audit.unwrap_or_else(|error| panic!("{error}"));
        let assets: u128 = audit
            .values()
            .map(|part| u128::from(part.assets_msat))
            .sum();
        let owed: u128 = audit
            .values()
            .map(|part| u128::from(part.liabilities_msat))
            .sum();
        assert!(assets >= owed, "{owed} msat owed, {assets} msat owned");
    });
}

/// Everything that is encoded is read back as what it was, and written again as the same bytes.
pub fn encodings_are_canonical<S: Subject>() {
    tell::<S>(|mut story| {
        story.finish(|_, _| {});
        for peer in story.world.quorum().peers() {
            let jobs = story
                .world
                .sequencer
                .look(peer, MODULE, |module, agreed, local| {
                    module.resume(agreed, local)
                });
            let jobs = jobs.unwrap_or_else(|error| panic!("{error}"));
            story.world.recorded.jobs.extend(jobs);
        }
        let Recorded {
            inputs,
            outputs,
            votes,
            news,
            jobs,
            ..
        } = &story.world.recorded;
        inputs
            .iter()
            .for_each(|bytes| comes_back::<Input<S>>(bytes));
        outputs
            .iter()
            .for_each(|bytes| comes_back::<Output<S>>(bytes));
        votes
            .iter()
            .for_each(|bytes| comes_back::<VoteOf<S>>(bytes));
        news.iter()
            .for_each(|(_, bytes)| comes_back::<News<S>>(bytes));
        jobs.iter().for_each(|bytes| comes_back::<Job<S>>(bytes));
        for vote in votes {
            assert!(vote.len() <= limits::MAX_VOTE_BYTES);
        }
    });
}

type Input<S> = <<S as Subject>::Module as ServerModule>::Input;
type Output<S> = <<S as Subject>::Module as ServerModule>::Output;
type VoteOf<S> = <<S as Subject>::Module as ServerModule>::Vote;
type News<S> = <<S as Subject>::Module as ServerModule>::News;
type Job<S> = <<S as Subject>::Module as ServerModule>::Job;

fn comes_back<T: Wire>(bytes: &[u8]) {
    let value = T::decode(bytes).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(value.encode(), bytes);
    assert!(T::decode(&bytes[..bytes.len() - 1]).is_err(), "cut off");
    assert!(T::decode(&[bytes, &[0]].concat()).is_err(), "one byte more");
}

/// Damaged items, votes, news and questions are refused or mean something else, and never panic. What does not decode is
/// refused by every function, and rows are left alone.
pub fn damaged_bytes_do_no_harm<S: Subject>() {
    tell::<S>(|mut story| {
        story.finish(|_, _| {});
        let Story { world, rng, .. } = &mut story;
        let recorded = world.recorded.clone();
        for _ in 0..PROBES {
            probe_input::<S>(world, &damaged(&recorded.inputs, rng));
            probe_output::<S>(world, &damaged(&recorded.outputs, rng));
            probe_votes::<S>(world, &recorded, rng);
            probe_news::<S>(world, &recorded, rng);
            probe_query::<S>(world, &recorded, rng);
        }
        // Whatever guardians believe now, they agree.
        let statements = story.statements();
        story.epoch(statements);
    });
}

/// How often each kind of thing is damaged in each story.
const PROBES: usize = 60;

fn damaged(recorded: &[Vec<u8>], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let original = recorded.choose(rng).map_or(&[][..], Vec::as_slice);
    damage(original, rng)
}

fn probe_input<S: Subject>(world: &World<S::Module>, bytes: &[u8]) {
    let (module, scope) = (module(world), Scope::module(Space::Agreed, MODULE));
    let mut ledger = Ledger::new(world.sequencer.rows());
    let at = world.sequencer.now();
    let rows = module.input_rows(scope, bytes);
    if Input::<S>::decode(bytes).is_err() {
        assert!(module.check_input(bytes).is_err());
        assert!(!module.proofs_hold(&[bytes]));
        assert!(rows.is_empty());
        assert!(module.spend(&mut ledger.view(scope), bytes, at).is_err());
        assert_eq!(ledger.finish(), Ok(Default::default()));
    } else if module.check_input(bytes).is_ok() && module.proofs_hold(&[bytes]) {
        let _ = module.spend(&mut ledger.view(scope), bytes, at);
    }
}

fn probe_output<S: Subject>(world: &World<S::Module>, bytes: &[u8]) {
    let (module, scope) = (module(world), Scope::module(Space::Agreed, MODULE));
    let mut ledger = Ledger::new(world.sequencer.rows());
    let at = world.sequencer.now();
    let out_point = OutPoint {
        txid: TxId([7; 32]),
        index: 0,
    };
    let rows = module.output_rows(scope, bytes);
    let told = module.outcome(&ledger.view(scope), bytes, out_point, None);
    let accepted = match module.check_output(bytes) {
        Ok(()) => module.accept(&mut ledger.view(scope), bytes, out_point, at),
        Err(error) => Err(error),
    };
    if Output::<S>::decode(bytes).is_err() {
        assert!(rows.is_empty() && told.is_none() && accepted.is_err());
        assert_eq!(ledger.finish(), Ok(Default::default()));
    }
}

fn probe_votes<S: Subject>(world: &World<S::Module>, recorded: &Recorded, rng: &mut ChaCha20Rng) {
    let (module, scope) = (module(world), Scope::module(Space::Agreed, MODULE));
    let mut ledger = Ledger::new(world.sequencer.rows());
    let at = world.sequencer.now();
    let votes: Vec<(PeerId, Vec<u8>)> = world
        .quorum()
        .peers()
        .map(|peer| (peer, damaged(&recorded.votes, rng)))
        .collect();
    let borrowed: Vec<(PeerId, &[u8])> = votes.iter().map(|(p, v)| (*p, v.as_slice())).collect();
    let (counted, faults) = module.tally(&mut ledger.view(scope), &borrowed, at);
    for (peer, vote) in &votes {
        let decodes = VoteOf::<S>::decode(vote).is_ok();
        assert_eq!(counted.contains(peer), decodes);
        assert!(decodes || faults.iter().any(|fault| fault.peer == *peer));
    }
    module.settle(&mut ledger.view(scope), at);
    module.audit(&ledger.view(scope));
}

fn probe_news<S: Subject>(
    world: &mut World<S::Module>,
    recorded: &Recorded,
    rng: &mut ChaCha20Rng,
) {
    let peer = PeerId(rng.gen_range(0..world.quorum().into()));
    let original = recorded.news.choose(rng).map_or(&[][..], |(_, news)| news);
    let news = damage(original, rng);
    let taken = world.sequencer.news(peer, MODULE, &news);
    assert_eq!(taken.is_ok(), News::<S>::decode(&news).is_ok());
    let statement = world.sequencer.statement(peer);
    let statement = statement.unwrap_or_else(|error| panic!("{error}"));
    if let Some(vote) = statement.votes.get(&MODULE) {
        assert!(vote.0.len() <= limits::MAX_VOTE_BYTES);
        comes_back::<VoteOf<S>>(&vote.0);
    }
}

fn probe_query<S: Subject>(world: &World<S::Module>, recorded: &Recorded, rng: &mut ChaCha20Rng) {
    let text = |text: &str, rng: &mut ChaCha20Rng| match rng.gen_range(0..3) {
        0 => text.to_owned(),
        _ => String::from_utf8_lossy(&damage(text.as_bytes(), rng)).into_owned(),
    };
    let none = Query {
        path: String::new(),
        parameters: Default::default(),
    };
    let original = recorded.queries.choose(rng).unwrap_or(&none);
    let query = Query {
        path: text(&original.path, rng),
        parameters: original
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), text(value, rng)))
            .collect(),
    };
    let _ = world.sequencer.query(PeerId(0), MODULE, &query);
}

fn module<M: ServerModule>(world: &World<M>) -> &dyn DynModule {
    let module = world.sequencer.rules().module(MODULE);
    module.unwrap_or_else(|error| panic!("{error}"))
}

/// With f guardians that vote anything at all, the others agree, are never blamed, and come to rest; votes that do not
/// decode are blamed and not counted (SPEC EPO-2).
pub fn liars_are_named_and_nobody_else<S: Subject>() {
    tell::<S>(|mut story| {
        let quorum = story.world.quorum();
        let mut peers: Vec<PeerId> = quorum.peers().collect();
        peers.shuffle(&mut story.rng);
        let liars: BTreeSet<PeerId> = peers.into_iter().take(quorum.max_faulty()).collect();
        for _ in 0..S::EPOCHS {
            let turn = story.turn_with(|world, statements, rng| {
                for liar in &liars {
                    lie(*liar, &world.recorded, statements, rng);
                }
            });
            judge::<S>(&turn, &liars);
        }
        rest(&mut story);
        let replayed = story.world.sequencer.replay(PeerId(0));
        replayed.unwrap_or_else(|error| panic!("{error}"));
    });
}

fn lie(liar: PeerId, recorded: &Recorded, statements: &mut Statements, rng: &mut ChaCha20Rng) {
    let said = statements.values().filter_map(|one| one.votes.get(&MODULE));
    let mut votes: Vec<Vec<u8>> = said.map(|vote| vote.0.clone()).collect();
    votes.extend(recorded.votes.choose(rng).cloned());
    let vote = match rng.gen_range(0..3) {
        0 => votes.choose(rng).cloned().unwrap_or_default(),
        _ => damaged(&votes, rng),
    };
    let statement: &mut Statement = statements.entry(liar).or_default();
    statement.votes.insert(MODULE, Vote(vote));
    if rng.gen() {
        statement.tip_height = Some(rng.gen());
    }
}

fn judge<S: Subject>(turn: &Turn, liars: &BTreeSet<PeerId>) {
    for fault in &turn.output.faults {
        let (peer, kind) = (fault.peer, &fault.kind);
        assert!(
            liars.contains(&peer),
            "{peer} is blamed, but honest: {kind}"
        );
    }
    for liar in liars {
        let vote = &turn.batch.statements[liar].votes[&MODULE].0;
        if VoteOf::<S>::decode(vote).is_err() {
            let faults = &turn.output.faults;
            assert!(faults.iter().any(|fault| fault.peer == *liar));
            let counted = &turn.output.effective.statements[liar];
            assert!(!counted.votes.contains_key(&MODULE));
        }
    }
}

/// Once nothing happens any more, guardians soon have nothing to say, and the same news again is no reason for an epoch
/// (SPEC EPO-7).
pub fn a_federation_without_news_falls_silent<S: Subject>() {
    tell::<S>(|mut story| {
        story.finish(|_, _| {});
        rest(&mut story);
        let sequencer = &mut story.world.sequencer;
        for (peer, news) in &story.world.recorded.news {
            let taken = sequencer.news(*peer, MODULE, news);
            taken.unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(sequencer.has_reason(), Ok(false), "old news is a reason");
    });
}

fn rest<S: Subject>(story: &mut Story<S>) {
    for _ in 0..S::EPOCHS_TO_REST {
        if story.world.sequencer.has_reason() == Ok(false) {
            return;
        }
        let statements = story.statements();
        story.epoch(statements);
    }
    let reason = story.world.sequencer.has_reason();
    assert_eq!(reason, Ok(false), "there is always something to say");
}
