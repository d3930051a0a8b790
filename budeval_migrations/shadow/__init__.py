"""An embedded ClickHouse as a stage: what revisions will do, tried where it costs nothing."""
