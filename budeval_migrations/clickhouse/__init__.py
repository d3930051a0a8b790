"""One connection to one ClickHouse, whatever carries it.

Owns: URLs, drivers, sending SQL to the byte, what a server of a given version
can do, what its catalogue and its queries look like, and the translation of
driver errors into ours. May not know what a
revision, a ledger or Alembic is.
"""
