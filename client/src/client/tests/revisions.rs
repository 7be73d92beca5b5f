//! Fees that guardians have agreed to change, and guardians that lie about it.

use guildmint_core::{
    api::RevisionsAnswer, ledger::Row, limits::MAX_REVISIONS_IN_ANSWER, module::Revised, Amount,
    Conditions, Latest, PeerId, Revision, SignedRevision, Transaction, Values, Wire,
};
use guildmint_ln::{LnFees, LnTerms};
use guildmint_mint::MintConditions;
use guildmint_wallet::{WalletConditions, WalletConfig};
use serde_json::json;

use super::{
    fake::{identity, Fake, Mood, LN, LN_ROWS, MINT, MINT_ROWS, WALLET},
    world::User,
    *,
};
use crate::{
    rows::{Coin, CoinRow},
    ApiRequest,
};

/// What a guardian of this mood tells.
pub fn answer(fake: &Fake, after: u32, mood: Mood) -> Json {
    let all = fake.revisions.iter().cloned();
    let mut revisions: Vec<SignedRevision> = all
        .filter(|signed| signed.revision.number > after)
        .take(MAX_REVISIONS_IN_ANSWER)
        .collect();
    let latest = fake.revisions.len() as u32;
    match mood {
        Mood::Forgets => json!(RevisionsAnswer {
            latest: 0,
            revisions: vec![],
        }),
        Mood::Garbage => json!({ "latest": "x" }),
        // The first one again, whatever was asked for.
        Mood::Slow => json!(RevisionsAnswer {
            latest,
            revisions: fake.revisions.iter().take(1).cloned().collect(),
        }),
        _ => {
            if let (Mood::Invents, Some(signed)) = (mood, revisions.first_mut()) {
                signed.revision.values.name = "evil".into();
            }
            json!(RevisionsAnswer { latest, revisions })
        }
    }
}

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

/// Guardians agree to take so much for each note, and for a peg-out.
fn revise(fake: &mut Fake, name: &str, note_msat: u64, peg_out_msat: u64) {
    revise_all(fake, name, (note_msat, peg_out_msat, 0));
}

/// And for each contract of Lightning.
pub fn revise_all(
    fake: &mut Fake,
    name: &str,
    (note_msat, peg_out_msat, ln_msat): (u64, u64, u64),
) {
    let genesis = &fake.genesis;
    let wallet = WalletConfig::decode(&genesis.modules[&WALLET].config).unwrap();
    let mint = MintConditions {
        input_fee: msat(note_msat),
        output_fee: msat(note_msat),
    };
    let wallet = WalletConditions {
        peg_out_fee: msat(peg_out_msat),
        ..WalletConditions::from(&wallet)
    };
    let last = fake.revisions.last();
    let latest = last.map_or(Latest::founding(genesis), |last| Latest::of(&last.revision));
    let mint = Conditions(mint.encode());
    let ln = LnTerms {
        fees: LnFees {
            offer: msat(ln_msat),
            contract: msat(ln_msat),
            spend: msat(ln_msat),
            announcement: msat(ln_msat),
        },
    };
    let ln = Conditions(ln.encode());
    let revision = Revision {
        number: latest.number + 1,
        previous: latest.hash,
        values: Values {
            name: name.into(),
            guardians: (0..4).map(|n| format!("{name} {n}")).collect(),
            conditions: [
                (MINT, mint.clone()),
                (WALLET, Conditions(wallet.encode())),
                (LN, ln.clone()),
            ]
            .into(),
        },
    };
    let sign = |peer| {
        (
            PeerId(peer),
            revision.sign(genesis.session, &identity(PeerId(peer))),
        )
    };
    let signatures = [0, 1, 3].map(sign).into();
    fake.revisions.push(SignedRevision {
        revision,
        signatures,
    });
    fake.peg_out_fee = msat(peg_out_msat);
    for (scope, conditions) in [(MINT_ROWS, mint), (LN_ROWS, ln)] {
        let mut row = Vec::new();
        guildmint_core::encoding::write(&mut row, &conditions);
        fake.rows.0.insert(Revised.key(scope), row);
    }
}

/// Two wallets; the first has money, and knows of no revision.
fn world() -> World {
    let mut world = World::standard();
    world.fund(0, 5_000);
    world.pass(0, 31_000);
    world
}

/// Transactions that the first wallet submitted, each once, in their order.
fn submitted(world: &World) -> Vec<Transaction> {
    let mut all: Vec<Transaction> = Vec::new();
    for (_, request) in &world.users[0].asked {
        if let ApiRequest::Submit(bytes) = request {
            let transaction = Transaction::decode(bytes).unwrap();
            if !all.contains(&transaction) {
                all.push(transaction);
            }
        }
    }
    all
}

fn name(world: &World) -> String {
    world.users[0].client.federation().name
}

