//! What rows mean, for databases that people look into. Only here are the engine, the modules and the tables seen side by side.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use bitcoin::hashes::Hash as _;
use guildmint_core::{
    encoding::read,
    ledger::{Changes, Key, Ledger, Memory, Scope, Space},
    Amount, Audit, Epoch, ModuleId, Row,
};
use guildmint_engine::{
    rows::{Accepted, AcceptedTransaction, History, Record},
    Federation,
};
use guildmint_store::{
    AuditRecord, CoinPlace, CoinRecord, EpochRecord, Projection, Records, TransactionRecord,
};
use guildmint_wallet::server::{Coin, CoinAt};

/// Follows the rows as they are saved.
pub(crate) struct Readable {
    federation: Arc<Federation>,
    wallet: Option<Scope>,
    known: Mutex<Known>,
}

/// What was seen so far.
struct Known {
    /// The resident rows that are agreed: what a balance sheet is made from.
    agreed: Memory,
    audit: BTreeMap<ModuleId, Audit>,
}

impl Readable {
    /// Begins with the resident rows that are there.
    pub(crate) fn new(federation: Arc<Federation>, resident: &Memory) -> Self {
        let rows = resident.0.iter().filter(|(key, _)| key.is_agreed());
        let agreed = Memory(rows.map(|(key, row)| (key.clone(), row.clone())).collect());
        let audit = federation.audit(&mut Ledger::new(&agreed));
        let wallet = federation.genesis().module(guildmint_wallet::KIND);
        Self {
            wallet: wallet.map(|(module, _)| Scope::module(Space::Agreed, module)),
            federation,
            known: Mutex::new(Known { agreed, audit }),
        }
    }

    /// The parts of the balance sheet that these changes change.
    fn audit(&self, epoch: Epoch, known: &mut Known) -> Vec<AuditRecord> {
        let amount = |msat| Amount::from_msat(msat).unwrap_or(Amount::MAX);
        let audit = self.federation.audit(&mut Ledger::new(&known.agreed));
        let changed = audit
            .iter()
            .filter(|(module, part)| known.audit.get(module) != Some(part))
            .map(|(module, part)| AuditRecord {
                epoch,
                module: *module,
                assets: amount(part.assets_msat),
                liabilities: amount(part.liabilities_msat),
            })
            .collect();
        known.audit = audit;
        changed
    }
}

impl Projection for Readable {
    fn records(&self, changes: &Changes) -> Records {
        let history = Key::table::<History>(Scope::engine(Space::Local));
        let accepted = Key::table::<Accepted>(Scope::engine(Space::Agreed));
        let coins = self.wallet.map(Key::table::<CoinAt>);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = Records::default();
        for (key, value) in changes {
            if key.0.starts_with(&history) {
                records.epochs.extend(epoch(value.as_deref()));
            } else if key.0.starts_with(&accepted) {
                let record = transaction(key, value.as_deref());
                records.transactions.extend(record);
            } else if coins.is_some_and(|coins| key.0.starts_with(&coins)) {
                coin(key, value.as_deref(), &mut records);
            }
            if key.is_resident() && key.is_agreed() {
                known
                    .agreed
                    .apply(Changes::from([(key.clone(), value.clone())]));
            }
        }
        if let Some(last) = records.epochs.last() {
            records.audit = self.audit(last.epoch, &mut known);
        }
        records
    }
}

fn epoch(value: Option<&[u8]>) -> Option<EpochRecord> {
    let record: Record = read(value?).ok()?;
    Some(EpochRecord {
        epoch: record.result.epoch,
        batch: record.result.batch,
        digest: record.result.digest,
        transactions: count(record.transactions.len()),
    })
}

fn transaction(key: &Key, value: Option<&[u8]>) -> Option<TransactionRecord> {
    let Accepted(txid) = Accepted::from_key(key)?;
    let accepted: AcceptedTransaction = read(value?).ok()?;
    Some(TransactionRecord {
        txid,
        epoch: accepted.epoch,
        inputs: count(accepted.transaction.inputs.len()),
        outputs: count(accepted.transaction.outputs.len()),
    })
}

