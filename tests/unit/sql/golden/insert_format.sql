SELECT 1;
INSERT INTO t FORMAT JSONEachRow
{"a": "it's; ("}
; SELECT 'not a statement
