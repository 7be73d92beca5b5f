use proptest::prelude::*;

use super::*;

fn denomination(exponent: u8) -> Denomination {
    Denomination::new(exponent).unwrap()
}

fn msat(msat: u64) -> Amount {
    Amount::from_msat(msat).unwrap()
}

fn tariff(smallest: u8, largest: u8, input_fee: u64, output_fee: u64) -> Tariff {
    Tariff {
        denominations: (smallest..=largest).map(denomination).collect(),
        input_fee: msat(input_fee),
        output_fee: msat(output_fee),
    }
}

fn value(notes: &[Denomination]) -> u64 {
    notes.iter().map(|note| note.msat()).sum()
}

fn counted(notes: &[Denomination]) -> Held {
    let mut held = Held::new();
    for note in notes {
        *held.entry(*note).or_default() += 1;
    }
    held
}

fn is_held(notes: &[Denomination], held: &Held) -> bool {
    counted(notes)
        .iter()
        .all(|(note, count)| held.get(note).is_some_and(|have| have >= count))
}

/// Up to `notes` notes of up to 2^`largest` msat.
fn wallet(largest: u8, notes: usize) -> impl Strategy<Value = Held> {
    prop::collection::vec((0..=largest).prop_map(denomination), 0..notes)
        .prop_map(|notes| counted(&notes))
}

/// All subsets of a small wallet.
fn subsets(held: &Held) -> Vec<Vec<Denomination>> {
    let notes: Vec<Denomination> = held
        .iter()
        .flat_map(|(note, count)| (0..*count).map(|_| *note))
        .collect();
    (0..1_u32 << notes.len())
        .map(|set| {
            let chosen = (0..notes.len()).filter(|bit| set >> bit & 1 == 1);
            chosen.map(|bit| notes[bit]).collect()
        })
        .collect()
}

proptest! {
    #[test]
    fn a_split_adds_up(amount in 0..1_u64 << 45, held in wallet(39, 60)) {
        let notes = tariff(0, 39, 3, 5).split(msat(amount), &held).unwrap();
        prop_assert_eq!(value(&notes), amount);
        prop_assert!(notes.len() <= 160, "{} notes", notes.len());
    }

    #[test]
    fn a_split_knows_its_smallest_note(amount in 0..1_u64 << 30, smallest in 0..12_u8) {
        let split = tariff(smallest, 39, 0, 0).split(msat(amount), &Held::new());
        if amount % (1 << smallest) == 0 {
            prop_assert_eq!(value(&split.unwrap()), amount);
        } else {
            prop_assert_eq!(split, Err(SelectError::NotExact(msat(amount))));
        }
    }

    #[test]
    fn after_a_split_any_amount_can_be_paid_exactly(
        (amount, part) in (1..1_u64 << 40).prop_flat_map(|amount| (Just(amount), 0..=amount)),
    ) {
        let mint = tariff(0, 39, 0, 0);
        let held = counted(&mint.split(msat(amount), &Held::new()).unwrap());
        let notes = mint.exact(&held, msat(part)).unwrap();
        prop_assert_eq!(value(&notes), part);
        prop_assert!(is_held(&notes, &held));
    }

    #[test]
    fn change_costs_exactly_what_there_is(available in 0..1_u64 << 40, fee in 0..2000_u64, held in wallet(39, 40)) {
        let mint = tariff(0, 39, 0, fee);
        match mint.change(msat(available), &held) {
            Ok(notes) => prop_assert_eq!(mint.cost(&notes), Some(msat(available))),
            Err(error) => {
                prop_assert_eq!(error, SelectError::NotExact(msat(available)));
                prop_assert!(available < 50 * (fee + 1), "{available} msat with a fee of {fee}");
            }
        }
    }

    #[test]
    fn a_selection_covers_with_the_fewest_notes_and_the_least_change(
        held in wallet(9, 11),
        at_least in 0..1200_u64,
        fee in 0..6_u64,
    ) {
        let mint = tariff(0, 39, fee, 0);
        let net = |notes: &[Denomination]| value(notes).checked_sub(fee * notes.len() as u64);
        let best = subsets(&held)
            .into_iter()
            .filter(|notes| net(notes).is_some_and(|net| net >= at_least))
            .map(|notes| (notes.len(), net(&notes)))
            .min();
        let chosen = mint.select(&held, msat(at_least));
        prop_assert_eq!(chosen.as_ref().map(|notes| (notes.len(), net(notes))), best);
        prop_assert!(is_held(&chosen.unwrap_or_default(), &held));
    }

    #[test]
    fn exact_finds_the_fewest_notes_if_there_are_any(held in wallet(9, 11), amount in 0..1200_u64) {
        let best = subsets(&held)
            .into_iter()
            .filter(|notes| value(notes) == amount)
            .map(|notes| notes.len())
            .min();
        let chosen = tariff(0, 39, 7, 7).exact(&held, msat(amount));
        prop_assert_eq!(chosen.as_ref().map(Vec::len), best);
        if let Some(notes) = chosen {
            prop_assert!(is_held(&notes, &held));
            prop_assert_eq!(value(&notes), amount);
        }
    }

    #[test]
    fn funding_balances(held in wallet(30, 40), need in 0..1_u64 << 32, input_fee in 0..100_u64, output_fee in 0..100_u64) {
        let mint = tariff(0, 39, input_fee, output_fee);
        match mint.fund(&held, msat(need)) {
            Ok(Funding { spend, change }) => {
                let out = mint.cost(&change).unwrap().checked_add(msat(need));
                prop_assert_eq!(mint.net(&spend), out);
                prop_assert!(is_held(&spend, &held));
            }
            Err(SelectError::Insufficient { have, need: needed }) => {
                prop_assert_eq!(needed, msat(need));
                prop_assert!(have < needed);
            }
            Err(SelectError::NotExact(_)) => {
                // Only the last crumbs of a wallet do not come out even.
                let have = held.iter().map(|(note, count)| note.msat().saturating_sub(input_fee) * count).sum::<u64>();
                prop_assert!(have - need < 50 * (output_fee + 1), "{have} msat for {need}");
            }
            Err(SelectError::TooManyNotes) => prop_assert!(false, "40 notes are not too many"),
        }
    }

    #[test]
    fn funding_without_fees_fails_only_for_want_of_money(held in wallet(20, 40), need in 0..1_u64 << 23) {
        let have: u64 = held.iter().map(|(note, count)| note.msat() * count).sum();
        prop_assert_eq!(tariff(0, 39, 0, 0).fund(&held, msat(need)).is_ok(), have >= need);
    }
}

