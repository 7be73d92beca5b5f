-- Every row of the guardian: agreed and local, of the engine and of the modules. The key says whose it is.
CREATE TABLE rows (
    key bytea NOT NULL PRIMARY KEY,
    value bytea NOT NULL
);

-- Which process writes, and how many saves there were. One row. A process that lost its connection learns from it whether its
-- last save arrived, and whether anybody else has been here.
CREATE TABLE writer (
    only_one boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_one),
    term bigint NOT NULL,
    saves bigint NOT NULL
);

-- The rows for people: the parts of the key in words, engine and modules by number.
CREATE VIEW readable_rows AS
SELECT
    CASE get_byte(key, 0) WHEN 114 THEN 'resident' WHEN 115 THEN 'stored' END AS residency,
    CASE get_byte(key, 1) WHEN 97 THEN 'agreed' WHEN 108 THEN 'local' END AS space,
    CASE substr(key, 3, 2) WHEN '\xffff' THEN 'engine'
        ELSE 'module ' || (get_byte(key, 2) * 256 + get_byte(key, 3)) END AS owner,
    get_byte(key, 4) AS "table",
    substr(key, 6) AS fields,
    value
FROM rows
WHERE length(key) >= 5;

-- What follows is written in the transaction that writes the rows, for people and their tools. The guardian never reads it.

CREATE TABLE epochs (
    epoch bigint NOT NULL PRIMARY KEY,
    batch bytea NOT NULL,
    digest bytea NOT NULL,
    transactions integer NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE transactions (
    txid bytea NOT NULL PRIMARY KEY,
    epoch bigint NOT NULL,
    inputs integer NOT NULL,
    outputs integer NOT NULL
);
CREATE INDEX transactions_by_epoch ON transactions (epoch);

-- Coins on the chain that the federation can spend. The bytes of a txid are in the order in which people write them.
CREATE TABLE utxos (
    txid bytea NOT NULL,
    vout bigint NOT NULL,
    amount_msat bigint NOT NULL,
    PRIMARY KEY (txid, vout)
);

-- The balance sheet, module by module, after each epoch that changed it.
CREATE TABLE audit (
    epoch bigint NOT NULL,
    module integer NOT NULL,
    assets_msat bigint NOT NULL,
    liabilities_msat bigint NOT NULL,
    PRIMARY KEY (module, epoch)
);

COMMENT ON TABLE rows IS 'every row of the guardian, by key';
COMMENT ON VIEW readable_rows IS 'rows, with the parts of their keys';
COMMENT ON TABLE writer IS 'which process writes, and how many saves there were';
COMMENT ON TABLE epochs IS 'epochs as this guardian committed them, on its own clock';
COMMENT ON TABLE transactions IS 'accepted transactions';
COMMENT ON TABLE utxos IS 'bitcoin that the federation can spend';
COMMENT ON TABLE audit IS 'what each module owns and owes, after each epoch that changed it';
