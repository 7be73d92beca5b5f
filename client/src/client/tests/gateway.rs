//! Lightning gateways without Lightning: they know preimages, or do not, and behave as told.

use std::time::Duration;

use bitcoin::{
    hashes::{sha256, Hash},
    secp256k1::{Keypair, PublicKey},
};
use guildmint_core::{
    ledger::{Ledger, View},
    module::{Later, Query, Reject, ServerModule},
    Amount, Bytes, OutPoint,
};
use guildmint_ln::{
    fetched_request, Announcement, ContractAnswer, ContractId, FeeSchedule, FetchAnswer,
    FetchRequest, Forfeit, GatewayInfo, GatewayReply, IncomingContract, InvoiceAnswer, InvoiceHash,
    InvoiceRequest, LnInput, LnOutput, OfferRef, PayRequest, PaymentHash, Preimage,
    ServedFederation, Terms, Vouching, Witness,
};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use secp256k1::SECP256K1;
use serde_json::json;

use super::{
    fake::{Fake, Mood, LN_ROWS},
    world::World,
    *,
};
use crate::GatewayCall;

/// How a gateway behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    Honest,
    /// It cannot be reached at all.
    Gone,
    /// It says that it is ready, and nothing after that.
    Vanishes,
    /// It says that it is not ready.
    Tired,
    /// It does nothing, for ever.
    Idle,
    /// The same, but says so at once, again and again.
    Hasty,
    /// It gives up what it is to pay.
    Forfeits,
    /// It says that it has paid, and shows some preimage.
    Boasts,
    /// It gives up contracts by a key that is not theirs.
    ForeignForfeit,
    /// It gives up another contract.
    OtherForfeit,
    /// It takes the money and says nothing.
    Taciturn,
    /// Its invoices are on a hash of its own.
    OtherHash,
    /// Its invoices ask for more.
    Greedy,
    /// Its invoices are paid to somebody else.
    OtherNode,
    /// It refuses to make invoices, for good.
    Refuses,
    /// It has no node.
    SwapsOnly,
    /// It names no key of a node, so that it cannot sign invoices.
    Nameless,
}

/// A fetched invoice, in hexadecimal. The wallet does not read it.
pub const FETCHED: &str = "abcdef";

pub struct FakeGateway {
    key: Keypair,
    pub node: Keypair,
    pub manners: Manners,
    url: String,
    number: u64,
    /// What payees outside would reveal.
    pub secrets: BTreeMap<PaymentHash, Preimage>,
    /// Offers for which it has made invoices.
    offers: BTreeMap<PaymentHash, InvoiceRequest>,
    pub paid: Vec<PaymentHash>,
    /// What it has earned in the federation, and spent.
    pub worth_msat: i64,
}

pub fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(SECP256K1, &[byte; 32]).unwrap()
}

/// An invoice of a node, at the time 1,000 and for an hour.
pub fn invoice(node: &Keypair, hash: PaymentHash, amount: Amount) -> String {
    InvoiceBuilder::new(Currency::Regtest)
        .description("cake".into())
        .payment_hash(sha256::Hash::from_byte_array(hash.0 .0))
        .payment_secret(PaymentSecret([42; 32]))
        .duration_since_epoch(Duration::from_secs(1_000))
        .expiry_time(Duration::from_secs(3_600))
        .min_final_cltv_expiry_delta(144)
        .amount_milli_satoshis(amount.msat())
        .build_signed(|hash| SECP256K1.sign_ecdsa_recoverable(hash, &node.secret_key()))
        .unwrap()
        .to_string()
}

impl FakeGateway {
    fn node_key(&self) -> Option<PublicKey> {
        (self.manners != Manners::Nameless).then(|| PublicKey::from_keypair(&self.node))
    }
}

impl Fake {
    /// One more gateway, which takes a hundredth, and so many millisatoshi more.
    pub fn open_gateway(&mut self, manners: Manners, base_msat: u64) -> usize {
        let place = self.gateways.len();
        let byte = 100 + u8::try_from(place).unwrap();
        self.gateways.push(FakeGateway {
            key: key(byte),
            node: key(byte + 50),
            manners,
            url: format!("http://gateway-{place}/"),
            number: 0,
            secrets: BTreeMap::new(),
            offers: BTreeMap::new(),
            paid: Vec::new(),
            worth_msat: 0,
        });
        self.announce(place, base_msat);
        place
    }

