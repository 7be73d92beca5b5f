use bitcoin::{hashes::Hash, BlockHash, Network};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};

use super::*;
use crate::{config::Block, dealer};

fn client(federation: u8, seed: u8) -> WalletClient {
    let start = Block {
        height: 0,
        hash: BlockHash::all_zeros(),
    };
    let quorum = Quorum::new(4).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (config, _) = dealer::deal(Network::Regtest, start, quorum, &mut rng);
    let federation = FederationId([federation; 32]);
    WalletClient::new(federation, ModuleId(1), quorum, config, &[seed; 64]).unwrap()
}

#[test]
fn keys_differ_by_seed_federation_and_index() {
    let key = |federation, seed, index| {
        let pair = client(federation, seed).deposit_key(index).unwrap();
        pair.x_only_public_key().0
    };
    assert_eq!(key(1, 1, 1), key(1, 1, 1));
    assert_ne!(key(1, 1, 1), key(2, 1, 1));
    assert_ne!(key(1, 1, 1), key(1, 2, 1));
    assert_ne!(key(1, 1, 1), key(1, 1, 2));
}

#[test]
fn the_signature_is_of_the_deposit_key() {
    let client = client(1, 1);
    let signature = client.sign(3, TxId([8; 32])).unwrap();
    let key = client.deposit_key(3).unwrap().x_only_public_key().0;
    let message = Message::from_digest([8; 32]);
    assert!(SECP256K1.verify_schnorr(&signature, &message, &key).is_ok());
}

#[test]
fn an_address_in_capitals_is_understood() {
    let client = client(1, 1);
    let address = client.deposit_address(0).unwrap().to_string();
    let peg_out = client.peg_out(&address.to_uppercase(), 1000, 0).unwrap();
    assert_eq!(peg_out.address, address);
    assert!(client.peg_out("bcrt1qnonsense", 1000, 0).is_err());
}
