"""A stage on every engine that a live database may be on."""

from __future__ import annotations

from tests.engines.conftest import stage

__all__ = ["stage"]
