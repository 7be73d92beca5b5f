//! Money in: invoices on hashes of others, and what is held on them (SPEC GW-2).

use bitcoin::hashes::{sha256, Hash as _};
use guildmint_gateway::node::{
    Event, InvoiceOrder, OwnInvoiceOrder, OwnOfferOrder, PaymentHash, Preimage, Refusal,
};
use guildmint_gateway_store::StoreLost;
use lightning::{
    bolt11_invoice::{Bolt11InvoiceDescription, Description},
    ln::channelmanager::Bolt11InvoiceParameters,
    types::payment::PaymentPreimage,
};

use super::{events::Job, lost, Parts};
use crate::{
    convert,
    rows::{Edit, HeldRow, HeldState},
};

/// Blocks after a claim deadline at which what is still held counts as returned: LDK gives it back at the deadline.
const AFTER_DEADLINE: u32 = 6;

impl Parts {
    pub(super) fn make_invoice(&self, order: &InvoiceOrder) -> Result<String, Refusal> {
        self.ready()?;
        if order.amount_msat == 0 {
            return Err(Refusal::Amount {
                amount_sat: 0,
                reason: "an invoice without an amount could be paid with less".to_owned(),
            });
        }
        let made = self.manager.create_bolt11_invoice(Bolt11InvoiceParameters {
            amount_msats: Some(order.amount_msat),
            description: described(&order.description)?,
            invoice_expiry_delta_secs: Some(order.expiry_s),
            min_final_cltv_expiry_delta: Some(order.min_final_cltv_delta),
            payment_hash: Some(convert::ldk_hash(order.hash)),
        });
        let invoice = made.map_err(|error| Refusal::Node(error.to_string()))?;
        debug_assert_eq!(
            *invoice.payment_hash(),
            sha256::Hash::from_byte_array(order.hash.0)
        );
        Ok(invoice.to_string())
    }

    /// ⚠ Without a hash LDK makes one, with a preimage that it knows: what comes is claimed at once, and no gateway hears of it.
    pub(super) fn make_own_invoice(&self, order: &OwnInvoiceOrder) -> Result<String, Refusal> {
        self.ready()?;
        let made = self.manager.create_bolt11_invoice(Bolt11InvoiceParameters {
            amount_msats: order.amount_msat,
            description: described(&order.description)?,
            invoice_expiry_delta_secs: Some(order.expiry_s),
            ..Bolt11InvoiceParameters::default()
        });
        let invoice = made.map_err(|error| Refusal::Node(error.to_string()))?;
        Ok(invoice.to_string())
    }

    pub(super) fn make_own_offer(&self, order: &OwnOfferOrder) -> Result<String, Refusal> {
        self.ready()?;
        let builder = self.manager.create_offer_builder();
        let offer = builder.and_then(|builder| {
            let builder = builder.description(order.description.clone());
            let builder = match order.amount_msat {
                Some(amount_msat) => builder.amount_msats(amount_msat),
                None => builder,
            };
            builder.build()
        });
        let offer = offer.map_err(|error| {
            let why = "others must be able to find it: open a public channel, and wait until it is announced";
            Refusal::Node(format!("it makes no offer ({error:?}); {why}"))
        })?;
        Ok(offer.to_string())
    }

    /// All parts of a payment are here. ⚠ Durable when this returns; LDK does not say it again.
    pub(super) fn hold(&self, hash: PaymentHash, arrived: HeldRow) -> Result<(), StoreLost> {
        let _held = self.rows.lock();
        let row = match self.rows.get::<HeldRow>(&hash.0)? {
            // LDK says again what it said before.
            Some(known) if known.set == arrived.set && known.is_open() => {
                self.again(hash, &known);
                known
            }
            // A second payment on one hash: one was claimed, or is being claimed.
            Some(known) if matches!(known.state, HeldState::Claimed | HeldState::Claiming(_)) => {
                tracing::warn!(%hash, "paid a second time; that is given back");
                self.jobs.send(Job::FailBack(hash));
                return Ok(());
            }
            _ => arrived,
        };
        let edit = Edit::default().held(hash, &row).tell(row.event(hash));
        self.rows.save(edit)
    }

    pub(super) fn claim(&self, preimage: &Preimage) -> Result<(), Refusal> {
        let hash = preimage.hash();
        self.settle(hash, HeldState::Claiming(preimage.clone()))
    }

