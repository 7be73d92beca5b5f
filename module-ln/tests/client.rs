//! The sides of who pays and who is paid: from a seed, through interruptions, and against gateways that lie.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use bitcoin::{
    hashes::{sha256, Hash},
    secp256k1::{Keypair, PublicKey},
    Network,
};
use common::{announcement, client, gateway, key, sat, World, FEDERATION};
use guildmint_core::{Amount, FederationId, OutPoint, TxId, Wire};
use guildmint_ln::{
    client::{
        Invoice, InvoiceError, LnClient, Pay, PayEffect, PayEvent, PayState, Quote, Receive,
        ReceiveEffect, ReceiveError, ReceiveEvent, ReceiveState,
    },
    limits, Closing, ContractAnswer, ContractId, Forfeit, FundingAnswer, GatewayReply, LnOutput,
    PaymentHash, Preimage, Witness,
};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use secp256k1::SECP256K1;
use serde_json::Value as Json;

const NETWORK: Network = Network::Regtest;

/// An invoice of a node, at the time 1,000 and for an hour.
fn invoice(node: &Keypair, hash: PaymentHash, amount: Amount) -> String {
    InvoiceBuilder::new(Currency::Regtest)
        .description("cake".into())
        .payment_hash(sha256::Hash::from_byte_array(hash.0 .0))
        .payment_secret(PaymentSecret([42; 32]))
        .duration_since_epoch(std::time::Duration::from_secs(1_000))
        .expiry_time(std::time::Duration::from_secs(3_600))
        .min_final_cltv_expiry_delta(144)
        .amount_milli_satoshis(amount.msat())
        .build_signed(|hash| SECP256K1.sign_ecdsa_recoverable(hash, &node.secret_key()))
        .unwrap()
        .to_string()
}

#[test]
fn invoices_of_the_specification_are_read_or_refused() {
    let vectors: Json = serde_json::from_str(include_str!("vectors/bolt11.json")).unwrap();
    for case in vectors["invoices"].as_array().unwrap() {
        let text = case["invoice"].as_str().unwrap();
        let read = Invoice::read(text, Network::Bitcoin);
        match case["amount_msat"].as_u64() {
            Some(msat) => assert_eq!(read.unwrap().amount.msat(), msat, "{text}"),
            None => assert_eq!(read, Err(InvoiceError::NoAmount), "{text}"),
        }
        if case["amount_msat"].is_u64() {
            let elsewhere = Invoice::read(text, NETWORK).unwrap_err();
            assert!(matches!(elsewhere, InvoiceError::Network { .. }), "{text}");
        }
    }
    for text in vectors["refused"].as_array().unwrap() {
        let text = text.as_str().unwrap();
        let error = Invoice::read(text, Network::Bitcoin).unwrap_err();
        assert!(
            matches!(error, InvoiceError::Malformed(_)),
            "{text}: {error}"
        );
    }
    let long = "l".repeat(limits::MAX_INVOICE_BYTES + 1);
    let error = InvoiceError::TooLong(limits::MAX_INVOICE_BYTES + 1);
    assert_eq!(Invoice::read(&long, NETWORK), Err(error));
}

#[test]
fn an_invoice_is_the_same_in_capitals_and_with_its_scheme() {
    let text = invoice(&key(3), Preimage::from([1; 32]).hash(), sat(5));
    let plain = Invoice::read(&text, NETWORK).unwrap();
    for other in [
        text.to_uppercase(),
        format!("lightning:{text}"),
        format!(" LIGHTNING:{} ", text.to_uppercase()),
    ] {
        assert_eq!(Invoice::read(&other, NETWORK).unwrap(), plain);
    }
    assert_eq!(plain.payee, PublicKey::from_keypair(&key(3)));
    assert_eq!((plain.amount, plain.expires_at_s), (sat(5), 4_600));
    assert_eq!(plain.is_open(4_600), Ok(()));
    assert_eq!(plain.is_open(4_700), Err(InvoiceError::Expired(100)));
}

