"""Revisions that change the columns and indices of one table."""

from __future__ import annotations

from collections.abc import Callable

from budeval_migrations.errors import ConfigError
from budeval_migrations.recipes.creation import declaration, read_table
from budeval_migrations.recipes.identifiers import named, piece, read_column_name, read_name
from budeval_migrations.scaffold.draft import Draft, Execute, Unless
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name
from budeval_migrations.sql.definition import Column, Definition

#: The CREATE statement of a table as it is now, and where that was read; empty if unknown.
Look = Callable[[Name], tuple[str, str]]


def add_column(
    *,
    table: str,
    column: str,
    type: str,
    default: str = "",
    codec: str = "",
    comment: str = "",
    after: str = "",
    first: bool = False,
    look: Look,
) -> Draft:
    """Add a column; the downgrade drops it."""
    of, name = read_name(table), read_column_name(column)
    known = _known(of, look)
    if known is not None and known.column(name) is not None:
        raise ConfigError(f"{named(of)} has a column {name} already.", hint="Choose another name.")
    if after:
        _member(of, read_column_name(after), known)
    said = _declared(type, default, codec, comment)
    return Draft(
        title=f"Add {name} to {of.name}",
        slug=f"add_{name}_to_{of.name}",
        upgrade=(
            Execute(
                f"ALTER TABLE {named(of)} ADD COLUMN IF NOT EXISTS {named(name)} "
                f"{said}{_place(after, first=first)}"
            ),
        ),
        downgrade=(Execute(f"ALTER TABLE {named(of)} DROP COLUMN IF EXISTS {named(name)}"),),
        notes=(
            "Rows written before have the default; nothing is rewritten. The downgrade loses what "
            "the column holds.",
        ),
    )


def drop_column(*, table: str, column: str, type: str = "", default: str = "", look: Look) -> Draft:
    """Drop a column; the downgrade adds it again, empty."""
    of, name = read_name(table), read_column_name(column)
    known = _known(of, look) if not type else None
    if type:
        said, place = _declared(type, default, "", ""), ""
    else:
        found = _needed(of, name, known, "--type says what it is, such as --type String")
        said, place = declaration(found), _place_of(found, known)
    return Draft(
        title=f"Drop {name} from {of.name}",
        slug=f"drop_{name}_from_{of.name}",
        upgrade=(Execute(f"ALTER TABLE {named(of)} DROP COLUMN IF EXISTS {named(name)}"),),
        downgrade=(
            Execute(
                f"ALTER TABLE {named(of)} ADD COLUMN IF NOT EXISTS {named(name)} {said}{place}"
            ),
        ),
        notes=("The downgrade adds the column again, with its default in every row.",),
        destructive=f"drops what {of.name}.{name} holds",
    )


def modify_column(
    *,
    table: str,
    column: str,
    type: str,
    default: str = "",
    codec: str = "",
    comment: str = "",
    was: str = "",
    look: Look,
) -> Draft:
    """Give a column another type; the downgrade gives back what it was."""
    of, name = read_name(table), read_column_name(column)
    if was:
        old = Column(name, piece(was, "--was"))
    else:
        old = _needed(of, name, _known(of, look), "--was says what it is, such as --was String")
    alter = f"ALTER TABLE {named(of)}"
    modify = f"{alter} MODIFY COLUMN IF EXISTS {named(name)} "
    back: list[Execute | Unless] = [Execute(modify + declaration(old))]
    gone = [(default and not old.default, "DEFAULT", "default_kind")]
    gone.append((codec and "CODEC" not in old.parts, "CODEC", "compression_codec"))
    back += [
        Unless(
            _column_where(of, name, f"{fact} = ''"),
            f"{alter} MODIFY COLUMN {named(name)} REMOVE {word}",
        )
        for new, word, fact in gone
        if new
    ]
    if comment and "COMMENT" not in old.parts:
        back.append(Execute(f"{alter} COMMENT COLUMN IF EXISTS {named(name)} ''"))
    return Draft(
        title=f"Modify {name} of {of.name}",
        slug=f"modify_{name}_of_{of.name}",
        upgrade=(Execute(modify + _declared(type, default, codec, comment)),),
        downgrade=tuple(back),
        notes=(
            "A new type rewrites the column in every part, and the run waits for it. A value that "
            "the new type cannot hold makes it fail (MutationFailed) or is cut to fit; the "
            "downgrade does not bring back what was cut.",
        ),
    )


