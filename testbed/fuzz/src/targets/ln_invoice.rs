//! Invoices, which users paste from anywhere.

use bitcoin::Network;
use guildmint_ln::client::Invoice;

/// What is an invoice is the same one when it is read again as it was read.
pub fn target(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    for network in [Network::Bitcoin, Network::Regtest] {
        if let Ok(invoice) = Invoice::read(text, network) {
            assert_eq!(Invoice::read(&invoice.text, network), Ok(invoice));
        }
    }
}