#[test]
fn an_offer_follows_from_seed_federation_and_index() {
    let offer = client(1).offer(0, sat(1), 150).unwrap();
    assert_eq!(client(1).offer(0, sat(1), 150).unwrap(), offer);
    assert!(offer.verify(FEDERATION).is_ok());
    let data = offer.offer.associated_data(FEDERATION);
    assert!(offer
        .offer
        .preimage
        .ciphertext()
        .unwrap()
        .verify(&data)
        .is_ok());
    for other in [
        client(2).offer(0, sat(1), 150),
        client(1).offer(1, sat(1), 150),
    ] {
        let other = other.unwrap().offer;
        assert_ne!(other.hash, offer.offer.hash);
        assert_ne!(other.claim_key, offer.offer.claim_key);
        assert_ne!(other.preimage, offer.offer.preimage);
    }
    let elsewhere = LnClient::new(
        FederationId([8; 32]),
        common::MODULE,
        common::quorum(),
        common::keys().0.clone(),
        &[1; 64],
    );
    let elsewhere = elsewhere.unwrap().offer(0, sat(1), 150).unwrap();
    assert_ne!(elsewhere.offer.hash, offer.offer.hash);
}

/// What a program that stops after each step knows: the row, in its encoding.
fn stored<T: Wire>(row: T) -> T {
    T::decode(&row.encode()).unwrap()
}

struct Payer {
    wallet: LnClient,
    pay: Pay,
}

impl Payer {
    fn new() -> (Self, Vec<PayEffect>) {
        let wallet = client(1);
        let text = invoice(&key(3), Preimage::from([1; 32]).hash(), sat(1_000));
        let invoice = Invoice::read(&text, NETWORK).unwrap();
        let quote = Quote::new(&wallet, invoice, &announcement(&gateway(), 1, 150)).unwrap();
        assert_eq!(quote.gateway_fee, sat(6));
        assert_eq!(quote.contract_amount, sat(1_006));
        let (pay, effects) = Pay::start(&wallet, 4, &quote, 100).unwrap();
        (Self { wallet, pay }, effects)
    }

    fn funded() -> (Self, ContractId) {
        let (mut payer, _) = Self::new();
        let output = OutPoint {
            txid: TxId([3; 32]),
            index: 1,
        };
        let effects = payer.step(PayEvent::Funded(output));
        let id = ContractId::new(output);
        assert!(
            matches!(&effects[..], [PayEffect::Ask { request, .. }, PayEffect::Watch(contract), PayEffect::WakeAt(1108)]
            if request.contract == id && *contract == id)
        );
        (payer, id)
    }

    fn step(&mut self, event: PayEvent) -> Vec<PayEffect> {
        let (pay, effects) = stored(self.pay.clone()).step(&self.wallet, event).unwrap();
        self.pay = stored(pay);
        // Whatever happens, it goes on as it would without the interruption.
        let (same, again) = self
            .pay
            .clone()
            .step(&self.wallet, PayEvent::Resume)
            .unwrap();
        assert_eq!(same, self.pay);
        assert!(effects.iter().all(|effect| again.contains(effect)));
        effects
    }

    fn closed(closing: Closing) -> PayEvent {
        PayEvent::Contract(ContractAnswer {
            account: None,
            closing: Some(closing),
        })
    }
}

#[test]
fn a_payment_funds_asks_and_ends_with_the_preimage() {
    let (mut payer, effects) = Payer::new();
    let contract = payer.pay.contract;
    assert_eq!(effects, [PayEffect::Fund(LnOutput::Outgoing(contract))]);
    assert_eq!((contract.timelock, contract.amount), (1_108, sat(1_006)));
    // The gateway cannot have answered before there is a contract.
    let early = PayEvent::Gateway(GatewayReply::Paid([1; 32].into()));
    assert!(payer.step(early).is_empty());
    let (mut payer, _) = Payer::funded();
    let wrong = PayEvent::Gateway(GatewayReply::Paid([2; 32].into()));
    assert!(payer.step(wrong).is_empty());
    assert!(!payer.pay.is_over());
    let right = PayEvent::Gateway(GatewayReply::Paid([1; 32].into()));
    assert!(payer.step(right).is_empty());
    assert_eq!(payer.pay.state, PayState::Paid([1; 32].into()));
    // Nothing changes that any more.
    payer.step(PayEvent::Height(u32::MAX));
    payer.step(Payer::closed(Closing::Forfeited));
    assert_eq!(payer.pay.state, PayState::Paid([1; 32].into()));
}

