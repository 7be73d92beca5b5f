use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{failure::Trouble, sql};
use crate::StoreError;

/// Every change of the layout, in order. One that was released is never edited: a later one is added.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/postgres/0001_rows.sql")];

/// Brings the layout up to date, each step whole or not at all. The lock is held meanwhile.
pub(super) async fn migrate(connection: &mut PgConnection, database: &str) -> Result<(), Trouble> {
    connection.execute(sql::CREATE_VERSIONS).await?;
    let found: i64 = sqlx::query_scalar(sql::READ_VERSION)
        .fetch_one(&mut *connection)
        .await?;
    let steps = (1..).zip(MIGRATIONS);
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(Trouble::Lasting(StoreError::Newer {
            database: database.to_owned(),
            found,
            known,
        }));
    }
    for (version, step) in steps.filter(|(version, _)| *version > found) {
        let mut transaction = connection.begin().await?;
        transaction.execute(*step).await?;
        sqlx::query(sql::WRITE_VERSION)
            .bind(version)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    Ok(())
}
