//! Play money does what every module must do.
#![allow(clippy::unwrap_used)]

use bitcoin::secp256k1::{Keypair, Message};
use guildmint_core::{Amount, Item, PeerId, Quorum};
use guildmint_kit::{
    conformance::{Dealt, Subject, World, MODULE},
    play::{Burn, Mint, Nothing, PlayConfig, PlayMoney, Seen},
    rand::{seq::SliceRandom, Rng},
    ChaCha20Rng,
};

struct Players {
    fee_msat: u64,
}

impl Subject for Players {
    type Module = PlayMoney;
    const SEEDS: u64 = 24;

    fn deal(quorum: Quorum, _: &mut ChaCha20Rng) -> Dealt<PlayMoney> {
        let config = PlayConfig {
            fee_msat: 7,
            ..PlayConfig::default()
        };
        (config, vec![Nothing; quorum.guardians()])
    }

    fn begin(_: &World<PlayMoney>, config: &PlayConfig) -> Self {
        Self {
            fee_msat: config.fee_msat,
        }
    }

    fn act(&mut self, world: &mut World<PlayMoney>, rng: &mut ChaCha20Rng) {
        for peer in world.quorum().peers() {
            if rng.gen() {
                world.news(peer, &Seen(rng.gen_range(0..50)));
            }
        }
        for _ in 0..rng.gen_range(0..5) {
            if rng.gen() {
                self.mint(world, rng);
            } else {
                burn(world, rng);
            }
        }
        let name: u64 = rng.gen_range(0..20);
        let peer = world.quorum().peers().collect::<Vec<PeerId>>();
        let peer = *peer.choose(rng).unwrap();
        let answer = world.query(peer, &format!("minted/{name}"), &[]);
        assert!(answer.unwrap().unwrap().is_boolean());
    }
}

impl Players {
    /// Mints under one of few names, so that many are used before; sometimes without a proof.
    fn mint(&self, world: &mut World<PlayMoney>, rng: &mut ChaCha20Rng) {
        let secret = [rng.gen_range(1..9); 32];
        let pair = Keypair::from_seckey_slice(secp256k1::SECP256K1, &secret).unwrap();
        let signed: bool = rng.gen();
        let amount = amount(rng);
        let mint = Mint {
            name: rng.gen_range(0..20),
            amount,
            key: signed.then(|| pair.x_only_public_key().0),
            honest: rng.gen_range(0..5) > 0,
        };
        let left = amount.msat() - self.fee_msat;
        let out = world.pay_out(Amount::from_msat(left).unwrap());
        let sign = |message| secp256k1::SECP256K1.sign_schnorr_no_aux_rand(&message, &pair);
        let _ = world.submit(vec![Item::new(MODULE, &mint)], vec![out], |txid| {
            vec![signed.then(|| sign(Message::from_digest(txid.0)))]
        });
    }
}

/// Burns play money, or more than there is.
fn burn(world: &mut World<PlayMoney>, rng: &mut ChaCha20Rng) {
    let amount = amount(rng);
    let burn = Burn {
        amount,
        padding: vec![1; rng.gen_range(0..9)],
    };
    let input = world.pay_in(amount);
    let _ = world.submit(vec![input], vec![Item::new(MODULE, &burn)], |_| vec![None]);
}

fn amount(rng: &mut ChaCha20Rng) -> Amount {
    Amount::from_msat(rng.gen_range(1_000..5_000)).unwrap()
}

guildmint_kit::conformance!(Players);
