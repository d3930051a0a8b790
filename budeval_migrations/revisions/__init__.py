"""The files in ``versions/``: found, hashed, and read as a graph.

``directory`` imports neither Alembic nor a revision file, so that a start-up at
head can use it; ``script`` is where Alembic reads them.
"""
