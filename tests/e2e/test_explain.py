"""`walbrook explain types`: what becomes of every column, for people and for machines."""
import json

import pytest

from compare import sqlite

pytestmark = pytest.mark.both


def explain(wb, db, *args, code=0):
    return wb.command("explain", "types", db.url(), *args, code=code)


def objects(wb, db, *args):
    return [json.loads(line) for line in explain(wb, db, "--json", *args).stdout.splitlines()]


def unsigned(db):
    """13 brought xid8."""
    return "xid8" if db.server.version > 12 else "oid"


@pytest.fixture
def orders(db):
    db.sql("""create type mood as enum ('a'); create domain cents as numeric(12,2); create domain moods as mood[];
        create table orders (id bigint primary key, total numeric(12,2) not null, price cents, at timestamptz, day date, f float8,
            raw bytea, ok bool, data jsonb, m mood, ms moods, who inet, span int4range, o oid, x {},
            twice int generated always as (2) stored);
        create schema "sch.ema"; create table "sch.ema"."ta ble" (a text, b int, primary key (b, a))""".format(unsigned(db)))


def test_explain_for_machines(wb, db, orders):
    columns = {c["column"]: c for c in objects(wb, db, "--tables", "public.orders")}
    told = {n: (c["type"], c["kind"], c["writes"]["record"], c["writes"]["sqlite"]) for n, c in columns.items()}
    other = "string, as the source prints it"
    assert told == {
        "id": ("bigint", "int", "number", "INTEGER"),
        "total": ("numeric(12,2)", "decimal", 'string, all digits: "12.50"', "TEXT"),
        "price": ("public.cents", "decimal", 'string, all digits: "12.50"', "TEXT"),
        "at": ("timestamptz", "timestamptz", 'string: "2024-02-29T10:00:00.5Z"', "TEXT"),
        "day": ("date", "date", 'string: "2024-02-29"', "TEXT"),
        "f": ("double precision", "float", 'number, or "NaN", "Infinity", "-Infinity"', "REAL; NaN as TEXT"),
        "raw": ("bytea", "bytes", "string, base64", "BLOB"),
        "ok": ("boolean", "bool", "true or false", "INTEGER, 0 or 1"),
        "data": ("jsonb", "json", "the value itself", "TEXT"),
        "m": ("public.mood", "text", "string", "TEXT"),
        "ms": ("public.moods", "array", other, "TEXT"),
        "who": ("inet", "other", other, "TEXT"),
        "span": ("int4range", "range", other, "TEXT"),
        "o": ("oid", "uint", "number", "INTEGER"),
        "x": ("xid8", "uint", "number", "INTEGER; from 2^63 on TEXT") if unsigned(db) == "xid8" else ("oid", "uint", "number", "INTEGER"),
    }, "generated columns do not travel and are not listed"
    assert columns["id"]["key"] and columns["id"]["not_null"] and not columns["day"]["key"] and not columns["day"]["not_null"]
    assert set(columns["id"]["writes"]) == {"record", "row", "pretty", "debezium", "cloudevents", "maxwell", "sqlite"}
    assert columns["at"]["writes"]["debezium"] == "io.debezium.time.ZonedTimestamp"
    maxwell = {n: columns[n]["writes"]["maxwell"] for n in ("total", "at", "m")}
    assert maxwell == {"total": "number, all digits: 12.50; NaN as a string", "at": 'string, in UTC: "2024-02-29 10:00:00.5"', "m": "string"}


def test_explain_says_what_is_written(wb, db, orders):
    """Its words against a real run: the class of every JSON value and of every value in SQLite."""
    db.sql("""insert into orders values (1, 1, 2, now(), now(), 1.5, '\\x00', true, '[1]', 'a', '{a}', '::1', '[1,2)', 1, '1')""")
    wb.write([wb.file_target(), wb.file_target(name="maxwell", path="maxwell.jsonl", format="maxwell"), wb.sqlite_target()],
             source={"tables": ["public.orders"]}).until_now()
    row = json.loads(wb.out.read_text())["record"]
    (maxwell,) = (m["data"] for m in map(json.loads, (wb.dir / "maxwell.jsonl").read_text().splitlines()) if m["type"] == "bootstrap-insert")
    held = dict(zip([r[1] for r in sqlite(wb.mirror).execute("pragma table_info(orders)")],
                    sqlite(wb.mirror).execute("select " + ", ".join(f'typeof("{c}")' for c in row) + " from orders").fetchone()))
    classes = {"number": (int, float), "string": (str,), "true": (bool,), "the": (list, dict)}
    for c in objects(wb, db, "--tables", "public.orders"):
        for said, value in ((c["writes"]["record"], row[c["column"]]), (c["writes"]["maxwell"], maxwell[c["column"]])):
            assert type(value) in classes[said.split()[0].strip(",:")], (c, value)
        assert held[c["column"]].upper() == c["writes"]["sqlite"].split(";")[0].split(",")[0], (c, held)
    assert set(row) == {c["column"] for c in objects(wb, db, "--tables", "public.orders")}


def test_explain_for_people(wb, db, orders):
    text = explain(wb, db).stdout
    head, columns, first = text.splitlines()[:3]
    assert "public.orders" in text and "sch.ema.ta ble" in text
    assert columns.split()[:3] == ["column", "type", "kind"] and "record, row" in columns and "sqlite" in columns
    assert "id (key)" in text and "numeric(12,2)" in text and "\x1b" not in text
    only = explain(wb, db, "--tables", '"sch.ema".*').stdout
    assert "public.orders" not in only and "a (key)" in only and "b (key)" in only


def test_explain_what_is_not_there(wb, db, orders):
    done = explain(wb, db, "--tables", "public.order", code=3)
    assert "No table matches 'public.order'" in done.stderr and done.stdout == ""
    assert "types URL" in wb.command("explain", "type", db.url(), code=2).stderr
    assert "needs" in wb.command("explain", "types", code=2).stderr
    assert "postgres://" in wb.command("explain", "types", "oracle://x", code=2).stderr
    assert wb.command("explain", "types", db.url(port=1), code=3).stderr


def test_explain_changes_nothing(wb, db, orders):
    explain(wb, db)
    assert db.slots() == [] and db.publications() == []
    assert list(wb.dir.iterdir()) == []


def test_explain_many_tables(wb, db):
    db.sql("".join(f"create table t{i} (id int primary key, v text);" for i in range(300)))
    assert len(objects(wb, db)) == 600