def rename_column(*, table: str, column: str, to: str, look: Look) -> Draft:
    """Rename a column; the downgrade renames it back."""
    of, old, new = read_name(table), read_column_name(column), read_column_name(to)
    known = _known(of, look)
    _member(of, old, known)
    if known is not None and known.column(new) is not None:
        raise ConfigError(f"{named(of)} has a column {new} already.", hint="Choose another name.")

    def rename(one: str, two: str) -> Execute:
        clause = f"RENAME COLUMN IF EXISTS {named(one)} TO {named(two)}"
        return Execute(f"ALTER TABLE {named(of)} {clause}")

    return Draft(
        title=f"Rename {old} of {of.name} to {new}",
        slug=f"rename_{old}_of_{of.name}",
        upgrade=(rename(old, new),),
        downgrade=(rename(new, old),),
        notes=(
            "Queries, views and clients that say the old name fail from here on: change them "
            "at the same time.",
        ),
    )


def add_index(
    *, table: str, index: str, on: str, type: str = "", granularity: int = 1, look: Look
) -> Draft:
    """Add a data skipping index and build it for the rows that are there."""
    of, name = read_name(table), read_column_name(index)
    known = _known(of, look)
    if known is not None and name in known.indices:
        raise ConfigError(f"{named(of)} has an index {name} already.", hint="Choose another name.")
    if known is not None and known.column(on) is not None:
        on = named(on)
    said = f"{piece(on, 'ON')} TYPE {piece(type or 'bloom_filter', '--type')}"
    return Draft(
        title=f"Add the index {name} to {of.name}",
        slug=f"add_{name}_to_{of.name}",
        upgrade=(
            Execute(
                f"ALTER TABLE {named(of)} ADD INDEX IF NOT EXISTS {named(name)} "
                f"{said} GRANULARITY {granularity}"
            ),
            Execute(
                f"ALTER TABLE {named(of)} MATERIALIZE INDEX IF EXISTS {named(name)}",
                "For the rows that are there already; the run waits for it.",
            ),
        ),
        downgrade=(Execute(f"ALTER TABLE {named(of)} DROP INDEX IF EXISTS {named(name)}"),),
    )


def _known(table: Name, look: Look) -> Definition | None:
    text, where = look(table)
    return read_table(text, where) if text else None


def _needed(table: Name, column: str, known: Definition | None, flag: str) -> Column:
    if known is None:
        raise ConfigError(
            f"What {named(table)}.{column} is now is not known: no server has the table.",
            hint=f"{flag}; or --from-ddl FILE has the table's CREATE TABLE.",
        )
    return _member(table, column, known)


def _member(table: Name, column: str, known: Definition | None) -> Column:
    if known is None:
        return Column(column)
    found = known.column(column)
    if found is None:
        listed = ", ".join(each.name for each in known.columns)
        raise ConfigError(
            f"{named(table)} has no column {column}.", hint=f"It has: {listed}.", table=table.name
        )
    return found


def _declared(type: str, default: str, codec: str, comment: str) -> str:
    said = piece(type, "The type")
    if default:
        said += f" DEFAULT {piece(default, '--default')}"
    if comment:
        said += f" COMMENT {quote.string(comment)}"
    if codec:
        inside = piece(codec, "--codec")
        said += f" {inside}" if inside.upper().startswith("CODEC(") else f" CODEC({inside})"
    return said


def _place(after: str, *, first: bool) -> str:
    if first and after:
        raise ConfigError("--first and --after exclude each other.", hint="Give one of them.")
    return " FIRST" if first else f" AFTER {named(read_column_name(after))}" if after else ""


def _place_of(column: Column, known: Definition | None) -> str:
    names = [each.name for each in known.columns] if known else []
    at = names.index(column.name)
    return f" AFTER {named(names[at - 1])}" if at else " FIRST"


def _column_where(table: Name, column: str, also: str) -> str:
    database = quote.string(table.database) if table.database else "currentDatabase()"
    return (
        f"SELECT 1 FROM system.columns WHERE database = {database} "
        f"AND table = {quote.string(table.name)} AND name = {quote.string(column)} AND {also}"
    )
