//! Calls to the node, as data.

use crate::node::{
    Command, InvoiceOrder, LightningNode, PaymentHash, Refusal, RequestId, SentState,
};

/// A call to the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Start something.
    Command(Command),
    /// What became of a payment whose end was not heard.
    Sent(PaymentHash),
    /// Make an invoice.
    MakeInvoice(InvoiceOrder),
    /// What followed from an event is durable.
    Handled(u64),
}

/// What the node says to a call. What has no answer leads to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A payment was not started by this call, or its fate was asked for.
    Sent {
        /// The payment.
        hash: PaymentHash,
        /// Why this call did not start it.
        refusal: Option<Refusal>,
        /// What the node knows of it. ⚠ Asked after the refusal, so `Ok(None)` means that nothing of it was ever sent.
        known: Result<Option<SentState>, Refusal>,
    },
    /// Held HTLCs are not claimed, or not given back.
    NotSettled {
        /// The payment.
        hash: PaymentHash,
        /// Whether they were to be claimed.
        claiming: bool,
        /// Why not.
        refusal: Refusal,
    },
    /// No invoice is fetched.
    NotFetched {
        /// The request.
        request: RequestId,
        /// Why not.
        refusal: Refusal,
    },
    /// An invoice was made, or not.
    Invoice {
        /// Its hash.
        hash: PaymentHash,
        /// The invoice.
        result: Result<String, Refusal>,
    },
}

impl Call {
    /// Makes the call. It may wait, as the node may.
    pub fn make(self, node: &dyn LightningNode) -> Option<Answer> {
        match self {
            Self::Command(command) => {
                let refusal = node.command(command.clone()).err()?;
                answer_to_refusal(node, command, refusal)
            }
            Self::Sent(hash) => Some(sent(node, hash, None)),
            Self::MakeInvoice(order) => Some(Answer::Invoice {
                hash: order.hash,
                result: node.make_invoice(&order),
            }),
            // What cannot be noted is delivered again.
            Self::Handled(number) => {
                let _ = node.handled(number);
                None
            }
        }
    }
}

fn sent(node: &dyn LightningNode, hash: PaymentHash, refusal: Option<Refusal>) -> Answer {
    let known = node.sent(hash).map(|sent| sent.map(|sent| sent.state));
    Answer::Sent {
        hash,
        refusal,
        known,
    }
}

fn answer_to_refusal(
    node: &dyn LightningNode,
    command: Command,
    refusal: Refusal,
) -> Option<Answer> {
    let not_settled = |hash, claiming, refusal| Answer::NotSettled {
        hash,
        claiming,
        refusal,
    };
    match command {
        Command::Pay(order) => Some(sent(node, order.hash, Some(refusal))),
        Command::PayFetched { hash, .. } => Some(sent(node, hash, Some(refusal))),
        Command::Claim { preimage } => Some(not_settled(preimage.hash(), true, refusal)),
        Command::Fail { hash } => Some(not_settled(hash, false, refusal)),
        Command::Fetch(order) => Some(Answer::NotFetched {
            request: order.request,
            refusal,
        }),
        // What cannot be forgotten now, the node forgets some day, or never pays.
        Command::Abandon { .. } => None,
    }
}
