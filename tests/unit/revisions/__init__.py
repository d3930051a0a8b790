"""Tests of ``budeval_migrations.revisions``."""
