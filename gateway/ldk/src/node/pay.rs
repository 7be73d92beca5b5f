//! Money out. ⚠ A hash is dispatched once, ever (SPEC GW-3): its row is durable before LDK hears of it, and never goes away.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use guildmint_gateway::node::{
    FetchFailure, FetchOrder, PaymentFailure, PaymentHash, PaymentOrder, Refusal, RequestId,
    SentPayment,
};
use lightning::{
    blinded_path::message::OffersContext,
    ln::channelmanager::{
        Bolt11PaymentError, Bolt12PaymentError, OptionalOfferPaymentParams, Retry,
    },
    offers::{invoice::Bolt12Invoice, offer::Offer, parse::Bolt12SemanticError},
    routing::router::RouteParametersConfig,
    util::ser::Readable,
};

use super::{lost, Parts};
use crate::{
    bolt11, convert,
    rows::{Edit, FetchAnswer, FetchRow, Paid, SentEnd, SentRow},
};

/// How long ways to the payee are tried. Once the last try is out, it may still take as long as its HTLCs are locked.
const RETRY: Duration = Duration::from_secs(60);

impl Parts {
    pub(super) fn sent(&self, hash: PaymentHash) -> Result<Option<SentPayment>, Refusal> {
        let row = self.rows.get::<SentRow>(&hash.0).map_err(lost)?;
        Ok(row.map(|row| row.payment(hash)))
    }

    pub(super) fn pay(&self, order: &PaymentOrder) -> Result<(), Refusal> {
        let hash = order.hash;
        let invoice = bolt11::read(order, self.config.network)?;
        if invoice.get_payee_pub_key() == self.keys.node_key() {
            return Err(Refusal::OwnInvoice);
        }
        let row = SentRow {
            paid: Paid::Invoice(order.invoice.clone()),
            amount_msat: order.amount_msat,
            end: None,
        };
        let fresh = || match invoice.would_expire(now()) {
            true => Err(Refusal::Expired),
            false => self.ready(),
        };
        if !self.intend(hash, &row, fresh)? {
            return Ok(());
        }
        let amount_msat = match invoice.amount_milli_satoshis() {
            Some(_) => None,
            None => Some(order.amount_msat),
        };
        let sent = self.manager.pay_for_bolt11_invoice(
            &invoice,
            convert::payment_id(hash),
            amount_msat,
            limits(order.max_fee_msat, order.max_total_cltv_delta),
            Retry::Timeout(RETRY),
        );
        let failure = match sent {
            Ok(()) => None,
            Err(Bolt11PaymentError::InvalidAmount) => Some(PaymentFailure::Other),
            Err(Bolt11PaymentError::SendingFailed(failure)) => convert::send_failure(&failure),
        };
        self.not_sent(hash, failure)
    }

    /// Writes a payment's row, unless there is one: then its end, if it has one, is told again. `true`: dispatch it now.
    fn intend(
        &self,
        hash: PaymentHash,
        row: &SentRow,
        fresh: impl FnOnce() -> Result<(), Refusal>,
    ) -> Result<bool, Refusal> {
        let _held = self.rows.lock();
        if let Some(known) = self.rows.get::<SentRow>(&hash.0).map_err(lost)? {
            if known.paid != row.paid {
                return Err(Refusal::HashUsed(hash));
            }
            if let Some(event) = known.event(hash) {
                self.rows.save(Edit::default().tell(event)).map_err(lost)?;
            }
            return Ok(false);
        }
        fresh()?;
        self.rows
            .save(Edit::default().sent(hash, row))
            .map_err(lost)?;
        Ok(true)
    }

    /// LDK said at once that it sent nothing. No event of its follows.
    fn not_sent(&self, hash: PaymentHash, failure: Option<PaymentFailure>) -> Result<(), Refusal> {
        match failure {
            Some(reason) => self.sent_ended(hash, SentEnd::Failed(reason)).map_err(lost),
            None => Ok(()),
        }
    }

    /// A payment has ended. ⚠ An end is final, but for a failure that turns out to be none: then the preimage counts.
    pub(super) fn sent_ended(
        &self,
        hash: PaymentHash,
        end: SentEnd,
    ) -> Result<(), guildmint_gateway_store::StoreLost> {
        let _held = self.rows.lock();
        let Some(mut row) = self.rows.get::<SentRow>(&hash.0)? else {
            tracing::error!(%hash, "LDK sent a payment that nobody ordered");
            return Ok(());
        };
        match (&row.end, &end) {
            (Some(SentEnd::Succeeded { .. }), _) | (Some(_), SentEnd::Failed(_)) => {
                // As at its first telling, which may not have been handled.
                let event = row.event(hash).map(|event| Edit::default().tell(event));
                return event.map_or(Ok(()), |edit| self.rows.save(edit));
            }
            (Some(SentEnd::Failed(_)), SentEnd::Succeeded { .. }) => {
                tracing::error!(%hash, "a payment that had failed has arrived");
            }
            (None, _) => {}
        }
        row.end = Some(end);
        self.rows.end(hash, &row)
    }