#[test]
fn a_wallet_with_old_fees_learns_the_new_ones_and_pays_by_them_once() {
    let mut world = world();
    revise(&mut world.fake, "new", 1_000, 50_000);
    let operation = world.start(0, withdraw(FEE_SAT));
    let view = world.end(0, operation);
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    assert_eq!(world.fake.paid_out.len(), 1);
    assert_eq!(world.fake.owed_msat(), world.balance(0));
    let view = world.users[0].client.federation();
    assert_eq!((view.revision, view.name.as_str()), (1, "new"));
    assert_eq!(view.guardians[&2].name, "new 2");
    // What follows is right at once, also in a program that is started again.
    world.restart(0);
    let before = world.fake.refusals.len();
    let (_, notes) = handed(&mut world, 0, 100);
    let operation = world.start(1, Command::Receive { notes });
    assert_eq!(world.end(1, operation).phase, Phase::Done);
    assert_eq!(world.fake.owed_msat(), world.balance(0) + world.balance(1));
    assert!(
        world.fake.refusals[before..].len() <= 4,
        "only the second wallet's"
    );
}

/// The first note of each value of the first wallet.
fn oldest_notes(world: &World) -> Vec<CoinRow> {
    let mut coins = world.users[0].client.rows.scan::<CoinRow>();
    coins.sort_by_key(|(coin, _)| (coin.0.denomination, coin.0.index));
    coins.dedup_by_key(|(coin, _)| coin.0.denomination);
    coins.into_iter().map(|(coin, _)| coin).collect()
}

fn mark(world: &mut World, coins: &[CoinRow], spent_by: Option<TxId>) {
    let rows = &mut world.users[0].client.rows;
    for coin in coins {
        let note = rows.get(coin).unwrap().note;
        rows.put(coin, &Coin { note, spent_by });
    }
}

/// ⚠ Or whoever has kept the old one has both happen, once the old fees are back.
#[test]
fn a_payment_made_anew_spends_all_that_the_old_one_would_have_spent() {
    let mut world = world();
    world.fund(0, 5_000);
    let first = submitted(&world).len();
    // The oldest note of each value is taken, and free again when the payment is made anew: it would be picked now, but must not be.
    let oldest = oldest_notes(&world);
    mark(&mut world, &oldest, Some(TxId([9; 32])));
    revise(&mut world.fake, "new", 1_000, 50_000);
    let operation = world.start(0, withdraw(FEE_SAT));
    mark(&mut world, &oldest, None);
    world.end(0, operation);
    let made = submitted(&world).split_off(first);
    let [old, new] = &made[..] else {
        panic!("{} were submitted", made.len());
    };
    assert!(old.inputs.iter().all(|input| new.inputs.contains(input)));
    assert_eq!(old.outputs[0], new.outputs[0]);
    revise(&mut world.fake, "old", 0, 0);
    let again = ApiRequest::Submit(old.encode());
    let answer = world.fake.answer(PeerId(1), &again).unwrap();
    assert_eq!(answer["code"], "note_spent", "{answer}");
}

/// Nobody else is there to say what is true.
#[test]
fn a_revision_that_was_changed_on_the_way_is_not_believed() {
    let mut world = world();
    revise(&mut world.fake, "new", 0, 0);
    world.fake.moods = vec![Mood::Forgets, Mood::Invents, Mood::Forgets, Mood::Forgets];
    ask_all(&mut world);
    assert_eq!(name(&world), "test");
    world.fake.moods[3] = Mood::Honest;
    ask_all(&mut world);
    assert_eq!(name(&world), "new");
}

/// A day later all guardians are asked.
fn ask_all(world: &mut World) {
    world.now = world.now.after_ms(48 * 3_600_000);
    world.restart(0);
    world.pass(0, 60_000);
}

#[test]
fn liars_neither_hide_nor_invent_a_revision_nor_take_one_back() {
    for mood in [
        Mood::Forgets,
        Mood::Invents,
        Mood::Garbage,
        Mood::Slow,
        Mood::Down,
    ] {
        let mut world = world();
        world.fake.moods[1] = mood;
        revise(&mut world.fake, "first", 1_000, 0);
        revise(&mut world.fake, "second", 2_000, 0);
        let operation = world.start(0, withdraw(FEE_SAT));
        assert_eq!(world.end(0, operation).phase, Phase::Done, "{mood:?}");
        assert_eq!(name(&world), "second", "{mood:?}");
        world.restart(0);
        world.pass(0, 60_000);
        assert_eq!(world.users[0].client.federation().revision, 2, "{mood:?}");
    }
}

#[test]
fn a_revision_that_too_few_have_signed_changes_nothing() {
    let mut world = world();
    revise(&mut world.fake, "new", 0, 0);
    world.fake.revisions[0].signatures.remove(&PeerId(3));
    world.fake.moods[0] = Mood::Down;
    ask_all(&mut world);
    assert_eq!(name(&world), "test");
    let key = identity(PeerId(3));
    let session = world.fake.genesis.session;
    let signed = &mut world.fake.revisions[0];
    let signature = signed.revision.sign(session, &key);
    signed.signatures.insert(PeerId(3), signature);
    ask_all(&mut world);
    assert_eq!(name(&world), "new");
}

