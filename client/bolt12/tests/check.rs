//! Invoices of payees, and what gateways make of them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::{
    key::Secp256k1,
    secp256k1::{All, Keypair, PublicKey, SecretKey},
    Network,
};
use guildmint_client::FetchAnswer;
use guildmint_client_bolt12::{note, CheckError, Offer, OfferError};
use guildmint_core::{Amount, Bytes};
use guildmint_ln::{limits, InvoiceHash};
use lightning::{
    blinded_path::{
        payment::{BlindedPayInfo, BlindedPaymentPath},
        BlindedHop,
    },
    ln::{channelmanager::PaymentId, inbound_payment::ExpandedKey},
    offers::{
        invoice::UnsignedBolt12Invoice,
        nonce::Nonce,
        offer::{Offer as Bolt12Offer, OfferBuilder, Quantity},
    },
    sign::EntropySource,
    types::{features::BlindedHopFeatures, payment::PaymentHash},
    util::ser::Writeable,
};

const NOTE: &str = "tea 00112233";
const AMOUNT: u64 = 100_000;

struct Fixed;

impl EntropySource for Fixed {
    fn get_secure_random_bytes(&self) -> [u8; 32] {
        [42; 32]
    }
}

fn keys(byte: u8) -> Keypair {
    let secret = SecretKey::from_slice(&[byte; 32]).unwrap();
    Keypair::from_secret_key(&Secp256k1::new(), &secret)
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn offer(payee: u8, description: &str) -> Bolt12Offer {
    OfferBuilder::new(keys(payee).public_key())
        .chain(Network::Regtest)
        .description(description.into())
        .amount_msats(AMOUNT)
        .build()
        .unwrap()
}

fn path() -> BlindedPaymentPath {
    let hop = |byte: u8| BlindedHop {
        blinded_node_id: keys(byte).public_key(),
        encrypted_payload: vec![byte; 40],
    };
    let payinfo = BlindedPayInfo {
        fee_base_msat: 1,
        fee_proportional_millionths: 1_000,
        cltv_expiry_delta: 42,
        htlc_minimum_msat: 100,
        htlc_maximum_msat: 1_000_000_000_000,
        features: BlindedHopFeatures::empty(),
    };
    let (node, blinding): (PublicKey, PublicKey) = (keys(40).public_key(), keys(41).public_key());
    BlindedPaymentPath::from_blinded_path_and_payinfo(
        node,
        blinding,
        vec![hop(43), hop(44)],
        payinfo,
    )
}

/// What a payee answers to a request with a note.
fn invoice(
    offer: &Bolt12Offer,
    payee: u8,
    amount_msat: u64,
    note: &str,
    hash: [u8; 32],
) -> Vec<u8> {
    invoice_on(Network::Regtest, offer, payee, amount_msat, (note, hash))
}

/// The same, on a network that the request names.
fn invoice_on(
    network: Network,
    offer: &Bolt12Offer,
    payee: u8,
    amount_msat: u64,
    (note, hash): (&str, [u8; 32]),
) -> Vec<u8> {
    let (secp, key) = (Secp256k1::<All>::new(), ExpandedKey::new([42; 32]));
    let nonce = Nonce::from_entropy_source(&Fixed);
    let request = offer
        .request_invoice(&key, nonce, &secp, PaymentId([1; 32]))
        .unwrap()
        .chain(network)
        .unwrap()
        .amount_msats(amount_msat)
        .unwrap()
        .payer_note(note.into())
        .build_and_sign()
        .unwrap();
    let sign = |message: &UnsignedBolt12Invoice| {
        Ok(secp.sign_schnorr_no_aux_rand(message.as_ref().as_digest(), &keys(payee)))
    };
    let invoice = request
        .respond_with(vec![path()], PaymentHash(hash))
        .unwrap()
        .relative_expiry(3_600)
        .build()
        .unwrap()
        .sign(sign)
        .unwrap();
    let mut bytes = Vec::new();
    invoice.write(&mut bytes).unwrap();
    bytes
}

fn answer(bytes: &[u8], amount_msat: u64) -> FetchAnswer {
    let invoice = hex::encode(bytes);
    FetchAnswer {
        request: Bytes([5; 32]),
        hash: [7; 32].into(),
        amount_msat: msat(amount_msat),
        contract_amount_msat: msat(amount_msat + 1_000),
        invoice_hash: InvoiceHash::new(&invoice),
        invoice,
    }
}

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

fn read(offer: &Bolt12Offer) -> Offer {
    Offer::read(&offer.to_string(), "regtest", now_s()).unwrap()
}

#[test]
fn the_payees_invoice_for_this_request_is_paid() {
    let offer = offer(1, "tea");
    let bytes = invoice(&offer, 1, AMOUNT, NOTE, [7; 32]);
    let checked = read(&offer).check(answer(&bytes, AMOUNT), msat(AMOUNT), NOTE, now_s());
    let checked = checked.unwrap();
    assert_eq!(checked.payee, keys(1).public_key());
    assert!((now_s() + 3_500..=now_s() + 3_600).contains(&checked.expires_at_s));
    assert_eq!(checked.answer.hash, [7; 32].into());
}

#[test]
fn what_a_gateway_makes_of_it_is_found_out() {
    let (ours, others) = (offer(1, "tea"), offer(1, "cake"));
    let right = invoice(&ours, 1, AMOUNT, NOTE, [7; 32]);
    let check = |answer: FetchAnswer| {
        let checked = read(&ours).check(answer, msat(AMOUNT), NOTE, now_s());
        checked.unwrap_err()
    };
    // For another offer of the same payee, on another hash, for more, or made for an earlier request.
    let other = invoice(&others, 1, AMOUNT, NOTE, [7; 32]);
    assert_eq!(check(answer(&other, AMOUNT)), CheckError::OtherOffer);
    let hash = invoice(&ours, 1, AMOUNT, NOTE, [8; 32]);
    assert_eq!(check(answer(&hash, AMOUNT)), CheckError::Hash);
    let more = invoice(&ours, 1, AMOUNT + 1, NOTE, [7; 32]);
    let agreed = msat(AMOUNT);
    for named in [AMOUNT, AMOUNT + 1] {
        let invoice_msat = AMOUNT + 1;
        let error = CheckError::OtherAmount {
            invoice_msat,
            agreed,
        };
        assert_eq!(check(answer(&more, named)), error);
    }
    // It is for what was agreed, and the gateway says that it is for less.
    let named = check(answer(&right, AMOUNT - 1));
    assert!(matches!(
        named,
        CheckError::OtherAmount {
            invoice_msat: AMOUNT,
            ..
        }
    ));
    let old = invoice(&ours, 1, AMOUNT, "tea 99", [7; 32]);
    assert_eq!(check(answer(&old, AMOUNT)), CheckError::Note);
    let mut renamed = answer(&right, AMOUNT);
    renamed.invoice_hash = InvoiceHash::new("x");
    assert_eq!(check(renamed), CheckError::Name);
    let late = read(&ours).check(answer(&right, AMOUNT), agreed, NOTE, now_s() + 3_700);
    assert_eq!(late.unwrap_err(), CheckError::Expired);
}

/// ⚠ A payee may take money of several networks: a gateway that has the invoice made for the worthless one pays with that.
#[test]
fn an_invoice_for_money_of_another_network_is_not_paid() {
    let offer = OfferBuilder::new(keys(1).public_key())
        .chain(Network::Regtest)
        .chain(Network::Signet)
        .amount_msats(AMOUNT)
        .build()
        .unwrap();
    let check = |network| {
        let bytes = invoice_on(network, &offer, 1, AMOUNT, (NOTE, [7; 32]));
        read(&offer).check(answer(&bytes, AMOUNT), msat(AMOUNT), NOTE, now_s())
    };
    assert!(check(Network::Regtest).is_ok());
    let other = check(Network::Signet).unwrap_err();
    assert_eq!(other, CheckError::Network(Network::Regtest));
}

/// Whatever byte is changed, the signature does not hold, or it is no invoice for this request any more.
#[test]
fn an_invoice_that_was_changed_anywhere_is_refused() {
    let offer = offer(1, "tea");
    let right = invoice(&offer, 1, AMOUNT, NOTE, [7; 32]);
    for place in 0..right.len() {
        let mut changed = right.clone();
        changed[place] ^= 1;
        let checked = read(&offer).check(answer(&changed, AMOUNT), msat(AMOUNT), NOTE, now_s());
        assert!(checked.is_err(), "byte {place}");
    }
    for end in 0..right.len() {
        let checked =
            read(&offer).check(answer(&right[..end], AMOUNT), msat(AMOUNT), NOTE, now_s());
        assert!(checked.is_err(), "the first {end} bytes");
    }
    let long = vec![0; limits::MAX_INVOICE_BYTES + 1];
    let checked = read(&offer).check(answer(&long, AMOUNT), msat(AMOUNT), NOTE, now_s());
    assert!(matches!(checked, Err(CheckError::TooLong(_))));
}

#[test]
fn offers_that_cannot_be_paid_here_are_named() {
    let good = offer(1, "tea").to_string();
    let read = |text: &str, network: &str| Offer::read(text, network, now_s());
    for text in [&good, &good.to_uppercase(), &format!("lightning:{good}")] {
        let offer = read(text, "regtest").unwrap();
        assert_eq!(
            (offer.text(), offer.description()),
            (good.clone(), Some("tea".into()))
        );
        assert!(Offer::is_one(text));
    }
    assert!(!Offer::is_one("lnbc1") && !Offer::is_one(""));
    let network = |result| matches!(result, Err(OfferError::Network(_)));
    assert!(network(read(&good, "bitcoin")));
    assert!(matches!(
        read(&good, "moon"),
        Err(OfferError::UnknownNetwork(_))
    ));
    for text in ["", "lno1", "lnbc1", &good[..good.len() - 3], "lightning:"] {
        assert!(
            matches!(read(text, "regtest"), Err(OfferError::Malformed(_))),
            "{text}"
        );
    }
    let long = "x".repeat(limits::MAX_OFFER_BYTES + 1);
    assert!(matches!(
        read(&long, "regtest"),
        Err(OfferError::TooLong(_))
    ));
    let builder = || OfferBuilder::new(keys(1).public_key()).chain(Network::Regtest);
    let expired = builder()
        .absolute_expiry(Duration::from_secs(1))
        .build()
        .unwrap();
    assert_eq!(
        read(&expired.to_string(), "regtest").unwrap_err(),
        OfferError::Expired
    );
    let pieces = builder()
        .supported_quantity(Quantity::Unbounded)
        .build()
        .unwrap();
    assert_eq!(
        read(&pieces.to_string(), "regtest").unwrap_err(),
        OfferError::Quantity
    );
}

#[test]
fn an_amount_is_the_offers_or_the_users_and_never_less_than_the_offers() {
    let fixed = read(&offer(1, "tea"));
    assert_eq!(fixed.amount(None), Ok(msat(AMOUNT)));
    assert_eq!(fixed.amount(Some(msat(AMOUNT + 5))), Ok(msat(AMOUNT + 5)));
    let (asks, given) = (msat(AMOUNT), msat(AMOUNT - 1));
    assert_eq!(
        fixed.amount(Some(given)),
        Err(OfferError::TooLittle { asks, given })
    );
    let open = OfferBuilder::new(keys(1).public_key())
        .chain(Network::Regtest)
        .build()
        .unwrap();
    let open = read(&open);
    assert_eq!(open.amount(None), Err(OfferError::NoAmount));
    assert_eq!(open.amount(Some(Amount::ZERO)), Err(OfferError::NoAmount));
    assert_eq!(open.amount(Some(msat(5))), Ok(msat(5)));
}

#[test]
fn a_note_has_a_word_that_nobody_can_have_known() {
    assert_eq!(note(Some("tea"), [1; 8]), "tea 0101010101010101");
    assert_ne!(note(None, [1; 8]), note(None, [2; 8]));
}