#[test]
fn a_gateway_that_claims_without_a_word_has_paid() {
    let (mut payer, _) = Payer::funded();
    let preimage = Preimage::from([1; 32]);
    payer.step(Payer::closed(Closing::Claimed { preimage }));
    assert_eq!(payer.pay.state, PayState::Paid(preimage));
}

/// Scenario 45, the first half.
#[test]
fn a_forfeit_by_the_gateway_for_this_contract_and_nothing_else_is_taken_back_at_once() {
    let (mut payer, contract) = Payer::funded();
    let lies = [
        Forfeit::sign(FEDERATION, [9; 32].into(), &gateway()),
        Forfeit::sign(FEDERATION, contract, &key(5)),
        Forfeit::sign(FederationId([8; 32]), contract, &gateway()),
    ];
    for lie in lies {
        let event = PayEvent::Gateway(GatewayReply::Forfeit(lie));
        assert!(payer.step(event).is_empty());
    }
    let forfeit = Forfeit::sign(FEDERATION, contract, &gateway());
    let effects = payer.step(PayEvent::Gateway(GatewayReply::Forfeit(forfeit)));
    let witness = Witness::Forfeit(forfeit);
    let refund = payer.wallet.refund(4, contract, witness).unwrap();
    assert_eq!(
        effects,
        [PayEffect::Refund(refund), PayEffect::Watch(contract)]
    );
    assert_eq!(refund.key, payer.pay.contract.refund_key);
    payer.step(Payer::closed(Closing::Forfeited));
    assert_eq!(payer.pay.state, PayState::Refunded(contract));
}

/// Scenario 45, the second half.
#[test]
fn a_gateway_that_vanishes_costs_the_time_limit() {
    let (mut payer, contract) = Payer::funded();
    assert!(payer.step(PayEvent::Height(1_107)).is_empty());
    let effects = payer.step(PayEvent::Height(1_108));
    let refund = payer.wallet.refund(4, contract, Witness::TimedOut).unwrap();
    assert!(effects.contains(&PayEffect::Refund(refund)));
    // The gateway was faster after all.
    let effects = payer.step(PayEvent::RefundRejected);
    assert_eq!(effects, [PayEffect::Watch(contract)]);
    let preimage = Preimage::from([1; 32]);
    payer.step(Payer::closed(Closing::Claimed { preimage }));
    assert_eq!(payer.pay.state, PayState::Paid(preimage));
}

#[test]
fn a_contract_that_is_never_funded_costs_nothing() {
    let (mut payer, _) = Payer::new();
    assert!(payer.step(PayEvent::FundingRejected).is_empty());
    assert!(payer.pay.is_over());
}

struct Payee {
    wallet: LnClient,
    receive: Receive,
}

impl Payee {
    fn new() -> (Self, Vec<ReceiveEffect>) {
        let wallet = client(1);
        let announcement = announcement(&gateway(), 1, 150);
        let (receive, effects) =
            Receive::start(&wallet, 2, sat(1_000), &announcement, (150, 3_600), "cake").unwrap();
        (Self { wallet, receive }, effects)
    }

    fn step(&mut self, event: ReceiveEvent) -> Result<Vec<ReceiveEffect>, ReceiveError> {
        let row = stored(self.receive.clone());
        let (receive, effects) = row.step(&self.wallet, NETWORK, event)?;
        self.receive = stored(receive);
        let row = self.receive.clone();
        let (same, again) = row.step(&self.wallet, NETWORK, ReceiveEvent::Resume)?;
        assert_eq!(same, self.receive);
        assert!(effects.iter().all(|effect| again.contains(effect)));
        Ok(effects)
    }

