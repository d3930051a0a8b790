"""Members of enums are what they say, on every Python."""

from __future__ import annotations

import importlib
import pkgutil
from enum import Enum

import budeval_migrations


def test_no_member_is_an_empty_tuple() -> None:
    """Python 3.11.2, which Debian 12 has, makes a nameless object of such a member's value."""
    names = [
        m.name for m in pkgutil.walk_packages(budeval_migrations.__path__, "budeval_migrations.")
    ]
    modules = [importlib.import_module(name) for name in names if "__main__" not in name]
    enums = {
        each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Enum)
    }
    assert len(enums) > 10
    values = [member.value for each in enums for member in each]
    assert [value for value in values if value == () or type(value) is object] == []
