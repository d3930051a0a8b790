"""The errors, from their docstrings, and the exit codes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from budeval_migrations import errors
from budeval_migrations.errors import MigrationError
from docs.site.reference import docstring
from docs.site.reference.docstring import Docstring
from docs.site.reference.markdown import bullets, code, inline, page, prose, table

_ABOUT = """\
Every error is a `MigrationError` of `budeval_migrations.errors`. Its attributes `message` and
`hint` say what happened and what to do next; `report` says how far a run came, when one was under
way. With `--json` an error is [an object](json.md#error).\
"""
EXIT_CODES = {
    "0": "done",
    "1": "unexpected error",
    "2": "settings, options",
    "3": "revision files: they do not parse, import, compile or form a graph; unknown revision; "
    "`lint` found an error; `verify` found one that is not in order",
    "4": "ledger: checksum mismatch, missing revision, an outcome that is not known, "
    "a ledger of a newer version",
    "5": "another process holds the lock, or the lock was lost",
    "6": "a statement failed, or a mutation, or a hook; with `plan --rehearse`, on the stage",
    "7": "`drift` found a difference; `plan --rehearse`: the downgrade does not bring the schema "
    "back",
    "8": "the server: connection, access, too old; hosts of a cluster that are unreachable or not "
    "in sync",
    "9": "`status --exit-code`: revisions are pending; a database that is only newer than the "
    "files has none",
    "10": "hosts of a cluster have not run a statement yet; run again",
    "129, 130, 143": "SIGHUP, Ctrl-C, SIGTERM",
    "255": "of Alembic's own commands, which print the same sentences after `FAILED:`",
}
_PARAGRAPH = re.compile(r"^(Safe|Next): (.*?)(?=\n\n|\Z)", re.M | re.S)


def text() -> str:
    """Return the page."""
    return page(
        "Errors and exit codes",
        "budeval_migrations.errors",
        _ABOUT,
        "## Exit codes",
        table(("code", "what it means"), EXIT_CODES.items()),
        "## The tree",
        code(_tree(), "text"),
        *_sections(),
    )


def classes() -> dict[str, type[MigrationError]]:
    """Return every class in the order of the drawing."""
    return {name: getattr(errors, name) for name in re.findall(r"\b[A-Z]\w+", _tree())}


def _tree() -> str:
    """Return the drawing, which stands in the docstring of the module."""
    drawn = re.search(r"::\n\n(.*?)\n\n", errors.__doc__ or "", re.S)
    assert drawn is not None
    # Python 3.13 has taken the indentation of the docstring away, the older ones have not.
    lines = drawn[1].splitlines()
    edge = min(len(line) - len(line.lstrip()) for line in lines)
    return "\n".join(line[edge:] for line in lines)


def _sections() -> Iterator[str]:
    for name, kind in classes().items():
        said = docstring.read(kind)
        branch = kind.__bases__[0] in (Exception, MigrationError)
        yield f"{'##' if branch else '###'} {name}"
        yield prose(_PARAGRAPH.sub("", said.text))
        paragraphs = {word: inline(" ".join(words.split())) for word, words in parts(said).items()}
        yield "\n".join(
            [
                f"- Exit code: {kind.exit_code}",
                f"- What is safe: {paragraphs['Safe']}",
                f"- What to do next: {paragraphs['Next']}",
            ]
        )
        data = {arg: inline(words) for arg, words in _data(kind).items()}
        yield f"Data:\n\n{bullets(data.items())}" if data else ""


def parts(said: Docstring) -> dict[str, str]:
    """Return the paragraphs of a class that say what is safe and what comes next."""
    return dict(_PARAGRAPH.findall(said.text))


def _data(kind: type[MigrationError]) -> dict[str, str]:
    """Return the data of a class, and of those that it is made of; the base has its own part."""
    found: dict[str, str] = {}
    for each in kind.__mro__:
        if each is kind or (each is not MigrationError and issubclass(each, MigrationError)):
            said = docstring.read(each)
            found = {**said.args, **said.attributes, **found}
    return {name.replace("**", ""): words for name, words in found.items()}
