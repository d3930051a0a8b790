"""A revision before it is a file: its calls of ``op``, and the text that they become.

Text in, text out. What is written here is read by people afterwards, so SQL keeps its lines.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from budeval_migrations.model import Statement

_WIDTH = 100


@dataclass(frozen=True)
class Execute:
    """``op.execute("…")``, with a comment above it."""

    sql: str
    comment: str = ""

    def source(self) -> str:
        """Return the call as Python."""
        written = literal(self.sql, room=_WIDTH - len("    op.execute()"))
        return _comment(self.comment) + f"op.execute({written})"


@dataclass(frozen=True)
class Unless:
    """``op.execute_unless("probe", "…")``; the probe may have a name in the file."""

    probe: str
    sql: str
    comment: str = ""
    probe_name: str = ""

    def source(self) -> str:
        """Return the call as Python."""
        probe = self.probe_name or literal(self.probe)
        return _comment(self.comment) + call_text("op.execute_unless", [probe, literal(self.sql)])


@dataclass(frozen=True)
class Fill:
    """``op.backfill(…)``."""

    into: str
    select: str
    from_table: str
    by: str = "partition"
    columns: tuple[str, ...] = ()
    chunk_rows: int = 0
    pause: float = 0.0
    comment: str = ""

    def source(self) -> str:
        """Return the call as Python."""
        options = [f"source={literal(self.from_table)}"]
        if self.by != "partition":
            options.append(f"by={literal(self.by)}")
        if self.columns:
            options.append(f"columns={_listed(self.columns)}")
        if self.chunk_rows:
            options.append(f"chunk_rows={self.chunk_rows:_}")
        if self.pause:
            options.append(f"pause={self.pause:g}")
        return _comment(self.comment) + call_text(
            "op.backfill", [literal(self.into), literal(self.select), *options]
        )


@dataclass(frozen=True)
class Recipe:
    """A directive that becomes several statements when the revision is compiled.

    Attributes:
        directive: ``op.rebuild_table``.
        arguments: What stands between its brackets, each as Python.

    """

    directive: str
    arguments: tuple[str, ...]
    statements: tuple[Statement, ...]
    comment: str = ""

    def source(self) -> str:
        """Return the call as Python."""
        return _comment(self.comment) + call_text(self.directive, self.arguments)


Call = Execute | Unless | Fill | Recipe


@dataclass(frozen=True)
class Draft:
    """What a kind of revision says.

    Attributes:
        title: The first line of the docstring, without its full stop.
        slug: The end of the file's name, where no message gives another.
        downgrade: None where there is none; ``irreversible`` says why.
        notes: Further paragraphs of the docstring.
        destructive: What of the data the upgrade removes; empty for nothing.
        requires: The oldest ClickHouse that knows what the statements need.
        notices: What the person in front of it should know now.

    """

    title: str
    slug: str
    upgrade: tuple[Call, ...]
    downgrade: tuple[Call, ...] | None
    notes: tuple[str, ...] = ()
    destructive: str = ""
    irreversible: str = ""
    requires: str = ""
    notices: tuple[str, ...] = ()

    def statements(self) -> list[str]:
        """Return every SQL text in it, probes too."""
        found = []
        for call in (*self.upgrade, *(self.downgrade or ())):
            if isinstance(call, Unless):
                found += [call.probe, call.sql]
            elif isinstance(call, Execute):
                found.append(call.sql)
            elif isinstance(call, Fill):
                found.append(call.select.replace("{chunk}", "1"))
            else:
                found += [statement.text for statement in call.statements]
        return [sql for sql in found if sql.strip()]


def render(draft: Draft, revision: str, down_revision: str | None, message: str = "") -> str:
    """Return the text of a revision file.

    Args:
        message: Stands in the place of the draft's title.

    """
    calls = (*draft.upgrade, *(draft.downgrade or ()))
    directives = any(isinstance(call, Recipe) for call in calls)
    first = _sentence(message or draft.title)
    paragraphs = [first, *("\n".join(textwrap.wrap(note, _WIDTH - 4)) for note in draft.notes)]
    # Python 3.13 compiles no docstring with a lone surrogate, however it is written.
    whole = "\n\n".join(paragraphs).encode("utf-8", "replace").decode()
    told = _escaped(whole, '"""')
    header = [
        f'"""{told}' + ('\n"""' if len(paragraphs) > 1 or len(told) > _WIDTH - 6 else '"""'),
        "",
        f"from {'budeval_migrations' if directives else 'alembic'} import op",
        "",
        f"revision = {literal(revision)}",
        f"down_revision = {literal(down_revision) if down_revision else None}",
        "branch_labels = None",
        "depends_on = None",
    ]
    marks = {
        "requires_clickhouse": draft.requires,
        "destructive": draft.destructive,
        "irreversible": draft.irreversible,
    }
    header += [f"{name} = {_one_line(value)}" for name, value in marks.items() if value]
    parts = ["\n".join(header), _function("upgrade", draft.upgrade)]
    if draft.downgrade is not None:
        parts.append(_function("downgrade", draft.downgrade))
    text = "\n\n\n".join(parts) + "\n"
    compile(text, f"{revision}.py", "exec", dont_inherit=True)
    return text


def source(calls: Sequence[Call]) -> list[str]:
    """Return calls as the lines of a function's body, not indented."""
    return [line for call in calls for line in call.source().splitlines()]


def literal(text: str, room: int = _WIDTH - 12) -> str:
    """Return a Python literal of a text; a long one gets lines of its own."""
    if "\n" not in text:
        written = _one_line(text)
        if len(written) <= room:
            return written
    return f'"""\n{_escaped(text.strip(chr(10)), chr(34) * 3)}\n"""'


def call_text(function: str, arguments: Sequence[str]) -> str:
    """Return a call as Python, each argument on its own lines where they are long."""
    line = f"{function}({', '.join(arguments)})"
    if "\n" not in line and len(line) <= _WIDTH - 4:
        return line
    inner = "".join(f"{_indented(argument)},\n" for argument in arguments)
    return f"{function}(\n{inner})"


def _function(name: str, calls: Sequence[Call]) -> str:
    body = "\n".join(source(calls)) or "pass"
    return f"def {name}() -> None:\n{_indented(body)}"


def _indented(text: str) -> str:
    """Indent Python; the lines of a triple-quoted string stay where they are."""
    lines, inside = [], False
    for line in text.split("\n"):
        lines.append(line if inside or not line else f"    {line}")
        if line.count('"""') % 2:
            inside = not inside
    return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    inner = ", ".join(_one_line(name) for name in names)
    if len(inner) <= _WIDTH - 22:
        return f"[{inner}]"
    return "[" + "".join(f"\n    {_one_line(name)}," for name in names) + "\n]"


def _comment(text: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(text, _WIDTH - 8))


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _one_line(text: str) -> str:
    mark = "'" if '"' in text and "'" not in text and '"""' not in text else '"'
    return f"{mark}{_escaped(text, mark, breaks=True)}{mark}"


def _escaped(text: str, mark: str, *, breaks: bool = False) -> str:
    """Return a text as it stands between quotes in Python."""
    text = text.replace("\\", "\\\\")
    escaped = "\\" + mark[0]
    text = text.replace(mark, escaped * len(mark))
    return "".join(
        char if char.isprintable() or (char == "\n" and not breaks) else repr(char)[1:-1]
        for char in text
    )
