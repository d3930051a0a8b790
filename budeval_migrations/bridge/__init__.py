"""The only place that knows Alembic's insides.

Two seams are used: a ``DefaultImpl`` for the dialect names that ClickHouse has,
and the ``fn`` that Alembic's commands hand to ``context.configure``.
"""
