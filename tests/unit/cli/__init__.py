"""Tests of ``budeval_migrations.cli``."""
