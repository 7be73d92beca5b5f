//! What guardians decrypt, for whom, and what comes of it (SPEC LN-4).

use bitcoin::secp256k1::Keypair;
use guildmint_core::{ledger::Ledger, module::ServerModule, Bytes, FederationId, PeerId};
use guildmint_ln::{
    client::{open, OpenError, Opened},
    limits, share_index, Closing, ContractId, LnInput, LnOutput, Preimage, ShareRequest, Witness,
};
use guildmint_tbs::encryption::{combine, DecryptionShare};

use crate::{
    claim, code,
    common::{garbage, gateway, key, keys, sat, World, FEDERATION, SCOPE},
    gateway_input,
};

#[test]
fn an_offer_is_funded_and_claimed_and_the_preimage_is_public_then() {
    let mut world = World::new();
    let offer = world.offer(0);
    let contract = world.fund(World::incoming(offer)).unwrap();
    assert_eq!(world.audit().liabilities_msat, 1_000_000);
    let funding = world.funding(&offer);
    assert_eq!((funding.contract, funding.closing), (Some(contract), None));

    let (opened, culprits) =
        open(FEDERATION, &keys().0, &offer.offer, &world.shares(contract)).unwrap();
    assert_eq!(opened, Opened::Preimage(world.user.preimage(0)));
    assert!(culprits.is_empty());

    let spent = world.spend(&claim(&world, 0, contract)).unwrap();
    assert_eq!(spent.amount, sat(1_000));
    let preimage = world.user.preimage(0);
    let closing = Some(Closing::Claimed { preimage });
    assert_eq!(world.contract(contract).closing, closing);
    assert_eq!(world.audit().liabilities_msat, 0);
    assert_eq!(
        code(world.spend(&claim(&world, 0, contract))),
        "contract_closed"
    );
}

/// Scenario 43. SPEC LN-4.
#[test]
fn who_funds_an_offer_that_hides_no_preimage_has_the_money_back() {
    let mut world = World::new();
    let offer = garbage(150);
    let contract = world.fund(World::incoming(offer)).unwrap();
    let shares = world.shares(contract);
    let (opened, _) = open(FEDERATION, &keys().0, &offer.offer, &shares).unwrap();
    let Opened::Undecryptable(witness) = opened else {
        panic!("{opened:?} from garbage");
    };
    // Its author cannot claim it, whatever the ciphertext hides.
    for preimage in [[1; 32], [2; 32]] {
        let author = LnInput {
            contract,
            key: key(5).x_only_public_key().0,
            witness: Witness::Preimage(Preimage::from(preimage)),
        };
        if preimage == [2; 32] {
            assert_eq!(code(world.spend(&author)), "wrong_preimage");
        }
    }
    let mut stranger = gateway_input(contract, witness);
    stranger.key = key(5).x_only_public_key().0;
    assert_eq!(code(world.spend(&stranger)), "wrong_key");
    let refund = gateway_input(contract, witness);
    assert_eq!(world.spend(&refund).unwrap().amount, sat(1_000));
    let closing = world.contract(contract).closing;
    assert_eq!(closing, Some(Closing::Undecryptable));
    assert_eq!(code(world.spend(&refund)), "contract_closed");
}

#[test]
fn an_offer_that_hides_its_preimage_is_refunded_to_nobody() {
    let mut world = World::new();
    let offer = world.offer(0);
    let contract = world.fund(World::incoming(offer)).unwrap();
    let junk = garbage(150);
    let of_junk = world.fund(World::incoming(junk)).unwrap();
    let shares = world.shares(of_junk);
    let (opened, _) = open(FEDERATION, &keys().0, &junk.offer, &shares).unwrap();
    let Opened::Undecryptable(Witness::Undecryptable { decryption_key, .. }) = opened else {
        panic!("{opened:?} from garbage");
    };
    let refund = |offer, decryption_key| {
        let witness = Witness::Undecryptable {
            offer,
            decryption_key,
        };
        gateway_input(contract, witness)
    };
    // A proof about another offer; a key of another offer; no key.
    let of_another = refund(junk.offer, decryption_key);
    assert_eq!(code(world.spend(&of_another)), "wrong_offer");
    for key in [decryption_key, Bytes([0; 96]), offer.offer.preimage.u] {
        assert_eq!(code(world.spend(&refund(offer.offer, key))), "bad_proof");
    }
    // The right key, which decrypts to the preimage.
    let shares: Vec<_> = world.shares(contract).into_iter().collect();
    let ciphertext = offer.offer.preimage.ciphertext().unwrap();
    let data = offer.offer.associated_data(FEDERATION);
    let ciphertext = ciphertext.verify(&data).unwrap();
    let points: Vec<_> = shares
        .iter()
        .map(|(peer, share)| {
            let point = DecryptionShare::from_bytes(&share.0);
            (share_index(*peer).unwrap(), point.unwrap())
        })
        .collect();
    let right = combine(&keys().0.key, &ciphertext, &points).unwrap();
    let right = refund(offer.offer, Bytes(*right.to_bytes()));
    assert_eq!(code(world.spend(&right)), "bad_proof");
    assert_eq!(world.contract(contract).closing, None);
}

