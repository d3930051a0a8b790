from alembic import context
from budeval_migrations.alembic_env.environment import run_env
run_env(context)
