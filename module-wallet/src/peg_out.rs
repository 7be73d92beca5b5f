//! Payments on the chain (SPEC WAL-6).

use bitcoin::{address::NetworkUnchecked, Address, AddressType, Network, ScriptBuf};
use guildmint_core::{Amount, Wire};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::MAX_ADDRESS_CHARS;

/// A payment to an address, at the price of a quote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Wire)]
#[wire(version = 1, max_bytes = 256)]
pub struct PegOut {
    /// Where to, as an address and not as a script: only an address says which network it is meant for.
    pub address: String,
    /// What arrives, in satoshi.
    pub amount_sat: u64,
    /// What miners are paid for it, in satoshi: at least the quote.
    pub fee_sat: u64,
}

/// Why a peg-out cannot be paid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PegOutError {
    /// Not an address.
    #[error("{address:?} is no bitcoin address: {problem}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The same address written in another way.
    #[error("the address must be written {0}")]
    NotCanonical(String),
    /// An address of another network.
    #[error("{address} is not an address on {network}")]
    OtherNetwork {
        /// The address.
        address: String,
        /// The federation's network.
        network: Network,
    },
    /// A kind of address that nodes may not relay payments to: one of them would hold up everybody in its transaction.
    #[error("payments to addresses like {0} are not relayed everywhere")]
    OtherKind(String),
    /// So little that nodes do not relay it.
    #[error("{amount_sat} sat is dust; at least {min_sat} sat must be paid to this address")]
    Dust {
        /// What was to arrive, in satoshi.
        amount_sat: u64,
        /// The least for this kind of address, in satoshi.
        min_sat: u64,
    },
    /// More than all bitcoin.
    #[error("{amount_sat} sat and {fee_sat} sat of fee are more than all bitcoin")]
    TooMuch {
        /// What was to arrive, in satoshi.
        amount_sat: u64,
        /// The fee, in satoshi.
        fee_sat: u64,
    },
}

impl PegOut {
    /// What the peg-out takes: payment and miners' fee.
    ///
    /// # Errors
    /// If that is more than all bitcoin.
    pub fn total(&self) -> Result<Amount, PegOutError> {
        self.amount_sat
            .checked_add(self.fee_sat)
            .and_then(|sat| Amount::from_sat(sat).ok())
            .ok_or(PegOutError::TooMuch {
                amount_sat: self.amount_sat,
                fee_sat: self.fee_sat,
            })
    }

    /// Checks all that needs no knowledge of the federation's coins, and gives the script to pay to.
    ///
    /// # Errors
    /// If nothing could make it payable.
    pub fn check(&self, network: Network) -> Result<ScriptBuf, PegOutError> {
        self.total()?;
        let script = recipient(&self.address, network)?;
        let min_sat = script.minimal_non_dust().to_sat();
        if self.amount_sat < min_sat {
            return Err(PegOutError::Dust {
                amount_sat: self.amount_sat,
                min_sat,
            });
        }
        Ok(script)
    }
}

/// The script behind an address of this network.
pub(crate) fn recipient(address: &str, network: Network) -> Result<ScriptBuf, PegOutError> {
    let shown: String = address.chars().take(MAX_ADDRESS_CHARS).collect();
    let unreadable = |problem: String| PegOutError::Address {
        address: shown.clone(),
        problem,
    };
    if address.len() > MAX_ADDRESS_CHARS {
        return Err(unreadable(format!("longer than {MAX_ADDRESS_CHARS}")));
    }
    let unchecked: Address<NetworkUnchecked> = address
        .parse()
        .map_err(|error: bitcoin::address::ParseError| unreadable(error.to_string()))?;
    let checked = unchecked
        .require_network(network)
        .map_err(|_| PegOutError::OtherNetwork {
            address: shown.clone(),
            network,
        })?;
    if checked.to_string() != address {
        return Err(PegOutError::NotCanonical(checked.to_string()));
    }
    match checked.address_type() {
        Some(
            AddressType::P2pkh
            | AddressType::P2sh
            | AddressType::P2wpkh
            | AddressType::P2wsh
            | AddressType::P2tr,
        ) => Ok(checked.script_pubkey()),
        _ => Err(PegOutError::OtherKind(shown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAPROOT: &str = "bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6";
    const SEGWIT: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

    fn check(address: &str, amount_sat: u64) -> Result<ScriptBuf, PegOutError> {
        let peg_out = PegOut {
            address: address.into(),
            amount_sat,
            fee_sat: 100,
        };
        assert_eq!(PegOut::decode(&peg_out.encode()), Ok(peg_out.clone()));
        peg_out.check(Network::Regtest)
    }

    #[test]
    fn dust_depends_on_the_address() {
        assert!(check(SEGWIT, 294).is_ok());
        assert!(matches!(check(SEGWIT, 293), Err(PegOutError::Dust { .. })));
        assert!(check(TAPROOT, 330).is_ok());
        assert!(matches!(check(TAPROOT, 329), Err(PegOutError::Dust { .. })));
    }

    #[test]
    fn other_networks_kinds_and_forms_are_refused() {
        let mainnet = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
        assert!(matches!(
            check(mainnet, 1000),
            Err(PegOutError::OtherNetwork { .. })
        ));
        let upper = SEGWIT.to_uppercase();
        assert_eq!(
            check(&upper, 1000),
            Err(PegOutError::NotCanonical(SEGWIT.into()))
        );
        assert!(matches!(
            check("nonsense", 1000),
            Err(PegOutError::Address { .. })
        ));
        let long = "1".repeat(MAX_ADDRESS_CHARS + 1);
        assert!(matches!(
            check(&long, 1000),
            Err(PegOutError::Address { .. })
        ));
        assert!(matches!(
            check(SEGWIT, u64::MAX),
            Err(PegOutError::TooMuch { .. })
        ));
    }
}
