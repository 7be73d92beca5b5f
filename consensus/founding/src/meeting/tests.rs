mod liars;

use std::collections::{BTreeMap, VecDeque};

use bitcoin::{hashes::Hash, BlockHash, Network};
use guildmint_core::{
    founding::{FoundedModule as _, ModuleTerms},
    ModuleId,
};
use guildmint_mint::{Mint, MintTerms};
use guildmint_wallet::{server::Wallet, Block, WalletTerms};

use super::*;
use crate::{
    statement::{Opening, PACKET_VERSION},
    SetupCode,
};

fn founders() -> Arc<Founders> {
    Arc::new(Founders::default().with::<Mint>().with::<Wallet>())
}

fn seed(byte: u8) -> Seed {
    Seed::new([byte; 32])
}

fn code(byte: u8) -> SetupCode {
    let p2p = vec![format!("/ip4/10.0.0.{byte}/tcp/8173")];
    SetupCode::new(&seed(byte), format!("guardian-{byte}"), p2p, String::new()).unwrap()
}

fn proposal(name: &str) -> Proposal {
    let start = Block {
        height: 0,
        hash: BlockHash::all_zeros(),
    };
    let mint = MintTerms {
        denominations: MintTerms::default()
            .denominations
            .into_iter()
            .take(2)
            .collect(),
        ..MintTerms::default()
    };
    let terms = |kind: &str, terms: Vec<u8>| ModuleTerms {
        kind: kind.to_owned(),
        terms,
    };
    let wallet = WalletTerms::new(Network::Regtest, start);
    Proposal {
        name: name.to_owned(),
        network: Network::Regtest,
        epoch_floor_ms: 50,
        modules: [
            (ModuleId(0), terms("mint", mint.encode())),
            (ModuleId(1), terms("wallet", wallet.encode())),
        ]
        .into(),
    }
}

/// Guardians at one table. What they save is kept; what they send arrives, unless it is lost or changed on the way.
struct Table {
    meetings: Vec<Meeting>,
    saved: Vec<Vec<Said>>,
    under_way: VecDeque<(PeerId, PeerId, Vec<u8>)>,
}

impl Table {
    fn new(guardians: u8) -> Self {
        let codes: Vec<_> = (1..=guardians).map(code).collect();
        let mut meetings = Vec::new();
        for byte in 1..=guardians {
            let roster = Roster::new(codes.clone(), &code(byte)).unwrap();
            let (meeting, actions) = Meeting::new(roster, seed(byte), founders(), []).unwrap();
            assert_eq!(actions, []);
            meetings.push(meeting);
        }
        meetings.sort_by_key(|meeting| meeting.roster.me());
        Self {
            saved: vec![Vec::new(); meetings.len()],
            meetings,
            under_way: VecDeque::new(),
        }
    }

    fn carry_out(&mut self, of: PeerId, actions: Vec<MeetingAction>) {
        for action in actions {
            match action {
                MeetingAction::Save(said) => self.saved[usize::from(of.0)].push(*said),
                MeetingAction::Send { to, bytes } => self.under_way.push_back((of, to, bytes)),
            }
        }
    }

    fn run(&mut self, mut keeps: impl FnMut(PeerId, PeerId, &mut Vec<u8>) -> bool) {
        while let Some((from, to, mut bytes)) = self.under_way.pop_front() {
            if keeps(from, to, &mut bytes) {
                let actions = self.meetings[usize::from(to.0)].take(from, &bytes);
                self.carry_out(to, actions);
            }
        }
    }

    /// Everybody reminds everybody.
    fn remind(&mut self) {
        for from in self.peers() {
            for to in self.peers() {
                let actions = self.meetings[usize::from(from.0)].remind(to, false);
                self.carry_out(from, actions);
            }
        }
    }

    fn peers(&self) -> Vec<PeerId> {
        self.meetings[0].roster.quorum().peers().collect()
    }