#[test]
fn a_guardian_with_wrong_shares_is_named_and_delays_nothing() {
    let mut world = World::new();
    let offer = world.offer(0);
    let contract = world.fund(World::incoming(offer)).unwrap();
    let mut shares = world.shares(contract);
    shares.insert(PeerId(1), shares[&PeerId(2)]);
    let (opened, culprits) = open(FEDERATION, &keys().0, &offer.offer, &shares).unwrap();
    assert_eq!(opened, Opened::Preimage(world.user.preimage(0)));
    assert_eq!(culprits, [PeerId(1)]);
    shares.insert(PeerId(3), Bytes([0; 96]));
    let error = open(FEDERATION, &keys().0, &offer.offer, &shares).unwrap_err();
    let OpenError::NotEnough {
        have,
        need,
        mut culprits,
    } = error
    else {
        panic!("{error}");
    };
    culprits.sort_unstable();
    assert_eq!((have, need, culprits), (2, 3, vec![PeerId(1), PeerId(3)]));
}

/// SPEC LN-4, scenario 51.
#[test]
fn a_decryption_share_is_given_to_the_funder_alone() {
    let mut world = World::new();
    let contract = world.fund(World::incoming(world.offer(0))).unwrap();
    let other = world.fund(World::incoming(world.offer(1))).unwrap();
    let share =
        |peer, contract, until, key: &Keypair| world.share(PeerId(peer), contract, until, key);
    assert!(share(0, contract, 100, &gateway()).is_ok());
    assert_eq!(code(share(0, contract, 100, &key(5))), "not_the_funder");
    let owner = world.user.claim(0, contract).unwrap().key;
    assert_ne!(owner, gateway().x_only_public_key().0);
    // A request for one contract, one guardian and one time, used for another.
    let request = |guardian, contract, expires_at| ShareRequest {
        guardian: PeerId(guardian),
        contract,
        expires_at,
    };
    let signature = request(0, contract, 100).sign(FEDERATION, &gateway());
    let replay = |at: u16, request: ShareRequest| {
        code(world.ask(PeerId(at), &request.path(&signature)).unwrap())
    };
    assert_eq!(replay(1, request(1, contract, 100)), "not_the_funder");
    assert_eq!(replay(0, request(0, other, 100)), "not_the_funder");
    assert_eq!(replay(0, request(0, contract, 101)), "not_the_funder");
    let elsewhere = request(0, contract, 100).sign(FederationId([8; 32]), &gateway());
    let answer = world.ask(PeerId(0), &request(0, contract, 100).path(&elsewhere));
    assert_eq!(code(answer.unwrap()), "not_the_funder");
    // Too old, and too long.
    assert_eq!(code(share(0, contract, 99, &gateway())), "request_expired");
    let too_long = 101 + limits::MAX_SHARE_REQUEST_BLOCKS;
    let answer = share(0, contract, too_long, &gateway());
    assert_eq!(code(answer), "request_too_long");
    // Nothing to decrypt, and nothing there.
    let unknown = share(0, [9; 32].into(), 100, &gateway());
    assert_eq!(code(unknown), "unknown_contract");
    let (outgoing, _) = world.pay();
    let answer = world.share(PeerId(0), outgoing, 100, &gateway());
    assert_eq!(code(answer), "nothing_encrypted");
}

/// SPEC LN-4: what anybody is told holds no share, before and after.
#[test]
fn no_public_answer_has_a_share_in_it() {
    let mut world = World::new();
    let offer = world.offer(0);
    let contract = World::incoming(offer);
    let output = LnOutput::Incoming(contract);
    let (out_point, _) = world.accept(&output).unwrap();
    let id = ContractId::new(out_point);
    let shares = world.shares(id);
    let mut told = Vec::new();
    for (peer, ln) in &world.guardians {
        let mut ledger = Ledger::new(&world.rows);
        let outcome = ln.outcome(&ledger.view(SCOPE), &output, out_point, None);
        told.push(serde_json::to_string(&outcome.unwrap().get()).unwrap());
        for path in [
            format!("contracts/{id}"),
            format!("fundings/{}", offer.offer.id(FEDERATION)),
            format!("offers/{}", offer.offer.hash),
        ] {
            told.push(world.ask(*peer, &path).unwrap().unwrap().to_string());
        }
        for path in [
            format!("contracts/{id}/share"),
            format!("contracts/{id}/share?expires_at=100"),
        ] {
            assert!(world.ask(*peer, &path).unwrap().is_err());
        }
    }
    for share in shares.values() {
        assert!(told
            .iter()
            .all(|answer| !answer.contains(&share.to_string())));
    }
    let preimage = world.user.preimage(0).to_string();
    assert!(told.iter().all(|answer| !answer.contains(&preimage)));
}