    fn funding(&self, closing: Option<Closing>) -> FundingAnswer {
        let mut world = World::new();
        let contract = world.fund(World::incoming(self.receive.offer)).unwrap();
        FundingAnswer {
            contract: Some(contract),
            account: world.contract(contract).account,
            closing,
        }
    }
}

#[test]
fn what_a_gateway_says_is_an_invoice_is_checked_before_it_is_shown() {
    let (mut payee, effects) = Payee::new();
    let [ReceiveEffect::Ask { request, .. }, ReceiveEffect::Watch(_), ReceiveEffect::WakeAt(151)] =
        &effects[..]
    else {
        panic!("{effects:?}");
    };
    let hash = request.offer.offer.hash;
    let refused = |payee: &mut Payee, text: String| match payee.step(ReceiveEvent::Invoice(text)) {
        Err(ReceiveError::Invoice(error)) => error,
        other => panic!("{other:?}"),
    };
    let other_hash = Preimage::from([1; 32]).hash();
    let error = refused(&mut payee, invoice(&gateway(), other_hash, sat(1_000)));
    assert_eq!(error, InvoiceError::Hash(other_hash));
    let error = refused(&mut payee, invoice(&gateway(), hash, sat(999)));
    assert!(matches!(error, InvoiceError::OtherAmount { .. }));
    let error = refused(&mut payee, invoice(&key(5), hash, sat(1_000)));
    assert!(matches!(error, InvoiceError::Payee(_)));
    assert_eq!(payee.receive.state, ReceiveState::Asking);
    let text = invoice(&gateway(), hash, sat(1_000));
    payee.step(ReceiveEvent::Invoice(text.clone())).unwrap();
    let offered = ReceiveState::Offered { invoice: text };
    assert_eq!(payee.receive.state, offered);
}

#[test]
fn a_funded_offer_is_claimed_whether_or_not_the_invoice_was_seen() {
    let (mut payee, _) = Payee::new();
    let answer = payee.funding(None);
    let effects = payee.step(ReceiveEvent::Funding(answer, 120)).unwrap();
    let contract = answer.contract.unwrap();
    let claim = payee.wallet.claim(2, contract).unwrap();
    assert!(effects.contains(&ReceiveEffect::Claim(claim)));
    assert_eq!(claim.key, payee.receive.offer.offer.claim_key);
    let preimage = payee.wallet.preimage(2);
    let closing = Some(Closing::Claimed { preimage });
    let claimed = payee.funding(closing);
    payee.step(ReceiveEvent::Funding(claimed, 121)).unwrap();
    let amount = sat(1_000);
    assert_eq!(payee.receive.state, ReceiveState::Claimed { amount });
}

#[test]
fn an_offer_is_over_only_when_guardians_past_its_end_know_of_no_contract() {
    let (mut payee, _) = Payee::new();
    let nothing = FundingAnswer {
        contract: None,
        account: None,
        closing: None,
    };
    let last = ReceiveEvent::Funding(nothing, 150);
    assert!(payee.step(last).unwrap().is_empty());
    let effects = payee.step(ReceiveEvent::Height(151)).unwrap();
    assert!(matches!(&effects[..], [ReceiveEffect::Watch(_)]));
    assert!(!payee.receive.is_over());
    payee.step(ReceiveEvent::Funding(nothing, 151)).unwrap();
    assert_eq!(payee.receive.state, ReceiveState::Expired);
}

#[test]
fn a_gateway_that_only_swaps_makes_no_invoice() {
    let mut announcement = announcement(&gateway(), 1, 150);
    announcement.node_key = None;
    let error = Receive::start(&client(1), 2, sat(1), &announcement, (150, 3_600), "");
    assert_eq!(error.unwrap_err(), ReceiveError::NoNode);
}
