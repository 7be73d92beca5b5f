//! What the guardians agree on about notes.

use guildmint_core::{
    slices::{Prefix, Tail},
    Row,
};
use serde::{Deserialize, Serialize};

use crate::{Denomination, MintOutput, Nonce};

/// A spent note. Its value is the note's place among the redeemed ones of its denomination, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 1, value = u64)]
pub struct Spent(pub Nonce);

/// A blinded message that was signed, ever (SPEC MIN-4). Its value is its place among those of its denomination, from 0.
///
/// Half a hash keeps the index small. To have an honest client refused, an attacker would have to find a message with the
/// hash of another's, 2^128 work; two of its own that collide, 2^64 work, harm nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 2, value = u64)]
pub struct Issued([u8; 16]);

impl Issued {
    pub fn new(output: &MintOutput) -> Self {
        let hash = output.hash();
        let mut prefix = [0; 16];
        prefix.copy_from_slice(&hash[..16]);
        Self(prefix)
    }
}

/// How many notes of a denomination there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 3, value = Counts, resident)]
pub struct Totals(pub Denomination);

/// Running totals of one denomination; `redeemed` is never above `issued`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub issued: u64,
    pub redeemed: u64,
}

/// The end of the list of all blinded messages that were signed, of whatever denomination, in their order (SPEC MIN-7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 4, value = Tail, resident)]
pub struct IssuedEnd(pub ());

/// A full leaf of that list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 5, value = Vec<Prefix>)]
pub struct IssuedLeaf(pub u64);

/// The end of the list of all spent nonces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 6, value = Tail, resident)]
pub struct SpentEnd(pub ());

/// A full leaf of that list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 7, value = Vec<Prefix>)]
pub struct SpentLeaf(pub u64);

/// What was signed, by its place in the list: a wallet that has lost everything else asks for the shares of a page of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Row)]
#[row(table = 8, value = MintOutput)]
pub struct IssuedAt(pub u64);
