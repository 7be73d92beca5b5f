//! The words of this crate as columns in PostgreSQL: `ToSql` and `FromSql` of `postgres-types`, said once for every client
//! library. Numbers are numbers there, hashes are `bytea`, amounts are in millisatoshi.

use std::error::Error;

use bytes::BytesMut;
use postgres_types::{to_sql_checked, FromSql, FromSqlOwned, IsNull, ToSql, Type};

use crate::{
    Amount, BatchHash, Digest, Epoch, FederationId, ModuleId, PayloadHash, PeerId, SessionId, TxId,
};

/// What can stand in a column, and the column's type.
pub trait Column: ToSql + FromSqlOwned {
    /// The type.
    const TYPE: Type;
}

/// A column of which there are arrays: bulk statements take one for each column.
pub trait Element: Column {
    /// The type of an array of these.
    const ARRAY: Type;
}

impl<T: Element> Column for Vec<T> {
    const TYPE: Type = T::ARRAY;
}

type Failure = Box<dyn Error + Sync + Send>;

/// Says how a word is written as another one that PostgreSQL has, and how it is read. Both fail for what does not fit.
macro_rules! column {
    ($word:ty, $plain:ty: $type:ident, $array:ident, $write:expr, $read:expr) => {
        impl ToSql for $word {
            fn to_sql(&self, to: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
                let write: fn(&Self) -> Result<$plain, Failure> = $write;
                write(self)?.to_sql(to, out)
            }

            fn accepts(column: &Type) -> bool {
                <$plain as ToSql>::accepts(column)
            }

            to_sql_checked!();
        }

        impl<'a> FromSql<'a> for $word {
            fn from_sql(from: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
                let read: fn($plain) -> Result<Self, Failure> = $read;
                read(<$plain>::from_sql(from, raw)?)
            }

            fn accepts(column: &Type) -> bool {
                <$plain as FromSql>::accepts(column)
            }
        }

        impl Column for $word {
            const TYPE: Type = Type::$type;
        }

        impl Element for $word {
            const ARRAY: Type = Type::$array;
        }
    };
}

macro_rules! hashes {
    ($($hash:ty),*) => {
        $(column!(
            $hash,
            Vec<u8>: BYTEA,
            BYTEA_ARRAY,
            |hash| Ok(hash.0.to_vec()),
            |bytes| Ok(Self(bytes.as_slice().try_into()?))
        );)*
    };
}

hashes!(
    BatchHash,
    Digest,
    FederationId,
    PayloadHash,
    SessionId,
    TxId
);

column!(
    Epoch,
    i64: INT8,
    INT8_ARRAY,
    |epoch| Ok(epoch.0.try_into()?),
    |number| Ok(Self(number.try_into()?))
);
column!(
    Amount,
    i64: INT8,
    INT8_ARRAY,
    |amount| Ok(amount.msat().try_into()?),
    |msat| Ok(Self::from_msat(msat.try_into()?)?)
);
column!(
    PeerId,
    i32: INT4,
    INT4_ARRAY,
    |peer| Ok(peer.0.into()),
    |number| Ok(Self(number.try_into()?))
);
column!(
    ModuleId,
    i32: INT4,
    INT4_ARRAY,
    |module| Ok(module.0.into()),
    |number| Ok(Self(number.try_into()?))
);

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn comes_back<T: Column + PartialEq + Debug>(word: T) {
        let mut bytes = BytesMut::new();
        assert!(matches!(word.to_sql(&T::TYPE, &mut bytes), Ok(IsNull::No)));
        assert!(<T as ToSql>::accepts(&T::TYPE) && <T as FromSql>::accepts(&T::TYPE));
        assert!(!<T as FromSql>::accepts(&Type::TEXT));
        assert_eq!(T::from_sql(&T::TYPE, &bytes).unwrap(), word);
    }

    #[test]
    fn words_come_back_from_columns() {
        comes_back(TxId([0xab; 32]));
        comes_back(Digest([0; 32]));
        comes_back(Epoch(7));
        comes_back(Epoch(i64::MAX as u64));
        comes_back(Amount::MAX);
        comes_back(PeerId(u16::MAX));
        comes_back(ModuleId(3));
        comes_back(vec![Epoch(1), Epoch(2)]);
        comes_back(vec![TxId([1; 32]), TxId([2; 32])]);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let fits = Epoch(u64::MAX).to_sql(&Type::INT8, &mut BytesMut::new());
        assert!(fits.is_err());
        assert!(TxId::from_sql(&Type::BYTEA, &[1; 31]).is_err());
        for number in [-1, i64::MAX] {
            assert!(Amount::from_sql(&Type::INT8, &number.to_be_bytes()).is_err());
        }
        assert!(Epoch::from_sql(&Type::INT8, &(-1_i64).to_be_bytes()).is_err());
        assert!(PeerId::from_sql(&Type::INT4, &70_000_i32.to_be_bytes()).is_err());
    }
}
