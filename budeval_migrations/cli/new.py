"""``budeval-migrate new``: a command for each kind of revision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from budeval_migrations.cli.app import App, Commands
from budeval_migrations.cli.completion import revision_ids
from budeval_migrations.services import scaffold

_Options = dict[str, Any]

# The flags that are not plain texts, and what is said of each; in the order of --help.
_FLAGS: dict[str, tuple[str, _Options]] = {
    "type": ("TYPE", {"help": "Its type (of an index: bloom_filter, minmax, set(100) …)."}),
    "was": ("TYPE", {"help": "What the column is now, where no server can be asked."}),
    "columns": ("LIST", {"multiple": True, "help": "'id UInt64, at DateTime'; may be repeated."}),
    "select": ("SQL", {"help": "The SELECT: one table, no JOIN, no *."}),
    "source": ("TABLE", {"help": "The table that rows are taken from."}),
    "target": ("TABLE", {"help": "The view's own table; VIEW_data without it."}),
    "default": ("EXPR", {"help": "Its default: \"''\", 0, now()."}),
    "codec": ("CODEC", {"help": "Its codec: 'ZSTD(3)'."}),
    "after": ("COLUMN", {"help": "Put it behind this column."}),
    "first": ("", {"is_flag": True, "help": "Put it before all others."}),
    "granularity": ("N", {"type": click.IntRange(1), "help": "Of the index; 1."}),
    "engine": ("ENGINE", {"help": "The engine: 'ReplacingMergeTree(updated_at)'."}),
    "order_by": ("EXPR", {"help": "The sorting key: '(site, at)'."}),
    "partition_by": ("EXPR", {"help": "The partition key: 'toYYYYMM(at)'."}),
    "primary_key": ("EXPR", {"help": "The primary key, where it is not the sorting key."}),
    "ttl": ("EXPR", {"help": "How long rows stay: 'at + INTERVAL 6 MONTH'."}),
    "settings": ("LIST", {"help": "Settings of the table: 'a = 1, b = 2'."}),
    "comment": ("TEXT", {"help": "A comment in the schema."}),
    "time_column": ("COLUMN", {"help": "Set by the server at INSERT: created_at DEFAULT now()."}),
    "backfill": ("", {"param": "--backfill/--no-backfill", "help": "Fill in what is there; yes."}),
    "by": ("EXPR", {"help": "Copy in chunks that are ranges of EXPR; default: partitions."}),
    "chunk_rows": ("N", {"type": click.IntRange(1), "help": "Rows of a chunk, with --by."}),
    "sleep": ("SECONDS", {"type": float, "help": "Rest between two chunks."}),
    "pause": ("", {
        "param": "--pause/--no-pause",
        "help": "Refuse INSERTs during the exchange; the default if a view reads the table.",
    }),
    "purge": ("", {"is_flag": True, "help": "Really drop a table that lies in the trash."}),
    "from_ddl": ("FILE", {"help": "The table's CREATE TABLE, where no server can be asked."}),
}  # fmt: skip

_KINDS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], str]] = {
    "create-table": (
        "Create a table.",
        ("table",),
        (
            "columns",
            "order_by",
            "engine",
            "partition_by",
            "primary_key",
            "ttl",
            "settings",
            "comment",
            "from_ddl",
        ),
        "events --columns 'id UInt64, at DateTime DEFAULT now()' --order-by id",
    ),
    "add-column": (
        "Add a column.",
        ("table", "column", "type"),
        ("default", "codec", "comment", "after", "first", "from_ddl"),
        "events status 'LowCardinality(String)' --after site",
    ),
    "drop-column": (
        "Drop a column; the downgrade adds it again, empty.",
        ("table", "column"),
        ("type", "default", "from_ddl"),
        "events status",
    ),
    "modify-column": (
        "Give a column another type.",
        ("table", "column", "type"),
        ("default", "codec", "comment", "was", "from_ddl"),
        "events visits UInt64",
    ),
    "rename-column": (
        "Rename a column.",
        ("table", "column", "to"),
        ("from_ddl",),
        "events status state",
    ),
    "add-index": (
        "Add a data skipping index and build it.",
        ("table", "index", "on"),
        ("type", "granularity", "from_ddl"),
        "events idx_status status --type 'set(100)'",
    ),
    "materialized-view": (
        "Create a materialized view and fill it, exactly.",
        ("view",),
        (
            "select",
            "time_column",
            "backfill",
            "target",
            "columns",
            "engine",
            "order_by",
            "partition_by",
            "by",
            "chunk_rows",
        ),
        "daily --select 'SELECT toDate(at) AS day, count() AS visits FROM events GROUP BY day'"
        " --engine SummingMergeTree --order-by day --time-column created_at",
    ),
    "backfill": (
        "Move rows into a table, each exactly once.",
        ("table",),
        ("source", "select", "columns", "by", "chunk_rows", "sleep"),
        "events_by_site --source events --columns 'site, at'",
    ),
    "change-order-by": (
        "Rebuild a table with another key, partitioning or engine, online.",
        ("table",),
        (
            "order_by",
            "partition_by",
            "primary_key",
            "engine",
            "by",
            "chunk_rows",
            "pause",
            "from_ddl",
        ),
        "events --order-by '(site, at)'",
    ),
    "swap": ("Exchange two tables.", ("table", "other"), (), "events events_new"),
    "drop-table": (
        "Move a table to the trash.",
        ("table",),
        ("purge",),
        "events",
    ),
    "blank": ("Write a revision without statements.", (), (), "--message 'what it does'"),
}  # fmt: skip
# Asked for by --interactive, where the kind cannot do without.
_NEEDED = {
    "create-table": ("columns", "order_by"),
    "materialized-view": ("select", "order_by", "time_column"),
    "backfill": ("source", "columns"),
    "change-order-by": ("order_by",),
}
_QUESTIONS = {
    "column": "Column",
    "columns": "Columns, such as id UInt64, at DateTime",
    "on": "Column or expression of the index",
    "to": "New name",
    "other": "The other table",
    "order_by": "Sorting key",
    "time_column": "Column that the server sets when a row is inserted",
}


@click.group("new", cls=Commands, invoke_without_command=True)
@click.option("--interactive", is_flag=True, help="Ask for the kind, and for what it needs.")
@click.pass_context
def new(ctx: click.Context, interactive: bool) -> None:
    """Write a new revision file for a common task.

    What a table is now is taken from --from-ddl, or from the server, which is only read.
    """
    if ctx.invoked_subcommand is not None:
        return
    if not interactive:
        click.echo(ctx.get_help())
        return
    kind = click.prompt("Kind", type=click.Choice(list(_KINDS)), err=True)
    ctx.invoke(new.commands[kind], interactive=True)


def _command(
    kind: str, about: str, arguments: Sequence[str], flags: Sequence[str], words: str
) -> None:
    def run(app: App, interactive: bool, **given: Any) -> None:
        if interactive:
            given.update(_answers(arguments, _NEEDED.get(kind, ()), given))

        def work() -> int:
            found = {name: value for name, value in given.items() if value not in (None, "", ())}
            if "sleep" in found:
                found["pause"] = found.pop("sleep")
            app.output.new_revision(scaffold.new(kind, **found, **app.settings))
            return 0

        app.run(work)

    made: Callable[..., Any] = click.pass_obj(run)
    common: list[tuple[str, _Options]] = [
        (
            "--message",
            {"metavar": "TEXT", "help": "The docstring's first line and the file's name."},
        ),
        ("--name", {"metavar": "NAME", "help": "The file's name, with or without its number."}),
        (
            "--head",
            {
                "metavar": "ID",
                "shell_complete": revision_ids,
                "help": "The revision to stand on, where there are several.",
            },
        ),
        ("--dry-run", {"is_flag": True, "help": "Print the file, and write nothing."}),
        ("--interactive", {"is_flag": True, "help": "Ask for what is missing."}),
    ]
    for param, options in reversed(common):
        made = click.option(*(("-m", param) if param == "--message" else (param,)), **options)(made)
    for name in reversed(flags):
        metavar, options = _FLAGS[name]
        rest = {key: value for key, value in options.items() if key != "param"}
        shown = options.get("param", "--" + name.replace("_", "-"))
        # A flag that was not given is the kind's own default.
        extra = {"default": None} if "param" in options else {}
        made = click.option(shown, metavar=metavar or None, **rest, **extra)(made)
    for name in reversed(arguments):
        made = click.argument(name, default="", metavar=name.upper())(made)
    new.command(kind, help=f"{about}\n\nExample: budeval-migrate new {kind} {words}")(made)


def _answers(
    arguments: Sequence[str], needed: Sequence[str], given: dict[str, Any]
) -> dict[str, Any]:
    """Ask a person for what was not given."""
    found: dict[str, Any] = {}
    for name in (*arguments, *needed):
        if given.get(name) in (None, "", ()):
            question = _QUESTIONS.get(name, name.replace("_", " ").capitalize())
            answer = click.prompt(question, err=True)
            found[name] = (answer,) if name == "columns" else answer
    if not given.get("message"):
        found["message"] = click.prompt("Message", default="", show_default=False, err=True)
    return found


for _kind, _told in _KINDS.items():
    _command(_kind, *_told)