#[test]
fn dust_is_avoided_by_spending_more() {
    // 1024 − 1020 leaves 4 msat, less than the fee of any note.
    let mint = tariff(0, 39, 0, 10);
    assert_eq!(
        mint.change(msat(4), &Held::new()),
        Err(SelectError::NotExact(msat(4)))
    );
    let mut held = counted(&[denomination(10)]);
    assert_eq!(
        mint.fund(&held, msat(1020)),
        Err(SelectError::NotExact(msat(1020)))
    );
    held.insert(denomination(8), 1);
    let funding = mint.fund(&held, msat(1020)).unwrap();
    assert_eq!(funding.spend, [denomination(10), denomination(8)]);
    assert_eq!(mint.cost(&funding.change), Some(msat(260)));
}

#[test]
fn notes_that_cost_more_than_they_are_worth_stay() {
    let mint = tariff(0, 39, 4, 0);
    let held = counted(&[denomination(1), denomination(2), denomination(4)]);
    assert_eq!(mint.select(&held, msat(12)), Some(vec![denomination(4)]));
    assert_eq!(mint.select(&held, msat(13)), None);
    assert_eq!(
        mint.fund(&held, msat(13)),
        Err(SelectError::Insufficient {
            have: msat(12),
            need: msat(13)
        })
    );
}

#[test]
fn transactions_stay_small() {
    let mint = tariff(0, 10, 0, 0);
    assert_eq!(
        mint.split(msat(1 << 30), &Held::new()),
        Err(SelectError::TooManyNotes)
    );
    let held = Held::from([(denomination(0), 10_000)]);
    assert_eq!(mint.select(&held, msat(5_000)), None);
    assert_eq!(mint.exact(&held, msat(5_000)), None);
    assert_eq!(
        mint.fund(&held, msat(5_000)),
        Err(SelectError::TooManyNotes)
    );
}

#[test]
fn gaps_between_denominations_do_no_harm() {
    let mint = Tariff {
        denominations: [0, 3, 7, 12].map(denomination).into(),
        ..tariff(0, 0, 0, 3)
    };
    for available in 400..1000 {
        let notes = mint.change(msat(available), &Held::new());
        if let Ok(notes) = notes {
            assert_eq!(mint.cost(&notes), Some(msat(available)));
            assert!(notes.iter().all(|note| mint.denominations.contains(note)));
        } else {
            panic!("{available} msat: {notes:?}");
        }
    }
}

#[test]
fn what_is_lacking_is_filled_up_first() {
    let mint = tariff(0, 39, 0, 0);
    let all = counted(&(0..8).map(denomination).collect::<Vec<_>>());
    assert_eq!(mint.split(msat(64), &all), Ok(vec![denomination(6)]));
    let mut lacking = all.clone();
    lacking.remove(&denomination(2));
    let notes = mint.split(msat(64), &lacking).unwrap();
    assert!(notes.contains(&denomination(2)), "{notes:?}");
}