    /// A gateway says what it takes.
    pub fn announce(&mut self, place: usize, base_msat: u64) {
        let gateway = &mut self.gateways[place];
        gateway.number += 1;
        let fees = FeeSchedule {
            base: Amount::from_msat(base_msat).unwrap(),
            parts_per_million: 10_000,
        };
        let announcement = Announcement {
            key: gateway.key.x_only_public_key().0,
            node_key: gateway.node_key(),
            swap_only: gateway.manners == Manners::SwapsOnly,
            api_url: gateway.url.clone(),
            send_fees: fees,
            receive_fees: fees,
            route_hints: Vec::new(),
            number: gateway.number,
            valid_until: self.height + 1_000,
        };
        let signed = announcement.sign(self.genesis.id(), &gateway.key);
        let output = LnOutput::Announcement(signed);
        let out_point = OutPoint {
            txid: TxId([0; 32]),
            index: 0,
        };
        let at = self.at();
        self.change(|ln, view| ln.accept(view, &output, out_point, at))
            .unwrap();
    }

    /// So many guardians vouch for a gateway.
    pub fn vouch(&mut self, place: usize, guardians: u16) {
        let gateways = [self.gateway_key(place)].into();
        let vouching = Vouching { gateways };
        let votes = (0..guardians).map(|peer| (PeerId(peer), vouching.clone()));
        let (votes, at) = (votes.collect(), self.at());
        self.change(|ln, view| {
            assert_eq!(ln.tally(view, votes, at), []);
            Ok(())
        })
        .unwrap();
    }

    pub fn gateway_key(&self, place: usize) -> bitcoin::secp256k1::XOnlyPublicKey {
        self.gateways[place].key.x_only_public_key().0
    }

    fn change<T>(
        &mut self,
        act: impl FnOnce(&guildmint_ln::Ln, &mut View<'_, '_>) -> Result<T, Reject>,
    ) -> Result<T, Reject> {
        let lns = self.lns.clone();
        let mut ledger = Ledger::new(&self.rows);
        let done = act(&lns[0], &mut ledger.view(LN_ROWS))?;
        let changes = ledger.finish().unwrap();
        self.rows.apply(changes);
        Ok(done)
    }

    /// The agreed clock comes to this.
    pub fn advance(&mut self, height: u32) {
        self.height = height;
        let at = self.at();
        self.change(|ln, view| {
            assert_eq!(ln.settle(view, at), []);
            Ok(())
        })
        .unwrap();
    }

    /// What is in contracts that are open, in millisatoshi.
    pub fn locked_msat(&self) -> u64 {
        let mut ledger = Ledger::new(&self.rows);
        self.lns[0].audit(&ledger.view(LN_ROWS)).liabilities_msat
    }

    pub fn ln_query(&self, peer: PeerId, query: &Query, mood: Mood) -> Result<Json, RequestError> {
        let rows = self.behind.get(&peer).unwrap_or(&self.rows);
        let (nothing, mut ledger) = (Memory::default(), Ledger::new(rows));
        let mut local = Ledger::new(&nothing);
        let ln = &self.lns[usize::from(peer.0)];
        let agreed = ledger.view(LN_ROWS);
        let answer = ln.query(&agreed, &local.view(LN_ROWS), query);
        let answer = answer.or_else(|| Some(ln.slow_query(&agreed, query)?.map(Later::get)));
        let reject = |reject: Reject| {
            let problem = guildmint_core::api::Problem::new(
                422,
                &reject.code,
                &reject.message,
                reject.retryable,
            );
            RequestError::Problem(problem)
        };
        let answer = answer.unwrap().map_err(reject);
        match mood {
            Mood::Invents => Ok(invented(&query.path)),
            Mood::Garbage => Ok(json!({"x": "y"})),
            _ => answer,
        }
    }

    /// A gateway's answer; none yet, if it holds the request.
    pub fn gateway(&mut self, url: &str, call: &GatewayCall) -> Option<Result<Json, RequestError>> {
        let mut all = self.gateways.iter();
        let place = all.position(|gateway| gateway.url == url).unwrap();
        let manners = self.gateways[place].manners;
        let gone = Some(Err(RequestError::Unreachable("connection refused".into())));
        match (call, manners) {
            (_, Manners::Gone) => gone,
            (GatewayCall::Info, _) => Some(Ok(json!(self.info(place)))),
            (_, Manners::Vanishes) => gone,
            (GatewayCall::Pay(request), _) => self.pay_by(place, request),
            (GatewayCall::Invoice(request), _) => Some(self.make_invoice(place, request)),
            (GatewayCall::Fetch(request), _) => Some(self.fetch(place, request)),
        }
    }

