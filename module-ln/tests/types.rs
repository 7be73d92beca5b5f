//! Encodings and signatures of the common types.

#![allow(clippy::unwrap_used)]

use bitcoin::secp256k1::{Keypair, PublicKey};
use guildmint_core::{Amount, Bytes, FederationId, PeerId, Wire};
use guildmint_ln::{
    fetched_request, limits, Announcement, AnnouncementError, ContractId, EncryptedPreimage,
    FeeSchedule, Forfeit, GatewayInfo, GatewayReply, Hop, IncomingContract, InvoiceHash, LnInput,
    LnOutput, Offer, OfferRef, OutgoingContract, PayRequest, Preimage, ServedFederation,
    ShareRequest, SignedAnnouncement, Witness,
};
use secp256k1::SECP256K1;

const FEDERATION: FederationId = FederationId([7; 32]);
const ANOTHER: FederationId = FederationId([8; 32]);

fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[byte; 32]).unwrap()
}

fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat).unwrap()
}

fn offer() -> Offer {
    Offer {
        hash: Preimage::from([1; 32]).hash(),
        amount: sat(1_000),
        preimage: EncryptedPreimage {
            u: Bytes([2; 96]),
            v: Bytes([3; 32]),
            w: Bytes([4; 48]),
        },
        claim_key: key(5).x_only_public_key().0,
        expires_at: 100,
    }
}

fn announcement(hints: usize, hops: usize) -> Announcement {
    let hop = Hop {
        node_key: PublicKey::from_keypair(&key(6)),
        short_channel_id: u64::MAX,
        fees: FeeSchedule::default(),
        cltv_expiry_delta: 144,
    };
    Announcement {
        key: key(9).x_only_public_key().0,
        node_key: Some(hop.node_key),
        swap_only: false,
        api_url: format!("https://{}", "x".repeat(limits::MAX_URL_BYTES - 8)),
        send_fees: FeeSchedule::default(),
        receive_fees: FeeSchedule::default(),
        route_hints: vec![vec![hop; hops]; hints],
        number: 1,
        valid_until: 100,
    }
}

fn signed(announcement: Announcement) -> SignedAnnouncement {
    announcement.sign(FEDERATION, &key(9))
}

fn comes_back<T: Wire + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(&T::decode(&value.encode()).unwrap(), value);
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value);
}

#[test]
fn every_kind_of_output_comes_back_the_longest_included() {
    let offer = offer().sign(FEDERATION, &key(5));
    let incoming = |offer| IncomingContract {
        offer,
        amount: sat(1_000),
        refund_key: key(6).x_only_public_key().0,
        valid_until: 50,
    };
    comes_back(&LnOutput::Offer(offer));
    comes_back(&LnOutput::Incoming(incoming(OfferRef::Carried(offer))));
    let id = offer.offer.id(FEDERATION);
    comes_back(&LnOutput::Incoming(incoming(OfferRef::Stored(id))));
    comes_back(&LnOutput::Outgoing(OutgoingContract {
        hash: offer.offer.hash,
        amount: sat(2_000),
        gateway_key: key(9).x_only_public_key().0,
        refund_key: key(6).x_only_public_key().0,
        timelock: 500,
        invoice_hash: InvoiceHash::new("lnbc1"),
    }));
    let longest = announcement(limits::MAX_ROUTE_HINTS, limits::MAX_HOPS);
    comes_back(&LnOutput::Announcement(signed(longest)));
}

#[test]
fn every_kind_of_input_comes_back() {
    let contract = ContractId::from([3; 32]);
    let witnesses = [
        Witness::Preimage([1; 32].into()),
        Witness::TimedOut,
        Witness::Forfeit(Forfeit::sign(FEDERATION, contract, &key(9))),
        Witness::Undecryptable {
            offer: offer(),
            decryption_key: Bytes([9; 96]),
        },
    ];
    for witness in witnesses {
        let key = key(6).x_only_public_key().0;
        comes_back(&LnInput {
            contract,
            key,
            witness,
        });
    }
}

#[test]
fn an_offer_is_its_claim_keys_in_one_federation() {
    let signed = offer().sign(FEDERATION, &key(5));
    assert_eq!(signed.verify(FEDERATION), Ok(()));
    assert!(signed.verify(ANOTHER).is_err());
    let mut dearer = signed;
    dearer.offer.amount = sat(1_001);
    assert!(dearer.verify(FEDERATION).is_err());
    assert!(offer()
        .sign(FEDERATION, &key(6))
        .verify(FEDERATION)
        .is_err());
}

#[test]
fn all_of_an_offer_but_the_ciphertext_is_authenticated_by_it() {
    let data = |change: fn(&mut Offer)| {
        let mut offer = offer();
        change(&mut offer);
        offer.associated_data(FEDERATION)
    };
    let plain = data(|_| ());
    assert_ne!(plain, offer().associated_data(ANOTHER));
    assert_ne!(plain, data(|offer| offer.hash = [0; 32].into()));
    assert_ne!(plain, data(|offer| offer.amount = sat(1)));
    assert_ne!(
        plain,
        data(|offer| offer.claim_key = key(1).x_only_public_key().0)
    );
    assert_ne!(plain, data(|offer| offer.expires_at += 1));
    assert_eq!(plain, data(|offer| offer.preimage.v = Bytes([0; 32])));
}