fn coin(key: &Key, value: Option<&[u8]>, records: &mut Records) {
    let Some(CoinAt(outpoint)) = CoinAt::from_key(key) else {
        return;
    };
    let mut txid = outpoint.txid.to_byte_array();
    // As bitcoin shows it.
    txid.reverse();
    let place = CoinPlace {
        txid,
        vout: outpoint.vout,
    };
    let Some(value) = value else {
        records.spent.push(place);
        return;
    };
    let amount = |coin: Coin| Amount::from_sat(coin.amount_sat).ok();
    if let Some(amount) = read(value).ok().and_then(amount) {
        records.coins.push(CoinRecord { place, amount });
    }
}

fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bitcoin::{BlockHash, Network, OutPoint};
    use guildmint_core::{module::Query, PeerId};
    use guildmint_dealer::{deal, deal_wallet, Parameters};
    use guildmint_wallet::{Block, Tweak};
    use rand_chacha::{rand_core::SeedableRng, ChaCha20Rng};

    use super::*;

    fn federation() -> Arc<Federation> {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let parameters = Parameters {
            name: "alone".into(),
            network: Network::Regtest,
            guardians: vec!["alone".into()],
            epoch_floor_ms: 10,
        };
        let start = Block {
            height: 0,
            hash: BlockHash::all_zeros(),
        };
        let quorum = parameters.quorum().unwrap();
        let wallet = deal_wallet(quorum, Network::Regtest, start, |_| {}, &mut rng);
        let (genesis, secrets) = deal(&parameters, vec![wallet], &mut rng).unwrap();
        let modules = secrets[0].modules.iter();
        let modules = modules.map(|(id, secret)| (*id, secret.to_vec())).collect();
        let registry = crate::modules();
        Arc::new(Federation::new(genesis, PeerId(0), &registry, &modules).unwrap())
    }

    /// The row that is read here is the one that the wallet writes: it finds it when it is asked for its coins.
    #[test]
    fn coins_are_those_of_the_wallet() {
        let federation = federation();
        let readable = Readable::new(Arc::clone(&federation), &Memory::default());
        let scope = readable.wallet.unwrap();
        let txid = format!("{:064x}", 0xab);
        let outpoint = OutPoint::new(txid.parse().unwrap(), 3);
        let coin = Coin {
            amount_sat: 5000,
            tweak: Tweak([7; 32]),
            slot: Some(1),
            height: 3,
        };
        let mut rows = Memory::default();
        let mut ledger = Ledger::new(&rows);
        ledger.view(scope).put(&CoinAt(outpoint), &coin);
        let mut changes = ledger.finish().unwrap();
        rows.apply(changes.clone());

        let (wallet, _) = federation.genesis().module(guildmint_wallet::KIND).unwrap();
        let query = Query {
            path: "utxos".into(),
            parameters: BTreeMap::new(),
        };
        let (mut ledger, mut local) = (Ledger::new(&rows), Ledger::new(&rows));
        let local = local.view(Scope::module(Space::Local, wallet));
        let module = federation.module(wallet).unwrap();
        let answer = module.query(&ledger.view(scope), &local, &query);
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer["utxos"][0]["outpoint"], outpoint.to_string());
        assert_eq!(answer["utxos"][0]["amount_sat"], 5000);
        assert_eq!(answer["utxos"][0]["confirmed"], false);

        let records = readable.records(&changes);
        let place = records.coins[0].place;
        assert_eq!((place.txid[31], place.vout), (0xab, 3));
        assert_eq!(records.coins[0].amount, Amount::from_sat(5000).unwrap());
        changes.values_mut().for_each(|value| *value = None);
        assert_eq!(readable.records(&changes).spent, [place]);
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        let readable = Readable::new(federation(), &Memory::default());
        let tables = [
            Key::table::<History>(Scope::engine(Space::Local)),
            Key::table::<Accepted>(Scope::engine(Space::Agreed)),
            Key::table::<CoinAt>(readable.wallet.unwrap()),
        ];
        let rows = tables.map(|table| (Key([&table[..], &[1]].concat()), Some(vec![1])));
        assert!(readable.records(&rows.into()).is_empty());
    }
}
