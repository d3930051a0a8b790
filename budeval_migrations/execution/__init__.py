"""Deciding what to do and doing it.

Owns the planner (pure), the syntax check before the first statement, the
executor with what it needs to send, reconcile, record and resume, and the runner,
which is the only way to the server for anything that changes it. Revisions come
in as steps; may not import ``revisions``, Alembic or the command line.
"""
