"""A workspace on every engine that a live database may be on."""

from __future__ import annotations

from tests.engines.conftest import workspace

__all__ = ["workspace"]
