"""The shadow engine: an embedded ClickHouse on which revisions are tried at no cost."""
