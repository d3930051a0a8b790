"""What needs Alembic from inside: its dialect, our directives, and compiling a revision.

Two seams are used: a ``DefaultImpl`` for the dialect names that ClickHouse has, and the
``fn`` that Alembic hands to ``context.configure``.
"""
