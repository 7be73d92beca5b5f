//! Reading invoices before money goes out on them.

use bitcoin::{hashes::Hash as _, Network};
use guildmint_gateway::node::{PaymentHash, PaymentOrder, Refusal};
use lightning::bolt11_invoice::{Bolt11Invoice, Currency, ParseOrSemanticError};

/// Bytes of an invoice as text. BOLT11 sets no limit; this is what fits into a large QR code.
pub(crate) const MAX_BYTES: usize = 7089;

/// An invoice, if it is the one that the order means.
pub(crate) fn read(order: &PaymentOrder, network: Network) -> Result<Bolt11Invoice, Refusal> {
    let malformed = |reason: String| Refusal::Malformed {
        what: "the invoice".to_owned(),
        reason,
    };
    if order.invoice.len() > MAX_BYTES {
        return Err(malformed(format!("it is longer than {MAX_BYTES} bytes")));
    }
    let invoice: Result<Bolt11Invoice, ParseOrSemanticError> = order.invoice.parse();
    let invoice = invoice.map_err(|error| malformed(error.to_string()))?;
    if invoice.currency() != Currency::from(network) {
        return Err(Refusal::OtherNetwork(format!("{:?}", invoice.currency())));
    }
    let hash = PaymentHash(invoice.payment_hash().to_byte_array());
    if hash != order.hash {
        return Err(Refusal::OtherHash {
            invoice: hash,
            order: order.hash,
        });
    }
    match invoice.amount_milli_satoshis() {
        Some(invoice_msat) if invoice_msat != order.amount_msat => Err(Refusal::OtherAmount {
            invoice_msat,
            order_msat: order.amount_msat,
        }),
        None if order.amount_msat == 0 => Err(malformed("it is to be paid with nothing".into())),
        _ => Ok(invoice),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A line of the vectors, in words.
    fn vectors(verdict: &str) -> Vec<Vec<&'static str>> {
        let lines = include_str!("bolt11.txt").lines();
        let words = lines.map(|line| line.split(' ').collect::<Vec<_>>());
        words.filter(|words| words[0] == verdict).collect()
    }

    fn order(hash: &str, amount_msat: u64, invoice: &str) -> PaymentOrder {
        PaymentOrder {
            hash: hash.parse().unwrap(),
            invoice: invoice.to_owned(),
            amount_msat,
            max_fee_msat: 1,
            max_total_cltv_delta: 1000,
        }
    }

    #[test]
    fn valid_invoices_are_read_as_what_they_are() {
        let vectors = vectors("valid");
        assert!(vectors.len() >= 15, "{}", vectors.len());
        for words in vectors {
            let (network, other) = match words[1] {
                "bitcoin" => (Network::Bitcoin, Network::Testnet),
                _ => (Network::Testnet, Network::Bitcoin),
            };
            let amount_msat = words[3].parse().unwrap_or(7000);
            let order = order(words[2], amount_msat, words[4]);
            assert!(read(&order, network).is_ok(), "{}", words[4]);
            assert!(matches!(read(&order, other), Err(Refusal::OtherNetwork(_))));
            let mut wrong = order.clone();
            wrong.hash.0[0] ^= 1;
            assert!(matches!(
                read(&wrong, network),
                Err(Refusal::OtherHash { .. })
            ));
            let mut wrong = order;
            wrong.amount_msat -= 1;
            let read = read(&wrong, network);
            match words[3] {
                "-" => assert!(read.is_ok()),
                _ => assert!(matches!(read, Err(Refusal::OtherAmount { .. }))),
            }
        }
    }

    #[test]
    fn invalid_invoices_are_refused() {
        let vectors = vectors("invalid");
        assert!(vectors.len() >= 8, "{}", vectors.len());
        for words in vectors {
            let order = order(&"00".repeat(32), 1, words[2]);
            let refused = read(&order, Network::Bitcoin);
            assert!(
                matches!(refused, Err(Refusal::Malformed { .. })),
                "{}",
                words[1]
            );
        }
    }

    #[test]
    fn garbage_is_refused_whatever_its_length() {
        for garbage in ["", "lnbc", "lno1qcp4256ypq", &"l".repeat(MAX_BYTES + 1)] {
            let refused = read(&order(&"00".repeat(32), 1, garbage), Network::Bitcoin);
            assert!(matches!(refused, Err(Refusal::Malformed { .. })));
        }
    }

    #[test]
    fn an_invoice_that_leaves_the_amount_open_is_not_paid_with_nothing() {
        let vectors = vectors("valid");
        let open = vectors.iter().find(|words| words[3] == "-").unwrap();
        let refused = read(&order(open[2], 0, open[4]), Network::Bitcoin);
        assert!(matches!(refused, Err(Refusal::Malformed { .. })));
    }
}
