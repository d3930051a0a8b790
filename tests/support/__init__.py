"""Real ClickHouse engines for the tests, each in a process of its own."""