    fn propose_and_confirm(&mut self) -> SessionId {
        let (session, actions) = self.meetings[0].propose(proposal("test")).unwrap();
        self.carry_out(PeerId(0), actions);
        self.run(|_, _, _| true);
        for peer in self.peers() {
            let actions = self.meetings[usize::from(peer.0)].confirm(session).unwrap();
            self.carry_out(peer, actions);
        }
        session
    }

    /// Kills a guardian and starts it again with what it saved.
    fn restart(&mut self, peer: PeerId) {
        let index = usize::from(peer.0);
        let (roster, seed) = (
            self.meetings[index].roster.clone(),
            self.meetings[index].seed.clone(),
        );
        let saved = self.saved[index].clone();
        let (meeting, actions) = Meeting::new(roster, seed, founders(), saved).unwrap();
        self.meetings[index] = meeting;
        self.carry_out(peer, actions);
    }

    fn assert_agreed(&self) {
        let first = self.meetings[0].agreed().unwrap();
        for meeting in &self.meetings {
            let agreed = meeting.agreed().unwrap();
            assert_eq!(agreed.session, first.session);
            assert_eq!(agreed.coin.public, first.coin.public);
            assert_eq!(agreed.announcements, first.announcements);
            assert_eq!(meeting.progress().stage, Stage::Agreed);
        }
    }

    fn failures(&self) -> Vec<String> {
        let failure = |meeting: &Meeting| meeting.failure().map(ToString::to_string);
        let failures = self.meetings.iter().map(failure);
        failures.map(Option::unwrap_or_default).collect()
    }
}

#[test]
fn strangers_agree_on_what_to_found() {
    for guardians in [1, 4] {
        let mut table = Table::new(guardians);
        table.propose_and_confirm();
        table.run(|_, _, _| true);
        table.assert_agreed();
        let announced = &table.meetings[0].agreed().unwrap().announcements;
        assert_eq!(announced[&ModuleId(1)].len(), usize::from(guardians));
    }
}

#[test]
fn what_is_lost_is_said_again() {
    let mut table = Table::new(4);
    table.propose_and_confirm();
    let mut number = 0;
    for _ in 0..40 {
        table.run(|_, _, _| {
            number += 1;
            number % 3 != 0
        });
        table.remind();
    }
    table.run(|_, _, _| true);
    table.assert_agreed();
}

#[test]
fn a_guardian_that_restarts_says_the_same_again() {
    let mut undisturbed = Table::new(4);
    undisturbed.propose_and_confirm();
    undisturbed.run(|_, _, _| true);
    let mut table = Table::new(4);
    table.propose_and_confirm();
    // One of them restarts after each packet that it gets, and loses what it had sent.
    while let Some((from, to, bytes)) = table.under_way.pop_front() {
        let actions = table.meetings[usize::from(to.0)].take(from, &bytes);
        table.carry_out(to, actions);
        if to == PeerId(2) && table.meetings[2].agreed().is_none() {
            table.under_way.retain(|(from, ..)| *from != PeerId(2));
            table.restart(PeerId(2));
        }
    }
    for _ in 0..5 {
        table.remind();
        table.run(|_, _, _| true);
    }
    table.assert_agreed();
    for (one, other) in table.saved.iter().zip(&undisturbed.saved) {
        let by_place = |saved: &[Said]| -> BTreeMap<_, _> {
            saved
                .iter()
                .map(|said| (said.place(), said.clone()))
                .collect()
        };
        assert_eq!(by_place(one), by_place(other));
    }
}

#[test]
fn who_has_left_is_not_waited_for() {
    let mut table = Table::new(4);
    let tell = |table: &mut Table, from: u16, to: u16| {
        let actions = table.meetings[usize::from(from)].remind(PeerId(to), true);
        table.carry_out(PeerId(from), actions);
        table.run(|_, _, _| true);
    };
    for from in [1, 2, 3] {
        tell(&mut table, from, 0);
    }
    assert!(table.meetings[0].are_others_done());
    // Guardian 3 has heard of nobody, but 0 knows of all, and so does 1; one of them alone may lie.
    tell(&mut table, 0, 3);
    assert!(!table.meetings[3].are_others_done());
    for from in [0, 2, 3] {
        tell(&mut table, from, 1);
    }
    tell(&mut table, 1, 3);
    assert!(table.meetings[3].are_others_done());
    assert!(!table.meetings[3].is_done(PeerId(2)));
}

