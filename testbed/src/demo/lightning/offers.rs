//! BOLT12 offers, which can be paid again and again.

use anyhow::{ensure, Result};
use bitcoin::Amount;

use super::{fee_of, is_preimage, msat_of, sat, Change, Town};

/// What each payment of an offer is.
const OFFERED: Amount = Amount::from_sat(15_000);

impl Town<'_> {
    /// The second gateway's operator makes them, for the node. Alice pays through the first gateway: one of them twice, and one that leaves
    /// the amount open.
    pub(super) fn pay_offers(&self) -> Result<String> {
        let (before, issuer_msat) = (self.look()?, self.issuer_msat()?);
        let (fixed, open) = (self.offer(Some(OFFERED))?, self.offer(None)?);
        let amount = sat(OFFERED);
        let key = &self.keys[0];
        let pay = |offer| ["ln", "pay", offer, "--yes", "--gateway", key];
        let open = [&pay(&open)[..], &["--amount", &amount]].concat();
        let fixed = pay(&fixed);
        let (mut fees, mut hashes) = (0, Vec::new());
        for arguments in [&fixed[..], &fixed, &open] {
            let paid = self.alice(arguments)?;
            let hash = paid.text("payment_hash")?;
            is_preimage(&paid.text("preimage")?, &hash)?;
            fees += fee_of(&paid, OFFERED)?;
            hashes.push(hash);
        }
        let payments = hashes.len();
        hashes.dedup();
        ensure!(hashes.len() == payments, "one payment twice: {hashes:?}");
        let paid = msat_of(OFFERED) * i128::try_from(payments)?;
        let change = Change {
            alice: -(paid + fees),
            ..Change::default()
        };
        self.settle(before, change)?;
        let got = self.issuer_msat()? - issuer_msat;
        ensure!(got == paid, "the issuer has got {got} msat, not {paid}");
        Ok(format!("{payments} times {amount}, {fees} msat fees"))
    }

    /// The node must have heard of its own channel that others have heard of it.
    fn offer(&self, amount: Option<Amount>) -> Result<String> {
        self.demo
            .wait("offer", || Ok(self.nodes.gateways[1].offer(amount).ok()))
    }

    fn issuer_msat(&self) -> Result<i128> {
        let status = self.nodes.gateways[1].status()?;
        Ok(status.node.balances.channels_msat.into())
    }
}
