//! Damage to encodings.

use rand::Rng;

/// The same bytes, damaged: bits, bytes or lengths changed, a part lost or doubled, or other bytes altogether.
pub fn damage(bytes: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    for _ in 0..rng.gen_range(1..4) {
        damage_once(&mut damaged, rng);
    }
    damaged
}

fn damage_once(bytes: &mut Vec<u8>, rng: &mut impl Rng) {
    if bytes.is_empty() {
        let len = rng.gen_range(0..40);
        bytes.extend((0..len).map(|_| rng.gen::<u8>()));
        return;
    }
    let at = rng.gen_range(0..bytes.len());
    match rng.gen_range(0..8) {
        0 => bytes[at] ^= 1 << rng.gen_range(0..8),
        1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.gen_range(0..5)],
        2 => bytes.truncate(at),
        3 => bytes.push(rng.gen()),
        4 => drop(bytes.remove(at)),
        // What may be a length or an amount becomes huge.
        5 => bytes[at..].iter_mut().take(8).for_each(|byte| *byte = 0xff),
        6 => bytes[at..].iter_mut().take(8).for_each(|byte| *byte = 0),
        _ => {
            let end = bytes.len().min(at + rng.gen_range(1..33));
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
    }
}
