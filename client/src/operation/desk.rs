//! Where an operation finds what it may use, and leaves what it wants.

use bitcoin::ScriptBuf;
use guildmint_core::TxId;
use guildmint_ln::client::LnClient;

use crate::{
    api::ApiRequest,
    ask::{Reader, Rule},
    error::ClientError,
    event::Millis,
    federation::Federation,
    gateway::GatewayCall,
    operation::{Operation, OperationId},
    payment::{self, Draft},
    rows::Rows,
    watch::Topic,
};

/// What an operation wants of the world. Carried out only after the state that wants it is saved.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Bring this stored transaction to an end.
    Submit(TxId),
    /// Find out a fact. One question at a time.
    Ask {
        request: ApiRequest,
        rule: Rule,
        reader: Reader,
    },
    /// Look for payments to this script.
    FindDeposits(ScriptBuf),
    /// Store this operation, which is not this one, and let it begin.
    Open(Box<Operation>),
    /// Come back at this time. Replaces the last such wish.
    WakeAt(Millis),
    /// Ask the gateway at this URL. One call at a time.
    Call(String, GatewayCall),
    /// Tell what guardians know of this, now and whenever it changes, until the operation has ended.
    Watch(Topic),
    /// Tell no more of this.
    Unwatch(Topic),
    /// Come back after a while, which grows as long as nothing changes.
    TryLater,
}

/// One step's view of the wallet.
pub(crate) struct Desk<'a> {
    /// The operation at the desk.
    pub id: OperationId,
    pub now: Millis,
    pub federation: &'a Federation,
    pub rows: &'a mut Rows,
    pub wishes: Vec<Wish>,
}

impl<'a> Desk<'a> {
    /// Stores a transaction and has it submitted.
    pub(crate) fn pay(&mut self, draft: Draft) -> Result<TxId, ClientError> {
        let txid = payment::prepare(self.rows, self.federation, self.id, draft)?;
        self.submit(txid);
        Ok(txid)
    }

    /// Has a stored transaction submitted.
    pub(crate) fn submit(&mut self, txid: TxId) {
        self.wishes.push(Wish::Submit(txid));
    }

    pub(crate) fn ask(&mut self, request: ApiRequest, rule: Rule, reader: Reader) {
        self.wishes.push(Wish::Ask {
            request,
            rule,
            reader,
        });
    }

    /// The federation's Lightning module.
    pub(crate) fn ln(&self) -> Result<&'a LnClient, ClientError> {
        self.federation.ln.as_ref().ok_or(ClientError::NoLightning)
    }

    pub(crate) fn call(&mut self, url: String, call: GatewayCall) {
        self.wishes.push(Wish::Call(url, call));
    }

    pub(crate) fn watch(&mut self, topic: Topic) {
        self.wishes.push(Wish::Watch(topic));
    }

    pub(crate) fn unwatch(&mut self, topic: Topic) {
        self.wishes.push(Wish::Unwatch(topic));
    }

    pub(crate) fn try_later(&mut self) {
        self.wishes.push(Wish::TryLater);
    }

    pub(crate) fn find_deposits(&mut self, script: ScriptBuf) {
        self.wishes.push(Wish::FindDeposits(script));
    }

    pub(crate) fn open(&mut self, operation: Operation) {
        self.wishes.push(Wish::Open(Box::new(operation)));
    }

    pub(crate) fn wake_after_ms(&mut self, ms: u64) {
        self.wake_at(self.now.after_ms(ms));
    }

    pub(crate) fn wake_at(&mut self, at: Millis) {
        self.wishes.push(Wish::WakeAt(at));
    }
}
