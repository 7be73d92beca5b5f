//! Lists that only grow, of short prefixes, which wallets download whole: they find what is theirs without telling anyone what
//! that is (SPEC MIN-7).
//!
//! A list is a [`Tail`] in memory and full leaves on disk. To append one prefix writes one row of at most 4 KiB, however long the
//! list is, and reads nothing that is not resident. What was appended never changes, so all guardians that have a part of a list
//! have the same.

use serde::{Deserialize, Serialize};

use crate::{
    ledger::{Row, View},
    module::{Query, Reject},
};

/// The first bytes of a hash or a key: enough that among millions two are the same by intent only, and few enough to download.
pub type Prefix = [u8; 8];

/// Prefixes in a full leaf.
pub const LEAF: u64 = 512;

/// Most prefixes in one answer. A request for more is refused with `slice_too_long`.
pub const MAX_SLICE: u64 = 16 * LEAF;

/// The end of a list, and its length.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tail {
    /// Prefixes in the whole list.
    pub count: u64,
    /// Those that fill no leaf yet.
    pub open: Vec<Prefix>,
}

/// Answer to `GET /v1/<module kind>/<list>?from=…&to=…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceAnswer {
    /// The length of the list, as far as this guardian is.
    pub count: u64,
    /// The place of the first prefix.
    pub from: u64,
    /// The prefixes of the places `from` to `to`, the last excluded, one after the other.
    #[serde(with = "crate::encoding::hex_bytes")]
    pub prefixes: Vec<u8>,
}

/// Appends to a list and gives the place, from 0. `leaf` names the row of a full leaf by its number.
pub fn append<T, L>(
    view: &mut View<'_, '_>,
    tail: &T,
    leaf: impl FnOnce(u64) -> L,
    prefix: Prefix,
) -> u64
where
    T: Row<Value = Tail>,
    L: Row<Value = Vec<Prefix>>,
{
    let Tail { count, mut open } = view.get(tail).unwrap_or_default();
    open.push(prefix);
    if open.len() as u64 >= LEAF {
        view.put(&leaf(count / LEAF), &open);
        open.clear();
    }
    let place = count;
    let count = count.saturating_add(1);
    view.put(tail, &Tail { count, open });
    place
}

/// Answers a question for a part of a list.
///
/// # Errors
/// If the question cannot be read or asks for too much; retryably, if this guardian's list is not that long yet.
pub fn slice<T, L>(
    view: &View<'_, '_>,
    tail: &T,
    leaf: impl Fn(u64) -> L,
    query: &Query,
) -> Result<SliceAnswer, Reject>
where
    T: Row<Value = Tail>,
    L: Row<Value = Vec<Prefix>>,
{
    let (from, to) = (number(query, "from")?, number(query, "to")?);
    if from > to || to - from > MAX_SLICE {
        let message = format!("ask for at most {MAX_SLICE} places at once, not for {from} to {to}");
        return Err(Reject::permanent("slice_too_long", message));
    }
    let Tail { count, open } = view.get(tail).unwrap_or_default();
    if to > count {
        let message = format!("the list has {count} places here; {to} may come later");
        return Err(Reject::retryable("slice_too_early", message));
    }
    let mut prefixes = Vec::new();
    // All leaves are looked up even if one is not loaded, so that one more load suffices.
    for number in from / LEAF..to.div_ceil(LEAF) {
        let first = number * LEAF;
        let full = (number < count / LEAF).then(|| view.get(&leaf(number)).unwrap_or_default());
        let here = full.as_ref().unwrap_or(&open).iter().zip(first..);
        let wanted = here.filter(|(_, place)| (from..to).contains(place));
        prefixes.extend(wanted.flat_map(|(prefix, _)| *prefix));
    }
    Ok(SliceAnswer {
        count,
        from,
        prefixes,
    })
}

