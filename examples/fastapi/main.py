"""A service that migrates its database before it serves."""

import os
from pathlib import Path

from budeval_migrations import lifespan
from fastapi import FastAPI
from sqlalchemy import create_engine, text

HERE = Path(__file__).resolve().parent
URL = os.environ.get("SHOP_MIGRATIONS_URL", f"chdb:///{HERE}/.clickhouse")
# upgrade, check or wait. SHOP_MIGRATIONS_… are settings of the migrations, and this is none.
START = os.environ.get("SHOP_START", "upgrade")

app = FastAPI(lifespan=lifespan(mode=START, config=HERE / "alembic.ini", url=URL))
engine = create_engine(URL)


@app.get("/health")
def health() -> dict[str, object]:
    """Say at which revision the database is."""
    return {"current": app.state.migrations.current}


@app.post("/events/{name}")
def add(name: str) -> dict[str, str]:
    """Write an event down."""
    with engine.connect() as connection:
        insert = text("INSERT INTO shop.events (id, name) SELECT generateUUIDv4() AS id, :name")
        connection.execute(insert, {"name": name})
    return {"added": name}


@app.get("/events")
def count() -> dict[str, int]:
    """Count the events by name."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, count() FROM shop.events GROUP BY name"))
        return {name: int(number) for name, number in rows}
