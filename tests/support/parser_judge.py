"""ClickHouse's own parser in a process of its own, asked over stdin and stdout.

chDB takes one data path a process, and other tests in the process that runs
pytest may have taken another: so the judge lives elsewhere. One JSON object a
line: ``{"ask": "format" | "ast" | "json" | "log" | "value", "texts": [...]}`` is answered by a
list with ``{"ok": ...}`` or ``{"error": ...}`` for each text.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """What ClickHouse says to one text: exactly one of the two is set."""

    result: Any = None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """True when ClickHouse parsed the text."""
        return self.error is None

    @property
    def several_statements(self) -> bool:
        """True when ClickHouse found a second statement behind the first."""
        return self.error is not None and "Multi-statements are not allowed" in self.error


class Judge:
    """The client's side; a context manager that ends the process it started."""

    def __init__(self) -> None:
        """Start the process; chDB is loaded when the first question is asked."""
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def __enter__(self) -> Judge:
        """Return the judge."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """End the process that `__init__` started, and wait for it."""
        self._process.kill()
        self._process.communicate()

    def formats(self, texts: Sequence[str]) -> list[Verdict]:
        """Ask ``formatQuery`` for each text."""
        return self._ask("format", texts)

    def asts(self, texts: Sequence[str]) -> list[Verdict]:
        """Ask ``EXPLAIN AST`` for each text."""
        return self._ask("ast", texts)

    def jsons(self, texts: Sequence[str]) -> list[Verdict]:
        """Ask ``parseQueryToJSON`` for each text."""
        return self._ask("json", texts)

    def logged(self, texts: Sequence[str]) -> list[Verdict]:
        """Ask how the process list shows each text, which has its secrets masked.

        A SELECT stands in a WITH that nobody reads; anything else is joined by PARALLEL WITH
        to a statement that looks at the list, and should do nothing by itself.
        """
        return self._ask("log", texts)

    def values(self, expressions: Sequence[str]) -> list[Verdict]:
        """Evaluate each expression, as UTF-8 text."""
        return self._ask("value", expressions)

    def _ask(self, ask: str, texts: Sequence[str]) -> list[Verdict]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps({"ask": ask, "texts": list(texts)}) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"the judge is gone: exit {self._process.poll()}, asked {texts!r}")
        return [Verdict(answer.get("ok"), answer.get("error")) for answer in json.loads(line)]


def _serve() -> None:
    """Answer until stdin ends."""
    import chdb

    connection = chdb.connect(":memory:")

    def one(sql: str) -> Any:
        return json.loads(connection.query(sql, "JSONCompact").data())["data"]

    for made in ("DATABASE d", "TABLE d.t (a Int8) ENGINE = Log"):
        connection.query(f"CREATE {made}")

    def logged(text: str) -> dict[str, Any]:
        look = "SELECT query FROM system.processes"
        if text.startswith("SELECT"):
            return {"ok": one(f"WITH nobody AS ({text}) {look}")[0][0]}
        connection.query("CREATE OR REPLACE TABLE d.seen (text String) ENGINE = Memory")
        failed = ""
        try:
            connection.query(f"INSERT INTO d.seen {look} LIMIT 1 PARALLEL WITH {text}")
        except Exception as error:
            failed = str(error)
        seen = one("SELECT text FROM d.seen")
        return {"ok": seen[0][0]} if seen else {"error": failed or "nothing was seen"}

    def answer(ask: str, text: str) -> dict[str, Any]:
        # Written out byte by byte, so that no escaping rule is needed to ask.
        literal = f"unhex('{text.encode('utf-8', 'surrogatepass').hex()}')"
        try:
            if ask == "format":
                return {"ok": one(f"SELECT formatQuery({literal})")[0][0]}
            if ask == "log":
                return logged(text)
            if ask == "json":
                return {"ok": json.loads(one(f"SELECT parseQueryToJSON({literal})")[0][0])}
            if ask == "ast":
                return {"ok": [row[0] for row in one(f"EXPLAIN AST {text}")]}
            return {"ok": bytes.fromhex(one(f"SELECT hex({text})")[0][0]).decode()}
        except Exception as error:
            return {"error": str(error) or type(error).__name__}

    for line in sys.stdin:
        question = json.loads(line)
        answers = [answer(question["ask"], text) for text in question["texts"]]
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    _serve()