    pub(super) fn fetch(&self, order: FetchOrder) -> Result<(), Refusal> {
        let request = order.request;
        let offer: Offer = order.offer.parse().map_err(|error| Refusal::Malformed {
            what: "the offer".to_owned(),
            reason: format!("{error:?}"),
        })?;
        {
            let _held = self.rows.lock();
            let known = self.rows.get::<FetchRow>(&request.0).map_err(lost)?;
            if let Some(event) = known.as_ref().and_then(FetchRow::event) {
                return self.rows.save(Edit::default().tell(event)).map_err(lost);
            }
            if let Some(FetchAnswer::Spent(hash)) =
                known.as_ref().and_then(|row| row.answer.clone())
            {
                return Err(Refusal::HashUsed(hash));
            }
            if known.is_none() {
                self.ready()?;
                let row = FetchRow {
                    order: order.clone(),
                    answer: None,
                };
                self.rows
                    .save(Edit::default().fetched(&row))
                    .map_err(lost)?;
            }
        }
        // Asked once more if it is not known whether it was: LDK refuses what it is waiting for.
        let params = OptionalOfferPaymentParams {
            payer_note: order.note,
            route_params_config: limits(order.max_fee_msat, order.max_total_cltv_delta),
            retry_strategy: Retry::Timeout(RETRY),
        };
        let id = convert::fetched_id(request);
        match self
            .manager
            .pay_for_offer(&offer, order.amount_msat, id, params)
        {
            Ok(()) | Err(Bolt12SemanticError::DuplicatePaymentId) => {
                // ⚠ LDK only notes the question. Without this it leaves when something else wakes LDK, half a minute later at the worst.
                self.peers.process_events();
                Ok(())
            }
            Err(error) => {
                tracing::info!(?error, "an offer cannot be asked for an invoice");
                let failed = FetchAnswer::Failed(FetchFailure::Unusable);
                self.fetch_answered(request, failed).map_err(lost)
            }
        }
    }

    /// An answer to a request came, or none will. Only the first counts.
    pub(super) fn fetch_answered(
        &self,
        request: RequestId,
        answer: FetchAnswer,
    ) -> Result<(), guildmint_gateway_store::StoreLost> {
        let _held = self.rows.lock();
        match self.rows.get::<FetchRow>(&request.0)? {
            Some(mut row) if row.answer.is_none() => {
                row.answer = Some(answer);
                self.rows.save(Edit::default().fetched(&row))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn pay_fetched(&self, request: RequestId, hash: PaymentHash) -> Result<(), Refusal> {
        // Ordered again: its end is told again, for which it takes no invoice.
        let sent = self.rows.get::<SentRow>(&hash.0).map_err(lost)?;
        if let Some(sent) = sent.filter(|sent| sent.paid == Paid::Fetched(request)) {
            return self.intend(hash, &sent, || Ok(())).map(|_| ());
        }
        let row = self.rows.get::<FetchRow>(&request.0).map_err(lost)?;
        let answer = row.and_then(|row| row.answer);
        let Some(FetchAnswer::Invoice {
            hash: fetched,
            amount_msat,
            invoice,
            context,
        }) = answer
        else {
            return Err(Refusal::NotFetched(request));
        };
        if fetched != hash {
            return Err(Refusal::OtherHash {
                invoice: fetched,
                order: hash,
            });
        }
        let row = SentRow {
            paid: Paid::Fetched(request),
            amount_msat,
            end: None,
        };
        let invoice = Bolt12Invoice::try_from(invoice);
        let invoice = invoice.map_err(|error| Refusal::Node(format!("{error:?}")))?;
        let fresh = || match invoice.is_expired() {
            true => Err(Refusal::Expired),
            false => self.ready(),
        };
        if !self.intend(hash, &row, fresh)? {
            return Ok(());
        }
        let context = OffersContext::read(&mut &context[..]).ok();
        let manager = &self.manager;
        let failure = match manager.send_payment_for_bolt12_invoice(&invoice, context.as_ref()) {
            Ok(()) | Err(Bolt12PaymentError::DuplicateInvoice) => None,
            Err(Bolt12PaymentError::UnexpectedInvoice) => Some(PaymentFailure::Other),
            Err(Bolt12PaymentError::UnknownRequiredFeatures) => Some(PaymentFailure::Feature),
            Err(Bolt12PaymentError::BlindedPathCreationFailed) => Some(PaymentFailure::NoRoute),
            Err(Bolt12PaymentError::SendingFailed(failure)) => convert::send_failure(&failure),
        };
        self.not_sent(hash, failure)
    }

    /// ⚠ Not one that was paid: LDK would stop trying.
    pub(super) fn abandon(&self, request: RequestId) -> Result<(), Refusal> {
        {
            let _held = self.rows.lock();
            let row = self.rows.get::<FetchRow>(&request.0).map_err(lost)?;
            let answer = row.and_then(|row| row.answer);
            if let Some(FetchAnswer::Invoice { hash, .. } | FetchAnswer::Spent(hash)) = answer {
                let sent = self.rows.get::<SentRow>(&hash.0).map_err(lost)?;
                if sent.is_some_and(|sent| sent.paid == Paid::Fetched(request)) {
                    return Err(Refusal::HashUsed(hash));
                }
            }
            let gone = Edit::default().not_fetched(request);
            self.rows.save(gone).map_err(lost)?;
        }
        self.manager.abandon_payment(convert::fetched_id(request));
        Ok(())
    }
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

fn limits(max_fee_msat: u64, max_total_cltv_delta: u32) -> RouteParametersConfig {
    RouteParametersConfig {
        max_total_routing_fee_msat: Some(max_fee_msat),
        max_total_cltv_expiry_delta: max_total_cltv_delta,
        ..RouteParametersConfig::default()
    }
}
