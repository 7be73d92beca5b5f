//! The node's money and channels, and the operator's own payments.

use std::time::{Duration, Instant};

use async_std::task;
use bitcoin::hashes::Hash as _;
use guildmint_core::api::Problem;
use guildmint_daemon::{problem, wait};
use guildmint_gateway::node::{
    ChannelId, ChannelOrder, Closing, Command, LightningNode, OwnInvoiceOrder, OwnOfferOrder,
    PaymentHash, PaymentOrder, Peer, Refusal, SentState, Withdrawal,
};
use lightning_invoice::Bolt11Invoice;
use serde::Deserialize;
use serde_json::{json, Value as Json};
use tide::Request;

use super::super::{body::body, problem as problems};
use crate::handle::Handle;

/// What a payment of the operator's may cost on its way, if nothing else is said: a hundredth, and some satoshi for small ones.
const FEE_PERCENT: u64 = 1;
const MIN_FEE_MSAT: u64 = 5_000;

/// How many blocks from now the first HTLC of such a payment may be locked, at most: LDK's own limit.
const MAX_CLTV_DELTA: u32 = 1008;

/// How often it is looked whether such a payment has ended.
const LOOK: Duration = Duration::from_millis(20);

/// For how long an invoice of the operator's is valid, if nothing else is said.
const EXPIRY_S: u32 = 60 * 60;

/// Makes a call to the node, which may wait.
async fn ask<T: Send + 'static>(
    handle: &Handle,
    call: impl FnOnce(&dyn LightningNode) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Problem> {
    let answer = handle.blocking(move |inner| call(&*inner.node)).await;
    answer.map_err(|refusal| problems::node(&refusal))
}

pub(super) async fn address(request: Request<Handle>) -> Result<Json, Problem> {
    let address = ask(request.state(), |node| node.new_address()).await?;
    Ok(json!({ "address": address }))
}

pub(super) async fn withdraw(mut request: Request<Handle>) -> Result<Json, Problem> {
    let order: Withdrawal = body(&mut request).await?;
    let txid = ask(request.state(), move |node| node.withdraw(&order)).await?;
    Ok(json!({ "txid": txid.to_string() }))
}

/// `key@host:port`.
fn peer(text: &str) -> Result<Peer, Problem> {
    let wrong = || problem::malformed("a peer is key@host:port");
    let (id, address) = text.split_once('@').ok_or_else(wrong)?;
    Ok(Peer {
        id: id.parse().map_err(|_| wrong())?,
        address: address.to_owned(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Connect {
    peer: String,
}

pub(super) async fn connect(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Connect = body(&mut request).await?;
    let peer = peer(&asked.peer)?;
    ask(request.state(), move |node| node.connect(&peer)).await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    peer: String,
    amount_sat: u64,
    #[serde(default)]
    push_msat: u64,
    #[serde(default)]
    public: bool,
}

pub(super) async fn open_channel(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Open = body(&mut request).await?;
    let order = ChannelOrder {
        peer: peer(&asked.peer)?,
        amount_sat: asked.amount_sat,
        push_msat: asked.push_msat,
        public: asked.public,
    };
    let channel = ask(request.state(), move |node| node.open_channel(&order)).await?;
    Ok(json!({ "channel": channel }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Close {
    channel: ChannelId,
    #[serde(default)]
    force: bool,
}

pub(super) async fn close_channel(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Close = body(&mut request).await?;
    let closing = match asked.force {
        true => Closing::Forced,
        false => Closing::Cooperative,
    };
    let close = move |node: &dyn LightningNode| node.close_channel(asked.channel, closing);
    ask(request.state(), close).await?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invoice {
    amount_msat: Option<u64>,
    #[serde(default)]
    description: String,
    expiry_s: Option<u32>,
}

pub(super) async fn invoice(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Invoice = body(&mut request).await?;
    let order = OwnInvoiceOrder {
        amount_msat: asked.amount_msat,
        description: asked.description,
        expiry_s: asked.expiry_s.unwrap_or(EXPIRY_S),
    };
    let invoice = ask(request.state(), move |node| node.make_own_invoice(&order)).await?;
    Ok(json!({ "invoice": invoice }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOffer {
    amount_msat: Option<u64>,
    #[serde(default)]
    description: String,
}

pub(super) async fn offer(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: NewOffer = body(&mut request).await?;
    let order = OwnOfferOrder {
        amount_msat: asked.amount_msat,
        description: asked.description,
    };
    let offer = ask(request.state(), move |node| node.make_own_offer(&order)).await?;
    Ok(json!({ "offer": offer }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pay {
    invoice: String,
    amount_msat: Option<u64>,
    max_fee_msat: Option<u64>,
}

impl Pay {
    fn order(self) -> Result<PaymentOrder, Problem> {
        let invoice: Result<Bolt11Invoice, _> = self.invoice.parse();
        let invoice = invoice.map_err(|error| {
            Problem::new(
                422,
                "malformed",
                format!("this is no invoice: {error}"),
                false,
            )
        })?;
        let amount_msat = self.amount_msat.or(invoice.amount_milli_satoshis());
        let amount_msat = amount_msat.ok_or_else(|| {
            let detail = "the invoice leaves the amount open; give amount_msat";
            Problem::new(422, "no_amount", detail, false)
        })?;
        let usual_msat = (amount_msat / 100 * FEE_PERCENT).max(MIN_FEE_MSAT);
        Ok(PaymentOrder {
            hash: PaymentHash(invoice.payment_hash().to_byte_array()),
            invoice: self.invoice,
            amount_msat,
            max_fee_msat: self.max_fee_msat.unwrap_or(usual_msat),
            max_total_cltv_delta: MAX_CLTV_DELTA,
        })
    }
}

/// The operator pays an invoice. ⚠ Not one that a user has a contract for: that is the gateway's to pay, and to be paid for.
pub(super) async fn pay(mut request: Request<Handle>) -> Result<Json, Problem> {
    let asked: Pay = body(&mut request).await?;
    let order = asked.order()?;
    let patience = wait(&request)?;
    let (handle, hash) = (request.state(), order.hash);
    let is_users = handle
        .look(move |gateway| gateway.is_users(hash.into()))
        .await;
    if is_users.ok_or_else(problems::no_loop)? {
        let detail = "a user of one of the federations has this invoice paid, or made it; it is not the operator's to pay";
        return Err(Problem::new(409, "already_used", detail, false));
    }
    ask(handle, move |node| node.command(Command::Pay(order))).await?;
    let deadline = Instant::now() + patience;
    loop {
        let sent = ask(handle, move |node| node.sent(hash)).await?;
        let state = sent.map(|sent| sent.state);
        let answer = match state {
            Some(SentState::Succeeded { preimage, fee_msat }) => {
                json!({ "state": "paid", "preimage": hex::encode(preimage.0), "fee_msat": fee_msat })
            }
            Some(SentState::Failed(reason)) => json!({ "state": "failed", "reason": reason }),
            Some(SentState::InFlight) | None if Instant::now() < deadline => {
                let looked = handle.unless_stopping(task::sleep(LOOK)).await;
                looked.ok_or_else(|| problems::no_answer(crate::handle::NoAnswer::Stopping))?;
                continue;
            }
            Some(SentState::InFlight) | None => json!({ "state": "in_flight" }),
        };
        let mut answer = answer;
        answer["hash"] = json!(hash.to_string());
        return Ok(answer);
    }
}
