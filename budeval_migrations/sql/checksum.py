"""Fingerprints of revision files and of statements.

Owns what "the same" means for a file and for its statements: SHA-256 over bytes
that can be read in one way only. Imports nothing of this package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

# Two sums of 64 bits; the first character tells them apart.
SALTS = ("1", "2")


def normalise(text: str) -> str:
    """Return ``text`` with LF line endings and without a byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def file_checksum(text: str, included: Iterable[tuple[str, str]] = ()) -> str:
    """Return the SHA-256, in hex, of a file and of the files that belong to it.

    Without included files this is what ``sha256sum`` says of the normalised file.

    Args:
        text: The file's text; normalised here.
        included: Pairs of file name and text, in any order.

    """
    own = _bytes(normalise(text))
    files = sorted((name, normalise(content)) for name, content in included)
    if not files:
        return hashlib.sha256(own).hexdigest()
    parts = [own]
    for name, content in files:
        parts += [_bytes(name), _bytes(content)]
    return _framed(parts)


def statements_checksum(statements: Iterable[str]) -> str:
    """Return the SHA-256, in hex, of a list of statements, to the byte and in order."""
    return _framed(_bytes(statement) for statement in statements)


def summary(pairs: Iterable[tuple[str, str]]) -> str:
    """Return what tells two sets of revisions apart: names, each with its checksum.

    How many, and two 64-bit sums that do not depend on the order; a server can do the
    same (see ``state.fast_check``). MD5, since every ClickHouse has it as ``halfMD5``; the
    checksums are SHA-256.
    """
    count, sums = 0, [0, 0]
    for name, checksum in pairs:
        count += 1
        for at, salt in enumerate(SALTS):
            hashed = hashlib.md5(_bytes(f"{salt}{name}\n{checksum}"), usedforsecurity=False)
            sums[at] ^= int.from_bytes(hashed.digest()[:8], "big")
    return f"{count} {sums[0]} {sums[1]}"


def _framed(parts: Iterable[bytes]) -> str:
    """Hash each part behind its length, so that no two lists look the same."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
