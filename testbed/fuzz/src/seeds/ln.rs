//! The Lightning module, beside the federation: its encodings depend on nothing else in it.

use std::{collections::BTreeMap, sync::OnceLock};

use bitcoin::{
    secp256k1::{Keypair, PublicKey},
    Network,
};
use guildmint_core::{
    module::{Federation, ServerModule},
    Amount, Bytes, ModuleId, PeerId, Wire,
};
use guildmint_ln::{
    client::LnClient, dealer, limits, Announcement, FeeSchedule, Forfeit, Hop, IncomingContract,
    InvoiceHash, Ln, LnConfig, LnInput, LnOutput, LnTerms, OfferRef, OutgoingContract, SignedOffer,
    Vouching, Witness,
};
use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};
use secp256k1::SECP256K1;

use super::{genesis, quorum, Seeds};

fn dealt() -> &'static (LnConfig, Ln) {
    static DEALT: OnceLock<(LnConfig, Ln)> = OnceLock::new();
    DEALT.get_or_init(|| {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let (config, mut secrets) = dealer::deal(quorum(), LnTerms::default(), rng).unwrap();
        let federation = Federation {
            id: genesis().id(),
            quorum: quorum(),
            network: Network::Regtest,
            me: PeerId(0),
        };
        let module = Ln::new(federation, config.clone(), secrets.remove(0));
        (config, module.unwrap())
    })
}

/// The module as the first guardian runs it.
#[must_use]
pub fn module() -> &'static Ln {
    &dealt().1
}

fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[byte; 32]).unwrap()
}

fn client() -> LnClient {
    let config = dealt().0.clone();
    LnClient::new(genesis().id(), ModuleId(2), quorum(), config, &[1; 64]).unwrap()
}

fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat).unwrap()
}

fn offer() -> SignedOffer {
    client().offer(0, sat(1_000), 150).unwrap()
}

pub(super) fn seeds() -> Seeds {
    BTreeMap::from([
        ("encryption", ciphertexts()),
        ("ln_config", vec![dealt().0.encode()]),
        ("ln_input", inputs()),
        ("ln_invoice", invoices()),
        ("ln_offer", vec![offer().encode()]),
        ("ln_output", outputs()),
        ("ln_vouching", vec![vouching().encode()]),
    ])
}

fn ciphertexts() -> Vec<Vec<u8>> {
    let preimage = offer().offer.preimage;
    let data = offer().offer.associated_data(genesis().id());
    let whole = [&preimage.u.0[..], &preimage.v.0, &preimage.w.0, &data].concat();
    vec![whole, preimage.u.0.to_vec()]
}

fn inputs() -> Vec<Vec<u8>> {
    let contract = [3; 32].into();
    let forfeit = Forfeit::sign(genesis().id(), contract, &key(7));
    let undecryptable = Witness::Undecryptable {
        offer: offer().offer,
        decryption_key: Bytes(offer().offer.preimage.u.0),
    };
    let claim = client().claim(0, contract).unwrap();
    let witnesses = [Witness::TimedOut, Witness::Forfeit(forfeit), undecryptable];
    let refund = |witness| LnInput { witness, ..claim };
    let inputs = std::iter::once(claim).chain(witnesses.map(refund));
    inputs.map(|input| input.encode()).collect()
}

fn outputs() -> Vec<Vec<u8>> {
    let incoming = |offer| IncomingContract {
        offer,
        amount: sat(1_000),
        refund_key: key(7).x_only_public_key().0,
        valid_until: 120,
    };
    let outgoing = OutgoingContract {
        hash: offer().offer.hash,
        amount: sat(1_000),
        gateway_key: key(7).x_only_public_key().0,
        refund_key: key(8).x_only_public_key().0,
        timelock: 1_000,
        invoice_hash: InvoiceHash::new("lnbcrt1"),
    };
    let hop = Hop {
        node_key: PublicKey::from_keypair(&key(9)),
        short_channel_id: 1,
        fees: FeeSchedule::default(),
        cltv_expiry_delta: 144,
    };
    let announcement = Announcement {
        key: key(7).x_only_public_key().0,
        node_key: Some(hop.node_key),
        swap_only: false,
        api_url: "https://gateway.example.org".into(),
        send_fees: FeeSchedule::default(),
        receive_fees: FeeSchedule::default(),
        route_hints: vec![vec![hop; limits::MAX_HOPS]],
        number: 1,
        valid_until: 120,
    };
    let id = offer().offer.id(genesis().id());
    let outputs = [
        LnOutput::Offer(offer()),
        LnOutput::Incoming(incoming(OfferRef::Carried(offer()))),
        LnOutput::Incoming(incoming(OfferRef::Stored(id))),
        LnOutput::Outgoing(outgoing),
        LnOutput::Announcement(announcement.sign(genesis().id(), &key(7))),
    ];
    outputs.iter().map(Wire::encode).collect()
}

fn vouching() -> Vouching {
    let gateways = [7, 8].map(|byte| key(byte).x_only_public_key().0).into();
    Vouching { gateways }
}

/// One that can be paid, and one that names no amount.
fn invoices() -> Vec<Vec<u8>> {
    let vectors = include_str!("../../../../module-ln/tests/vectors/bolt11.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let text = |place: usize| vectors["invoices"][place]["invoice"].as_str().unwrap();
    [0, 1].map(|place| text(place).as_bytes().to_vec()).into()
}
