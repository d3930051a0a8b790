"""The journal's entries, folded into what is known of every unfinished move."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.model import Direction
from budeval_migrations.state.unfinished import (
    ANSWERED,
    JournalEntry,
    JournalEvent,
    Recorded,
    filled,
    fold,
    mutations_note,
    mutations_of,
)

INTENT, APPLIED, FAILED = JournalEvent.INTENT, JournalEvent.APPLIED, JournalEvent.FAILED
DOUBTFUL, CHUNK = JournalEvent.DOUBTFUL, JournalEvent.CHUNK
UP, DOWN = Direction.UP, Direction.DOWN


def entry(
    event: JournalEvent,
    sequence: int,
    position: int = 1,
    *,
    revision: str = "001_a",
    direction: Direction = UP,
    text: str = "one",
    note: str = "",
) -> JournalEntry:
    return JournalEntry(
        revision=revision,
        direction=direction,
        since=0,
        position=position,
        event=event,
        hash=f"hash of {text}",
        statement=text,
        note=note,
        sequence=sequence,
    )


def story(*events: JournalEvent) -> list[JournalEntry]:
    """What happened to one statement, in order."""
    return [entry(event, n) for n, event in enumerate(events, start=1)]


def recorded(*events: JournalEvent) -> Recorded:
    return fold(story(*events))[("001_a", UP)].statements[1]


def test_no_entries_are_no_effort() -> None:
    assert fold([]) == {}


@pytest.mark.parametrize(
    ("events", "applied", "doubtful"),
    [
        ((INTENT,), False, True),
        ((APPLIED,), True, False),
        ((FAILED,), False, False),
        ((DOUBTFUL,), False, True),
        ((INTENT, APPLIED), True, False),
        ((INTENT, FAILED), False, False),
        ((INTENT, DOUBTFUL), False, True),
        ((INTENT, FAILED, INTENT), False, True),
        ((INTENT, FAILED, INTENT, APPLIED), True, False),
        ((INTENT, DOUBTFUL, APPLIED), True, False),
        ((INTENT, DOUBTFUL, FAILED), False, False),
        ((INTENT, DOUBTFUL, FAILED, INTENT), False, True),
        ((INTENT, APPLIED, FAILED), False, False),  # a person took it back and said so
        ((INTENT, APPLIED, FAILED, INTENT, APPLIED), True, False),
        ((INTENT, CHUNK), False, True),
        ((INTENT, CHUNK, CHUNK), False, True),
        ((INTENT, CHUNK, FAILED), False, False),
        ((INTENT, CHUNK, APPLIED), True, False),
        ((INTENT, CHUNK, FAILED, INTENT, CHUNK, APPLIED), True, False),
    ],
    ids=lambda value: " ".join(e.value for e in value) if isinstance(value, tuple) else None,
)
def test_the_last_word_about_a_statement_counts(
    events: tuple[JournalEvent, ...], applied: bool, doubtful: bool
) -> None:
    found = recorded(*events)

    assert (found.applied, found.doubtful) == (applied, doubtful)


def test_a_chunk_says_nothing_of_how_its_statement_stands() -> None:
    found = recorded(INTENT, CHUNK, FAILED, CHUNK)

    assert found.last == entry(FAILED, 3)
    assert found.chunks == (entry(CHUNK, 2), entry(CHUNK, 4))


def test_a_chunk_is_filled_once_its_state_names_a_staging_table() -> None:
    planned = entry(CHUNK, 2, note=json.dumps({"chunk": 1}))
    moved = entry(CHUNK, 3, note=json.dumps({"chunk": 1, "staging": "s"}))

    assert filled([planned, moved]) == [(moved, {"chunk": 1, "staging": "s"})]
    assert Recorded(moved, None, (planned, moved)).filled == moved
    assert Recorded(moved, None, (planned,)).filled is None


@pytest.mark.parametrize(
    ("event", "note", "kept"),
    [
        (FAILED, f"{ANSWERED}ann", 0),
        (FAILED, "was refused", 1),
        (APPLIED, f"{ANSWERED}ann", 1),
        (APPLIED, "", 1),
    ],
)
def test_only_a_person_takes_back_what_chunks_have_moved(
    event: JournalEvent, note: str, kept: int
) -> None:
    entries = [*story(INTENT, CHUNK), entry(event, 3, note=note)]
    chunks = fold(entries)[("001_a", UP)].statements[1].chunks
    assert chunks == (entry(CHUNK, 2),) * kept


def test_an_outcome_says_again_neither_the_note_nor_the_catalogue_of_its_intent() -> None:
    intent = replace(entry(INTENT, 1, note="repeatable"), before="{}")

    assert intent.outcome(APPLIED) == entry(APPLIED, 1)
    assert intent.outcome(FAILED, "was not sent", error_code=7) == replace(
        entry(FAILED, 1, note="was not sent"), error_code=7
    )


def test_a_chunk_alone_is_neither_applied_nor_in_doubt() -> None:
    found = recorded(CHUNK)

    assert (found.applied, found.doubtful, found.intent) == (False, False, None)
    assert found.chunks == (entry(CHUNK, 1),)


def test_the_intent_is_kept_behind_its_outcome() -> None:
    found = recorded(INTENT, FAILED, INTENT, DOUBTFUL)

    assert found.intent == entry(INTENT, 3)
    assert found.last == entry(DOUBTFUL, 4)


def test_an_outcome_without_an_intent_has_none() -> None:
    assert recorded(APPLIED).intent is None


def test_the_chunks_of_several_runs_stay_together_while_the_statement_is_the_same() -> None:
    found = recorded(INTENT, CHUNK, FAILED, INTENT, CHUNK)

    assert [chunk.sequence for chunk in found.chunks] == [2, 5]
    assert found.intent == entry(INTENT, 4)


def test_the_chunks_of_a_statement_that_was_edited_are_forgotten() -> None:
    entries = [
        *story(INTENT, CHUNK, CHUNK, FAILED),
        entry(INTENT, 5, text="another"),
        entry(CHUNK, 6, text="another"),
    ]

    found = fold(entries)[("001_a", UP)].statements[1]

    assert [chunk.sequence for chunk in found.chunks] == [6]
    assert found.last.statement == "another"


def test_a_statement_that_was_edited_and_restored_begins_anew() -> None:
    entries = [*story(INTENT, CHUNK, FAILED), entry(INTENT, 4, text="another"), entry(INTENT, 5)]

    assert fold(entries)[("001_a", UP)].statements[1].chunks == ()


def test_an_answer_of_a_person_keeps_the_chunks() -> None:
    found = recorded(INTENT, CHUNK, FAILED)

    assert [chunk.sequence for chunk in found.chunks] == [2]


def test_what_a_person_has_taken_back_has_no_chunks_any_more() -> None:
    moved = story(INTENT, CHUNK)
    answers = {FAILED: (), APPLIED: (moved[1],)}
    for event, chunks in answers.items():
        answer = entry(event, 3, note=f"{ANSWERED}ada@here")
        assert fold([*moved, answer])[("001_a", UP)].statements[1].chunks == chunks


def test_an_outcome_forgets_what_was_before_its_statement() -> None:
    intent = replace(entry(INTENT, 1), before="{}")
    assert intent.outcome(APPLIED, elapsed_ms=3) == replace(
        intent, event=APPLIED, before="", note="", elapsed_ms=3
    )
    assert intent.outcome(FAILED, "why").note == "why"


def test_every_revision_and_direction_is_an_effort_of_its_own() -> None:
    entries = [
        entry(APPLIED, 1),
        entry(INTENT, 2, direction=DOWN),
        entry(FAILED, 3, revision="002_b"),
    ]

    found = fold(entries)

    assert list(found) == [("001_a", UP), ("001_a", DOWN), ("002_b", UP)]
    assert [(e.revision, e.direction) for e in found.values()] == list(found)
    assert [len(e.statements) for e in found.values()] == [1, 1, 1]


def test_an_effort_counts_what_took_effect_and_names_what_is_in_doubt() -> None:
    entries = [
        entry(APPLIED, 1, 1),
        entry(INTENT, 2, 4),
        entry(APPLIED, 3, 2),
        entry(DOUBTFUL, 4, 3),
        entry(FAILED, 5, 5),
    ]

    unfinished = fold(entries)[("001_a", UP)]

    assert (unfinished.begun, unfinished.applied) == (True, 2)
    assert [s.last.position for s in unfinished.doubtful] == [3, 4]


@pytest.mark.parametrize(
    ("events", "begun"),
    [
        ((FAILED,), False),
        ((INTENT, FAILED), False),
        ((INTENT,), True),
        ((INTENT, DOUBTFUL), True),
        ((APPLIED,), True),
        ((INTENT, APPLIED, FAILED), False),
    ],
    ids=lambda value: " ".join(e.value for e in value) if isinstance(value, tuple) else None,
)
def test_an_effort_is_begun_when_something_took_effect_or_may_have(
    events: tuple[JournalEvent, ...], begun: bool
) -> None:
    assert fold(story(*events))[("001_a", UP)].begun is begun


def test_entries_are_read_in_their_order_however_they_come() -> None:
    entries = [*story(INTENT, CHUNK, FAILED, INTENT), entry(APPLIED, 5, 2)]
    expected = fold(entries)

    assert all(fold(shuffled) == expected for shuffled in permutations(entries))


# --- against the plain way ------------------------------------------------------------------

_entries = st.lists(
    st.tuples(
        st.sampled_from(JournalEvent),
        st.integers(1, 3),
        st.sampled_from(["001_a", "002_b"]),
        st.sampled_from(Direction),
        st.sampled_from(["one", "two"]),
    ),
    max_size=25,
)


def _made(drawn: list[tuple[JournalEvent, int, str, Direction, str]]) -> list[JournalEntry]:
    return [
        entry(event, n, position, revision=revision, direction=direction, text=text)
        for n, (event, position, revision, direction, text) in enumerate(drawn, start=1)
    ]


@given(_entries)
def test_the_fold_agrees_with_looking_at_each_statement_alone(
    drawn: list[tuple[JournalEvent, int, str, Direction, str]],
) -> None:
    entries = _made(drawn)
    found = fold(entries)

    for (revision, direction), unfinished in found.items():
        for position, known in unfinished.statements.items():
            own = [
                e
                for e in entries
                if (e.revision, e.direction, e.position) == (revision, direction, position)
            ]
            said = [e for e in own if e.event is not CHUNK]
            intents = [e for e in own if e.event is INTENT]
            assert known.last == (said or own)[-1 if said else 0]
            assert known.intent == (intents[-1] if intents else None)
            assert set(known.chunks) <= {e for e in own if e.event is CHUNK}
    assert sum(len(e.statements) for e in found.values()) == len(
        {(e.revision, e.direction, e.position) for e in entries}
    )


@given(_entries, st.randoms())
def test_the_order_of_reading_does_not_matter(
    drawn: list[tuple[JournalEvent, int, str, Direction, str]], chance: object
) -> None:
    entries = _made(drawn)
    shuffled = list(entries)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert fold(shuffled) == fold(entries)


@given(_entries)
def test_an_abandoned_intent_leaves_nothing_in_doubt(
    drawn: list[tuple[JournalEvent, int, str, Direction, str]],
) -> None:
    entries = _made(drawn)
    told = [
        replace(s.last, event=FAILED, sequence=len(entries) + n)
        for n, s in enumerate((s for e in fold(entries).values() for s in e.doubtful), start=1)
    ]

    assert not any(unfinished.doubtful for unfinished in fold([*entries, *told]).values())


@pytest.mark.parametrize("named", [{("h:1", "0000000001"), ("h:2", "0000000002")}, {("None", "m")}])
def test_a_note_names_the_mutations_that_it_was_made_of(named: set[tuple[str, str]]) -> None:
    assert mutations_of(mutations_note(named)) == named
    assert mutations_of("interrupted") == mutations_of("") == set()


@pytest.mark.parametrize(
    "odd", ["", "{", "5", "[5]", '["a"]', '[["a"]]', '[["a", 5]]', "[[[], []]]"]
)
def test_a_note_that_names_no_mutations_is_refused(odd: str) -> None:
    with pytest.raises(ValueError):
        mutations_of(f"its mutations were not done: {odd}")
