//! Amounts on pages.

use guildmint_core::{api::AuditAnswer, Audit};
use maud::{html, Markup};

use super::kit::table;
use crate::WalletFacts;

const MSAT_PER_SAT: u64 = 1_000;

/// Satoshi, with commas.
pub(super) fn sat(sat: u64) -> String {
    format!("{} sat", grouped(sat))
}

/// Millisatoshi, as satoshi with as many places as it takes.
pub(super) fn msat(msat: u64) -> String {
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

/// What is owned and owed, by module.
pub(super) fn balance(audit: Option<&AuditAnswer>) -> Markup {
    let Some(audit) = audit else {
        return html! { p.bad { "Not known now." } };
    };
    let row = |name: &str, part: &Audit| {
        vec![
            html! { (name) },
            html! { (msat(part.assets_msat)) },
            html! { (msat(part.liabilities_msat)) },
            html! { (difference(part)) },
        ]
    };
    let all = Audit {
        assets_msat: audit.assets_msat,
        liabilities_msat: audit.liabilities_msat,
    };
    let modules = audit.modules.iter().map(|(name, part)| row(name, part));
    let rows: Vec<_> = modules.chain([row("all", &all)]).collect();
    html! {
        (table(&["", "Owned", "Owed", "Difference"], &rows, "Nothing."))
        p.quiet {
            @match audit.epoch { Some(epoch) => { "After epoch " (epoch.0) ", " }, None => "Before the first epoch, " }
            @match &audit.certificate {
                Some(certificate) => { "signed by " (certificate.signatures.len()) " guardians." }
                None => "not signed by enough guardians yet.",
            }
        }
    }
}

/// Modules alone may owe more than they own: what one takes in, another owes.
fn difference(part: &Audit) -> String {
    match part.assets_msat.checked_sub(part.liabilities_msat) {
        Some(surplus) => msat(surplus),
        None => format!("−{}", msat(part.liabilities_msat - part.assets_msat)),
    }
}

/// The federation's unspent outputs.
pub(super) fn coins(wallet: &WalletFacts) -> Markup {
    let rows: Vec<_> = wallet
        .coins
        .iter()
        .map(|coin| {
            vec![
                html! { code { (coin.outpoint) } },
                html! { (sat(coin.amount_sat)) },
                html! { @if coin.confirmed { "confirmed" } @else { "change of a withdrawal" } },
            ]
        })
        .collect();
    html! {
        (table(&["Output", "Amount", "State"], &rows, "No coins."))
        @if wallet.more_coins { p.quiet { "There are more: " code { "/v1/wallet/utxos" } " on the public interface has all of them." } }
    }
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
        let part = Audit {
            assets_msat: 1,
            liabilities_msat: 2_000,
        };
        assert_eq!(difference(&part), "−1.999 sat");
    }
}
