//! Distributed key generation: guardians make keys of which nobody ever knows a secret.
//!
//! Joint Feldman secret sharing (Pedersen 1991) over an ordered log, with the repairs that a threshold above one half
//! needs. All keys are made in one run. A [`Ceremony`] is one guardian's state machine; it takes the items of all
//! guardians in an order that is the same for all (consensus gives that), each with its authenticated sender.
//!
//! 1. **Dealing.** Guardian j deals a polynomial of degree t − 1 for each key: commitments to the coefficients in G2
//!    (Feldman 1987), a proof that it knows each constant term, an ephemeral key E in G1 with a proof that it knows its
//!    secret, and the shares of all guardians, encrypted. Whoever deals what is visibly wrong is no dealer. The phase ends
//!    when all guardians have dealt, or when t of them have sent [`Item::Close`] and there are t valid dealings.
//! 2. **Verdicts.** Guardian i says which log it saw, and of whom it complains. A complaint opens that dealer's shares for i
//!    and proves it (Chaum and Pedersen 1992), so all see who is wrong: the dealer, who is then out, or else the
//!    accuser, who is named. **All n** verdicts are needed, since with fewer a guardian could be left without shares.
//! 3. **Confirming.** With at least t dealers left, the keys are sums of what they dealt. Every guardian makes the
//!    configuration with them and confirms its hash. When **all n** have confirmed the same, the keys may be used.
//!
//! Why the proofs: without those of the constant terms, f + 1 guardians, too few to sign, could deal the negated sum of the
//! others' and end up with the key. Without that of E, a dealer could put another's E into its own dealing, with garbage
//! for shares; the honest complaints about that would reveal the *other* dealer's shares. Both are bound to parameters,
//! session and dealer, so that nothing can be copied.
//!
//! A last dealer who has seen the others' commitments can bias the public key a little, as in every joint Feldman scheme,
//! and so can conspirators who decide at the end of which of their dealings to complain. For BLS signatures that is
//! harmless (Gurkan, Jovanovic, Maller, Meiklejohn, Stern and Tomescu 2021), and none of it is known for blind ones. The
//! remedy of Gennaro, Jarecki, Krawczyk and Rabin (2007) needs a threshold below one half.
//!
//! A ceremony is a function of the guardian's seed and of the log. After a restart make it again, feed it the log, and
//! it says the same again, byte by byte ([`Ceremony::due`]). Save the seed, encrypted, before anything is sent; erase it
//! after the end.

mod ceremony;
mod complaint;
mod dealing;
mod encryption;
mod fault;
mod items;
mod params;
mod proof;
mod sum;
#[cfg(test)]
mod tests;
mod transcript;

pub use ceremony::{Ceremony, Event, KeyPair, Phase, Progress};
pub use encryption::{EncryptionKey, EncryptionSecret, ProofOfPossession};
pub use fault::{ComplaintError, DealingError, Failure, Fault, FaultReason, KeyError};
pub use items::{Dealing, Item, ItemKind, Verdict};
pub use params::{Params, ParamsError};
