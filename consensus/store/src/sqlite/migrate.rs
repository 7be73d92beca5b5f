use std::path::Path;

use sqlx::{Connection as _, SqliteConnection};

use super::{failure, sql};
use crate::StoreError;

/// Every change of the layout, in order. One that was released is never edited: a later one is added.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001_rows.sql")];

/// Brings the layout up to date, each step whole or not at all.
pub(super) async fn migrate(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), StoreError> {
    let failed = |error| failure(path, &error);
    sqlx::raw_sql(sql::CREATE_VERSIONS)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    let found: i64 = sqlx::query_scalar(sql::READ_VERSION)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let steps = (1..).zip(MIGRATIONS);
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Newer {
            database: path.display().to_string(),
            found,
            known,
        });
    }
    for (version, step) in steps.filter(|(version, _)| *version > found) {
        let mut transaction = connection.begin().await.map_err(failed)?;
        sqlx::raw_sql(step)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query(sql::WRITE_VERSION)
            .bind(version)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    }
    Ok(())
}
