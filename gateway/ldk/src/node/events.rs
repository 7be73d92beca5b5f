//! What LDK tells. ⚠ The handler writes rows and wakes others, and nothing else (SPEC GW-5): while it runs, LDK saves nothing and forwards nothing.
//!
//! An event whose rows could not be written is told again.

use std::sync::mpsc::{sync_channel, Receiver, SyncSender};

use bitcoin::{secp256k1::PublicKey, ScriptBuf};
use guildmint_gateway::node::MAX_FETCHED_INVOICE_BYTES;
use guildmint_gateway::node::{ChannelChange, Event, FetchFailure, PaymentHash, RequestId};
use guildmint_gateway_store::StoreLost;
use lightning::{
    blinded_path::message::OffersContext,
    events::{
        bump_transaction::BumpTransactionEvent, Event as Ldk, HTLCHandlingFailureType,
        PaymentFailureReason, PaymentPurpose, ReplayEvent,
    },
    ln::{channelmanager::PaymentId, msgs::SocketAddress, types::ChannelId},
    offers::invoice::Bolt12Invoice,
    types::payment::{PaymentHash as LdkHash, PaymentPreimage},
    util::ser::Writeable as _,
};

use super::Parts;
use crate::{
    convert,
    rows::{FetchAnswer, HeldRow, HeldState, SentEnd},
};

/// Jobs that wait. One that does not fit is dropped: channels that want to be opened fail, and what closes them is asked for again by LDK.
const MAX_JOBS: usize = 256;
/// Nodes that wait to be reached. One that does not fit is not: a message to it is lost, and the offer's invoice does not come.
const MAX_DIALS: usize = 16;

/// Work that LDK asks for and that takes longer than its handler may.
pub(super) enum Job {
    /// Fund a channel that we open.
    Fund {
        temporary: ChannelId,
        peer: PublicKey,
        amount_sat: u64,
        script: ScriptBuf,
        channel: u128,
    },
    /// Look at a channel that a peer opens.
    Judge {
        temporary: ChannelId,
        peer: PublicKey,
        amount_sat: u64,
    },
    /// Pay for a transaction of a closed channel.
    Bump(Box<BumpTransactionEvent>),
    /// Give a payment back.
    FailBack(PaymentHash),
    /// Take what was paid on an offer of the operator's own.
    TakeOwn(PaymentPreimage),
}

/// A node to reach for an onion message.
pub(super) struct Dial {
    pub(super) node: PublicKey,
    pub(super) addresses: Vec<SocketAddress>,
}

/// Where jobs are thrown. ⚠ Nodes are reached apart from them: whom to reach, and how long it takes in vain, strangers decide by the offers that
/// they want to be paid, and the fees of a channel that closes must not wait for that.
pub(crate) struct Jobs {
    jobs: SyncSender<Job>,
    dials: SyncSender<Dial>,
    answered: SyncSender<()>,
}

/// What was thrown there.
pub(super) struct Waiting {
    pub(super) jobs: Receiver<Job>,
    pub(super) dials: Receiver<Dial>,
    /// Somebody has answered who was asked for an invoice.
    pub(super) answered: Receiver<()>,
}

impl Jobs {
    pub(super) fn new() -> (Self, Waiting) {
        let (jobs, waiting_jobs) = sync_channel(MAX_JOBS);
        let (dials, waiting_dials) = sync_channel(MAX_DIALS);
        let (answered, waiting_answered) = sync_channel(1);
        let waiting = Waiting {
            jobs: waiting_jobs,
            dials: waiting_dials,
            answered: waiting_answered,
        };
        let jobs = Self {
            jobs,
            dials,
            answered,
        };
        (jobs, waiting)
    }

    /// To say that an answer to a question for an invoice may be there.
    pub(super) fn answered(&self) -> SyncSender<()> {
        self.answered.clone()
    }

    pub(super) fn send(&self, job: Job) {
        if self.jobs.try_send(job).is_err() {
            tracing::error!("too much work waits for the Lightning node's wallet");
        }
    }

    fn dial(&self, dial: Dial) {
        if self.dials.try_send(dial).is_err() {
            tracing::debug!("too many nodes wait to be reached");
        }
    }
}

