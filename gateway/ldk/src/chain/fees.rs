//! What miners ask, as LDK wants to know it: at once, from memory.

use std::sync::{Mutex, PoisonError};

use bitcoin::{FeeRate, Network};
use electrum_client::{Client, ElectrumApi as _};
use lightning::chain::chaininterface::{
    ConfirmationTarget, FeeEstimator, FEERATE_FLOOR_SATS_PER_KW,
};

/// LDK's purposes, within how many blocks each wants to be confirmed, and what is assumed without an estimate, in satoshi per 1000 units
/// of weight.
const TARGETS: [(ConfirmationTarget, usize, u32); 8] = [
    (ConfirmationTarget::MaximumFeeEstimate, 1, 20_000),
    (ConfirmationTarget::UrgentOnChainSweep, 6, 5000),
    (
        ConfirmationTarget::MinAllowedAnchorChannelRemoteFee,
        1008,
        FEERATE_FLOOR_SATS_PER_KW,
    ),
    (
        ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee,
        144,
        FEERATE_FLOOR_SATS_PER_KW,
    ),
    (ConfirmationTarget::AnchorChannelFee, 1008, 500),
    (ConfirmationTarget::NonAnchorChannelFee, 12, 1000),
    (ConfirmationTarget::ChannelCloseMinimum, 144, 500),
    (ConfirmationTarget::OutputSpendingFee, 12, 1000),
];
/// What is assumed on regtest, where Electrum asks for 45,000 whatever it costs.
const REGTEST_MAXIMUM: u32 = 65_000;

/// The rates of the last look.
pub(crate) struct Fees {
    rates: Mutex<Rates>,
    network: Network,
}

#[derive(Debug, Clone, Copy)]
struct Rates {
    sat_per_kw: [u32; TARGETS.len()],
    estimated: bool,
}

impl Fees {
    pub(crate) fn new(network: Network) -> Self {
        let rates = Rates {
            sat_per_kw: std::array::from_fn(|place| rate(place, None, network)),
            estimated: false,
        };
        Self {
            rates: Mutex::new(rates),
            network,
        }
    }

    fn rates(&self) -> Rates {
        *self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the server. What it cannot say stays as it was.
    pub(crate) fn update(&self, client: &Client) -> Result<(), electrum_client::Error> {
        let mut rates = self.rates();
        let mut all = true;
        for (place, (_, blocks, _)) in TARGETS.iter().enumerate() {
            // -1 says that the server does not know.
            let btc_per_kvb = client.estimate_fee(*blocks)?;
            let estimate = sat_per_kw(btc_per_kvb);
            all &= estimate.is_some();
            if estimate.is_some() {
                rates.sat_per_kw[place] = rate(place, estimate, self.network);
            }
        }
        rates.estimated |= all;
        *self.rates.lock().unwrap_or_else(PoisonError::into_inner) = rates;
        Ok(())
    }

    /// Whether it is known what miners ask: without, no money is put into channels on a network where it is worth something.
    pub(crate) fn are_known(&self) -> bool {
        self.network == Network::Regtest || self.rates().estimated
    }

    /// For the wallet's own transactions.
    pub(crate) fn wallet_rate(&self) -> FeeRate {
        let target = ConfirmationTarget::OutputSpendingFee;
        FeeRate::from_sat_per_kwu(self.get_est_sat_per_1000_weight(target).into())
    }
}

impl FeeEstimator for Fees {
    fn get_est_sat_per_1000_weight(&self, target: ConfirmationTarget) -> u32 {
        let place = TARGETS.iter().position(|(known, ..)| *known == target);
        place.map_or(FEERATE_FLOOR_SATS_PER_KW, |place| {
            self.rates().sat_per_kw[place]
        })
    }
}

/// BTC per 1000 virtual bytes is what servers say; a virtual byte is four units of weight.
fn sat_per_kw(btc_per_kvb: f64) -> Option<u32> {
    let rate = btc_per_kvb * 25_000_000.0;
    // A server that says more than 2500 sat per virtual byte is wrong.
    (rate > 0.0 && rate < 625_000.0).then_some(rate as u32)
}

fn rate(place: usize, estimate: Option<u32>, network: Network) -> u32 {
    let (target, _, assumed) = &TARGETS[place];
    let rate = estimate.unwrap_or(*assumed);
    let rate = match target {
        // Room for peers who estimate otherwise.
        ConfirmationTarget::MaximumFeeEstimate => {
            let rate = rate.saturating_add(rate / 10).saturating_add(2500);
            match network {
                Network::Regtest => rate.max(REGTEST_MAXIMUM),
                _ => rate,
            }
        }
        ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee => rate.saturating_sub(250),
        _ => rate,
    };
    rate.max(FEERATE_FLOOR_SATS_PER_KW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_does_not_know_is_no_rate() {
        for nonsense in [-1.0, 0.0, f64::NAN, f64::INFINITY, 1.0] {
            assert_eq!(sat_per_kw(nonsense), None, "{nonsense}");
        }
        // 10 sat per virtual byte.
        assert_eq!(sat_per_kw(0.0001), Some(2500));
    }

    #[test]
    fn no_rate_is_below_what_is_relayed_and_the_maximum_leaves_room() {
        let at = |target, estimate, network| {
            let place = TARGETS.iter().position(|(known, ..)| *known == target);
            rate(place.unwrap_or_default(), estimate, network)
        };
        let minimum = ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee;
        assert_eq!(
            at(minimum, Some(300), Network::Bitcoin),
            FEERATE_FLOOR_SATS_PER_KW
        );
        let maximum = ConfirmationTarget::MaximumFeeEstimate;
        assert_eq!(at(maximum, Some(10_000), Network::Bitcoin), 13_500);
        assert!(at(maximum, Some(10_000), Network::Regtest) > 45_000);
        assert!(!Fees::new(Network::Bitcoin).are_known());
    }
}
