use bytes::BytesMut;
use guildmint_core::postgres::Column;
use postgres_types::IsNull as Nullness;
use sqlx::{
    encode::IsNull,
    error::BoxDynError,
    postgres::{types::Oid, PgArgumentBuffer, PgTypeInfo, PgValueFormat, PgValueRef},
    Decode, Encode, Postgres, Type,
};

/// A word of the core for sqlx, by way of `postgres-types`: how it looks in a column is said once, in the core. An array of words
/// is one too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sql<T>(pub(super) T);

impl<T: Column> Type<Postgres> for Sql<T> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(T::TYPE.oid()))
    }
}

impl<T: Column> Encode<'_, Postgres> for Sql<T> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let mut bytes = BytesMut::new();
        let nullness = self.0.to_sql(&T::TYPE, &mut bytes)?;
        buffer.extend_from_slice(&bytes);
        Ok(match nullness {
            Nullness::Yes => IsNull::Yes,
            Nullness::No => IsNull::No,
        })
    }
}

impl<'r, T: Column> Decode<'r, Postgres> for Sql<T> {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self(T::from_sql(&T::TYPE, value.as_bytes()?)?)),
            PgValueFormat::Text => Err("a word in text form, which no statement asks for".into()),
        }
    }
}

#[cfg(test)]
#[path = "../../tests/common/mod.rs"]
mod common;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use guildmint_core::{Amount, Epoch, TxId};
    use sqlx::{postgres::PgConnectOptions, ConnectOptions as _, Row as _};

    use super::*;

    #[test]
    fn words_pass_through_statements() {
        let server = common::Server::start();
        let url = server.url("postgres");
        async_std::task::block_on(async {
            let options: PgConnectOptions = url.parse().unwrap();
            let mut connection = options.connect().await.unwrap();
            let (txid, amount) = (Sql(TxId([7; 32])), Sql(Amount::MAX));
            let epochs = Sql(vec![Epoch(1), Epoch(2)]);
            let row = sqlx::query("SELECT $1, $2, $3")
                .bind(txid.clone())
                .bind(amount.clone())
                .bind(epochs.clone())
                .fetch_one(&mut connection)
                .await
                .unwrap();
            assert_eq!(row.get::<Sql<TxId>, _>(0), txid);
            assert_eq!(row.get::<Sql<Amount>, _>(1), amount);
            assert_eq!(row.get::<Sql<Vec<Epoch>>, _>(2), epochs);
            let negative = sqlx::query_scalar::<_, Sql<Epoch>>("SELECT -1::bigint");
            assert!(negative.fetch_one(&mut connection).await.is_err());
            let text = sqlx::query_scalar::<_, Sql<Epoch>>("SELECT 'one'");
            assert!(text.fetch_one(&mut connection).await.is_err());
        });
    }
}
