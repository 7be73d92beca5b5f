//! The text of every statement. None hangs on how many rows it is about, so that the server plans each once.

/// Takes the guardian's lock if nobody has it. Its first number is "GLDM" in ASCII; locks are the database's own, so one database
/// holds one guardian.
pub(super) const TRY_LOCK: &str = "SELECT pg_try_advisory_lock(1196180557, 0)";

/// Lets go of the lock.
pub(super) const UNLOCK: &str = "SELECT pg_advisory_unlock(1196180557, 0)";

/// Who has the lock: process of the server, when it began (in microseconds), program, address. The latter three are absent if it
/// is of another user.
pub(super) const HOLDER: &str = "\
SELECT l.pid, (extract(epoch FROM a.backend_start) * 1000000)::bigint, a.application_name, host(a.client_addr) \
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) \
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1196180557 AND l.objid = 0 AND l.objsubid = 2 \
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Prepares a session; answers its process, when it began (in microseconds), and whether the server keeps what it has said it
/// wrote. A commit must be on disk when it returns (SPEC EPO-5). A peer that is gone without a word is noticed in half a minute.
pub(super) const PREPARE: &str = "\
SELECT pg_backend_pid(), \
(SELECT (extract(epoch FROM backend_start) * 1000000)::bigint FROM pg_stat_activity WHERE pid = pg_backend_pid()), \
current_setting('fsync')::boolean, \
set_config('client_min_messages', 'warning', false), \
set_config('tcp_keepalives_idle', '15', false), \
set_config('tcp_keepalives_interval', '5', false), \
set_config('tcp_keepalives_count', '3', false), \
CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END";

/// Ends a session of ours that the server still holds for alive.
pub(super) const TERMINATE: &str = "\
SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::bigint = $2";

/// Makes the table of applied migrations.
pub(super) const CREATE_VERSIONS: &str =
    "CREATE TABLE IF NOT EXISTS schema_version (version bigint NOT NULL PRIMARY KEY)";

/// The last migration that was applied.
pub(super) const READ_VERSION: &str = "SELECT coalesce(max(version), 0) FROM schema_version";

/// Notes that a migration was applied.
pub(super) const WRITE_VERSION: &str = "INSERT INTO schema_version (version) VALUES ($1)";

/// Begins a new term, and tells it and the saves so far.
pub(super) const BEGIN_TERM: &str = "\
INSERT INTO writer (term, saves) VALUES (1, 0) \
ON CONFLICT (only_one) DO UPDATE SET term = writer.term + 1 RETURNING term, saves";

/// The term, and the saves so far.
pub(super) const READ_TERM: &str = "SELECT term, saves FROM writer";

/// Rows from a key on.
pub(super) const RANGE_FROM: &str =
    "SELECT key, value FROM rows WHERE key >= $1 ORDER BY key LIMIT $2";

/// Rows from a key on and before another.
pub(super) const RANGE_BETWEEN: &str =
    "SELECT key, value FROM rows WHERE key >= $1 AND key < $3 ORDER BY key LIMIT $2";

/// Rows by key.
pub(super) const SELECT: &str = "SELECT key, value FROM rows WHERE key = ANY($1)";

/// A save: counts itself, writes rows and deletes rows, all or none, in one statement, and answers how often it counted. ⚠ It
/// touches no row unless term and count are what the writer takes them for.
pub(super) const SAVE: &str = "\
WITH counted AS (UPDATE writer SET saves = saves + 1 WHERE term = $1 AND saves = $2 RETURNING saves), \
written AS (INSERT INTO rows (key, value) \
    SELECT new.key, new.value FROM counted, UNNEST($3::bytea[], $4::bytea[]) AS new (key, value) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value), \
deleted AS (DELETE FROM rows WHERE key = ANY($5::bytea[]) AND EXISTS (SELECT FROM counted)) \
SELECT count(*) FROM counted";

/// Writes epochs. When it was committed is said by the first who does.
pub(super) const EPOCHS: &str = "\
INSERT INTO epochs (epoch, batch, digest, transactions) \
SELECT * FROM UNNEST($1::bigint[], $2::bytea[], $3::bytea[], $4::integer[]) \
ON CONFLICT (epoch) DO UPDATE SET batch = excluded.batch, digest = excluded.digest, transactions = excluded.transactions";

/// Writes transactions.
pub(super) const TRANSACTIONS: &str = "\
INSERT INTO transactions (txid, epoch, inputs, outputs) \
SELECT * FROM UNNEST($1::bytea[], $2::bigint[], $3::integer[], $4::integer[]) \
ON CONFLICT (txid) DO UPDATE SET epoch = excluded.epoch, inputs = excluded.inputs, outputs = excluded.outputs";

/// Writes coins.
pub(super) const COINS: &str = "\
INSERT INTO utxos (txid, vout, amount_msat) \
SELECT * FROM UNNEST($1::bytea[], $2::bigint[], $3::bigint[]) \
ON CONFLICT (txid, vout) DO UPDATE SET amount_msat = excluded.amount_msat";

/// Deletes coins.
pub(super) const SPENT: &str = "\
DELETE FROM utxos USING UNNEST($1::bytea[], $2::bigint[]) AS gone (txid, vout) \
WHERE utxos.txid = gone.txid AND utxos.vout = gone.vout";

/// Writes parts of the balance sheet.
pub(super) const AUDIT: &str = "\
INSERT INTO audit (epoch, module, assets_msat, liabilities_msat) \
SELECT * FROM UNNEST($1::bigint[], $2::integer[], $3::bigint[], $4::bigint[]) \
ON CONFLICT (module, epoch) DO UPDATE SET assets_msat = excluded.assets_msat, liabilities_msat = excluded.liabilities_msat";
