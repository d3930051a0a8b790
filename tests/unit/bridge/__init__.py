"""Tests of ``budeval_migrations.bridge``."""