    fn info(&self, place: usize) -> GatewayInfo {
        let gateway = &self.gateways[place];
        let ready = gateway.manners != Manners::Tired;
        GatewayInfo {
            version: "test".into(),
            network: "regtest".into(),
            node_key: gateway.node_key(),
            swap_only: gateway.manners == Manners::SwapsOnly,
            federations: vec![ServedFederation {
                federation: self.genesis.id(),
                key: self.gateway_key(place),
                ready,
                trouble: (!ready).then(|| "tired".into()),
            }],
            ready: true,
        }
    }

    fn pay_by(&mut self, place: usize, request: &PayRequest) -> Option<Result<Json, RequestError>> {
        let id = self.genesis.id();
        let answer = self.contract(request.contract);
        let account = answer.account.expect("asked before it is funded");
        let Terms::Outgoing(contract) = account.terms else {
            panic!("not for a gateway");
        };
        let named = fetched_request(&request.invoice).map(|_| FETCHED);
        let invoice = named.unwrap_or(&request.invoice);
        assert_eq!(contract.invoice_hash, InvoiceHash::new(invoice));
        let (gateway_key, manners) = (self.gateways[place].key, self.gateways[place].manners);
        let reply = |reply| Some(Ok(json!(reply)));
        let forfeit =
            |contract, key: &Keypair| GatewayReply::Forfeit(Forfeit::sign(id, contract, key));
        match manners {
            Manners::Idle => None,
            Manners::Hasty => Some(Ok(json!({}))),
            Manners::Forfeits => reply(forfeit(request.contract, &gateway_key)),
            Manners::Boasts => reply(GatewayReply::Paid([9; 32].into())),
            Manners::ForeignForfeit => reply(forfeit(request.contract, &key(9))),
            Manners::OtherForfeit => reply(forfeit(ContractId::from([9; 32]), &gateway_key)),
            _ => {
                let preimage = self.gateways[place].secrets[&contract.hash];
                if answer.closing.is_none() {
                    self.claim(place, request.contract, preimage);
                    self.gateways[place].paid.push(contract.hash);
                    self.gateways[place].worth_msat += account.amount.msat() as i64;
                }
                match manners {
                    Manners::Taciturn => Some(Err(RequestError::TimedOut(1))),
                    _ => reply(GatewayReply::Paid(preimage)),
                }
            }
        }
    }

    /// What a payee answers, whose preimage is all ones.
    fn fetch(&mut self, place: usize, request: &FetchRequest) -> Result<Json, RequestError> {
        assert_eq!(request.federation, self.genesis.id());
        let amount_msat = match self.gateways[place].manners {
            Manners::Greedy => request.amount_msat + 1,
            _ => request.amount_msat,
        };
        let contract_msat = amount_msat + amount_msat.div_ceil(100);
        Ok(json!(FetchAnswer {
            request: Bytes([5; 32]),
            hash: Preimage::from([1; 32]).hash(),
            amount_msat: Amount::from_msat(amount_msat).unwrap(),
            contract_amount_msat: Amount::from_msat(contract_msat).unwrap(),
            invoice: FETCHED.into(),
            invoice_hash: InvoiceHash::new(FETCHED),
        }))
    }

    fn claim(&mut self, place: usize, contract: ContractId, preimage: Preimage) {
        let input = LnInput {
            contract,
            key: self.gateway_key(place),
            witness: Witness::Preimage(preimage),
        };
        let at = self.at();
        self.change(|ln, view| ln.spend(view, &input, at)).unwrap();
    }

    fn make_invoice(
        &mut self,
        place: usize,
        request: &InvoiceRequest,
    ) -> Result<Json, RequestError> {
        request.offer.verify(self.genesis.id()).unwrap();
        let offer = request.offer.offer;
        let gateway = &mut self.gateways[place];
        if gateway.manners == Manners::Refuses {
            let problem = guildmint_core::api::Problem::new(422, "hash_used", "no", false);
            return Err(RequestError::Problem(problem));
        }
        let known = gateway.offers.insert(offer.hash, request.clone());
        assert!(
            known.is_none_or(|known| known == *request),
            "a hash used twice"
        );
        let fee_msat = offer.amount.msat().div_ceil(100);
        let mut asks = Amount::from_msat(offer.amount.msat() + fee_msat).unwrap();
        let (mut hash, mut node) = (offer.hash, gateway.node);
        match gateway.manners {
            Manners::OtherHash => hash = Preimage::from([8; 32]).hash(),
            Manners::Greedy => asks = Amount::from_msat(asks.msat() + 1).unwrap(),
            Manners::OtherNode => node = key(8),
            _ => {}
        }
        let invoice = invoice(&node, hash, asks);
        Ok(json!(InvoiceAnswer { invoice }))
    }

