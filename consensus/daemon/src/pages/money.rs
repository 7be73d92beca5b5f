//! Amounts on pages.

const MSAT_PER_SAT: u64 = 1_000;

/// Satoshi, with commas.
#[must_use]
pub fn sat(sat: u64) -> String {
    format!("{} sat", grouped(sat))
}

/// Millisatoshi, as satoshi with as many places as it takes.
#[must_use]
pub fn msat(msat: u64) -> String {
    match msat % MSAT_PER_SAT {
        0 => sat(msat / MSAT_PER_SAT),
        rest => format!("{}.{rest:03} sat", grouped(msat / MSAT_PER_SAT)),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_whole_and_grouped() {
        for (amount, text) in [
            (0, "0 sat"),
            (1, "0.001 sat"),
            (999_999, "999.999 sat"),
            (1_000_000, "1,000 sat"),
            (2_100_000_000_000_000_000, "2,100,000,000,000,000 sat"),
            (u64::MAX, "18,446,744,073,709,551.615 sat"),
        ] {
            assert_eq!(msat(amount), text);
        }
    }
}
