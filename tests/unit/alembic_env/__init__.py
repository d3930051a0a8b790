"""Tests of ``budeval_migrations.alembic_env``."""
