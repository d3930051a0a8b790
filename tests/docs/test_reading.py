"""Reading a page finds what is not as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import pages, reading
from tests.docs.reading import read, steady
from tests.docs.terminal import Terminal

PAGE = """# Page

```sh
mkdir there \\
  && cd there
export WORD=hello
```

`words/a.txt`, and nothing else:

```text
one ADDRESS
```

```console
$ cat words/a.txt; echo $WORD
one ADDRESS
hello
$ seq 5
1
…
5
$ echo "took 12 ms"; (exit 3)
took 340 ms
$ printf '%s\\n' \\
>   "a b"
a b
```
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pages, "REPOSITORY", tmp_path)
    monkeypatch.setattr(reading, "REPOSITORY", tmp_path)
    monkeypatch.delenv("BUDEVAL_DOCS_WRITE", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "page.md"


def try_out(told: Path, text: str, **more: object) -> None:
    told.write_text(text)
    with Terminal(told.parent / "home") as terminal:
        read("page.md", terminal, stand_ins={"ADDRESS": "127.0.0.1"}, **more)  # type: ignore[arg-type]


def test_a_page_that_is_right_is_read_to_its_end(told: Path) -> None:
    try_out(told, PAGE)
    assert (told.parent / "home/there/words/a.txt").read_text() == "one 127.0.0.1\n"


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("hello\n$", "hallo\n$", "page.md:15: cat words/a.txt"),
        ("…\n5", "…\n6", "page.md:15: seq 5"),
        ("…\n5", "5", "page.md:15: seq 5"),
        ("mkdir there", "mkdir there/too", "page.md:3: mkdir there/too"),
        ("`words/a.txt`, and nothing else:", "A text.", "page.md:11: who reads this block?"),
        ("$ cat", "cat\n$ cat", "page.md:15: this is no conversation"),
        ("```text", "```text\n```", "page.md has a fence that is not understood"),
    ],
)
def test_what_is_wrong_is_found(told: Path, right: str, wrong: str, message: str) -> None:
    assert right in PAGE
    with pytest.raises(AssertionError) as failure:
        try_out(told, PAGE.replace(right, wrong, 1))
    assert str(failure.value).startswith(message)


def test_what_the_test_prepares_for_has_to_be_on_the_page(told: Path) -> None:
    with pytest.raises(AssertionError, match="no longer says"):
        try_out(told, PAGE, before={"seq 6": print})
    seen: list[Path] = []
    try_out(told, PAGE.replace("mkdir", "mkdir -p"), before={"seq 5": seen.append})
    assert seen == [told.parent / "home" / "there"]


def test_a_block_may_have_a_reader_of_its_own(told: Path) -> None:
    heard: list[str] = []
    try_out(told, "```python\nop.execute(1)\n2\n```\n", readers={"op.execute(1)": heard.append})
    assert heard == ["op.execute(1)\n2\n"]


def test_a_page_is_written_anew_when_that_is_asked_for(
    told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDEVAL_DOCS_WRITE", "1")
    twice = "```console\n$ echo a\n```\n"
    try_out(told, PAGE.replace("hello\n$", "hallo\n$").replace("340", "9") + twice + twice)
    right = twice.replace("echo a\n", "echo a\na\n")
    assert told.read_text() == PAGE.replace("340", "9") + right + right


def test_a_command_may_ask_how_the_one_before_it_ended(told: Path) -> None:
    try_out(told, "```console\n$ (exit 3)\n$ echo $?\n3\n$ echo $?\n0\n```\n")


def test_what_a_command_leaves_running_ends_with_the_terminal(tmp_path: Path) -> None:
    with Terminal(tmp_path) as terminal:
        code, printed = terminal.run("sleep 1000 &\necho $!")
        assert code == 0
        process = Path("/proc", printed.strip())
        assert process.exists()
    assert not process.exists()


def test_times_durations_versions_and_processes_are_not_compared() -> None:
    line = "ok  2026-11-23 09:27:08  {}         2/2 {} ClickHouse {} in {} s by {}"
    one = line.format("511", "12 ms", "26.9.2.1", "1.4", "a@b pid 12")
    assert steady(one) == steady(line.format("  9", "3 ms", "27.1", "12", "root@vm pid 4"))
