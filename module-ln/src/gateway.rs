//! Gateways: how they announce themselves (SPEC LN-6), and what wallets ask of them.

use bitcoin::secp256k1::{schnorr::Signature, Keypair, PublicKey, XOnlyPublicKey};
use guildmint_core::{encoding::write, Amount, Bytes, FederationId, Tagged};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    limits,
    signed::{sign, verify, WrongSignature},
    ContractId, Forfeit, InvoiceHash, PaymentHash, Preimage, SignedOffer,
};

/// What stands before a request's name where a [`PayRequest`] would have an invoice.
const NAMED: &str = "fetched:";

/// What a gateway charges for a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FeeSchedule {
    /// For each payment.
    pub base: Amount,
    /// And so many millionths of its amount, rounded up to a millisatoshi.
    pub parts_per_million: u32,
}

impl FeeSchedule {
    /// The fee for a payment; `None` if it is more than all bitcoin.
    #[must_use]
    pub fn fee(&self, amount: Amount) -> Option<Amount> {
        let share = u128::from(amount.msat()) * u128::from(self.parts_per_million);
        let share = u64::try_from(share.div_ceil(1_000_000)).ok()?;
        self.base.checked_add(Amount::from_msat(share).ok()?)
    }
}

/// A channel that leads to a gateway, for payers who do not see it in the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// The node at the channel's beginning.
    pub node_key: PublicKey,
    /// The channel.
    pub short_channel_id: u64,
    /// What that node charges.
    pub fees: FeeSchedule,
    /// Blocks that it wants between the time limits of its two channels.
    pub cltv_expiry_delta: u16,
}

/// What a gateway says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The gateway's key in this federation. Outgoing contracts name it.
    pub key: XOnlyPublicKey,
    /// Its Lightning node, to which its invoices are paid. None if it makes none.
    pub node_key: Option<PublicKey>,
    /// It has no node, and only swaps between contracts: `node_key` signs its invoices, and ⚠ nobody can pay them but its own users.
    pub swap_only: bool,
    /// Where wallets ask it: `https://…`.
    pub api_url: String,
    /// What it charges for paying an invoice, on top of its amount.
    pub send_fees: FeeSchedule,
    /// What it keeps of a payment that it receives.
    pub receive_fees: FeeSchedule,
    /// Ways to its node.
    pub route_hints: Vec<Vec<Hop>>,
    /// Later ones have higher numbers, such as the time in milliseconds. ⚠ An old one, played again, changes nothing.
    pub number: u64,
    /// The last height of the agreed clock at which it holds. ⚠ Guardians forget it then.
    pub valid_until: u32,
}

/// What no announcement can say.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnnouncementError {
    /// Signed by another key, or for another federation.
    #[error(transparent)]
    Signature(#[from] WrongSignature),
    /// A URL that is none.
    #[error("{0:?} is no URL like https://gateway.example.org, of at most {max} characters", max = limits::MAX_URL_BYTES)]
    Url(String),
    /// More route hints than [`limits::MAX_ROUTE_HINTS`].
    #[error("{0} route hints; at most {max} are allowed", max = limits::MAX_ROUTE_HINTS)]
    RouteHints(usize),
    /// A hint with no hop or more than [`limits::MAX_HOPS`].
    #[error("a route hint with {0} hops; 1 to {max} are allowed", max = limits::MAX_HOPS)]
    Hops(usize),
}

impl Announcement {
    /// Whether it may be able to pay an invoice of this payee. One without a node can if the invoice is its own.
    #[must_use]
    pub fn can_pay(&self, payee: &PublicKey) -> bool {
        self.has_node() || self.node_key.as_ref() == Some(payee)
    }

    /// Whether it reaches others over Lightning, and they it.
    #[must_use]
    pub fn has_node(&self) -> bool {
        self.node_key.is_some() && !self.swap_only
    }

    fn hash(&self, federation: FederationId) -> [u8; 32] {
        let mut bytes = Vec::new();
        write(&mut bytes, self);
        Tagged::new("guildmint/ln/announcement")
            .add(federation)
            .add(bytes)
            .finish()
    }

    /// Signs it with its key's secret.
    #[must_use]
    pub fn sign(self, federation: FederationId, key: &Keypair) -> SignedAnnouncement {
        let signature = sign(key, self.hash(federation));
        SignedAnnouncement {
            announcement: self,
            signature,
        }
    }

    fn check(&self) -> Result<(), AnnouncementError> {
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| self.api_url.strip_prefix(scheme));
        let printable = self.api_url.bytes().all(|byte| byte.is_ascii_graphic());
        if rest.is_none_or(str::is_empty)
            || !printable
            || self.api_url.len() > limits::MAX_URL_BYTES
        {
            let shown = self.api_url.chars().take(80).collect();
            return Err(AnnouncementError::Url(shown));
        }
        if self.route_hints.len() > limits::MAX_ROUTE_HINTS {
            return Err(AnnouncementError::RouteHints(self.route_hints.len()));
        }
        match self
            .route_hints
            .iter()
            .map(Vec::len)
            .find(|hops| !(1..=limits::MAX_HOPS).contains(hops))
        {
            Some(hops) => Err(AnnouncementError::Hops(hops)),
            None => Ok(()),
        }
    }
}

/// An announcement that its gateway has signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAnnouncement {
    /// The announcement.
    pub announcement: Announcement,
    /// The gateway key's signature.
    pub signature: Signature,
}

