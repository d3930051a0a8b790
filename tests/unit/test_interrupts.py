"""What a signal does to a run, in the process of the test."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from budeval_migrations.interrupts import Interrupted, interrupts


@pytest.fixture(autouse=True)
def usual_handler() -> Iterator[None]:
    """Hear Ctrl-C, which a job that a shell starts in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_is_told_by_another_thread_than_the_one_that_it_came_to() -> None:
    """The main thread may be in the middle of a write, which cannot be entered again."""
    told: list[tuple[str, bool]] = []

    def emit(sentence: str, number: int) -> None:
        told.append((sentence, threading.current_thread() is threading.main_thread()))

    with pytest.raises(Interrupted) as stopped, interrupts.heard(emit):
        interrupts.doing = "statement 2 of 3 of 001_a"
        os.kill(os.getpid(), signal.SIGTERM)
        assert not interrupts.hurried
    assert (stopped.value.number, stopped.value.hurried) == (signal.SIGTERM, False)
    assert stopped.value.by == "stopped by SIGTERM"
    assert told == [
        (
            "The run ends after statement 2 of 3 of 001_a. A second interrupt stops the waiting.",
            False,
        )
    ]


def test_before_the_first_statement_a_signal_is_told_of_too() -> None:
    told: list[str] = []
    with pytest.raises(Interrupted), interrupts.heard(lambda sentence, _: told.append(sentence)):
        os.kill(os.getpid(), signal.SIGINT)
    assert told == [
        "The run ends after a write to its own tables. A second interrupt stops the waiting."
    ]


def test_a_second_signal_is_heard_at_once() -> None:
    with pytest.raises(Interrupted) as stopped, interrupts.heard(lambda *_: None):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it went on")
    assert stopped.value.hurried
    assert stopped.value.by == "interrupted"


def test_a_wait_ends_with_a_signal() -> None:
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted), interrupts.heard(lambda *_: None):
        timer.start()
        interrupts.sleep(60)
    timer.join()