#[test]
fn a_forfeit_is_for_one_contract_of_one_federation() {
    let forfeit = Forfeit::sign(FEDERATION, [1; 32].into(), &key(9));
    assert_eq!(forfeit.verify(FEDERATION), Ok(()));
    assert!(forfeit.verify(ANOTHER).is_err());
    let mut other = forfeit;
    other.contract = [2; 32].into();
    assert!(other.verify(FEDERATION).is_err());
}

#[test]
fn a_request_for_a_share_is_to_one_guardian_for_one_contract_and_a_while() {
    let request = ShareRequest {
        contract: [1; 32].into(),
        guardian: PeerId(2),
        expires_at: 100,
    };
    let owner = key(6);
    let public = owner.x_only_public_key().0;
    let signature = request.sign(FEDERATION, &owner);
    let holds =
        |request: ShareRequest, federation| request.verify(federation, public, &signature).is_ok();
    assert!(holds(request, FEDERATION));
    assert!(!holds(request, ANOTHER));
    let contract = [2; 32].into();
    assert!(!holds(
        ShareRequest {
            contract,
            ..request
        },
        FEDERATION
    ));
    let guardian = PeerId(1);
    assert!(!holds(
        ShareRequest {
            guardian,
            ..request
        },
        FEDERATION
    ));
    let expires_at = 101;
    assert!(!holds(
        ShareRequest {
            expires_at,
            ..request
        },
        FEDERATION
    ));
}

#[test]
fn an_announcement_is_its_gateways_and_bounded() {
    assert_eq!(signed(announcement(1, 1)).verify(FEDERATION), Ok(()));
    assert!(signed(announcement(1, 1)).verify(ANOTHER).is_err());
    let too_many = signed(announcement(limits::MAX_ROUTE_HINTS + 1, 1));
    let error = too_many.verify(FEDERATION);
    assert_eq!(error, Err(AnnouncementError::RouteHints(5)));
    let too_long = signed(announcement(1, limits::MAX_HOPS + 1));
    assert_eq!(too_long.verify(FEDERATION), Err(AnnouncementError::Hops(5)));
    for url in ["", "https://", "ftp://a", "https://a b", "https://ä"] {
        let announcement = Announcement {
            api_url: url.into(),
            ..announcement(0, 0)
        };
        let error = signed(announcement).verify(FEDERATION);
        assert_eq!(error, Err(AnnouncementError::Url(url.into())));
    }
}

#[test]
fn fees_are_rounded_up_and_never_overflow() {
    let fees = FeeSchedule {
        base: Amount::from_msat(10).unwrap(),
        parts_per_million: 1,
    };
    let fee = |msat| fees.fee(Amount::from_msat(msat).unwrap()).map(Amount::msat);
    assert_eq!(fee(0), Some(10));
    assert_eq!(fee(1), Some(11));
    assert_eq!(fee(1_000_000), Some(11));
    assert_eq!(fee(1_000_001), Some(12));
    let dear = FeeSchedule {
        parts_per_million: u32::MAX,
        ..fees
    };
    assert_eq!(dear.fee(Amount::MAX), None);
}

#[test]
fn what_a_gateway_replies_is_a_preimage_or_a_forfeit_by_its_name() {
    let paid = GatewayReply::Paid(Preimage::from([7; 32]));
    let json = serde_json::json!({ "paid": "07".repeat(32) });
    assert_eq!(serde_json::to_value(paid).unwrap(), json);
    let contract = ContractId::from([1; 32]);
    let forfeit = GatewayReply::Forfeit(Forfeit::sign(FEDERATION, contract, &key(9)));
    let json = serde_json::to_value(forfeit).unwrap();
    assert_eq!(json["forfeit"]["contract"], "01".repeat(32));
    assert_eq!(
        serde_json::from_value::<GatewayReply>(json).unwrap(),
        forfeit
    );
    assert!(serde_json::from_str::<GatewayReply>("{}").is_err());
}

#[test]
fn what_was_fetched_is_asked_for_by_its_name_and_no_invoice_is_such_a_name() {
    let name = Bytes([3; 32]);
    let request = PayRequest::of_fetched(FEDERATION, ContractId::from([1; 32]), name);
    assert_eq!(fetched_request(&request.invoice), Some(name));
    for other in ["fetched:03", "lnbc1", "", "fetched:"] {
        assert_eq!(fetched_request(other), None);
    }
}

#[test]
fn a_gateway_serves_a_federation_only_under_its_key_and_if_it_is_ready_there() {
    let ours = key(9).x_only_public_key().0;
    let info = |ready, here, trouble: Option<&str>| GatewayInfo {
        version: "1".into(),
        network: "regtest".into(),
        node_key: None,
        swap_only: false,
        federations: vec![ServedFederation {
            federation: FEDERATION,
            key: ours,
            ready: here,
            trouble: trouble.map(str::to_owned),
        }],
        ready,
    };
    let serves = |info: GatewayInfo| info.serves(FEDERATION, &ours);
    assert_eq!(serves(info(true, true, None)), Ok(()));
    assert!(serves(info(false, true, None)).is_err());
    let asleep = serves(info(true, false, Some("the node is not in sync")));
    assert_eq!(asleep, Err("the node is not in sync".to_owned()));
    let elsewhere = info(true, true, None).serves(ANOTHER, &ours);
    assert!(elsewhere.is_err());
    let stranger = key(8).x_only_public_key().0;
    assert!(info(true, true, None)
        .serves(FEDERATION, &stranger)
        .is_err());
    let long = "x".repeat(10_000);
    let told = serves(info(true, false, Some(&long))).unwrap_err();
    assert_eq!(told.len(), limits::MAX_TROUBLE_CHARS);
}
