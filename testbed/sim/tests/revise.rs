//! Revisions of the config: what operators agree to change counts for all from one epoch on (SPEC GEN-6).
//!
//! In every world it is checked that guardians with the same epoch have the same digest.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{check_books, outside, receive, sat};
use guildmint_client::{Command, Phase, Reply};
use guildmint_core::{
    api::{Revise, RevisionReport},
    module::Query,
    Amount, Latest, PeerId, Revision, SignedRevision, Wire,
};
use guildmint_engine::{
    node::{self, Request},
    Contribution, RevisionVote, Vote, ENGINE,
};
use guildmint_sim::{Faults, Setup, World};
use serde_json::{json, Value as Json};

const MINUTE_MS: u64 = 60_000;
const ALL: [PeerId; 4] = [PeerId(0), PeerId(1), PeerId(2), PeerId(3)];

fn propose(world: &mut World, peer: u16, changes: Json) -> RevisionReport {
    world
        .revise(PeerId(peer), &Revise::Propose(changes))
        .unwrap()
}

fn show(world: &mut World, peer: u16) -> RevisionReport {
    world.revise(PeerId(peer), &Revise::Show).unwrap()
}

/// An operator approves the proposal that would set the federation's name so.
fn approve(world: &mut World, peer: u16, name: &str) {
    let proposals = show(world, peer).proposals;
    let is_it = |change: &guildmint_core::api::ChangeReport| {
        change.value == "name" && change.to == json!(name)
    };
    let meant = proposals
        .iter()
        .find(|one| one.changes.iter().any(is_it))
        .unwrap();
    let hash = Revise::Approve(meant.hash.to_string());
    world.revise(PeerId(peer), &hash).unwrap();
}

/// Three operators change these values.
fn change(world: &mut World, name: &str, mut values: Json) {
    values["name"] = json!(name);
    propose(world, 0, values);
    world.run(2_000);
    for peer in [1, 2] {
        approve(world, peer, name);
    }
    world.run(5_000);
}

/// What proves itself, as a wallet would verify it.
fn chain(world: &mut World, peer: u16) -> Vec<SignedRevision> {
    let genesis = world.genesis();
    let answer = world.revisions(PeerId(peer), 0);
    let mut latest = Latest::founding(&genesis);
    for signed in &answer.revisions {
        latest = signed.verify(&genesis, latest).unwrap();
    }
    answer.revisions
}