impl Parts {
    pub(super) fn handle(&self, event: Ldk) -> Result<(), ReplayEvent> {
        self.take(event).map_err(|error| {
            tracing::error!(%error, "what LDK tells cannot be stored");
            ReplayEvent()
        })
    }

    fn take(&self, event: Ldk) -> Result<(), StoreLost> {
        match event {
            event @ (Ldk::PaymentClaimable { .. }
            | Ldk::PaymentClaimed { .. }
            | Ldk::HTLCHandlingFailed { .. }) => self.take_received(event),
            event @ (Ldk::PaymentSent { .. }
            | Ldk::PaymentFailed { .. }
            | Ldk::InvoiceReceived { .. }) => self.take_sent(event),
            Ldk::SpendableOutputs {
                outputs,
                channel_id,
            } => {
                // Static ones are at addresses of the wallet already.
                let tracked = self
                    .sweeper
                    .track_spendable_outputs(outputs, channel_id, true, None);
                tracked.map_err(|()| StoreLost("outputs to sweep are not stored".to_owned()))
            }
            Ldk::BumpTransaction(event) => {
                self.jobs.send(Job::Bump(Box::new(event)));
                Ok(())
            }
            Ldk::ConnectionNeeded { node_id, addresses } => {
                let node = node_id;
                self.jobs.dial(Dial { node, addresses });
                Ok(())
            }
            event => self.take_channel(event),
        }
    }

    fn take_received(&self, event: Ldk) -> Result<(), StoreLost> {
        match event {
            Ldk::PaymentClaimable {
                payment_hash,
                onion_fields,
                amount_msat,
                counterparty_skimmed_fee_msat,
                purpose,
                claim_deadline,
                payment_id,
                ..
            } => {
                let hash = convert::hash(payment_hash);
                // The operator's own: LDK knows the preimage of what it made itself.
                if let PaymentPurpose::Bolt12OfferPayment {
                    payment_preimage: Some(preimage),
                    ..
                }
                | PaymentPurpose::Bolt11InvoicePayment {
                    payment_preimage: Some(preimage),
                    ..
                } = purpose
                {
                    self.jobs.send(Job::TakeOwn(preimage));
                    return Ok(());
                }
                let has_even_tlv = onion_fields.is_some_and(|fields| {
                    fields.custom_tlvs().iter().any(|(kind, _)| kind % 2 == 0)
                });
                let is_ours = matches!(
                    purpose,
                    PaymentPurpose::Bolt11InvoicePayment {
                        payment_preimage: None,
                        ..
                    }
                );
                let (Some(claim_deadline_height), Some(PaymentId(set))) =
                    (claim_deadline, payment_id)
                else {
                    self.refuse(hash, "it has no deadline");
                    return Ok(());
                };
                if !is_ours || has_even_tlv || counterparty_skimmed_fee_msat > 0 {
                    self.refuse(hash, "it is not for an invoice of a gateway");
                    return Ok(());
                }
                let row = HeldRow {
                    amount_msat,
                    claim_deadline_height,
                    set,
                    state: HeldState::Held,
                };
                self.hold(hash, row)
            }
            Ldk::PaymentClaimed { payment_hash, .. } => self.claimed(convert::hash(payment_hash)),
            Ldk::HTLCHandlingFailed {
                failure_type: HTLCHandlingFailureType::Receive { payment_hash },
                ..
            } => self.given_back(convert::hash(payment_hash)),
            _ => Ok(()),
        }
    }

    fn take_sent(&self, event: Ldk) -> Result<(), StoreLost> {
        match event {
            Ldk::PaymentSent {
                payment_preimage,
                payment_hash,
                fee_paid_msat,
                ..
            } => {
                let preimage = guildmint_gateway::node::Preimage(payment_preimage.0);
                let fee_msat = fee_paid_msat.unwrap_or(0);
                let end = SentEnd::Succeeded { preimage, fee_msat };
                self.sent_ended(convert::hash(payment_hash), end)
            }
            Ldk::PaymentFailed {
                payment_id,
                payment_hash,
                reason,
            } => self.take_failure(payment_id, payment_hash, reason),
            Ldk::InvoiceReceived {
                payment_id,
                invoice,
                context,
                ..
            } => self.take_invoice(RequestId(payment_id.0), &invoice, context.as_ref()),
            _ => Ok(()),
        }
    }

