"""Tests of ``budeval_migrations.clickhouse``."""
