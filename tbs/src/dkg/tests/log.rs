//! Items that come at the wrong time, twice, or not at all.

use super::*;

fn out_of_phase(kind: ItemKind, phase: Phase) -> FaultReason {
    FaultReason::OutOfPhase { kind, phase }
}

#[test]
fn a_missing_dealer_is_left_behind_by_t_guardians() {
    let mut world = World::new(4);
    for from in [1, 2, 3] {
        assert_eq!(world.phase(), Phase::Dealing);
        world.post(from, Item::Close);
    }
    // The marks have no effect before there are enough dealings.
    assert_eq!(world.phase(), Phase::Dealing);
    world.post_due(&[2]);
    assert_eq!(world.phase(), Phase::Verdicts);
    assert_eq!(world.dealers(), [1, 3, 4]);
    let late = world.dealing(2);
    world.post(2, Item::Dealing(late));
    let late = out_of_phase(ItemKind::Dealing, Phase::Verdicts);
    assert!(!late.is_cheating());
    assert_eq!(world.faults(), [(2, late)]);
    // It gets its shares and must confirm like everybody else.
    world.post_due(&[2]);
    assert_eq!(world.ceremonies[0].progress().waiting_for, [index(2)]);
    assert_eq!(world.phase(), Phase::Verdicts);
    world.post_due(&[]);
    world.confirm();
    world.assert_keys_work();
}

#[test]
fn fewer_than_t_marks_close_nothing() {
    let mut world = World::new(4);
    world.post_due(&[2]);
    world.post(1, Item::Close);
    world.post(3, Item::Close);
    world.post(3, Item::Close);
    assert_eq!(
        world.faults(),
        [(3, FaultReason::Repetition(ItemKind::Close))]
    );
    let progress = world.ceremonies[1].progress();
    assert_eq!(progress.phase, Phase::Dealing);
    assert_eq!(progress.waiting_for, [index(2)]);
    assert_eq!(progress.closing, [index(1), index(3)]);
    assert_eq!(progress.dealers, [index(1), index(3), index(4)]);
    world.post(2, Item::Close);
    assert_eq!(world.phase(), Phase::Verdicts);
}

#[test]
fn too_few_valid_dealings_end_it() {
    let mut world = World::new(4);
    for from in [1, 2] {
        let mut dealing = world.dealing(from);
        dealing.shares.clear();
        world.post(from, Item::Dealing(dealing));
    }
    let failure = Failure::TooFewDealers {
        dealers: vec![],
        need: 3,
    };
    assert_eq!(world.failure(), failure);
    assert!(world.ceremonies.iter().all(|c| c.due().is_none()));
}

#[test]
fn second_items_are_ignored() {
    let mut world = World::new(4);
    let (dealing, other) = (world.dealing(1), world.wrong_for(1, &[2]));
    world.post(1, Item::Dealing(dealing.clone()));
    world.post(1, Item::Dealing(dealing));
    world.post(1, Item::Dealing(other));
    let repeated = FaultReason::Repetition(ItemKind::Dealing);
    let other = FaultReason::Equivocation(ItemKind::Dealing);
    assert!(!repeated.is_cheating() && other.is_cheating());
    assert_eq!(world.faults(), [(1, repeated), (1, other)]);
    world.post_due(&[]);
    let verdict = Item::Verdict(world.ceremonies[0].verdict().unwrap());
    world.post(1, verdict.clone());
    world.post(1, verdict);
    world.post_due(&[]);
    world.confirm();
    world.assert_keys_work();
    assert_eq!(world.faults().len(), 3);
}

#[test]
fn items_out_of_phase_are_ignored() {
    let mut world = World::new(4);
    let mut other = World::new(4);
    other.post_due(&[]);
    let early = Item::Verdict(other.ceremonies[0].verdict().unwrap());
    world.post(1, early);
    world.post(2, Item::Confirm([5; 32]));
    world.post_due(&[]);
    world.post(3, Item::Close);
    world.post(3, Item::Confirm([5; 32]));
    world.post_due(&[]);
    world.post(4, Item::Close);
    world.confirm();
    world.post(1, Item::Close);
    let expected = [
        (1, out_of_phase(ItemKind::Verdict, Phase::Dealing)),
        (2, out_of_phase(ItemKind::Confirm, Phase::Dealing)),
        (3, out_of_phase(ItemKind::Close, Phase::Verdicts)),
        (3, out_of_phase(ItemKind::Confirm, Phase::Verdicts)),
        (4, out_of_phase(ItemKind::Close, Phase::Confirming)),
        (1, out_of_phase(ItemKind::Close, Phase::Done)),
    ];
    let cheating = expected.clone().map(|(_, reason)| reason.is_cheating());
    assert_eq!(cheating, [true, true, false, true, false, false]);
    assert_eq!(world.faults(), expected);
    world.assert_keys_work();
}

#[test]
fn strangers_are_ignored() {
    let mut world = World::new(4);
    world.post(5, Item::Close);
    let dealing = world.dealing(1);
    world.post(32, Item::Dealing(dealing));
    let expected = [(5, FaultReason::Stranger), (32, FaultReason::Stranger)];
    assert_eq!(world.faults(), expected);
}

/// Guardians who were shown different logs cannot get as far as keys.
#[test]
fn a_verdict_on_another_log_is_none() {
    let (mut world, mut other) = (World::new(4), World::new(4));
    world.post_due(&[]);
    for from in [2, 1, 3, 4] {
        let dealing = other.dealing(from);
        other.post(from, Item::Dealing(dealing));
    }
    let theirs = other.ceremonies[0].verdict().unwrap();
    let ours = world.ceremonies[0].verdict().unwrap().transcript.0;
    world.post(1, Item::Verdict(theirs.clone()));
    let theirs = theirs.transcript.0;
    let fault = FaultReason::Transcript { theirs, ours };
    assert_eq!(world.faults(), [(1, fault)]);
    assert_eq!(world.ceremonies[0].progress().waiting_for.len(), 4);
}

#[test]
fn different_configurations_end_it() {
    let mut world = World::new(4);
    world.post_due(&[]);
    world.post_due(&[]);
    world.post(1, Item::Confirm([5; 32]));
    world.post(2, Item::Confirm([5; 32]));
    world.post(3, Item::Confirm([6; 32]));
    let failure = Failure::Disagreement((index(1), [5; 32]), (index(3), [6; 32]));
    assert_eq!(world.failure(), failure);
    assert!(failure.to_string().starts_with("guardian 1 confirmed 0505"));
}

#[test]
fn faults_are_kept_up_to_a_limit() {
    let mut world = World::new(1);
    for _ in 0..100 {
        world.post(1, Item::Confirm([5; 32]));
        assert_eq!(world.last.len(), 1);
    }
    world.post(2, Item::Close);
    assert_eq!(world.faults().len(), 65);
}
