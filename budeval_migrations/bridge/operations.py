"""The directives that ``op`` has on top of Alembic's own."""

from __future__ import annotations

from alembic.operations import MigrateOperation, Operations

from budeval_migrations.bridge.impl import ClickHouseImpl


@Operations.register_operation("execute_file")
class ExecuteFileOp(MigrateOperation):
    """``op.execute_file("name.sql")``: run the statements of a file."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def execute_file(cls, operations: Operations, name: str) -> None:
        """Run the statements of a file that lies beside the revision.

        The file counts in the revision's checksum, so the name must be a
        literal.

        Args:
            name: The file's name, relative to the revision's directory.

        """
        operations.invoke(cls(name))


@Operations.implementation_for(ExecuteFileOp)
def _execute_file(operations: Operations, operation: ExecuteFileOp) -> None:
    _impl(operations).sink.file(operation.name)


@Operations.register_operation("execute_unless")
class ExecuteUnlessOp(MigrateOperation):
    """``op.execute_unless(probe, sql)``: run a statement that is not yet done."""

    def __init__(self, probe: str, sql: str) -> None:
        self.probe = probe
        self.sql = sql

    @classmethod
    def execute_unless(cls, operations: Operations, probe: str, sql: str) -> None:
        """Run SQL, unless a probe finds that it was done.

        Makes a statement repeatable that ClickHouse has no IF for, such as
        ``EXCHANGE TABLES``. With several statements the probe is asked before
        each of them. In a ``--sql`` script the statements stand without a guard.

        Args:
            probe: A SELECT; when it returns a row, the statement is not sent.
            sql: One or several statements.

        """
        operations.invoke(cls(probe, sql))


@Operations.implementation_for(ExecuteUnlessOp)
def _execute_unless(operations: Operations, operation: ExecuteUnlessOp) -> None:
    _impl(operations).sink.script(operation.sql, unless=operation.probe)


def _impl(operations: Operations) -> ClickHouseImpl:
    impl = operations.migration_context.impl
    if not isinstance(impl, ClickHouseImpl):
        raise TypeError("this directive is for ClickHouse")
    return impl
