"""Tests of ``budeval_migrations.recipes``."""
