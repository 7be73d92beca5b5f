//! What all stories about money need.

use bitcoin::{hashes::Hash, Address, Network, PubkeyHash, ScriptBuf};
use guildmint_client::{ClientError, Command, NotesString, View};
use guildmint_core::Amount;
use guildmint_sim::{UserId, World};

pub fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat).unwrap()
}

/// An address of somebody outside.
pub fn outside(byte: u8) -> (String, ScriptBuf) {
    let hash = PubkeyHash::from_byte_array([byte; 20]);
    let address = Address::p2pkh(hash, Network::Regtest);
    (address.to_string(), address.script_pubkey())
}

/// A user takes notes that somebody gave.
pub fn receive(world: &mut World, user: UserId, notes: NotesString) -> Result<View, ClientError> {
    world.operate(user, Command::Receive { notes })
}

/// Everything owed is in somebody's wallet, and everything owned is owed or was earned in fees.
pub fn check_books(world: &mut World, users: &[UserId], earned_sat: u64) {
    world.run(10_000);
    let audit = world.audit();
    let in_wallets: u64 = users.iter().map(|user| world.balance(*user).msat()).sum();
    assert_eq!(
        audit.liabilities_msat, in_wallets,
        "what is owed is in wallets"
    );
    assert_eq!(
        audit.assets_msat - audit.liabilities_msat,
        earned_sat * 1_000
    );
    assert_eq!(world.refused_broadcasts(), [""; 0]);
    assert_eq!(world.slander(), [""; 0]);
}
