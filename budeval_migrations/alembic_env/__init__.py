"""What env.py calls: Alembic's own commands, led to the services."""
