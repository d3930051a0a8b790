"""Tests of ``budeval_migrations.linter``."""
