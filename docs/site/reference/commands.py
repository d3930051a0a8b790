"""The commands with their options, as click knows them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from budeval_migrations.cli.main import cli
from docs.site.reference.markdown import code, page, table

_PROGRAM = "budeval-migrate"
_OPTION = re.compile(r"(?<![\w`-])--[a-z]+(?:-[a-z]+)*")


def text() -> str:
    """Return the page."""
    return page(
        "Commands",
        "budeval_migrations.cli",
        f"`{_PROGRAM}` is `python -m budeval_migrations`.",
        _told(cli),
        "The options of this table may stand before or after the command.",
        _options(cli),
        "[Exit codes](errors.md#exit-codes) · [settings](settings.md) · "
        "[what `--json` prints](json.md)",
        *_sections(cli, (), 2),
    )


def _sections(group: click.Group, above: tuple[str, ...], level: int) -> Iterator[str]:
    for name in group.list_commands(click.Context(group)):
        command = group.commands[name]
        path = (*above, name)
        yield f"{'#' * level} {' '.join(path)}"
        yield f"Usage: `{_usage(command, path)}`"
        yield _told(command)
        yield _options(command)
        if isinstance(command, click.Group):
            yield from _sections(command, path, level + 1)


def _told(command: click.Command) -> str:
    """Return the help of a command; its example and what is indented keep their lines."""
    # A \b tells click to leave the lines of a paragraph alone.
    plain = inspect.cleandoc(command.help or "").replace("\b\n", "")
    words, *examples = re.split(r"^Example: ", plain, flags=re.M)
    parts = [_paragraph(each) for each in re.split(r"\n\s*\n", words.strip()) if each]
    for example in examples:
        parts.append(code("\n".join(line.strip() for line in example.splitlines()).strip(), "sh"))
    return "\n\n".join(parts)


def _paragraph(lines: str) -> str:
    """Return a paragraph; its indented lines are code that belongs to what is above them."""
    said = [line for line in lines.splitlines() if not line.startswith(" ")]
    shown = [line.strip() for line in lines.splitlines() if line.startswith(" ")]
    block = "\n\n" + code("\n".join(shown), "text") if shown else ""
    return _marked(" ".join(said)) + block


def _marked(text: str) -> str:
    """Return a sentence with its options as code."""
    return _OPTION.sub(r"`\g<0>`", text)


def _usage(command: click.Command, path: tuple[str, ...]) -> str:
    words = [_PROGRAM, *path]
    if any(isinstance(each, click.Option) for each in command.params):
        words.append("[OPTIONS]")
    for each in command.params:
        if isinstance(each, click.Argument):
            name = _values(each) or each.human_readable_name
            words.append(
                (name if each.required else f"[{name}]") + ("..." if each.nargs < 0 else "")
            )
    if isinstance(command, click.Group):
        words.append("COMMAND ...")
    return " ".join(words)


def _options(command: click.Command) -> str:
    rows = (
        (_names(each), _shown(_values(each)), _shown(_default(each)), _marked(each.help or ""))
        for each in command.params
        if isinstance(each, click.Option)
    )
    return table(("option", "value", "default", "what it does"), rows)


def _names(option: click.Option) -> str:
    return ", ".join(_shown(name) for name in (*option.opts, *option.secondary_opts))


def _values(parameter: click.Parameter) -> str:
    """Return what may be given; click's own words for it differ from version to version."""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return ""
    if isinstance(parameter.type, click.Choice):
        return "|".join(map(str, parameter.type.choices))
    if parameter.metavar or isinstance(parameter, click.Argument):
        return parameter.metavar or ""
    return {"integer": "N", "float": "SECONDS"}.get(
        parameter.type.name, parameter.type.name.upper()
    )


def _default(option: click.Option) -> str:
    """Return what holds where an option is left out; a flag is off, and a text is empty."""
    if isinstance(option.show_default, str):
        return option.show_default
    plain = isinstance(option.default, (int, float, str)) and not option.is_flag
    return str(option.default) if plain else ""


def _shown(text: str) -> str:
    return f"`{text}`" if text else ""
