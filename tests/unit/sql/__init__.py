"""Tests of ``budeval_migrations.sql``."""