fn quoted_fee_msat(world: &mut World, peer: u16) -> Json {
    let parameters = [
        ("address".to_owned(), outside(1).0),
        ("amount_sat".to_owned(), "1000".to_owned()),
    ];
    let request = Request::Query {
        kind: "wallet".into(),
        query: Query {
            path: "peg-out-quote".into(),
            parameters: parameters.into(),
        },
    };
    match &world.question(&[PeerId(peer)], &request)[..] {
        [node::Reply::Query(json)] => json["module_fee"].clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_t_operators_approve_counts_for_all_and_for_who_was_away_and_for_who_begins_anew() {
    let mut world = World::new(Setup::guardians(4).with_money(), 1);
    world.run(2_000);
    let [alice, bob] = [world.join(), world.join()];
    world.fund(alice, 50_000);
    let (_, notes) = world.send(alice, sat(700)).unwrap();
    receive(&mut world, bob, notes).unwrap();
    check_books(&mut world, &[alice, bob], 0);
    world.stop(PeerId(3));
    change(
        &mut world,
        "Second",
        json!({ "guardians": { "1": "Berta" }, "mint": { "input_fee": 1_000, "output_fee": 2_000 },
                "wallet": { "peg_out_fee": 9_000, "electrum": ["tcp://new:50001"] } }),
    );
    let report = show(&mut world, 0);
    assert_eq!((report.number, report.proposals.len()), (1, 0));
    assert_eq!(report.present["guardians"][1], json!("Berta"));
    assert_eq!(quoted_fee_msat(&mut world, 2), json!(9_000));
    let signed = chain(&mut world, 0);
    assert_eq!(signed.len(), 1);
    assert_eq!(signed[0].signatures.len(), 3);
    // Under the new fees, by wallets that know the old ones.
    let (_, notes) = world.send(alice, sat(900)).unwrap();
    let view = receive(&mut world, bob, notes).unwrap();
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    assert_eq!(world.wallet(bob).federation().name, "Second");
    assert_eq!(world.wallet(alice).federation().revision, 1);
    assert_eq!(world.wallet(alice).electrum(), ["tcp://new:50001"]);
    // Who was away, and who has lost everything, go by the old fees in old epochs.
    world.start(PeerId(3));
    world.run_until_settled(MINUTE_MS);
    assert_eq!(world.slander(), [""; 0]);
    world.stop(PeerId(1));
    world.wipe(PeerId(1));
    world.start(PeerId(1));
    world.run_until_settled(MINUTE_MS);
    world.run(20_000);
    for peer in 0..4 {
        assert_eq!(chain(&mut world, peer), signed, "{peer}");
        assert_eq!(quoted_fee_msat(&mut world, peer), json!(9_000));
        let rows = world.agreed_rows();
        assert_eq!(rows[0], rows[usize::from(peer)], "{peer}");
    }
    let in_wallets = world.balance(alice).msat() + world.balance(bob).msat();
    assert_eq!(world.audit().liabilities_msat, in_wallets);
}

/// Two halves want different things under the same number: nothing comes of either until somebody gives way.
#[test]
fn of_two_proposals_with_one_number_one_wins_and_the_other_is_never_signed() {
    for seed in 0..10 {
        let mut world = World::new(Setup::guardians(4).with(Faults::lossy(3)), seed);
        world.run(2_000);
        propose(&mut world, 0, json!({ "name": "A" }));
        propose(&mut world, 2, json!({ "name": "B" }));
        world.run(5_000);
        approve(&mut world, 1, "A");
        approve(&mut world, 3, "B");
        world.run(20_000);
        let report = show(&mut world, 0);
        assert_eq!((report.number, report.proposals.len()), (0, 2));
        let by_number = world.revise(PeerId(0), &Revise::Approve("1".into()));
        assert!(by_number.unwrap_err().contains("may mean another"));
        world.revise(PeerId(3), &Revise::Withdraw).unwrap();
        world.run(5_000);
        let both = show(&mut world, 1).proposals;
        let approved: Vec<usize> = both.iter().map(|one| one.approved_by.len()).collect();
        assert_eq!(approved.iter().sum::<usize>(), 3, "{both:?}");
        approve(&mut world, 3, "A");
        world.run(20_000);
        for peer in 0..4 {
            let signed = chain(&mut world, peer);
            let names: Vec<_> = signed
                .iter()
                .map(|one| one.revision.values.name.as_str())
                .collect();
            assert_eq!(names, ["A"], "seed {seed}, {peer}");
            assert_eq!(show(&mut world, peer).proposals, [], "{peer}");
        }
        // What was wanted before may be wanted again, as the next.
        change(&mut world, "B", json!({}));
        world.run(20_000);
        assert_eq!(chain(&mut world, 3).len(), 2, "seed {seed}");
        assert_eq!(world.slander(), [""; 0]);
    }
}

#[test]
fn liars_agree_on_nothing_and_stop_nobody() {
    let liar = PeerId(3);
    for seed in 0..10 {
        let faults = Faults::default().with_a_liar(liar);
        let mut world = World::new(Setup::guardians(4).with(faults), seed);
        world.liar_is_upright();
        world.run(2_000);
        let genesis = world.genesis();
        let honest = propose(&mut world, 0, json!({ "name": "Honest" }));
        assert_eq!(honest.number, 0);
        world.run(2_000);
        let next = Revision {
            number: 1,
            previous: Latest::founding(&genesis).hash,
            values: guildmint_core::Values {
                name: "Evil".into(),
                guardians: vec!["e".into(); 4],
                conditions: [].into(),
            },
        };
        let say = |vote: Vec<u8>| {
            let mut contribution = Contribution::default();
            contribution.statement.votes.insert(ENGINE, Vote(vote));
            contribution
        };
        let approves = |change: fn(&mut Revision)| {
            let mut revision = next.clone();
            change(&mut revision);
            say(RevisionVote::Approves(Some(revision)).encode())
        };
        let strange = guildmint_core::ModuleId(77);
        let lies = [
            say(vec![1, 2, 3]),
            approves(|_| {}),
            approves(|revision| revision.number = 2),
            approves(|revision| revision.previous = guildmint_core::RevisionHash([9; 32])),
            approves(|revision| drop(revision.values.guardians.pop())),
            approves(|revision| revision.values.name = "x".repeat(20_000)),
            approves(|_| {}),
            say(RevisionVote::Signs(guildmint_core::IdentitySignature([3; 64])).encode()),
        ];
        assert!(!genesis.modules.contains_key(&strange));
        for (name, lie) in (0..).zip(lies) {
            world.liar_contributes(lie);
            world.submit_play(name, 1_000);
            world.run(1_500);
        }
        world.run_until_settled(MINUTE_MS);
        assert_eq!(show(&mut world, 0).number, 0, "seed {seed}");
        for peer in [1, 2] {
            approve(&mut world, peer, "Honest");
        }
        // A signature on what is agreed that is none, while the others sign.
        world.liar_contributes(say(RevisionVote::Signs(guildmint_core::IdentitySignature(
            [3; 64],
        ))
        .encode()));
        world.submit_play(60, 1_000);
        world.run_until_settled(MINUTE_MS);
        world.run(20_000);
        let signed = chain(&mut world, 0);
        assert_eq!(signed[0].revision.values.name, "Honest", "seed {seed}");
        assert_eq!(world.slander(), [""; 0], "seed {seed}");
        let told = world.blamed();
        assert!(
            told.iter().any(|it| it.starts_with("vote on a revision")),
            "{told:?}"
        );
    }
}

/// What an operator said is not forgotten, whenever the power fails, and is not said twice.
#[test]
fn crashes_neither_forget_nor_repeat_what_operators_said() {
    for seed in 0..10 {
        let faults = Faults::lossy(3).with_crashes(12, 2_000);
        let mut world = World::new(Setup::guardians(4).with(faults), seed);
        world.run(500);
        let mut proposed = None;
        for turn in 0..100 {
            world.run(1_500);
            let peer = PeerId(turn % 3);
            // Perhaps it has no power, does not know of the proposal yet, or is not ready.
            match &proposed {
                None => {
                    let new = Revise::Propose(json!({ "name": "New" }));
                    world.try_to_revise(peer, &new);
                    let shown = world.try_to_revise(peer, &Revise::Show);
                    let proposal = shown.and_then(|mut report| report.proposals.pop());
                    proposed = proposal.map(|proposal| proposal.hash.to_string());
                }
                Some(hash) => {
                    world.try_to_revise(peer, &Revise::Approve(hash.clone()));
                }
            }
        }
        world.submit_play(1, 1_000);
        world.run_until_settled(5 * MINUTE_MS);
        // What the last of them said may still be on its way through the weather.
        let agreed = |world: &mut World| (0..4).all(|peer| !chain(world, peer).is_empty());
        for _ in 0..10 {
            if agreed(&mut world) {
                break;
            }
            world.run(MINUTE_MS);
        }
        for peer in 0..4 {
            let signed = chain(&mut world, peer);
            assert_eq!(signed.len(), 1, "seed {seed}, {peer}");
            assert_eq!(signed[0].revision.values.name, "New");
        }
    }
}

/// ⚠ Between an operator's look and its approval another proposal may come with the same number, and with a hash that was searched for until it
/// began like the first: neither may stand for what the operator has seen.
#[test]
fn a_proposal_is_approved_by_so_much_of_its_hash_that_no_other_has_it() {
    let mut world = World::new(Setup::guardians(4), 6);
    world.run(2_000);
    propose(&mut world, 0, json!({ "name": "New" }));
    world.run(3_000);
    let hash = show(&mut world, 1).proposals[0].hash.to_string();
    for name in ["1", "", &hash[..8], &hash[..16], &hash[..31]] {
        let refused = world.revise(PeerId(1), &Revise::Approve(name.to_owned()));
        let refused = refused.unwrap_err();
        assert!(refused.contains("first 32 digits"), "{name}: {refused}");
    }
    for (peer, digits) in [(1, 32), (2, 64)] {
        let name = hash[..digits].to_owned();
        world.revise(PeerId(peer), &Revise::Approve(name)).unwrap();
    }
    world.run(10_000);
    assert_eq!(show(&mut world, 3).number, 1);
}

/// What can be known to be wrong is told to the operator at once.
#[test]
fn operators_are_told_what_nobody_could_agree_to() {
    let mut world = World::new(Setup::guardians(4).with_money(), 5);
    world.run(2_000);
    for (changes, why) in [
        (json!({}), "changes nothing"),
        (json!({ "name": "simulated" }), "changes nothing"),
        (json!({ "network": "bitcoin" }), "no network"),
        (json!({ "guardians": ["one"] }), "1 names for 4 guardians"),
        (
            json!({ "mint": { "denominations": [] } }),
            "no mint.denominations",
        ),
        (json!({ "mint": { "input_fee": -1 } }), "mint"),
        (
            json!({ "wallet": { "finality_blocks": 3 } }),
            "no wallet.finality_blocks",
        ),
        (json!({ "wallet": { "min_peg_in_sat": 1 } }), "founding"),
        (json!({ "wallet": { "max_queue": 0 } }), "max_queue"),
    ] {
        let refused = world.revise(PeerId(0), &Revise::Propose(changes.clone()));
        let refused = refused.unwrap_err();
        assert!(refused.contains(why), "{changes}: {refused}");
    }
    let nobodys = "abcdef0123456789".repeat(2);
    let refused = world.revise(PeerId(1), &Revise::Approve(nobodys));
    assert!(refused.unwrap_err().contains("no guardian proposes"));
    let before = world.committed();
    world.revise(PeerId(1), &Revise::Withdraw).unwrap();
    world.run(10_000);
    // Withdrawing nothing is no news.
    assert_eq!(world.committed(), before);
    for peer in ALL {
        assert_eq!(world.revisions(peer, 0).latest, 0);
    }
}

/// A withdrawal on its way while fees rise is paid once, by the new fees.
#[test]
fn a_withdrawal_on_its_way_when_fees_rise_is_paid_once() {
    for seed in 0..2 {
        let mut world = World::new(Setup::guardians(4).with_money(), seed);
        world.run(2_000);
        let alice = world.join();
        world.fund(alice, 100_000);
        change(
            &mut world,
            "Dear",
            json!({ "mint": { "input_fee": 5_000, "output_fee": 5_000 }, "wallet": { "peg_out_fee": 77_000 } }),
        );
        let (address, script) = outside(1);
        let amount = sat(20_000);
        let quote = Command::Quote {
            address: address.clone(),
            amount,
        };
        let Ok(Reply::Quote { fee_sat, .. }) = world.command(alice, quote) else {
            panic!("no quote");
        };
        let fee = sat(fee_sat);
        let withdraw = Command::Withdraw {
            address,
            amount,
            fee,
        };
        // The wallet was started before: it knows the old fees when it makes the payment.
        let view = world.operate(alice, withdraw).unwrap();
        assert_eq!(view.phase, Phase::Done, "seed {seed}: {view:?}");
        let told = Amount::from_msat(view.details["fee_msat"].as_u64().unwrap()).unwrap();
        let gone = sat(100_000).checked_sub(world.balance(alice)).unwrap();
        assert_eq!(gone, amount.checked_add(told).unwrap(), "seed {seed}");
        assert!(told > sat(fee_sat + 77), "{told}");
        world.run(5_000);
        world.chain().mine(3);
        world.run(20_000);
        assert_eq!(world.chain().paid(&script).len(), 1, "seed {seed}");
        assert_eq!(world.audit().liabilities_msat, world.balance(alice).msat());
    }
}
