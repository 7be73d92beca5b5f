//! Errands' names follow from what they are for.

use guildmint_client::ErrandName;
use guildmint_core::{FederationId, Tagged};
use guildmint_ln::{ContractId, OfferId};

/// What an errand is for. ⚠ With the number of the try it makes the name: what has no errand under any number was never begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Fund(OfferId),
    Claim(ContractId),
    Refund(ContractId),
    Announce(u64),
}

impl Purpose {
    pub(crate) fn name(self, federation: FederationId, attempt: u32) -> ErrandName {
        let hash = Tagged::new("guildmint/gateway/errand").add(federation);
        let hash = match self {
            Self::Fund(offer) => hash.add("fund").add(offer),
            Self::Claim(contract) => hash.add("claim").add(contract),
            Self::Refund(contract) => hash.add("refund").add(contract),
            Self::Announce(number) => hash.add("announce").add(number.to_be_bytes()),
        };
        ErrandName(hash.add(attempt.to_be_bytes()).finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_name_matters() {
        let (one, other) = (FederationId([1; 32]), FederationId([2; 32]));
        let names = [
            Purpose::Fund([1; 32].into()).name(one, 0),
            Purpose::Fund([1; 32].into()).name(one, 1),
            Purpose::Fund([1; 32].into()).name(other, 0),
            Purpose::Fund([2; 32].into()).name(one, 0),
            Purpose::Claim([1; 32].into()).name(one, 0),
            Purpose::Refund([1; 32].into()).name(one, 0),
            Purpose::Announce(1).name(one, 0),
            Purpose::Announce(2).name(one, 0),
        ];
        for (place, name) in names.iter().enumerate() {
            assert!(!names[..place].contains(name));
        }
    }
}
