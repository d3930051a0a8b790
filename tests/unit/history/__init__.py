"""Tests of ``budeval_migrations.history``."""
