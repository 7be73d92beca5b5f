//! Contracts: funded once, spent whole (SPEC LN-1, LN-3 to LN-5).

use bitcoin::secp256k1::XOnlyPublicKey;
use guildmint_core::{
    ledger::View,
    module::{At, Reject},
    Amount, OutPoint,
};

use super::rows::{Account, Closed, Totals};
use crate::{Closing, ContractAccount, ContractId, LnInput, Terms, Witness};

/// Refuses to lock nothing.
pub(super) fn has_amount(amount: Amount) -> Result<(), Reject> {
    match amount.msat() {
        0 => Err(Reject::permanent("no_amount", "the contract holds nothing")),
        _ => Ok(()),
    }
}

/// Opens a contract.
pub(super) fn open(
    view: &mut View<'_, '_>,
    out_point: OutPoint,
    amount: Amount,
    terms: Terms,
    at: At,
) -> Result<(), Reject> {
    let id = ContractId::new(out_point);
    let account = ContractAccount {
        amount,
        funded_at: at.height,
        terms,
    };
    view.insert(&Account(id), &account).map_err(|_| {
        let message = format!("the contract {id} is funded");
        Reject::permanent("contract_funded", message)
    })?;
    let mut counts = view.get(&Totals(())).unwrap_or_default();
    counts.open_msat = counts.open_msat.saturating_add(amount.msat());
    view.put(&Totals(()), &counts);
    Ok(())
}

/// Closes a contract, and says what was in it.
pub(super) fn close(view: &mut View<'_, '_>, input: &LnInput, at: At) -> Result<Amount, Reject> {
    let closed = view.contains(&Closed(input.contract));
    let account = view.get(&Account(input.contract)).ok_or_else(|| {
        let message = format!("there is no contract {}", input.contract);
        Reject::retryable("unknown_contract", message)
    })?;
    if closed {
        let message = format!("the contract {} has been spent", input.contract);
        return Err(Reject::permanent("contract_closed", message));
    }
    let (key, closing) = judge(&account.terms, &input.witness, at)?;
    if key != input.key {
        let message = format!("{key} may spend this contract so, not {}", input.key);
        return Err(Reject::permanent("wrong_key", message));
    }
    view.insert(&Closed(input.contract), &closing)
        .map_err(|_| Reject::permanent("contract_closed", "the contract has been spent"))?;
    let mut counts = view.get(&Totals(())).unwrap_or_default();
    counts.open_msat = counts.open_msat.saturating_sub(account.amount.msat());
    view.put(&Totals(()), &counts);
    Ok(account.amount)
}

/// Who may spend a contract with this witness, and how it ends then.
fn judge(terms: &Terms, witness: &Witness, at: At) -> Result<(XOnlyPublicKey, Closing), Reject> {
    match (terms, witness) {
        (terms, Witness::Preimage(preimage)) => {
            if preimage.hash() != terms.hash() {
                let message = format!("not a preimage of {}", terms.hash());
                return Err(Reject::permanent("wrong_preimage", message));
            }
            // Also after the time limit, as long as nothing else has closed it: a gateway that has paid is paid.
            let preimage = *preimage;
            Ok((terms.claim_key(), Closing::Claimed { preimage }))
        }
        (Terms::Incoming { offer, refund_key }, Witness::Undecryptable { offer: shown, .. }) => {
            // What was shown to hide no preimage must be what was funded.
            match shown == offer {
                true => Ok((*refund_key, Closing::Undecryptable)),
                false => Err(Reject::permanent(
                    "wrong_offer",
                    "the contract funds another offer",
                )),
            }
        }
        (Terms::Outgoing(contract), Witness::TimedOut) => match at.height >= contract.timelock {
            true => Ok((contract.refund_key, Closing::TimedOut)),
            false => {
                let message = format!(
                    "it may be refunded from height {} on, and the clock is at {}",
                    contract.timelock, at.height
                );
                Err(Reject::retryable("not_timed_out", message))
            }
        },
        (Terms::Outgoing(contract), Witness::Forfeit(forfeit)) => {
            match forfeit.gateway_key == contract.gateway_key {
                true => Ok((contract.refund_key, Closing::Forfeited)),
                false => Err(Reject::permanent(
                    "wrong_gateway",
                    "the forfeit is another gateway's",
                )),
            }
        }
        (Terms::Incoming { .. }, _) | (Terms::Outgoing(_), Witness::Undecryptable { .. }) => {
            let message = "a contract of this direction is not spent so";
            Err(Reject::permanent("wrong_witness", message))
        }
    }
}
