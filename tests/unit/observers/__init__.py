"""Tests of ``budeval_migrations.observers``."""
