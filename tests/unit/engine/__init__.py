"""Tests of ``budeval_migrations.engine``."""