fn number(query: &Query, name: &str) -> Result<u64, Reject> {
    let text = query.parameters.get(name).map_or("", String::as_str);
    text.parse().map_err(|_| {
        Reject::permanent(
            "bad_parameter",
            format!("{name}= must be a place in the list"),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        ledger::{Ledger, Memory, Obstacle, Scope, Space},
        ModuleId,
    };

    #[derive(Serialize, Deserialize, Row)]
    #[row(table = 1, value = Tail, resident)]
    struct End(());

    #[derive(Serialize, Deserialize, Row)]
    #[row(table = 2, value = Vec<Prefix>)]
    struct Leaf(u64);

    const SCOPE: Scope = Scope::module(Space::Agreed, ModuleId(1));

    fn list(length: u64) -> Memory {
        let mut memory = Memory::default();
        for place in 0..length {
            let mut ledger = Ledger::new(&memory);
            let mut view = ledger.view(SCOPE);
            assert_eq!(
                append(&mut view, &End(()), Leaf, place.to_be_bytes()),
                place
            );
            let changes = ledger.finish().unwrap();
            assert!(changes.len() <= 2 && changes.values().flatten().all(|row| row.len() < 4200));
            memory.apply(changes);
        }
        memory
    }

    fn ask(memory: &Memory, from: &str, to: &str) -> Result<SliceAnswer, Reject> {
        let parameters = [("from", from), ("to", to)];
        let query = Query {
            path: String::new(),
            parameters: parameters
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
        };
        slice(&Ledger::new(memory).view(SCOPE), &End(()), Leaf, &query)
    }

    #[test]
    fn every_part_of_a_list_is_what_was_appended() {
        let length = 2 * LEAF + 3;
        let memory = list(length);
        for (from, to) in [
            (0, 0),
            (0, 1),
            (0, length),
            (LEAF - 1, LEAF + 1),
            (LEAF, 2 * LEAF),
            (2 * LEAF + 1, length),
            (length, length),
        ] {
            let answer = ask(&memory, &from.to_string(), &to.to_string()).unwrap();
            let expected: Vec<u8> = (from..to).flat_map(u64::to_be_bytes).collect();
            assert_eq!((answer.count, answer.from), (length, from));
            assert_eq!(answer.prefixes, expected, "{from} to {to}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_asked_for_again_and_the_rest_is_refused() {
        let memory = list(3);
        assert!(ask(&memory, "0", "4").unwrap_err().retryable);
        for (from, to) in [
            ("2", "1"),
            ("0", "8193"),
            ("x", "1"),
            ("", "1"),
            ("0", "-1"),
        ] {
            assert!(!ask(&memory, from, to).unwrap_err().retryable);
        }
        assert_eq!(ask(&Memory::default(), "0", "0").unwrap().count, 0);
    }

    #[test]
    fn leaves_that_are_not_loaded_are_named_all_at_once() {
        /// Only what is resident is known.
        struct Resident(Memory);
        impl crate::ledger::Base for Resident {
            fn get(&self, key: &crate::ledger::Key) -> Option<Option<&[u8]>> {
                key.is_resident()
                    .then(|| self.0 .0.get(key).map(Vec::as_slice))
            }
            fn scan<'a>(
                &'a self,
                prefix: &[u8],
            ) -> Box<dyn Iterator<Item = (&'a crate::ledger::Key, &'a [u8])> + 'a> {
                self.0.scan(prefix)
            }
        }
        let base = Resident(list(3 * LEAF));
        let mut ledger = Ledger::new(&base);
        let query = Query {
            path: String::new(),
            parameters: BTreeMap::from([
                ("from".into(), "1".into()),
                ("to".into(), (3 * LEAF).to_string()),
            ]),
        };
        let _ = slice(&ledger.view(SCOPE), &End(()), Leaf, &query);
        let missing = (0..3).map(|number| Leaf(number).key(SCOPE)).collect();
        assert_eq!(ledger.finish(), Err(Obstacle::Missing(missing)));
        // Appending needs none of them.
        let mut ledger = Ledger::new(&base);
        append(&mut ledger.view(SCOPE), &End(()), Leaf, [0; 8]);
        assert!(ledger.finish().is_ok());
    }
}
