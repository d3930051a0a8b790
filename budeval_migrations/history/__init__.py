"""What the database remembers about revisions: the ledger and the lock.

Owns the tables ``schema_migrations`` and ``schema_migrations_lock`` and the
view ``alembic_version``; nothing else writes to them, and nothing in them is
ever updated or deleted. May not know revision files or Alembic.
"""