impl SignedAnnouncement {
    /// Whether the gateway made it for this federation, and it says what can be.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn verify(&self, federation: FederationId) -> Result<(), AnnouncementError> {
        self.announcement.check()?;
        let hash = self.announcement.hash(federation);
        Ok(verify(&self.announcement.key, hash, &self.signature)?)
    }
}

/// Answer to `GET /v1/gateway`: whether a gateway works. ⚠ A wallet asks before it locks money (SPEC LN-6); it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayInfo {
    /// The program's version.
    pub version: String,
    /// The network of its node: `bitcoin`, `testnet`, `signet`, `regtest`.
    pub network: String,
    /// Its node, to which its invoices are paid. None if it makes none.
    pub node_key: Option<PublicKey>,
    /// It has no node, and only swaps between contracts: see [`Announcement::swap_only`].
    pub swap_only: bool,
    /// The federations that it serves, or served.
    pub federations: Vec<ServedFederation>,
    /// Whether it begins payments at all.
    pub ready: bool,
}

/// How a gateway stands in one federation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedFederation {
    /// The federation.
    pub federation: FederationId,
    /// The gateway's key in it.
    pub key: XOnlyPublicKey,
    /// Whether it begins payments there now.
    pub ready: bool,
    /// Why not, in words for people.
    pub trouble: Option<String>,
}

impl GatewayInfo {
    /// Whether the gateway with this key begins payments in a federation now.
    ///
    /// # Errors
    /// Says why not: what it says itself, or that it does not know the federation, or is another gateway.
    pub fn serves(&self, federation: FederationId, key: &XOnlyPublicKey) -> Result<(), String> {
        let mut served = self.federations.iter();
        let served = served.find(|served| served.federation == federation && served.key == *key);
        let served = served.ok_or("it does not serve this federation under the announced key")?;
        match (self.ready && served.ready, &served.trouble) {
            (true, _) => Ok(()),
            (false, Some(trouble)) => {
                Err(trouble.chars().take(limits::MAX_TROUBLE_CHARS).collect())
            }
            (false, None) => Err("it begins nothing new now".to_owned()),
        }
    }
}

/// A wallet asks a gateway for an invoice on the hash of its offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceRequest {
    /// In which federation the user wants to be paid.
    pub federation: FederationId,
    /// What the user wants to get. The invoice asks for that and the gateway's fee.
    pub offer: SignedOffer,
    /// What it is for, at most [`limits::MAX_DESCRIPTION_BYTES`] bytes.
    pub description: String,
    /// For how long the invoice can be paid.
    pub expiry_seconds: u32,
}

/// The answer: an invoice of the gateway's node, which the wallet checks before it shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceAnswer {
    /// The invoice, BOLT11.
    pub invoice: String,
}

/// A wallet asks a gateway to pay an invoice, for a contract that it has funded. Asking again is safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayRequest {
    /// In which federation the contract is.
    pub federation: FederationId,
    /// The contract, which names the invoice by its hash.
    pub contract: ContractId,
    /// The invoice.
    pub invoice: String,
}

impl PayRequest {
    /// A wallet has funded a contract for an invoice that the gateway fetched: the request's name stands for the invoice.
    #[must_use]
    pub fn of_fetched(federation: FederationId, contract: ContractId, request: Bytes<32>) -> Self {
        Self {
            federation,
            contract,
            invoice: fetched_name(request),
        }
    }
}

/// What a wallet writes where a [`PayRequest`] has an invoice, if the gateway has fetched it.
#[must_use]
pub fn fetched_name(request: Bytes<32>) -> String {
    format!("{NAMED}{request}")
}

/// The request that is named in place of an invoice.
#[must_use]
pub fn fetched_request(invoice: &str) -> Option<Bytes<32>> {
    invoice.strip_prefix(NAMED)?.parse().ok()
}

/// What a gateway says to a [`PayRequest`]. None of it is believed unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant)] // one at a time
pub enum GatewayReply {
    /// It has paid.
    Paid(Preimage),
    /// It will not pay.
    Forfeit(Forfeit),
}

/// A wallet asks a gateway for an invoice of a BOLT12 offer, to fund a contract on its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// In which federation the contract will be.
    pub federation: FederationId,
    /// The offer, `lno1…`, with the note at most [`limits::MAX_OFFER_BYTES`] bytes.
    pub offer: String,
    /// What the payee is to get, in millisatoshi: what the offer asks for, or what the user gives.
    pub amount_msat: u64,
    /// A word for the payee.
    pub note: Option<String>,
}

/// The answer: an invoice, which the wallet checks against the offer before it funds anything. It is kept for some minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchAnswer {
    /// What the gateway calls it: see [`PayRequest::of_fetched`].
    pub request: Bytes<32>,
    /// The hash of the payment.
    pub hash: PaymentHash,
    /// What the payee gets.
    pub amount_msat: Amount,
    /// What must be in the contract at least: that, and the gateway's fee.
    pub contract_amount_msat: Amount,
    /// The BOLT12 invoice, in hexadecimal, of at most [`limits::MAX_INVOICE_BYTES`] bytes.
    pub invoice: String,
    /// What the contract names it by: [`InvoiceHash::new`] of that text.
    pub invoice_hash: InvoiceHash,
}
