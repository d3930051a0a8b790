from alembic import context
from budeval_migrations.bridge.environment import run_env
run_env(context)
