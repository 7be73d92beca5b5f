//! What every module must do, with stories about lockers.
#![allow(clippy::unwrap_used)]

use bitcoin::secp256k1::{Keypair, Message};
use guildmint_core::{Amount, Item, OutPoint, PeerId, Quorum, TxId};
use guildmint_kit::{
    conformance::{Dealt, Subject, World, MODULE},
    rand::{seq::SliceRandom, Rng},
    ChaCha20Rng,
};
use guildmint_module_empty::{Lock, Lockers, LockersConfig, NoSecret, Unlock};
use secp256k1::SECP256K1;

/// Two people who lock money in and take it out.
struct Users {
    fee: Amount,
    pending: Vec<(TxId, Lock)>,
    locked: Vec<(OutPoint, Lock)>,
}

fn person(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[byte; 32]).unwrap()
}

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

impl Subject for Users {
    type Module = Lockers;

    fn deal(quorum: Quorum, _: &mut ChaCha20Rng) -> Dealt<Lockers> {
        let config = LockersConfig { fee: msat(3) };
        (config, vec![NoSecret; quorum.guardians()])
    }

    fn begin(_: &World<Lockers>, config: &LockersConfig) -> Self {
        Self {
            fee: config.fee,
            pending: Vec::new(),
            locked: Vec::new(),
        }
    }

    fn act(&mut self, world: &mut World<Lockers>, rng: &mut ChaCha20Rng) {
        for (txid, lock) in std::mem::take(&mut self.pending) {
            assert!(world.was_accepted(txid));
            self.locked.push((OutPoint { txid, index: 0 }, lock));
        }
        for _ in 0..rng.gen_range(0..4) {
            self.lock(world, rng);
        }
        // Money that was taken out is taken out again, and refused.
        for _ in 0..rng.gen_range(0..4) {
            self.unlock(world, rng);
        }
    }
}

impl Users {
    fn lock(&mut self, world: &mut World<Lockers>, rng: &mut ChaCha20Rng) {
        let lock = Lock {
            amount: msat(rng.gen_range(0..9_000)),
            key: person(rng.gen_range(1..3)).x_only_public_key().0,
        };
        let input = world.pay_in(lock.amount.checked_add(self.fee).unwrap());
        let output = Item::new(MODULE, &lock);
        match world.submit(vec![input], vec![output], |_| vec![None]) {
            Ok(txid) => self.pending.push((txid, lock)),
            Err(reject) => assert_eq!(reject.code, "nothing_to_lock"),
        }
    }

    /// Somebody opens a locker, which need not be theirs.
    fn unlock(&self, world: &mut World<Lockers>, rng: &mut ChaCha20Rng) {
        let Some((locked, lock)) = self.locked.choose(rng) else {
            return;
        };
        let path = format!("locked/{locked}");
        let answer = world.query(PeerId(0), &path, &[]).unwrap().unwrap();
        let pair = person(rng.gen_range(1..3));
        let unlock = Unlock {
            locked: *locked,
            key: pair.x_only_public_key().0,
        };
        let output = world.pay_out(lock.amount);
        let sign = |txid: TxId| {
            let message = Message::from_digest(txid.0);
            vec![Some(SECP256K1.sign_schnorr_no_aux_rand(&message, &pair))]
        };
        let verdict = world.submit(vec![Item::new(MODULE, &unlock)], vec![output], sign);
        let mine = lock.key == unlock.key && !answer.is_null();
        assert_eq!(verdict.is_ok(), mine, "{verdict:?}");
    }
}

guildmint_kit::conformance!(Users);
