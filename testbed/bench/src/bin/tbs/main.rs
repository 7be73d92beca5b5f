//! Threshold blind signatures: ours, the plain way, and `blst`, in one run.

mod assembler;
mod plain;

use cpu_time::ThreadTime;
use guildmint_tbs::{
    blind, combine_and_unblind, dealer, sign_share, verify, verify_batch, verify_share,
    BlindedMessage, BlindingKey, Message, PreparedKeySet, PreparedPublicKey, SecretKeyShare,
    ShareIndex, Signature, SignatureShare,
};
use rand_chacha::rand_core::SeedableRng;
use rand_chacha::ChaCha20Rng;

type Error = Box<dyn std::error::Error>;

const NOTES: usize = 100;
const THRESHOLD: u16 = 3;
const GUARDIANS: u16 = 4;
const ROUNDS: usize = 15;

/// One denomination with notes, and one note in the making.
struct Fixture {
    keys: PreparedKeySet,
    guardian: SecretKeyShare,
    notes: Vec<(Message, Signature)>,
    blinding_key: BlindingKey,
    blinded: BlindedMessage,
    shares: Vec<(ShareIndex, SignatureShare)>,
}

impl Fixture {
    fn new(seed: u64) -> Result<Self, Error> {
        let (keys, guardians) =
            dealer::deal(THRESHOLD, GUARDIANS, &mut ChaCha20Rng::seed_from_u64(seed))?;
        let blinding_key = BlindingKey::from_uniform_bytes(&[3; 64])?;
        let sign = |message: &Message| -> Vec<_> {
            let blinded = blind(message, &blinding_key);
            let signers = guardians.iter().take(THRESHOLD.into());
            signers
                .map(|key| (key.index(), sign_share(key, &blinded)))
                .collect()
        };
        let note = |i: usize| -> Result<_, Error> {
            let message = Message::note(&[i as u8; 32]);
            let signature = combine_and_unblind(THRESHOLD, &sign(&message), &blinding_key)?;
            Ok((message, signature))
        };
        let notes: Vec<_> = (0..NOTES).map(note).collect::<Result<_, _>>()?;
        let (blinded, shares) = (blind(&notes[0].0, &blinding_key), sign(&notes[0].0));
        let guardian = guardians.into_iter().next().ok_or("no guardian")?;
        Ok(Self {
            keys: keys.into(),
            guardian,
            notes,
            blinding_key,
            blinded,
            shares,
        })
    }

    fn claims(&self) -> Vec<(&PreparedPublicKey, &Message, &Signature)> {
        self.notes
            .iter()
            .map(|(message, signature)| (self.keys.aggregate(), message, signature))
            .collect()
    }
}

/// One operation in each of its implementations, and the least time each has taken, in µs.
struct Row<'a> {
    name: &'static str,
    runs: [Option<Box<dyn Fn() -> bool + 'a>>; 3],
    least_us: [f64; 3],
}

impl<'a> Row<'a> {
    fn new(name: &'static str, ours: impl Fn() -> bool + 'a) -> Self {
        Self {
            name,
            runs: [Some(Box::new(ours)), None, None],
            least_us: [f64::INFINITY; 3],
        }
    }

    fn plain(mut self, run: impl Fn() -> bool + 'a) -> Self {
        self.runs[1] = Some(Box::new(run));
        self
    }

    fn blst(mut self, run: impl Fn() -> bool + 'a) -> Self {
        self.runs[2] = Some(Box::new(run));
        self
    }

    fn measure(&mut self) -> Result<(), Error> {
        for (run, least_us) in self.runs.iter().zip(&mut self.least_us) {
            let Some(run) = run else { continue };
            let start = ThreadTime::now();
            let right = run();
            let us = start.elapsed().as_secs_f64() * 1e6;
            if !right {
                return Err(format!("{}: wrong result", self.name).into());
            }
            *least_us = least_us.min(us);
        }
        Ok(())
    }

    fn print(&self) {
        let [ours, plain, blst] = self.least_us;
        let cell = |us: f64| {
            if us.is_finite() {
                format!("{us:.0}")
            } else {
                "–".into()
            }
        };
        let ratio = |ratio: f64| {
            if ratio.is_normal() {
                format!("{ratio:.2}")
            } else {
                "–".into()
            }
        };
        println!(
            "{:<28} {:>9} {:>9} {:>9} {:>12} {:>12} {:>10}",
            self.name,
            cell(ours),
            cell(plain),
            cell(blst),
            ratio(plain / ours),
            ratio(ours / plain),
            ratio(ours / blst),
        );
    }
}

fn main() -> Result<(), Error> {
    let tiers = (0..10).map(Fixture::new).collect::<Result<Vec<_>, _>>()?;
    let one = &tiers[0];
    let plain = plain::Plain::new(
        one.keys.keys(),
        &one.guardian,
        &one.blinded,
        &one.shares,
        &one.notes,
    )?;
    let assembler = assembler::Assembler::new(one.keys.aggregate().key(), &one.notes)?;
    let claims = one.claims();
    let mixed: Vec<_> = (0..NOTES)
        .map(|i| {
            (
                tiers[i % 10].keys.aggregate(),
                &tiers[i % 10].notes[i].0,
                &tiers[i % 10].notes[i].1,
            )
        })
        .collect();
    let (message, signature) = &one.notes[0];
    let own_key = one.guardian.public_key_share();

    let mut rows = [
        Row::new("blind", || blind(message, &one.blinding_key) == one.blinded)
            .plain(|| plain.blind()),
        Row::new("sign a share", || {
            sign_share(&one.guardian, &one.blinded) == one.shares[0].1
        })
        .plain(|| plain.sign_share()),
        Row::new("verify a share", || {
            verify_share(&own_key, &one.blinded, &one.shares[0].1)
        })
        .plain(|| plain.verify_share(0)),
        Row::new("combine 3 and unblind", || {
            combine_and_unblind(THRESHOLD, &one.shares, &one.blinding_key) == Ok(*signature)
        })
        .plain(|| plain.combine_and_unblind()),
        Row::new("finalize 3 of 4", || {
            one.keys.finalize(message, &one.blinding_key, &one.shares) == Ok(*signature)
        })
        .plain(|| plain.finalize()),
        Row::new("verify a note", || {
            verify(one.keys.aggregate(), message, signature)
        })
        .plain(|| plain.verify(0))
        .blst(|| assembler.verify(0)),
        Row::new("verify 100 notes, 1 key", || verify_batch(&claims))
            .plain(|| (0..NOTES).all(|i| plain.verify(i)))
            .blst(|| assembler.verify_batch()),
        Row::new("verify 100 notes, 10 keys", || verify_batch(&mixed)),
    ];
    for _ in 0..ROUNDS {
        rows.iter_mut().try_for_each(Row::measure)?;
    }
    println!(
        "{:<28} {:>9} {:>9} {:>9} {:>12} {:>12} {:>10}",
        "µs of processor time", "ours", "plain", "blst", "plain/ours", "ours/plain", "ours/blst"
    );
    rows.iter().for_each(Row::print);
    Ok(())
}
