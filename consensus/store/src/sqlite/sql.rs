//! The text of every statement, so that another database needs this file and little else.

/// Values that one statement may carry; SQLite's limit is 32,766.
pub(super) const MAX_VALUES: usize = 4_000;

/// Makes the table of applied migrations.
pub(super) const CREATE_VERSIONS: &str =
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL PRIMARY KEY)";

/// The last migration that was applied.
pub(super) const READ_VERSION: &str = "SELECT coalesce(max(version), 0) FROM schema_version";

/// Notes that a migration was applied.
pub(super) const WRITE_VERSION: &str = "INSERT INTO schema_version (version) VALUES (?)";

/// Rows from a key on.
pub(super) const RANGE_FROM: &str =
    "SELECT key, value FROM rows WHERE key >= ? ORDER BY key LIMIT ?";

/// Rows from a key on and before another.
pub(super) const RANGE_BETWEEN: &str =
    "SELECT key, value FROM rows WHERE key >= ? AND key < ? ORDER BY key LIMIT ?";

/// Rows by key.
pub(super) fn select(keys: usize) -> String {
    format!(
        "SELECT key, value FROM rows WHERE key IN ({})",
        list("?", keys)
    )
}

/// Writes rows, whether or not they exist: key, value, key, value, ….
pub(super) fn upsert(rows: usize) -> String {
    format!(
        "INSERT INTO rows (key, value) VALUES {} ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        list("(?, ?)", rows)
    )
}

/// Deletes rows by key.
pub(super) fn delete(keys: usize) -> String {
    format!("DELETE FROM rows WHERE key IN ({})", list("?", keys))
}

fn list(item: &str, count: usize) -> String {
    vec![item; count].join(", ")
}
