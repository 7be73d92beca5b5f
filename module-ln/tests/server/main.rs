//! The guardians' side, through the core's ledger.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod contracts;
mod gateways;
mod offers;
mod shares;

use common::{gateway, guardian, keys, quorum, World, SCOPE};
use guildmint_core::{
    ledger::{Base, Key, Ledger, Memory},
    module::{BuildError, Reject, ServerModule},
    OutPoint, PeerId, Quorum, TxId, Wire,
};
use guildmint_ln::{ConfigError, ContractId, Ln, LnInput, LnOutput, LnSecret, Witness};

fn code<T: std::fmt::Debug>(result: Result<T, Reject>) -> String {
    result.unwrap_err().code
}

fn gateway_input(contract: ContractId, witness: Witness) -> LnInput {
    let key = gateway().x_only_public_key().0;
    LnInput {
        contract,
        key,
        witness,
    }
}

/// The user's claim, with the wallet's own preimage and key.
fn claim(world: &World, index: u64, contract: ContractId) -> LnInput {
    world.user.claim(index, contract).unwrap()
}

#[test]
fn time_limits_pass_with_the_clock_and_an_epoch_without_it_writes_nothing() {
    let world = World::new();
    let mut ledger = Ledger::new(&world.rows);
    world.ln().settle(&mut ledger.view(SCOPE), world.at());
    assert!(ledger.finish().unwrap().is_empty());
}

#[test]
fn an_item_names_the_rows_that_it_reads() {
    let mut world = World::new();
    let (contract, _) = world.pay();
    let stored = world.offer(1);
    world.accept(&LnOutput::Offer(stored)).unwrap();
    let at = world.at();
    let out_point = OutPoint {
        txid: TxId([9; 32]),
        index: 0,
    };
    let outputs = [
        LnOutput::Offer(world.offer(2)),
        LnOutput::Incoming(World::incoming(world.offer(3))),
    ];
    for output in &outputs {
        let hinted = world.ln().output_rows(SCOPE, output);
        let known = Known(&world.rows, hinted);
        let mut ledger = Ledger::new(&known);
        world
            .ln()
            .accept(&mut ledger.view(SCOPE), output, out_point, at)
            .unwrap();
        let missing = ledger.finish();
        // Only the row of the new contract itself, whose name is not known before.
        match output {
            LnOutput::Incoming(_) => assert!(missing.is_err()),
            _ => assert!(missing.is_ok()),
        }
    }
    let input = gateway_input(contract, Witness::Preimage(world.user.preimage(8)));
    let known = Known(&world.rows, world.ln().input_rows(SCOPE, &input));
    let mut ledger = Ledger::new(&known);
    world
        .ln()
        .spend(&mut ledger.view(SCOPE), &input, at)
        .unwrap();
    assert!(ledger.finish().is_ok());
}

/// Rows of which those that are not resident are known only if they were hinted at.
struct Known<'a>(&'a Memory, Vec<Key>);

impl Base for Known<'_> {
    fn get(&self, key: &Key) -> Option<Option<&[u8]>> {
        match key.is_resident() || self.1.contains(key) {
            true => self.0.get(key),
            false => None,
        }
    }

    fn scan<'a>(&'a self, prefix: &[u8]) -> Box<dyn Iterator<Item = (&'a Key, &'a [u8])> + 'a> {
        self.0.scan(prefix)
    }
}

#[test]
fn a_guardian_starts_with_its_own_share_of_the_federations_key() {
    let (config, secrets) = keys();
    let build =
        |me, secret: &LnSecret| Ln::new(guardian(PeerId(me)), config.clone(), secret.clone());
    assert!(build(0, &secrets[0]).is_ok());
    let stolen = build(1, &secrets[0]).unwrap_err();
    assert!(matches!(stolen, BuildError::Contradiction { .. }));
    assert_eq!(config.validate(quorum()), Ok(()));
    let seven = config.validate(Quorum::new(7).unwrap());
    let expected = 5;
    let threshold = 3;
    assert_eq!(
        seven,
        Err(ConfigError::Threshold {
            threshold,
            expected
        })
    );
    let again = LnSecret::decode(&secrets[2].encode()).unwrap();
    assert!(build(2, &again).is_ok());
    assert!(!format!("{:?}", secrets[0]).contains(&hex::encode(*secrets[0].share.to_bytes())));
}
