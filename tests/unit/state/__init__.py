"""Tests of ``budeval_migrations.state``."""
