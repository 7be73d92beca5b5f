//! Scenario 29, with real processes: words and an invite code, and nothing else.

use bitcoin::Amount;
use guildmint_testbed::{
    control::Order, federation::FINALITY_BLOCKS, stop::Stop, wallet::WalletError,
};

use super::town::{Town, LIMIT};

/// Alice's wallet is not used any more after this.
pub fn a_wallet_comes_back_from_its_words_alone(town: &Town) {
    let before = town.alice.balance_msat().unwrap();
    let deposits = town.operations(&town.alice, "deposit", "claimed").len() as u64;
    // One deposit is on its way, and notes worth 500 sat are in nobody's hands yet.
    let (_, address) = town.deposit_address();
    town.faucet.pay(&address, Amount::from_sat(5_000)).unwrap();
    town.mine(1);
    town.send(500);
    town.order("guardian-3", Order::Kill);

    let again = town.stranger("again");
    let words = town.alice.data_dir().join("wallet.seed");
    let (words, invite) = (words.to_str().unwrap(), town.invite());
    // Debug builds derive slowly, and the machine may be busy.
    let begin = [
        "restore",
        &invite,
        "--words-file",
        words,
        "--gap",
        "100",
        "--timeout",
        "1s",
    ];
    let begun = again.run(&begin).map(drop);
    assert!(
        matches!(&begun, Err(WalletError::Refused { answer, .. }) if answer.contains("pending")),
        "{begun:?}"
    );
    // Nothing is derived twice meanwhile. Then the search goes on where it was, and needs no words any more.
    let early = again.run(&["deposit", "address"]).map(drop);
    assert!(
        matches!(&early, Err(WalletError::Refused { answer, .. }) if answer.contains("not_restored")),
        "{early:?}"
    );
    let restored = Stop::default().wait(LIMIT * 2, || {
        match again.run(&["restore", "--timeout", "20s"]) {
            Ok(restored) => Ok(Some(restored)),
            Err(WalletError::Refused { answer, .. }) if answer.contains("pending") => {
                eprintln!("{answer}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    });
    let restored = restored.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(restored.number("balance_msat").unwrap(), before);
    assert_eq!(restored.number("deposits").unwrap(), deposits + 1);

    town.order("guardian-3", Order::Start);
    town.mine(FINALITY_BLOCKS);
    town.wait("the deposit", || {
        again.run(&["deposit", "status"]).unwrap();
        again.balance_msat().unwrap() == before + 5_000_000
    });
    let sent = again.run(&["send", "1234sat"]).unwrap();
    let taken = town.bob.run(&["receive", &sent.text("notes").unwrap()]);
    assert_eq!(taken.unwrap().number("amount_msat").unwrap(), 1_234_000);
}
