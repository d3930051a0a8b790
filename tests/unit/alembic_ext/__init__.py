"""Tests of ``budeval_migrations.alembic_ext``."""