#[test]
fn a_long_chain_is_fetched_to_its_end() {
    let mut world = world();
    let many = 2 * MAX_REVISIONS_IN_ANSWER as u64 + 3;
    for number in 1..=many {
        revise(&mut world.fake, &number.to_string(), number, 0);
    }
    let operation = world.start(0, withdraw(FEE_SAT));
    assert_eq!(world.end(0, operation).phase, Phase::Done);
    assert_eq!(name(&world), many.to_string());
}

#[test]
fn what_was_received_and_deposited_arrives_by_the_new_fees() {
    let mut world = world();
    let (_, notes) = handed(&mut world, 0, 1_000);
    world.pass(1, 31_000);
    revise(&mut world.fake, "new", 1_000, 0);
    let operation = world.start(1, Command::Receive { notes });
    let view = world.end(1, operation);
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    let arrived = world.balance(1);
    assert!((900_000..1_000_000).contains(&arrived), "{arrived}");
    assert_eq!(view.details["amount_msat"], arrived);
    assert_eq!(view.details["fee_msat"], 1_000_000 - arrived);
    let mut world = self::world();
    revise(&mut world.fake, "new", 1_000, 0);
    let before = world.balance(0);
    let view = world.fund(0, 3_000);
    assert_eq!(view.phase, Phase::Done, "{view:?}");
    assert_eq!(view.details["amount_msat"], world.balance(0) - before);
    assert_eq!(world.fake.owed_msat(), world.balance(0));
}

#[test]
fn what_cannot_be_paid_any_more_comes_back() {
    let mut world = world();
    revise(&mut world.fake, "dear", 100, 4_000_000);
    let operation = world.start(
        0,
        Command::Withdraw {
            address: ADDRESS.into(),
            amount: sat(4_000),
            fee: sat(FEE_SAT),
        },
    );
    let view = world.end(0, operation);
    assert_eq!(view.phase, Phase::Failed, "{view:?}");
    world.pass(0, 60_000);
    assert_eq!(world.fake.paid_out, []);
    assert_eq!(world.fake.owed_msat(), world.balance(0));
    assert!(world.balance(0) > 4_990_000, "{}", world.balance(0));
}

#[test]
fn a_crash_while_a_payment_is_made_anew_pays_once_and_loses_nothing() {
    for save in 1..8 {
        for crash in [Crash::BeforeSave(save), Crash::AfterSave(save)] {
            let mut world = world();
            revise(&mut world.fake, "new", 1_000, 50_000);
            let operation = world.start(0, withdraw(FEE_SAT));
            world.users[0].crash(crash);
            let view = world.end(0, operation);
            assert_eq!(view.phase, Phase::Done, "{crash:?}: {view:?}");
            assert_eq!(world.fake.paid_out.len(), 1, "{crash:?}");
            assert_eq!(world.fake.owed_msat(), world.balance(0), "{crash:?}");
        }
    }
}

/// The guardians of the first wallet are asked, and have all told.
fn is_told(user: &User) -> bool {
    user.client.is_up_to_date()
}

#[test]
fn who_wants_to_know_what_has_changed_knows_it_all_once_the_wallet_says_so() {
    let mut world = world();
    world.fake.moods[0] = Mood::Forgets;
    let many = 2 * MAX_REVISIONS_IN_ANSWER as u64 + 3;
    for number in 1..=many {
        revise(&mut world.fake, &number.to_string(), number, 0);
    }
    assert!(is_told(&world.users[0]), "nobody is asked");
    world.command(0, Command::Refresh).unwrap();
    assert!(!is_told(&world.users[0]));
    world.run(0, is_told);
    assert_eq!(name(&world), many.to_string());
    // Nobody waits for ever for guardians that are not there.
    world.fake.moods = vec![Mood::Down; 4];
    world.command(0, Command::Refresh).unwrap();
    world.run(0, is_told);
}

#[test]
fn a_guardian_that_says_by_which_revision_it_goes_makes_the_wallet_ask() {
    let mut world = world();
    world.command(0, Command::Info).unwrap();
    assert!(is_told(&world.users[0]), "nothing is new");
    revise(&mut world.fake, "new", 0, 0);
    world.command(0, Command::Info).unwrap();
    world.run(0, is_told);
    assert_eq!(name(&world), "new");
}

#[test]
fn a_chain_that_cannot_be_looked_at_makes_the_wallet_ask_whether_another_server_is_named() {
    let mut world = world();
    let operation = world.start(0, Command::DepositAddress);
    revise(&mut world.fake, "new", 0, 0);
    let result = Err("nobody answers".to_owned());
    world.deliver(0, Event::Chain { operation, result });
    world.run(0, is_told);
    assert_eq!(name(&world), "new");
}
