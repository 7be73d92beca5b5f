//! Key generation: the processor time of one guardian, from the first item to the keys.

use cpu_time::ThreadTime;
use guildmint_tbs::dkg::{Ceremony, EncryptionSecret, Item, Params};

type Error = Box<dyn std::error::Error>;

const KEYS: u16 = 40;

/// Guardians, and the processor time that is aimed at.
const AIMS: [(u16, f64); 4] = [(4, 5.0), (7, f64::NAN), (10, f64::NAN), (20, 60.0)];

/// Seconds of one guardian's processor time for each step.
struct Times {
    deal: f64,
    check: f64,
    verdicts: f64,
    largest_item: usize,
}

fn timed<T>(total: &mut f64, run: impl FnOnce() -> T) -> T {
    let start = ThreadTime::now();
    let result = run();
    *total += start.elapsed().as_secs_f64();
    result
}

fn measure(guardians: u16) -> Result<Times, Error> {
    let secret = |i: u16| EncryptionSecret::from_uniform_bytes(&[i as u8; 64]);
    let secrets: Vec<_> = (1..=guardians).map(secret).collect::<Result<_, _>>()?;
    let keys = secrets.iter().map(EncryptionSecret::public_key).collect();
    let threshold = guardians - (guardians - 1) / 3;
    let params = Params::new([7; 32], threshold, keys, KEYS)?;
    let new = |(i, secret)| Ceremony::new(params.clone(), secret, &[i; 32]);
    let mut others = (1..).zip(secrets).map(new).collect::<Result<Vec<_>, _>>()?;
    let mut guardian = others.remove(0);
    let me = guardian.me();

    let mut times = Times {
        deal: 0.0,
        check: 0.0,
        verdicts: 0.0,
        largest_item: Item::max_len(threshold, guardians, KEYS),
    };
    let own = timed(&mut times.deal, || guardian.deal());
    timed(&mut times.check, || guardian.handle(me, Item::Dealing(own)));
    for other in &others {
        let dealing = Item::Dealing(other.deal());
        timed(&mut times.check, || guardian.handle(other.me(), dealing));
    }
    // Honest verdicts have the same words.
    let verdict = Item::Verdict(guardian.verdict().ok_or("dealings are missing")?);
    for from in params.guardians() {
        let verdict = verdict.clone();
        timed(&mut times.verdicts, || guardian.handle(from, verdict));
    }
    for from in params.guardians() {
        guardian.handle(from, Item::Confirm([5; 32]));
    }
    let keys = guardian.outcome().ok_or("items are missing")??;
    assert_eq!(keys.len(), usize::from(KEYS));
    Ok(times)
}

fn main() -> Result<(), Error> {
    println!("Key generation, {KEYS} keys, processor seconds of one guardian");
    println!("guardians    deal   check     sum   total     aim   dealing");
    for (guardians, aim) in AIMS {
        let times = measure(guardians)?;
        let total = times.deal + times.check + times.verdicts;
        let aim = if aim.is_nan() {
            "-".into()
        } else {
            format!("< {aim:.0}")
        };
        println!(
            "{guardians:>9}{:>8.2}{:>8.2}{:>8.2}{total:>8.2}{aim:>8}{:>7.1} kB",
            times.deal,
            times.check,
            times.verdicts,
            times.largest_item as f64 / 1e3
        );
    }
    Ok(())
}
