"""The env.py of a project that was made before 0.1.0 imports this."""

from budeval_migrations.alembic_env.environment import run_env

__all__ = ["run_env"]
