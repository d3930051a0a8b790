"""Checksums of files and of statements."""

from __future__ import annotations

import hashlib

from budeval_migrations.sql.checksum import file_checksum, normalise, statements_checksum


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_line_endings_and_the_byte_order_mark_are_normalised_and_nothing_else() -> None:
    assert normalise("\ufeffa\r\nb\rc\n \t\ufeff\u2028") == "a\nb\nc\n \t\ufeff\u2028"


def test_a_file_alone_has_the_checksum_that_sha256sum_gives() -> None:
    assert file_checksum("é\r\n") == sha256("é\n")


def test_the_order_of_included_files_does_not_matter() -> None:
    assert file_checksum("a", [("x", "1"), ("y", "2")]) == file_checksum(
        "a", iter([("y", "2"), ("x", "1")])
    )


def test_included_files_count_by_name_and_by_text() -> None:
    sums = {
        file_checksum("a"),
        file_checksum("a", [("x", "")]),
        file_checksum("a", [("x", "y")]),
        file_checksum("a", [("xy", "")]),
        file_checksum("ax", [("y", "")]),
        file_checksum("a", [("x", ""), ("y", "")]),
    }

    assert len(sums) == 6


def test_line_endings_of_included_files_are_normalised() -> None:
    assert file_checksum("a", [("x", "1\r\n")]) == file_checksum("a", [("x", "1\n")])


def test_statements_are_told_apart() -> None:
    lists = [[], [""], ["", ""], ["ab"], ["a", "b"], ["b", "a"], ["a\nb"], ["a\r\nb"]]

    assert len({statements_checksum(statements) for statements in lists}) == len(lists)


def test_the_checksum_of_statements_never_changes_between_releases() -> None:
    assert (
        statements_checksum(["SELECT 1", "é"])
        == hashlib.sha256(b"\0\0\0\0\0\0\0\x08SELECT 1\0\0\0\0\0\0\0\x02\xc3\xa9").hexdigest()
    )
