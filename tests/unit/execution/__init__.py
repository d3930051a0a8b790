"""Tests of ``budeval_migrations.execution``."""
