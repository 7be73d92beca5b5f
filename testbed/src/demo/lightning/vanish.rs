//! A gateway that is gone for longer than money is locked for it, and what becomes of its channel.

use std::thread;

use anyhow::{anyhow, ensure, Context, Result};
use bitcoin::Amount;
use guildmint_testbed::{
    control::{control, Order},
    electrum::NAME,
    federation::FINALITY_BLOCKS,
};

use super::Town;

/// What alice would have paid through a gateway that vanishes. Less would be dust where miners ask as much as Electrum believes on regtest.
const VANISHED: Amount = Amount::from_sat(100_000);
/// Blocks for which money is locked for a gateway, and some more. A gateway that has vanished cannot keep it for longer.
const LOCKED_BLOCKS: u64 = 1_020;
/// Blocks that are mined at a time, so that the others keep up.
const MINED_AT_ONCE: u64 = 60;
/// What closing one channel alone, and sweeping what is in it, may cost one side, in millisatoshi: Electrum's fees on regtest are high.
const CLOSING_MSAT: i128 = 200_000_000;
/// Blocks that are mined between two looks at a channel that is being closed.
const BETWEEN_LOOKS: u64 = 10;
/// What nodes have on the chain and in channels, in millisatoshi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wealth {
    gateways: i128,
    electrum: i128,
}

impl Town<'_> {
    /// Gives what nodes had before.
    pub(super) fn vanish(&self) -> Result<(String, Wealth)> {
        let (electrum, before) = (&self.nodes.electrum, self.wealth()?);
        electrum.hold(true)?;
        let invoice = electrum.invoice(VANISHED, "never claimed")?;
        let pay = [
            "ln",
            "pay",
            &invoice.text,
            "--yes",
            "--gateway",
            &self.keys[1],
            "--timeout",
            "20s",
        ];
        let paid = thread::scope(|scope| {
            let paying = scope.spawn(|| self.alice(&pay));
            let held = self.wait_until_held(VANISHED);
            held.and_then(|()| self.control(1, Order::Kill))?;
            paying.join().map_err(|_| anyhow!("alice's thread"))
        })?;
        ensure!(paid.is_err(), "nobody could say that it was paid");
        // ⚠ Whoever claims it is paid by a gateway that cannot claim its own part any more.
        electrum.fail(true)?;
        electrum.hold(false)?;
        for _ in 0..LOCKED_BLOCKS.div_ceil(MINED_AT_ONCE) {
            self.demo.faucet.mine(MINED_AT_ONCE)?;
            self.demo
                .wait("guardians who see the blocks", || self.seen())?;
        }
        self.alice(&["ln", "refund"])?;
        let cost = self.refunded(&self.demo.alice)?;
        let figure = format!("all back but {cost} msat of the federation's");
        Ok((figure, before))
    }

    /// Whether the federation's clock is at the end of the chain, less what buries it.
    fn seen(&self) -> Result<Option<()>> {
        let height = self.demo.rpc.tip()?.height;
        let status = self.demo.guardians[0].get("/v1/status")?;
        let clock = status["block_height"]
            .as_u64()
            .or_else(|| status["height"].as_u64());
        let clock = clock.with_context(|| format!("no height: {status}"))?;
        Ok((clock + FINALITY_BLOCKS + 1 >= height).then_some(()))
    }

    /// Its channel was closed meanwhile, since what was in flight was over; both have theirs on the chain.
    pub(super) fn come_back(&self, before: Wealth) -> Result<String> {
        // ⚠ Electrum still has the preimage, and when all is over may claim what the gateway takes back: whoever is away for longer than HTLCs are
        // locked for depends on the payee. Here the payee is away, too.
        self.control_electrum(Order::Kill)?;
        self.control(1, Order::Start)?;
        let gateway = &self.nodes.gateways[1];
        let over = self.demo.wait("end of the payment", || {
            self.nodes.mine_for_gateways(BETWEEN_LOOKS)?;
            let payments = gateway.payments()?;
            let open = payments["open"].as_array().context("a list")?;
            Ok(open.iter().all(|it| it["state"] == "open").then_some(()))
        });
        over?;
        self.control_electrum(Order::Start)?;
        let mut last = before;
        let settled = self.demo.wait("end of what was in flight", || {
            self.nodes.mine(BETWEEN_LOOKS)?;
            let (status, now) = (gateway.status()?, self.wealth()?);
            last = now;
            let lost = [now.gateways, now.electrum];
            let had = [before.gateways, before.electrum];
            let right = lost
                .iter()
                .zip(had)
                .all(|(now, had)| (had - CLOSING_MSAT..=had).contains(now));
            let over = status.node.balances.closing_msat == 0;
            Ok((right && over).then_some(now))
        });
        let now = settled.with_context(|| format!("{before:?} is {last:?}"))?;
        self.nodes.electrum.fail(false)?;
        let cost_msat = before.gateways - now.gateways;
        Ok(format!("closing a channel has cost it {cost_msat} msat"))
    }

    fn control_electrum(&self, order: Order) -> Result<()> {
        Ok(control(self.directory, NAME, order, &self.demo.stop)?)
    }

    fn wealth(&self) -> Result<Wealth> {
        let mut gateways = 0;
        for gateway in &self.nodes.gateways {
            let balances = gateway.status()?.node.balances;
            gateways += i128::from(balances.total_msat());
        }
        let balance = self.nodes.electrum.balance()?;
        Ok(Wealth {
            gateways,
            electrum: i128::from(balance.total_msat()),
        })
    }
}
