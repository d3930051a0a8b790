"""What the bookkeeping costs, as ratios taken in one run on chDB.

``python bench/run.py [REVISIONS]`` (default 300) prints medians of interleaved
rounds: a fresh upgrade against a bare loop that sends the same statements and
one bookkeeping row each, and a start-up at head against the import of the driver
and one SELECT. Bookkeeping is what an upgrade takes beyond the statements alone,
over what the engine takes for the statements and a single-row insert each; the
goal is 0.6. Every case of a round runs in a process of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3
REVISION = """from alembic import op
revision = "{id}"
down_revision = {down!r}
def upgrade() -> None:
    op.execute("CREATE TABLE t{n} (a Int32) ENGINE = MergeTree ORDER BY a")
def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS t{n}")
"""


def write_versions(directory: Path, count: int) -> None:
    """Write a chain of one-statement revisions."""
    directory.mkdir()
    ids = [f"{n:05}_step" for n in range(count)]
    for n, revision in enumerate(ids):
        down = ids[n - 1] if n else None
        text = REVISION.format(id=revision, down=down, n=n)
        (directory / f"{revision}.py").write_text(text)


def upgrade(data: str, versions: str) -> float:
    """Time one call of upgrade(), import included."""
    began = time.perf_counter()
    import budeval_migrations

    budeval_migrations.upgrade(url=f"chdb:///{data}", versions=versions)
    return time.perf_counter() - began


def bare_loop(data: str, count: int, *, rows: bool = True) -> float:
    """Time the same statements, and one row for each, straight through chDB."""
    began = time.perf_counter()
    from chdb_sqlalchemy import dialect  # noqa: F401  the driver is part of the price
    from sqlalchemy import create_engine

    connection = create_engine(f"chdb:///{data}").raw_connection()
    run = connection.dbapi_connection.query  # type: ignore[union-attr]
    run("CREATE TABLE ledger (version String, at DateTime64(3)) ENGINE = MergeTree ORDER BY at")
    for n in range(count):
        run(f"CREATE TABLE t{n} (a Int32) ENGINE = MergeTree ORDER BY a")
        if rows:
            run(f"INSERT INTO ledger SELECT '{n}', now64(3)")
    return time.perf_counter() - began


def one_select(data: str) -> float:
    """Time the import of the driver, a connection and one SELECT."""
    began = time.perf_counter()
    from sqlalchemy import create_engine

    connection = create_engine(f"chdb:///{data}").raw_connection()
    connection.dbapi_connection.query("SELECT count() FROM system.one")  # type: ignore[union-attr]
    return time.perf_counter() - began


def in_process(case: str, *arguments: str) -> float:
    """Run a case in a fresh process and return its seconds."""
    command = [sys.executable, __file__, "--case", case, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def main(count: int) -> None:
    """Run the rounds and print the table."""
    times: dict[str, list[float]] = {
        name: [] for name in ("upgrade", "bare loop", "statements", "at head", "one select")
    }
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            write_versions(home / "versions", count)
            versions, ours, bare = str(home / "versions"), str(home / "ours"), str(home / "bare")
            times["upgrade"].append(in_process("upgrade", ours, versions))
            times["bare loop"].append(in_process("bare", bare, str(count)))
            times["statements"].append(in_process("statements", f"{bare}-s", str(count)))
            times["at head"].append(in_process("upgrade", ours, versions))
            times["one select"].append(in_process("select", ours))
        print(f"round {number + 1} of {ROUNDS} done", file=sys.stderr)
    middle = {name: statistics.median(values) for name, values in times.items()}
    print(f"{count} one-statement revisions, chDB in the process, median of {ROUNDS}")
    for name, values in times.items():
        print(f"  {name:<11} {middle[name]:7.3f} s   ({min(values):.3f} to {max(values):.3f})")
    print(f"  fresh upgrade / bare loop   {middle['upgrade'] / middle['bare loop']:.2f}")
    books = (middle["upgrade"] - middle["statements"]) / middle["bare loop"]
    print(f"  bookkeeping / bare loop     {books:.2f}")
    print(f"  start at head / one select  {middle['at head'] / middle['one select']:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        name, *rest = sys.argv[2:]
        if name == "upgrade":
            seconds = upgrade(rest[0], rest[1])
        elif name == "bare":
            seconds = bare_loop(rest[0], int(rest[1]))
        elif name == "statements":
            seconds = bare_loop(rest[0], int(rest[1]), rows=False)
        else:
            seconds = one_select(rest[0])
        print(json.dumps(seconds))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
