"""Property tests are judged by what they find, and not by how busy the machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
