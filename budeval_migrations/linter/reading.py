"""One statement's text, read once for the tables and for every rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from budeval_migrations.sql.alteration import Alteration, read_alteration
from budeval_migrations.sql.changes import Effect, Name
from budeval_migrations.sql.definition import Definition, read_definition
from budeval_migrations.sql.effects import effect
from budeval_migrations.sql.reader import Lexeme, Reader, is_temporary, lexemes


@dataclass(frozen=True)
class Reading:
    """What the text of a statement says, each part of it read when it is asked for."""

    text: str

    @cached_property
    def effect(self) -> Effect:
        """What it changes."""
        return effect(self.text)

    @cached_property
    def definition(self) -> Definition | None:
        """What a CREATE says; None for any other statement."""
        return read_definition(self.text)

    @cached_property
    def alteration(self) -> Alteration | None:
        """What an ALTER TABLE says; None for any other statement, and when unsure."""
        return read_alteration(self.text)

    @cached_property
    def lexemes(self) -> Sequence[Lexeme]:
        """Its significant tokens; not for an INSERT, whose rows may be anything."""
        return lexemes(self.text)

    @property
    def optimized(self) -> tuple[Name | None, list[str]]:
        """The table of an OPTIMIZE, None where it is a parameter; and the words behind it."""
        reader = Reader(self.text, self.lexemes)
        reader.at = 1
        reader.accept("TABLE")
        return reader.name(), reader.outer()

    @property
    def temporary(self) -> bool:
        """Whether it is about a temporary table or view."""
        return is_temporary(self.lexemes)

    @property
    def words(self) -> list[str]:
        """Its bare words outside brackets, in capitals."""
        return [lexeme.word for lexeme in self.lexemes if lexeme.word and not lexeme.depth]
