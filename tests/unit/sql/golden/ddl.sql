-- 001
CREATE TABLE IF NOT EXISTS runs
(
    id UUID DEFAULT generateUUIDv4(), -- the key; never reused
    meta String DEFAULT '{"k": ";"}',
    at DateTime64(3) /* UTC; always */
)
ENGINE = MergeTree
ORDER BY (id, at);

CREATE MATERIALIZED VIEW IF NOT EXISTS mv TO t AS
SELECT arrayMap((x, y) -> x || ';' || y, ['a'], ['b']) AS z FROM runs;
