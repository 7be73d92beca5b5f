//! Where a job finds what it may use, and leaves what it wants.

use std::collections::BTreeMap;

use bitcoin::secp256k1::Keypair;
use guildmint_client::{ApiRequest, Client, Errand, ErrandInput, ErrandState, Millis, Question};
use guildmint_core::{Amount, FederationId, Item, ModuleId, PeerId, Quorum};
use guildmint_gateway::{federation::News, Keys};
use guildmint_ln::{ContractId, LnConfig, LnInput, LnOutput, KIND};

use crate::{limits, names::Purpose};

/// What all jobs know of the federation.
pub(crate) struct Town {
    pub id: FederationId,
    pub quorum: Quorum,
    pub module: ModuleId,
    pub config: LnConfig,
    pub keys: Keys,
}

/// What a job wants.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // few at a time
pub(crate) enum Wish {
    Ask(Question),
    /// Begin this errand, or find it, and tell how it ends.
    Begin(Box<Errand>),
    WakeAt(Millis),
    Tell(News),
    WrongShare(PeerId, ContractId),
    /// It has ended.
    End,
}

/// One step's view.
pub(crate) struct Desk<'a> {
    pub town: &'a Town,
    pub client: &'a Client,
    /// The agreed clock, once it is known.
    pub height: Option<u32>,
    pub now: Millis,
    pub wishes: Vec<Wish>,
}

impl Desk<'_> {
    /// Its end.
    pub(crate) fn tell(&mut self, news: News) {
        self.wishes.push(Wish::Tell(news));
        self.wishes.push(Wish::End);
    }

    /// What f + 1 guardians say about something under `/v1/ln/`.
    pub(crate) fn ask(&mut self, path: String) {
        self.wishes.push(Wish::Ask(Question::Same(request(&path))));
    }

    /// Comes back after a while: longer after each failure.
    pub(crate) fn try_later(&mut self, failures: &mut u32) {
        let wait = limits::RETRY_FIRST_MS.saturating_mul(1 << (*failures).min(16));
        *failures = failures.saturating_add(1);
        let at = self.now.after_ms(wait.min(limits::RETRY_MOST_MS));
        self.wishes.push(Wish::WakeAt(at));
    }

    /// Comes back after a while, much longer after each errand that was refused: each is a row for ever.
    pub(crate) fn wait(&mut self, attempt: u32) {
        let wait = limits::RETRY_FIRST_MS.saturating_mul(1 << (2 * attempt.min(16)));
        let at = self.now.after_ms(wait.min(limits::ERRAND_MOST_MS));
        self.wishes.push(Wish::WakeAt(at));
    }

    /// The last errand for this, and its number.
    pub(crate) fn last(&self, purpose: Purpose) -> Option<(u32, ErrandState)> {
        let state = |attempt| {
            let view = self.client.errand(purpose.name(self.town.id, attempt))?;
            Some((attempt, view.state))
        };
        (0..).map_while(state).last()
    }

    pub(crate) fn begin_output(&mut self, purpose: (Purpose, u32), output: &LnOutput, once: bool) {
        let item = Item::new(self.town.module, output);
        self.begin(purpose, Vec::new(), vec![item], once);
    }

    pub(crate) fn begin_input(
        &mut self,
        purpose: (Purpose, u32),
        input: &LnInput,
        amount: Amount,
        key: &Keypair,
    ) {
        let input = ErrandInput {
            item: Item::new(self.town.module, input),
            amount,
            key: key.secret_key(),
        };
        self.begin(purpose, vec![input], Vec::new(), false);
    }

    fn begin(
        &mut self,
        (purpose, attempt): (Purpose, u32),
        inputs: Vec<ErrandInput>,
        outputs: Vec<Item>,
        once: bool,
    ) {
        self.wishes.push(Wish::Begin(Box::new(Errand {
            name: purpose.name(self.town.id, attempt),
            inputs,
            outputs,
            once,
        })));
    }

    /// Waits for the end of an errand that is under way.
    pub(crate) fn follow(&mut self, purpose: Purpose, attempt: u32) {
        // Of one that is there already nothing counts but its name.
        self.begin((purpose, attempt), Vec::new(), Vec::new(), false);
    }
}

/// A question to the Lightning module, from what stands behind `/v1/ln/`.
pub(crate) fn request(path_and_parameters: &str) -> ApiRequest {
    let (path, query) = path_and_parameters
        .split_once('?')
        .unwrap_or((path_and_parameters, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let parameters: BTreeMap<String, String> = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    ApiRequest::Module {
        kind: KIND,
        path: path.to_owned(),
        parameters,
    }
}
