"""One statement, read once: whoever asks what a text says asks a `ParsedStatement`.

Each part is read when it is asked for, and kept. May import the other modules of ``sql``;
none of them imports this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from budeval_migrations.sql.access_set import AccessSet, access_set, reads
from budeval_migrations.sql.alteration import Alteration, read_alteration
from budeval_migrations.sql.changes import Effect, Kind
from budeval_migrations.sql.classify import Classified, classify, joined
from budeval_migrations.sql.definition import Definition, read_definition
from budeval_migrations.sql.effects import effect
from budeval_migrations.sql.reader import Lexeme, is_temporary, lexemes
from budeval_migrations.sql.remembered import remembered


@dataclass(frozen=True)
class ParsedStatement:
    """What the text of a statement, or of an expression, says.

    Each attribute raises StatementSyntaxError if something that has to be read for it is not
    closed.
    """

    text: str

    @cached_property
    def _classified(self) -> Classified:
        return classify(self.text)

    @property
    def kind(self) -> Kind:
        """What kind of statement it is."""
        return self._classified.kind

    @property
    def has_rows(self) -> bool:
        """Whether it is an INSERT whose rows stand in the text (VALUES or FORMAT)."""
        return self._classified.inline_data

    @property
    def rows_to_the_end(self) -> bool:
        """Whether its rows run to the end of the text (FORMAT)."""
        return self._classified.to_the_end

    @cached_property
    def joined(self) -> tuple[ParsedStatement, ...]:
        """The statements that PARALLEL WITH joins in one; where it joins none, the one."""
        texts = joined(self.text)
        return tuple(map(parse, texts)) if len(texts) > 1 else (self,)

    @cached_property
    def effect(self) -> Effect:
        """What it changes."""
        return effect(self.text)

    @cached_property
    def effect_on_one_host(self) -> Effect:
        """What it changes on one of the hosts that ON CLUSTER means."""
        return effect(self.text, on_one_host=True)

    @cached_property
    def access_set(self) -> AccessSet:
        """Which tables it may touch."""
        return access_set(self.text)

    @cached_property
    def reads(self) -> AccessSet:
        """Which tables a query, or an expression, may read."""
        return reads(self.text)

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
    def is_temporary(self) -> bool:
        """Whether it is about a temporary table or view."""
        return is_temporary(self.lexemes)

    @property
    def words(self) -> list[str]:
        """Its bare words outside brackets, in capitals."""
        return [lexeme.word for lexeme in self.lexemes if lexeme.word and not lexeme.depth]


@remembered
def parse(text: str) -> ParsedStatement:
    """Return a statement to be asked what it says; nothing is read yet."""
    return ParsedStatement(text)