    fn take_failure(
        &self,
        id: PaymentId,
        hash: Option<LdkHash>,
        reason: Option<PaymentFailureReason>,
    ) -> Result<(), StoreLost> {
        match hash.map(convert::hash) {
            Some(hash) if self.rows.is_sent(id.0, hash)? => {
                let end = SentEnd::Failed(convert::failure(reason));
                self.sent_ended(hash, end)
            }
            // No invoice came, or one that was not paid was given up.
            _ => {
                let failed = FetchAnswer::Failed(convert::fetch_failure(reason));
                self.fetch_answered(RequestId(id.0), failed)
            }
        }
    }

    fn take_invoice(
        &self,
        request: RequestId,
        invoice: &Bolt12Invoice,
        context: Option<&OffersContext>,
    ) -> Result<(), StoreLost> {
        let bytes = invoice.encode();
        let answer = if bytes.len() > MAX_FETCHED_INVOICE_BYTES {
            FetchAnswer::Failed(FetchFailure::Unusable)
        } else {
            FetchAnswer::Invoice {
                hash: convert::hash(invoice.payment_hash()),
                amount_msat: invoice.amount_msats(),
                invoice: bytes,
                context: context.map(|context| context.encode()).unwrap_or_default(),
            }
        };
        self.fetch_answered(request, answer)
    }

    fn take_channel(&self, event: Ldk) -> Result<(), StoreLost> {
        match event {
            Ldk::FundingGenerationReady {
                temporary_channel_id,
                counterparty_node_id,
                channel_value_satoshis,
                output_script,
                user_channel_id,
            } => self.jobs.send(Job::Fund {
                temporary: temporary_channel_id,
                peer: counterparty_node_id,
                amount_sat: channel_value_satoshis,
                script: output_script,
                channel: user_channel_id,
            }),
            Ldk::OpenChannelRequest {
                temporary_channel_id,
                counterparty_node_id,
                funding_satoshis,
                ..
            } => self.jobs.send(Job::Judge {
                temporary: temporary_channel_id,
                peer: counterparty_node_id,
                amount_sat: funding_satoshis,
            }),
            Ldk::ChannelPending {
                channel_id,
                user_channel_id,
                counterparty_node_id,
                ..
            } => {
                self.funded(user_channel_id)?;
                self.openings
                    .end(user_channel_id, Ok(convert::channel_id(channel_id)));
                self.tell_channel(channel_id, &counterparty_node_id, ChannelChange::Pending)?;
            }
            Ldk::ChannelReady {
                channel_id,
                counterparty_node_id,
                ..
            } => self.tell_channel(channel_id, &counterparty_node_id, ChannelChange::Ready)?,
            Ldk::ChannelClosed {
                channel_id,
                user_channel_id,
                reason,
                counterparty_node_id,
                ..
            } => {
                self.not_funded(user_channel_id)?;
                let change = convert::closed(&reason);
                self.openings.end(user_channel_id, Err(reason.to_string()));
                if let Some(peer) = counterparty_node_id {
                    self.tell_channel(channel_id, &peer, change)?;
                }
            }
            // What others' payments through us do, and what was asked of LDK and needs no answer.
            _ => {}
        }
        Ok(())
    }

    fn tell_channel(
        &self,
        channel: ChannelId,
        peer: &PublicKey,
        change: ChannelChange,
    ) -> Result<(), StoreLost> {
        tracing::info!(%channel, %peer, ?change, "a channel changed");
        self.tell(Event::Channel {
            channel: convert::channel_id(channel),
            peer: convert::node_id(peer),
            change,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn however_many_nodes_are_to_be_reached_other_work_has_its_place() {
        let (jobs, waiting) = Jobs::new();
        let node = convert::public_key(guildmint_gateway::node::NodeId([2; 33])).unwrap();
        for _ in 0..=MAX_JOBS {
            let addresses = Vec::new();
            jobs.dial(Dial { node, addresses });
        }
        jobs.send(Job::FailBack(PaymentHash([1; 32])));
        let waits: Vec<Job> = waiting.jobs.try_iter().collect();
        assert!(matches!(waits[..], [Job::FailBack(_)]));
        assert_eq!(waiting.dials.try_iter().count(), MAX_DIALS);
    }
}
