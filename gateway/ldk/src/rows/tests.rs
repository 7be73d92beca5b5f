#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use guildmint_gateway::node::{FetchOrder, PaymentFailure, Preimage};
use guildmint_gateway_store::Place;

use super::*;

fn rows(folder: &tempfile::TempDir) -> (GatewayStore, Rows) {
    let place = Place::in_directory(folder.path());
    let store = GatewayStore::open(&place, Arc::new(|_| ())).unwrap();
    (store.clone(), Rows::open(store).unwrap())
}

fn sent(end: Option<SentEnd>) -> SentRow {
    SentRow {
        paid: Paid::Invoice("lnbcrt1".into()),
        amount_msat: 5,
        end,
    }
}

#[test]
fn a_payment_is_open_until_its_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (store, rows) = rows(&folder);
    let hashes = [PaymentHash([1; 32]), PaymentHash([2; 32])];
    for hash in hashes {
        rows.save(Edit::default().sent(hash, &sent(None))).unwrap();
    }
    assert_eq!(rows.all(Rows::open_sent).unwrap().len(), 2);
    assert_eq!(rows.open_sent(Some(hashes[0])).unwrap()[0].0, hashes[1]);
    assert_eq!(rows.events(9).unwrap(), []);
    let failed = sent(Some(SentEnd::Failed(PaymentFailure::NoRoute)));
    rows.save(Edit::default().sent(hashes[0], &failed)).unwrap();
    assert_eq!(rows.open_sent(None).unwrap().len(), 1);
    let event = rows.events(9).unwrap().remove(0);
    let reason = PaymentFailure::NoRoute;
    assert_eq!(
        event.event,
        Event::PaymentFailed {
            hash: hashes[0],
            reason
        }
    );
    store.close().unwrap();
}

/// ⚠ Else a payment in flight is given up, and its payee takes it after the payer has the money back.
#[test]
fn the_failure_of_a_request_is_none_of_the_payment_on_the_same_hash() {
    let folder = tempfile::tempdir().unwrap();
    let (_, rows) = rows(&folder);
    let (hash, other) = (PaymentHash([1; 32]), PaymentHash([2; 32]));
    let requests = [RequestId([3; 32]), RequestId([4; 32])];
    let fetched = SentRow {
        paid: Paid::Fetched(requests[0]),
        ..sent(None)
    };
    let edit = Edit::default().sent(hash, &sent(None));
    rows.save(edit.sent(other, &fetched)).unwrap();
    let is_sent = |name, hash| rows.is_sent(name, hash).unwrap();
    assert!(is_sent(hash.0, hash) && is_sent(requests[0].0, other));
    for request in requests {
        assert!(!is_sent(request.0, hash), "a BOLT11 payment is another");
    }
    assert!(!is_sent(requests[1].0, other));
    assert!(!is_sent([9; 32], PaymentHash([9; 32])));
}

#[test]
fn of_a_fetched_invoice_nothing_stays_but_its_name_once_its_payment_has_ended() {
    let request = RequestId([3; 32]);
    let hash = PaymentHash([1; 32]);
    for end in [
        SentEnd::Failed(PaymentFailure::NoRoute),
        SentEnd::Succeeded {
            preimage: Preimage([1; 32]),
            fee_msat: 1,
        },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (store, rows) = rows(&folder);
        let fetched = FetchRow {
            order: FetchOrder {
                request,
                offer: "lno1".repeat(1_000),
                amount_msat: Some(5),
                note: Some("x".repeat(1_000)),
                max_fee_msat: 1,
                max_total_cltv_delta: 500,
            },
            answer: Some(FetchAnswer::Invoice {
                hash,
                amount_msat: 5,
                invoice: vec![7; 32 * 1024],
                context: vec![8; 1_000],
            }),
        };
        let mut row = SentRow {
            paid: Paid::Fetched(request),
            ..sent(None)
        };
        let edit = Edit::default().fetched(&fetched).sent(hash, &row);
        rows.save(edit).unwrap();
        row.end = Some(end);
        rows.end(hash, &row).unwrap();
        let stored = store.get(key(FetchRow::TABLE, &request.0)).unwrap();
        assert!(stored.unwrap().len() < 200);
        let spent = rows.get::<FetchRow>(&request.0).unwrap().unwrap();
        assert_eq!(spent.answer, Some(FetchAnswer::Spent(hash)));
        assert_eq!(rows.get::<SentRow>(&hash.0).unwrap(), Some(row.clone()));
        // The invoice when it came, and the end, and no third.
        let events = rows.events(9).unwrap();
        assert_eq!(events.len(), 2);
        assert_eq!(Some(events[1].event.clone()), row.event(hash));
        store.close().unwrap();
    }
}

#[test]
fn events_wait_until_they_are_handled_even_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, rows_before) = rows(&folder);
    let event = |byte| Event::Returned {
        hash: PaymentHash([byte; 32]),
    };
    rows_before
        .save(Edit::default().tell(event(1)).tell(event(2)))
        .unwrap();
    rows_before.handled(1).unwrap();
    store.close().unwrap();
    let (_, rows) = rows(&folder);
    rows.save(Edit::default().tell(event(3))).unwrap();
    let waiting: Vec<_> = rows.events(9).unwrap();
    let numbers: Vec<_> = waiting.iter().map(|delivery| delivery.number).collect();
    assert_eq!(numbers, [2, 3]);
    assert_eq!(waiting[1].event, event(3));
}

#[test]
fn htlcs_that_strangers_add_do_not_return_those_that_are_held() {
    let held = |state| HeldRow {
        amount_msat: 1,
        claim_deadline_height: 300,
        set: [1; 32],
        state,
    };
    let claiming = HeldState::Claiming(Preimage([1; 32]));
    for state in [HeldState::Held, claiming] {
        assert!(!held(state.clone()).is_given_back(299));
        assert!(held(state).is_given_back(300));
    }
    assert!(held(HeldState::Failing).is_given_back(0));
    assert!(!held(HeldState::Claimed).is_given_back(400));
}

#[test]
fn no_two_starts_have_one_time() {
    let folder = tempfile::tempdir().unwrap();
    let (_, rows) = rows(&folder);
    assert_eq!(rows.start_ns(100), Ok(100));
    assert_eq!(rows.start_ns(100), Ok(101));
    assert_eq!(rows.start_ns(50), Ok(102), "a clock that was set back");
    assert_eq!(rows.start_ns(1000), Ok(1000));
}