    pub(super) fn fail(&self, hash: PaymentHash) -> Result<(), Refusal> {
        self.settle(hash, HeldState::Failing)
    }

    /// ⚠ What is to happen is durable first, and done again at each start until LDK says that it has happened.
    fn settle(&self, hash: PaymentHash, to: HeldState) -> Result<(), Refusal> {
        let row = {
            let _held = self.rows.lock();
            let row = self.rows.get::<HeldRow>(&hash.0).map_err(lost)?;
            let mut row = row.ok_or(Refusal::NothingHeld(hash))?;
            let is_claim = matches!(to, HeldState::Claiming(_));
            match (&row.state, is_claim) {
                (HeldState::Held, _)
                | (HeldState::Claiming(_), true)
                | (HeldState::Failing, false) => row.state = to,
                (HeldState::Claimed, true) | (HeldState::Returned, false) => {
                    let edit = Edit::default().tell(row.event(hash));
                    return self.rows.save(edit).map_err(lost);
                }
                (HeldState::Claiming(_) | HeldState::Claimed, false) => {
                    return Err(Refusal::Settled(hash, "claimed".to_owned()));
                }
                (HeldState::Failing | HeldState::Returned, true) => {
                    return Err(Refusal::Settled(hash, "returned".to_owned()));
                }
            }
            self.rows
                .save(Edit::default().held(hash, &row))
                .map_err(lost)?;
            row
        };
        self.again(hash, &row);
        Ok(())
    }

    /// Has LDK do what a row says is to be done.
    pub(super) fn again(&self, hash: PaymentHash, row: &HeldRow) {
        match &row.state {
            HeldState::Claiming(preimage) => self.manager.claim_funds(PaymentPreimage(preimage.0)),
            HeldState::Failing => self.manager.fail_htlc_backwards(&convert::ldk_hash(hash)),
            HeldState::Held | HeldState::Claimed | HeldState::Returned => {}
        }
    }

    pub(super) fn claimed(&self, hash: PaymentHash) -> Result<(), StoreLost> {
        self.held_ended(hash, HeldState::Claimed, |row| row.is_open())
    }

    /// LDK gave back HTLCs on a hash; they may be others.
    pub(super) fn given_back(&self, hash: PaymentHash) -> Result<(), StoreLost> {
        let height = self.manager.current_best_block().height;
        self.held_ended(hash, HeldState::Returned, |row| row.is_given_back(height))
    }

    fn held_ended(
        &self,
        hash: PaymentHash,
        end: HeldState,
        is_end: impl FnOnce(&HeldRow) -> bool,
    ) -> Result<(), StoreLost> {
        let _held = self.rows.lock();
        // Without a row it was refused before all of it was here.
        match self.rows.get::<HeldRow>(&hash.0)? {
            Some(mut row) if is_end(&row) => {
                row.state = end;
                let edit = Edit::default().held(hash, &row).tell(row.event(hash));
                self.rows.save(edit)
            }
            _ => Ok(()),
        }
    }

    /// What is held long after its deadline was given back: on a channel that was closed meanwhile nobody says so.
    /// ⚠ Not what we claim: its preimage is known to the chain.
    pub(super) fn expire(&self, height: u32) -> Result<(), StoreLost> {
        for (hash, row) in self.rows.all(crate::rows::Rows::open_held)? {
            let is_over = row.claim_deadline_height.saturating_add(AFTER_DEADLINE) < height;
            if is_over && !matches!(row.state, HeldState::Claiming(_)) {
                self.given_back(hash)?;
            }
        }
        Ok(())
    }

    /// Gives a payment back that must not be held.
    pub(super) fn refuse(&self, hash: PaymentHash, why: &str) {
        tracing::warn!(%hash, why, "a payment to the node is given back");
        self.jobs.send(Job::FailBack(hash));
    }

    pub(super) fn tell(&self, event: Event) -> Result<(), StoreLost> {
        self.rows.save(Edit::default().tell(event))
    }
}

fn described(text: &str) -> Result<Bolt11InvoiceDescription, Refusal> {
    let description = Description::new(text.to_owned());
    let description = description.map_err(|error| Refusal::Malformed {
        what: "the description".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Bolt11InvoiceDescription::Direct(description))
}
