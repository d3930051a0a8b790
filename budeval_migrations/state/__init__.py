"""What the database remembers about revisions: the ledger, the journal and the lock.

Owns the tables ``schema_migrations``, ``schema_migrations_journal`` and those of
the lock, and the view ``alembic_version``; nothing else writes to them. Ledger and
journal are never updated or deleted. May not know revision files or Alembic.
"""