#[test]
fn nobody_goes_on_without_all() {
    let mut table = Table::new(4);
    let (session, actions) = table.meetings[0].propose(proposal("test")).unwrap();
    table.carry_out(PeerId(0), actions);
    table.run(|_, _, _| true);
    for peer in [0, 1, 2] {
        let actions = table.meetings[peer].confirm(session).unwrap();
        table.carry_out(PeerId(peer as u16), actions);
    }
    table.run(|_, _, _| true);
    let progress = table.meetings[0].progress();
    assert_eq!(progress.stage, Stage::Confirming);
    assert_eq!(progress.waiting_for, [PeerId(3)]);
    assert!(table
        .saved
        .iter()
        .flatten()
        .all(|said| said.place().1 != Slot::Opening));
}

#[test]
fn a_changed_parameter_is_another_session() {
    let mut table = Table::new(4);
    table.propose_and_confirm();
    let late = table.meetings[3].propose(proposal("another"));
    assert_eq!(late.unwrap_err(), ProposeError::Confirmed);
    let other = proposal("another").session(table.meetings[3].roster());
    assert_eq!(table.meetings[3].confirm(other), Err(ConfirmError::Final));

    let mut table = Table::new(4);
    for (peer, name) in [(0, "test"), (3, "another")] {
        let (_, actions) = table.meetings[peer].propose(proposal(name)).unwrap();
        table.carry_out(PeerId(peer as u16), actions);
    }
    table.run(|_, _, _| true);
    for (peer, name) in [(0, "test"), (1, "test"), (2, "test"), (3, "another")] {
        let session = proposal(name).session(table.meetings[0].roster());
        let actions = table.meetings[peer].confirm(session).unwrap();
        table.carry_out(PeerId(peer as u16), actions);
    }
    table.run(|_, _, _| true);
    let progress = table.meetings[0].progress();
    assert_eq!(
        (progress.stage, progress.waiting_for),
        (Stage::Confirming, vec![PeerId(3)])
    );
    assert_eq!(progress.proposals.len(), 2);
    let phrase = |index: usize| progress.proposals[index].check_phrase.clone();
    assert_ne!(phrase(0), phrase(1));
}

/// Makes guardian 3 say something else to some.
fn with_another_word(
    table: &mut Table,
    change: impl Fn(&mut Statement),
    to: impl Fn(PeerId) -> bool,
) {
    let (roster, identity) = (
        table.meetings[3].roster.clone(),
        table.meetings[3].identity.clone(),
    );
    table.run(|from, receiver, bytes| {
        if let (PeerId(3), Ok(Packet::Said(mut said))) = (from, Packet::decode(bytes)) {
            if to(receiver) {
                change(&mut said.statement);
                let said = Said::sign(&roster, said.statement, &identity);
                *bytes = Packet::Said(Box::new(said)).encode();
            }
        }
        true
    });
}

/// The same for its opening.
fn with_another_opening(
    table: &mut Table,
    change: impl Fn(&mut Opening),
    to: impl Fn(PeerId) -> bool,
) {
    let change = |statement: &mut Statement| {
        if let Statement::Opening(opening) = statement {
            change(opening);
        }
    };
    with_another_word(table, change, to);
}

#[test]
fn a_wrong_dealing_names_its_dealer_and_nothing_comes_of_it() {
    let mut table = Table::new(4);
    table.propose_and_confirm();
    with_another_opening(&mut table, |opening| opening.part.truncate(50), |_| true);
    for (peer, failure) in table.failures().iter().enumerate().take(3) {
        assert!(failure.contains("(guardian 3) cheated"), "{failure}");
        assert!(table.meetings[peer].agreed().is_none());
        assert_eq!(table.meetings[peer].progress().stage, Stage::Failed);
    }
}

