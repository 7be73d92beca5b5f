//! Amounts on pages.

use guildmint_core::{api::AuditAnswer, Audit};
use maud::{html, Markup};

use guildmint_daemon::pages::{
    kit::table,
    money::{msat, sat},
};

use crate::WalletFacts;

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
    fn a_module_may_owe_more_than_it_owns() {
        let part = Audit {
            assets_msat: 1,
            liabilities_msat: 2_000,
        };
        assert_eq!(difference(&part), "−1.999 sat");
    }
}
