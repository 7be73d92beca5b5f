//! A federation in memory, behind the port: real rules on contracts, play money, and news that come late, twice and in any order.
//!
//! Offers in it are not encrypted: what each hides is said when it is made.

mod books;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::secp256k1::{Keypair, SecretKey, XOnlyPublicKey};
use guildmint_core::{Amount, Bytes, FederationId};
use guildmint_ln::{
    Closing, ContractId, EncryptedPreimage, Forfeit, Offer, OutgoingContract, PaymentHash,
    Preimage, SignedAnnouncement, SignedOffer,
};
use secp256k1::SECP256K1;

use self::books::Books;
use super::{Costs, FederationState, News, Order};

/// How rudely news comes, and how slowly orders are carried out. The default is politely: at once, once, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Of 100 orders that wait, how many are left for a later turn.
    pub delayed_percent: u8,
    /// Of 100 news, how many are told once more later.
    pub repeated_percent: u8,
    /// Whether news comes in any order.
    pub shuffled: bool,
}

impl Faults {
    /// As rude as is of use.
    pub const ALL: Self = Self {
        delayed_percent: 40,
        repeated_percent: 30,
        shuffled: true,
    };
}

/// Why the federation does not do what a user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No such contract, or not of this direction.
    Unknown,
    /// It has ended.
    Closed,
    /// The preimage is of another hash.
    Preimage,
    /// The forfeit is another contract's, or not its gateway's.
    Forfeit,
    /// Its time limit has not come.
    Early,
}

/// A federation with one gateway and any number of users. Clones are the same one.
#[derive(Clone)]
pub struct FakeFederation {
    id: FederationId,
    books: Arc<Mutex<Books>>,
}

impl FakeFederation {
    /// A federation at height 200, in which the gateway has so much e-cash.
    #[must_use]
    pub fn new(number: u8, ecash: Amount) -> Self {
        Self {
            id: FederationId([number; 32]),
            books: Arc::new(Mutex::new(Books::new(u64::from(number), ecash))),
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> FederationId {
        self.id
    }

    /// From now on it is so rude.
    pub fn set_faults(&self, faults: Faults) {
        self.books().faults = faults;
    }

    /// What it charges for each contract that is funded or spent, from now on. 10 msat before.
    pub fn set_fee(&self, fee: Amount) {
        self.books().fee = fee;
    }

    /// The clock advances.
    pub fn mine(&self, blocks: u32) {
        self.books().height += blocks;
    }

    /// From now on nothing is ordered or agreed, or everything again. The clock may go on.
    pub fn stall(&self, stalled: bool) {
        self.books().stalled = stalled;
    }

    /// From now on guardians give no decryption shares, or do again.
    pub fn withhold_shares(&self, withheld: bool) {
        self.books().withheld = withheld;
    }

    /// What its client says is wrong with it.
    pub fn set_trouble(&self, trouble: Option<&str>) {
        self.books().trouble = trouble.map(str::to_owned);
    }

    /// What it says that it takes. (It takes as much as ever.)
    pub fn set_costs(&self, costs: Costs) {
        self.books().costs = costs;
    }

    /// Carries out an order of the gateway, now or at a later turn.
    pub fn order(&self, order: Order) {
        self.books().take(order);
    }

    /// Lets it take a turn, and gives the news that are told now.
    #[must_use]
    pub fn turn(&self) -> Vec<News> {
        self.books().turn(self.id)
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> FederationState {
        let books = self.books();
        FederationState {
            height: books.height,
            ecash: books.ecash,
            trouble: books.trouble.clone(),
            costs: books.costs,
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.books().is_quiet()
    }

    /// An offer that hides this: the preimage of its hash, or something else.
    #[must_use]
    pub fn offer(
        &self,
        hash: PaymentHash,
        amount: Amount,
        expires_at: u32,
        hides: Option<Preimage>,
    ) -> SignedOffer {
        let key = key_of(hash.0 .0);
        // No ciphertext; only this federation knows what it hides.
        let preimage = EncryptedPreimage {
            u: Bytes([1; 96]),
            v: hash.0,
            w: Bytes([2; 48]),
        };
        let offer = Offer {
            hash,
            amount,
            preimage,
            claim_key: key.x_only_public_key().0,
            expires_at,
        };
        self.books().hidden.insert(offer.id(self.id), hides);
        offer.sign(self.id, &key)
    }

    /// A user funds a contract for the gateway.
    pub fn fund(&self, contract: OutgoingContract) -> ContractId {
        self.books().fund_outgoing(contract)
    }

    /// A user wants back what is in an outgoing contract, by a forfeit, or since its time is over.
    ///
    /// # Errors
    /// If that may not be.
    pub fn refund(&self, contract: ContractId, forfeit: Option<Forfeit>) -> Result<(), Refused> {
        if let Some(forfeit) = forfeit {
            let holds = forfeit.contract == contract && forfeit.verify(self.id).is_ok();
            if !holds {
                return Err(Refused::Forfeit);
            }
        }
        self.books().refund_outgoing(contract, forfeit)
    }

    /// A user claims an incoming contract.
    ///
    /// # Errors
    /// If that may not be.
    pub fn claim(&self, contract: ContractId, preimage: Preimage) -> Result<Amount, Refused> {
        self.books().claim_incoming(contract, preimage)
    }

    /// Somebody else funds an offer's contract first.
    pub fn fund_by_another(&self, offer: &SignedOffer) {
        let offer = offer.offer.id(self.id);
        self.books().refuse(offer, "another has funded the offer");
    }

    /// The contract that funds an offer on this hash, if there is one.
    #[must_use]
    pub fn incoming(&self, hash: PaymentHash) -> Option<ContractId> {
        self.books().incoming(hash)
    }

    /// How a contract has ended.
    #[must_use]
    pub fn closing(&self, contract: ContractId) -> Option<Closing> {
        self.books().closing(contract)
    }

    /// What the gateway has funded and nobody has taken yet.
    #[must_use]
    pub fn locked(&self) -> Amount {
        self.books().locked()
    }

    /// What the gateway has announced, the last first.
    #[must_use]
    pub fn announcements(&self) -> Vec<SignedAnnouncement> {
        self.books().announcements.iter().rev().cloned().collect()
    }
}

/// A key for the user whose payment this is. It guards nothing.
fn key_of(bytes: [u8; 32]) -> Keypair {
    let mut number = bytes;
    loop {
        if let Ok(secret) = SecretKey::from_slice(&number) {
            return Keypair::from_secret_key(SECP256K1, &secret);
        }
        number[0] = number[0].wrapping_add(1);
    }
}

/// A user's key for refunds.
#[must_use]
pub fn user_key(number: u8) -> XOnlyPublicKey {
    key_of([number.max(1); 32]).x_only_public_key().0
}
