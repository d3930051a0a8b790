"""clickhouse+audit://: HTTP, and a line in a file for each statement that was sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from budeval_migrations.clickhouse.drivers import HTTP
from budeval_migrations.clickhouse.transports.base import Context, Counts, Transport


class AuditTransport:
    """Does what another transport does, and writes down the statements that it sends."""

    def __init__(self, inner: Transport, context: Context) -> None:
        self._inner = inner
        self._redact = context.redact

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(
        self, sql: str, *, query_id: str, check: Callable[[], None] | None = None, **more: Any
    ) -> Counts:
        """Run a statement; write it down after the last check, right before it is sent."""

        def checked() -> None:
            if check is not None:
                check()
            self._write(query_id, sql)

        return self._inner.execute(sql, query_id=query_id, check=checked, **more)

    def _write(self, query_id: str, sql: str) -> None:
        shown = " ".join(self._redact(sql).split())
        with Path(os.environ["SHOP_AUDIT"]).open("a", encoding="utf-8") as file:
            file.write(f"{query_id}\t{shown}\n")


def _audited(raw: Any, database: str, context: Context) -> Any:
    return AuditTransport(HTTP.transport(raw, database, context), context)


AUDIT = replace(HTTP, transport=_audited)
