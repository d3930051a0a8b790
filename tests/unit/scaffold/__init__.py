"""Tests of ``budeval_migrations.scaffold``."""
