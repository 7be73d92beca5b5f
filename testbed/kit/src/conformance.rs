//! What every module must do, whatever it is about. A module's author implements [`Subject`], which tells stories that the
//! module takes part in, and writes [`conformance!`](crate::conformance!) in a test: it runs all of [`checks`] on many
//! stories, each drawn from a seed, in federations of one, four and seven guardians.

// Everything in here runs in tests only, and fails them by panicking.
#![allow(clippy::expect_used, clippy::panic)]

pub mod checks;
mod damage;
mod money;
mod questions;
mod story;
mod world;

use guildmint_core::{module::ServerModule, ModuleId, Quorum};
use rand_chacha::ChaCha20Rng;

pub use damage::damage;
pub use world::{Recorded, World};

/// The number that the module under test has in the suite's federations.
pub const MODULE: ModuleId = ModuleId(1);

/// A module's config, and its secrets in the order of guardians.
pub type Dealt<M> = (
    <M as ServerModule>::Config,
    Vec<<M as ServerModule>::Secret>,
);

/// A module under test, and what happens to it: the users and the outside world of one federation.
///
/// [`crate::play`] money is the other side of every transaction: it pays any amount in and takes any amount out.
pub trait Subject: Sized {
    /// The module.
    type Module: ServerModule;

    /// How many stories each check tells in each size of federation.
    const SEEDS: u64 = 8;
    /// How many epochs a story has.
    const EPOCHS: usize = 10;
    /// How many epochs after the last event the module may need until it has nothing more to say.
    const EPOCHS_TO_REST: usize = 10;
    /// Whether [`ServerModule::settle`] may pay somebody outside the federation, such as miners.
    const PAYS_OUTSIDE: bool = false;

    /// Config and secrets of a federation.
    fn deal(quorum: Quorum, rng: &mut ChaCha20Rng) -> Dealt<Self::Module>;

    /// A story begins.
    fn begin(world: &World<Self::Module>, config: &<Self::Module as ServerModule>::Config) -> Self;

    /// What happens before the next epoch: news, transactions, questions. A good story is also unreasonable: it spends
    /// twice, too early and too much.
    fn act(&mut self, world: &mut World<Self::Module>, rng: &mut ChaCha20Rng);
}

/// Makes tests of all that a module must do, one for each of [`checks`](crate::conformance::checks).
///
/// ```text
/// guildmint_kit::conformance!(MySubject);
/// ```
#[macro_export]
macro_rules! conformance {
    ($subject:ty) => {
        $crate::conformance!(@test $subject:
            guardians_agree
            history_replays
            a_rejected_transaction_changes_nothing
            money_is_explained
            encodings_are_canonical
            damaged_bytes_do_no_harm
            liars_are_named_and_nobody_else
            a_federation_without_news_falls_silent
            every_question_of_its_document_is_answered
        );
    };
    (@test $subject:ty: $($check:ident)*) => {
        $(
            #[test]
            fn $check() {
                $crate::conformance::checks::$check::<$subject>();
            }
        )*
    };
}
