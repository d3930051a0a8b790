"""See, and change, what a session is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from budeval_migrations.clickhouse.connection import Session


@contextmanager
def spied(session: Session, name: str, before: Callable[..., Any]) -> Iterator[None]:
    """Call something before a method of a session, with what the method is given."""
    real = getattr(session, name)

    def call(*given: Any, **options: Any) -> Any:
        before(*given, **options)
        return real(*given, **options)

    setattr(session, name, call)
    try:
        yield
    finally:
        delattr(session, name)
