-- Every row of the guardian: agreed and local, of the engine and of the modules. The key says whose it is.
CREATE TABLE rows (
    key BLOB NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
