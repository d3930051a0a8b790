"""Rows for the tests of the revisions, and writers that never pause.

Accuracies are eighths, so that sums and averages do not depend on the order of addition.
"""

import random
import threading
import time
from types import TracebackType

from .harness import Database

TRENDS_OF_BASE = """
SELECT model_name, dataset_name, toDate(evaluated_at) AS day,
    count(), avg(accuracy), max(accuracy), min(accuracy)
FROM dataset_results GROUP BY model_name, dataset_name, day ORDER BY model_name, dataset_name, day
"""

TRENDS_OF_VIEW = """
SELECT model_name, dataset_name, eval_date, countMerge(eval_count), avgMerge(avg_accuracy),
    maxMerge(max_accuracy), minMerge(min_accuracy)
FROM model_performance_trends
GROUP BY model_name, dataset_name, eval_date ORDER BY model_name, dataset_name, eval_date
"""

LATEST_JOBS = "SELECT * EXCEPT (created_at, updated_at) FROM evaluation_jobs FINAL ORDER BY job_id, job_start_time"

_RESULTS = (
    "INSERT INTO dataset_results (job_id, model_name, dataset_name, accuracy, total_examples,"
    " correct_examples, evaluated_at, metadata"
)
_JOBS = (
    "INSERT INTO evaluation_jobs (job_id, model_name, engine, job_start_time, job_end_time,"
    " job_duration_seconds, overall_accuracy, total_datasets, total_examples, total_correct,"
    " extracted_at"
)


def insert_results(database: Database, rows: int = 300) -> None:
    """Insert an hour-old history: results of three models over some months."""
    database.query(
        f"{_RESULTS}, created_at) SELECT toString(number), concat('m', toString(number % 3)), 'd',"
        " (number % 9) / 8, 8, number % 9, toDateTime64('2024-01-01 00:00:00', 3) + number * 40000,"
        f" '{{}}', now() - 3600 FROM numbers({rows})"
    )


def insert_results_of_the_future(database: Database, rows: int = 5) -> None:
    """Insert results whose created_at a client has set to a day far ahead."""
    database.query(
        f"{_RESULTS}, created_at) SELECT 'future', 'm9', 'd', 0.5, 8, 4,"
        f" toDateTime64('2024-01-01 00:00:00', 3), '', toDateTime64('2099-01-01 00:00:00', 3)"
        f" FROM numbers({rows})"
    )


def insert_jobs(database: Database, rows: int = 60, *, version: int = 1, age: int = 3600) -> None:
    """Insert one version of each job, updated `age` seconds ago, a minute later a version."""
    database.query(
        f"{_JOBS}, updated_at) SELECT concat('j', toString(number)), 'm', 'vllm',"
        " toDateTime64('2024-01-01 00:00:00', 3) + number * 100000,"
        f" toDateTime64('2024-06-01 00:00:00', 3), 1, 0.5, 1, {version}, number,"
        f" toDateTime64('2024-06-01 00:00:00', 3), now() - {age} + {version} * 60"
        f" FROM numbers({rows})"
    )


class Writer:
    """A thread that inserts until the block ends; subclasses say what."""

    def __init__(self, database: Database, *, seed: int, pause: float = 0.0) -> None:
        self.client = database.client()
        self.seed = seed
        self.random = random.Random(seed)
        self.pause = pause
        self.inserts = 0
        self.errors: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def write(self) -> None:
        """Insert once."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.write()
                self.inserts += 1
            except Exception as error:
                self.errors.append(str(error)[:300])
            time.sleep(self.pause * self.random.random())

    def __enter__(self) -> "Writer":
        self._thread.start()
        while self.inserts < 3 and not self.errors:
            time.sleep(0.01)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()


class ResultsWriter(Writer):
    """Inserts results, one to three rows at a time."""

    def write(self) -> None:
        row = self.random
        self.client.query(
            f"{_RESULTS}) SELECT 'w{self.seed}', 'm{row.randrange(3)}', 'd', {row.randrange(9)} / 8,"
            f" 8, 1, toDateTime64('2024-02-0{row.randrange(1, 9)} 00:00:00', 3), ''"
            f" FROM numbers({row.randrange(1, 4)})"
        )


class JobsWriter(Writer):
    """Inserts new jobs and new versions of old ones, and remembers each job's last version.

    `updated_at` is left to the server, so many versions of a job share a second.
    """

    def __init__(self, database: Database, *, seed: int, pause: float = 0.0) -> None:
        super().__init__(database, seed=seed, pause=pause)
        self.version = 100
        self.last: dict[str, int] = {}

    def write(self) -> None:
        # Old jobs j0 … j59 are shared out, so that each has one writer.
        choice = self.random.randrange(3)
        if choice == 0:
            number, job = self.version % 60, f"w{self.seed}-{self.version}"
        elif choice == 1:
            number = self.random.randrange(30) * 2 + self.seed % 2
            job = f"j{number}"
        else:
            number, job = self.seed % 2, f"j{self.seed % 2}"
        self.version += 1
        self.client.query(
            f"{_JOBS}) VALUES ('{job}', 'm', 'vllm',"
            f" toDateTime64('2024-01-01 00:00:00', 3) + {number} * 100000,"
            f" '2024-06-01 00:00:00', 1, 0.5, 1, {self.version}, 0, '2024-06-01 00:00:00')"
        )
        self.last[job] = self.version


class Reader(Writer):
    """Asks one question all the time and keeps the answers."""

    def __init__(self, database: Database, sql: str) -> None:
        super().__init__(database, seed=0, pause=0.02)
        self.sql = sql
        self.answers: list[int] = []

    def write(self) -> None:
        self.answers.append(int(self.client.value(self.sql)))