    /// Somebody pays an invoice of a gateway, which funds the offer's contract.
    pub fn pay_invoice(&mut self, place: usize, hash: PaymentHash) -> Result<ContractId, Reject> {
        let offer = self.gateways[place].offers[&hash].offer;
        let output = LnOutput::Incoming(IncomingContract {
            offer: OfferRef::Carried(offer),
            amount: offer.offer.amount,
            refund_key: self.gateway_key(place),
            valid_until: self.height + 12,
        });
        let mut txid = TxId([1; 32]);
        txid.0[..8].copy_from_slice(&hash.0 .0[..8]);
        let (out_point, at) = (OutPoint { txid, index: 0 }, self.at());
        self.change(|ln, view| {
            ln.check_output(&output)?;
            ln.accept(view, &output, out_point, at)
        })?;
        self.gateways[place].worth_msat -= offer.offer.amount.msat() as i64;
        Ok(ContractId::new(out_point))
    }

    /// A gateway claims all that it can.
    pub fn claim_all(&mut self, place: usize) {
        for (contract, account) in self.accounts() {
            let preimage = self.gateways[place]
                .secrets
                .get(&account.terms.hash())
                .copied();
            if let (Terms::Outgoing(_), Some(preimage)) = (account.terms, preimage) {
                self.claim(place, contract, preimage);
                self.gateways[place].worth_msat += account.amount.msat() as i64;
            }
        }
    }

    /// Contracts that submitted transactions have funded.
    fn accounts(&self) -> Vec<(ContractId, guildmint_ln::ContractAccount)> {
        let contract = |id: ContractId| Some((id, self.contract(id).account?));
        let outputs = self.accepted.keys().map(|txid| OutPoint {
            txid: *txid,
            index: 0,
        });
        outputs
            .filter_map(|output| contract(ContractId::new(output)))
            .collect()
    }

    fn contract(&self, id: ContractId) -> ContractAnswer {
        let query = Query {
            path: format!("contracts/{id}"),
            parameters: BTreeMap::new(),
        };
        let answer = self.ln_query(PeerId(3), &query, Mood::Honest).unwrap();
        serde_json::from_value(answer).unwrap()
    }

    /// The refund keys of all contracts that were ever funded by users.
    pub fn refund_keys(&self) -> std::collections::BTreeSet<bitcoin::secp256k1::XOnlyPublicKey> {
        let accounts = self.accounts().into_iter();
        accounts
            .map(|(_, account)| account.terms.refund_key())
            .collect()
    }

    /// What a contract was claimed with.
    pub fn preimage_of(&self, contract: ContractId) -> Preimage {
        match self.contract(contract).closing {
            Some(guildmint_ln::Closing::Claimed { preimage }) => preimage,
            other => panic!("{other:?}"),
        }
    }

    /// What gateways have earned.
    pub fn earned_msat(&self) -> i64 {
        self.gateways.iter().map(|gateway| gateway.worth_msat).sum()
    }
}

/// What a liar says of contracts and the clock.
fn invented(path: &str) -> Json {
    match path.split('/').next() {
        Some("clock") => json!({"height": 1_000_000}),
        Some("gateways") => json!({"gateways": []}),
        Some("contracts") => json!({"account": null, "closing": "forfeited"}),
        _ => json!({"contract": null, "account": null, "closing": null}),
    }
}

impl World {
    /// An invoice of somebody outside, whose preimage all gateways would learn by paying it.
    pub fn bill(&mut self, number: u8, amount_msat: u64) -> (PaymentHash, String) {
        let preimage = Preimage::from([number; 32]);
        let hash = preimage.hash();
        for gateway in &mut self.fake.gateways {
            gateway.secrets.insert(hash, preimage);
        }
        let amount = Amount::from_msat(amount_msat).unwrap();
        (hash, invoice(&key(77), hash, amount))
    }
}