#[test]
fn a_key_that_is_none_names_its_guardian() {
    let mut table = Table::new(4);
    table.propose_and_confirm();
    let change = |opening: &mut Opening| {
        if let Some(announced) = opening.announcements.get_mut(&ModuleId(1)) {
            announced.0[0] = 9;
        }
    };
    with_another_opening(&mut table, change, |_| true);
    let failures = table.failures();
    let names = failures[0].contains("(guardian 3)") && failures[0].contains("wallet");
    assert!(names, "{}", failures[0]);
}

#[test]
fn who_tells_one_thing_to_some_and_another_to_others_is_found_out_by_all() {
    let mut table = Table::new(4);
    table.propose_and_confirm();
    // Another key for the wallet: valid in itself.
    let other = Wallet::announce(
        &WalletTerms::new(
            Network::Regtest,
            Block {
                height: 0,
                hash: BlockHash::all_zeros(),
            },
        ),
        &[9; 32],
    );
    let change = |opening: &mut Opening| {
        let announced = opening.announcements.get_mut(&ModuleId(1));
        announced.unwrap().0.clone_from(&other);
    };
    with_another_opening(&mut table, change, |to| to == PeerId(1));
    for failure in table.failures().iter().take(3) {
        assert!(
            failure.contains("(guardian 3) cheated") && failure.contains("two different things"),
            "{failure}"
        );
    }
    assert!(table
        .meetings
        .iter()
        .all(|meeting| meeting.agreed().is_none()));
}

#[test]
fn what_others_say_in_a_guardians_name_is_not_heard() {
    let mut table = Table::new(4);
    let (_, actions) = table.meetings[3].propose(proposal("test")).unwrap();
    let MeetingAction::Send { bytes, .. } = &actions[1] else {
        panic!("{actions:?}");
    };
    // Passed on by another, and changed on the way.
    assert_eq!(table.meetings[0].take(PeerId(1), bytes), []);
    let Ok(Packet::Said(mut said)) = Packet::decode(bytes) else {
        panic!("no statement");
    };
    if let Statement::Proposal { proposal, .. } = &mut said.statement {
        proposal.name = "forged".into();
    }
    let forged = Packet::Said(said).encode();
    assert_eq!(table.meetings[0].take(PeerId(3), &forged), []);
    assert_eq!(table.meetings[0].progress().proposals, []);
    assert_eq!(table.meetings[0].take(PeerId(3), &[PACKET_VERSION, 9]), []);
}

#[test]
fn proposals_that_no_federation_can_have_are_refused() {
    let mut table = Table::new(4);
    let mut refused = |change: fn(&mut Proposal)| {
        let mut proposal = proposal("test");
        change(&mut proposal);
        match table.meetings[0].propose(proposal) {
            Err(ProposeError::Proposal(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(refused(|p| p.name.clear()).contains("name"));
    assert!(refused(|p| p.epoch_floor_ms = 0).contains("0 ms"));
    let unknown = refused(|p| p.modules.get_mut(&ModuleId(0)).unwrap().kind = "ln\u{7}".into());
    assert!(unknown.contains("no module `ln\\u{7}`"), "{unknown}");
    let keyless = refused(|p| drop(p.modules.remove(&ModuleId(0))));
    assert!(keyless.contains("0 threshold keys"), "{keyless}");
    let twice = refused(|p| {
        let mint = p.modules[&ModuleId(0)].clone();
        p.modules.insert(ModuleId(2), mint);
    });
    assert!(twice.contains("two modules"), "{twice}");
    let terms = refused(|p| p.modules.get_mut(&ModuleId(1)).unwrap().terms.truncate(3));
    assert!(terms.contains("wallet"), "{terms}");
}
