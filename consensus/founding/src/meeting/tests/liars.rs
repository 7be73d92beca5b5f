//! What one guardian says for which there is no other place: each is named, and nobody else.

use super::*;

/// Makes a statement false.
type Damage = fn(&mut Statement);

#[test]
fn what_is_for_another_session_or_not_for_each_module_names_its_guardian() {
    let wrong: [(Damage, &str); 3] = [
        (
            |said| {
                if let Statement::Opening(opening) = said {
                    opening.session.0[0] ^= 1;
                }
            },
            "opening is for another session",
        ),
        (
            |said| {
                if let Statement::Answers(answers) = said {
                    answers.session.0[0] ^= 1;
                }
            },
            "answers is for another session",
        ),
        (
            |said| {
                if let Statement::Opening(opening) = said {
                    opening.announcements.remove(&ModuleId(0));
                }
            },
            "something for each module",
        ),
    ];
    for (change, expected) in wrong {
        let mut table = Table::new(4);
        table.propose_and_confirm();
        with_another_word(&mut table, change, |_| true);
        let failure = &table.failures()[0];
        let is_named = failure.contains("(guardian 3)") && failure.contains(expected);
        assert!(is_named, "{failure}");
    }
}

/// Each looks at the part of an answer that is for itself alone: what others got must be the same nevertheless.
#[test]
fn who_answers_some_otherwise_than_others_is_found_out() {
    let mut table = Table::new(4);
    table.propose_and_confirm();
    let change = |statement: &mut Statement| {
        if let Statement::Answers(answers) = statement {
            // After two numbers of eight bytes, four ciphertexts of one length.
            let bytes = &mut answers.answers[0].0;
            let length = (bytes.len() - 16) / 4;
            let (first, third) = (16, 16 + 2 * length);
            for at in 0..length {
                bytes.swap(first + at, third + at);
            }
        }
    };
    with_another_word(&mut table, change, |to| to == PeerId(1));
    for failure in table.failures().iter().take(3) {
        assert!(failure.contains("two different things"), "{failure}");
    }
    assert!(table.meetings.iter().all(|one| one.agreed().is_none()));
}

#[test]
fn nobody_is_framed_and_what_cannot_be_is_not_confirmed() {
    let mut table = Table::new(4);
    let (roster, identity) = (
        table.meetings[3].roster.clone(),
        table.meetings[3].identity.clone(),
    );
    let propose = |number, name: &str| {
        let proposal = proposal(name);
        Said::sign(&roster, Statement::Proposal { number, proposal }, &identity)
    };
    let (good, nameless) = (propose(0, "test"), propose(1, ""));
    for said in [&good, &nameless, &propose(MAX_PROPOSALS, "one too many")] {
        table.meetings[0].take(PeerId(3), &Packet::Said(Box::new(said.clone())).encode());
    }
    assert_eq!(table.meetings[0].progress().proposals.len(), 2);
    let session = proposal("").session(&roster);
    let refused = table.meetings[0].confirm(session);
    assert!(
        matches!(refused, Err(ConfirmError::Proposal(_))),
        "{refused:?}"
    );

    let mut forged = good;
    forged.statement = nameless.statement;
    if let Statement::Proposal { number, .. } = &mut forged.statement {
        *number = 0;
    }
    let evidence = Packet::Evidence(Box::new(forged.clone())).encode();
    assert_eq!(table.meetings[0].take(PeerId(2), &evidence), []);
    assert_eq!(table.meetings[0].failure(), None);
    let damaged = Meeting::new(
        roster.clone(),
        table.meetings[3].seed.clone(),
        founders(),
        [forged],
    );
    assert_eq!(damaged.err(), Some(MeetingError::Damaged));
}
