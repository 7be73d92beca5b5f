use guildmint_core::{ledger::Changes, postgres::Element};
use sqlx::{Connection as _, PgConnection};

use super::{adapter::Sql, failure::Trouble, sql};
use crate::{CoinPlace, Records};

/// One save, column by column, as bulk statements take it. It says what rows are afterwards and not how they change, so making it
/// twice is making it once.
#[derive(Debug)]
pub(super) struct Save<'a> {
    keys: Vec<&'a [u8]>,
    values: Vec<&'a [u8]>,
    deleted: Vec<&'a [u8]>,
    records: Records,
}

impl<'a> Save<'a> {
    pub(super) fn new(changes: &'a Changes, records: Records) -> Self {
        let (mut keys, mut values, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in changes {
            match value {
                Some(value) => {
                    keys.push(key.0.as_slice());
                    values.push(value.as_slice());
                }
                None => deleted.push(key.0.as_slice()),
            }
        }
        Self {
            keys,
            values,
            deleted,
            records,
        }
    }

    /// Makes it, if the database is in this term and has made this many saves. False if not: nothing was changed then.
    pub(super) async fn make(
        &self,
        connection: &mut PgConnection,
        term: i64,
        saves: i64,
    ) -> Result<bool, Trouble> {
        // One statement is a transaction of its own, and one way to the server and back.
        if self.records.is_empty() {
            return self.rows(connection, term, saves).await;
        }
        let mut transaction = connection.begin().await?;
        let is_counted = self.rows(&mut transaction, term, saves).await?;
        if is_counted {
            self.epochs(&mut transaction).await?;
            self.transactions(&mut transaction).await?;
            self.coins(&mut transaction).await?;
            self.audit(&mut transaction).await?;
        }
        transaction.commit().await?;
        Ok(is_counted)
    }

    async fn rows(
        &self,
        connection: &mut PgConnection,
        term: i64,
        saves: i64,
    ) -> Result<bool, Trouble> {
        let counted: i64 = sqlx::query_scalar(sql::SAVE)
            .bind(term)
            .bind(saves)
            .bind(&self.keys)
            .bind(&self.values)
            .bind(&self.deleted)
            .fetch_one(connection)
            .await?;
        Ok(counted == 1)
    }

    async fn epochs(&self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let epochs = &self.records.epochs;
        if !epochs.is_empty() {
            sqlx::query(sql::EPOCHS)
                .bind(column(epochs, |epoch| epoch.epoch))
                .bind(column(epochs, |epoch| epoch.batch))
                .bind(column(epochs, |epoch| epoch.digest))
                .bind(counts(epochs, |epoch| epoch.transactions))
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    async fn transactions(&self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let transactions = &self.records.transactions;
        if !transactions.is_empty() {
            sqlx::query(sql::TRANSACTIONS)
                .bind(column(transactions, |transaction| transaction.txid))
                .bind(column(transactions, |transaction| transaction.epoch))
                .bind(counts(transactions, |transaction| transaction.inputs))
                .bind(counts(transactions, |transaction| transaction.outputs))
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    async fn coins(&self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let (coins, spent) = (&self.records.coins, &self.records.spent);
        if !coins.is_empty() {
            let (txids, vouts) = places(coins.iter().map(|coin| &coin.place));
            sqlx::query(sql::COINS)
                .bind(txids)
                .bind(vouts)
                .bind(column(coins, |coin| coin.amount))
                .execute(&mut *connection)
                .await?;
        }
        if !spent.is_empty() {
            let (txids, vouts) = places(spent.iter());
            sqlx::query(sql::SPENT)
                .bind(txids)
                .bind(vouts)
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    async fn audit(&self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let audit = &self.records.audit;
        if !audit.is_empty() {
            sqlx::query(sql::AUDIT)
                .bind(column(audit, |part| part.epoch))
                .bind(column(audit, |part| part.module))
                .bind(column(audit, |part| part.assets))
                .bind(column(audit, |part| part.liabilities))
                .execute(connection)
                .await?;
        }
        Ok(())
    }
}

fn column<R, T: Element>(records: &[R], field: impl Fn(&R) -> T) -> Sql<Vec<T>> {
    Sql(records.iter().map(field).collect())
}

/// Counts of what fits into a transaction or an epoch. One that no column holds is shown as the largest that does.
fn counts<R>(records: &[R], field: impl Fn(&R) -> u32) -> Vec<i32> {
    let counts = records.iter().map(field);
    counts
        .map(|count| i32::try_from(count).unwrap_or(i32::MAX))
        .collect()
}

fn places<'a>(places: impl Iterator<Item = &'a CoinPlace>) -> (Vec<&'a [u8]>, Vec<i64>) {
    places
        .map(|place| (place.txid.as_slice(), i64::from(place.vout)))
        .unzip()
}
