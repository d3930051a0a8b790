"""Tests of ``budeval_migrations.run``."""
