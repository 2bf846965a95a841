"""Large transactions, streamed before they commit or not: whole, in order, without what was rolled back, in bounded memory."""
import os
import random

import pytest

from compare import no_repeats, records, same_mirror, wait_file, wait_mirror
from program import wait_until

SANITIZED = "WB_SLOW" in os.environ


@pytest.fixture
def eager(db):
    """The server streams everything larger than 64 kB."""
    db.decode_in_little_memory()
    db.sql("create table t (id int primary key, v text); create table u (id int primary key, v text)")


MODES = pytest.mark.parametrize("streaming", ["on", "off"])


@pytest.mark.both
@pytest.mark.sanitize
@pytest.mark.parametrize("streaming", [pytest.param("on", marks=pytest.mark.older), "off"])
def test_aborted_savepoints_and_interleaved_transactions(wb, db, eager, streaming):  # proves G-04 G-05
    wb.write([wb.file_target(format_options={"event_id": True}), wb.sqlite_target()],
             source={"streaming": streaming == "on"}).start().streaming()
    r = random.Random(5)
    a, b = db.connect(), db.connect()
    for c in (a, b):
        c.autocommit = False
    for n in range(12):
        for c, base in ((a, 0), (b, 10_000_000)):
            base += n * 100_000
            c.execute("savepoint s")
            c.execute("insert into t select g, repeat('a', 50) from generate_series(%s::int, %s::int) g", (base, base + r.randint(1, 1500)))
            c.execute("savepoint inner_one")
            c.execute("insert into u select g, 'inner' from generate_series(%s::int, %s::int) g", (base, base + r.randint(1, 1500)))
            if r.random() < 0.4:
                c.execute("rollback to inner_one")
            if r.random() < 0.4:
                c.execute("rollback to s")
            c.execute("insert into t select g, 'kept' from generate_series(%s::int, %s::int) g", (base + 50_000, base + 50_000 + r.randint(1, 500)))
        db.sql(f"insert into u values ({90_000_000 + n}, 'in between')")
    b.commit()
    a.commit()
    c = db.connect()
    c.autocommit = False
    c.execute("insert into t select g, 'never' from generate_series(50000000, 50020000) g")
    c.rollback()
    db.sql("insert into u values (99000000, 'end')")
    wait_mirror(wb, "t", "u", timeout=60)
    wait_file(wb, "t", "u", timeout=60)
    wb.term()
    got = records(wb.out)
    assert not any(x["record"]["v"] == "never" for x in got)
    order = [x["transaction_id"] for x in got]
    blocks = [x for i, x in enumerate(order) if i == 0 or order[i - 1] != x]
    assert len(blocks) == len(set(blocks)), "a transaction is not in one piece"
    big = [x for x in blocks if order.count(x) > 100]
    first = next(x for x in got if x["transaction_id"] == big[0])
    assert int(first["record"]["id"]) >= 10_000_000, "b committed first"
    assert len({x["event_id"] for x in got}) == len(got)
    if streaming == "on" and db.server.version >= 14:
        assert db.one("select stream_txns from pg_stat_replication_slots join pg_replication_slots using (slot_name) "
                      "where database = current_database()") > 0, "the server did not stream"


@pytest.mark.both
@MODES
def test_key_change_and_schema_change_inside_a_large_transaction(wb, db, eager, streaming):
    wb.write([wb.file_target(), wb.sqlite_target()], source={"streaming": streaming == "on"}).start().streaming()
    db.transaction("insert into t select g, repeat('a', 100) from generate_series(1, 3000) g",
                   "alter table t add column n int default 7",
                   "insert into t select g, 'b', g from generate_series(3001, 6000) g",
                   "update t set id = id + 100000 where id % 3 = 0",
                   "delete from t where id % 3 = 1")
    wait_mirror(wb, "t", timeout=40)
    wb.term()
    for x in records(wb.out):
        if x["event_type"] == "INSERT":
            assert ("n" in x["record"]) == (int(x["record"]["id"]) > 3000), "a row with another row's schema"


def test_value_of_100_mb(wb, db):  # proves G-09
    db.sql("create table t (id int primary key, v text)")
    db.sql("insert into t values (1, repeat('snapshot', 1000000))")
    wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
    db.sql("insert into t values (2, repeat('x', 100000000)), (3, 'small')")
    wait_until(lambda: wb.mirror.exists() and mirror_lengths(wb) == [(1, 8000000), (2, 100000000), (3, 5)], 60, "the large value", alive=wb)
    wait_until(lambda: wb.out.stat().st_size > 108_000_000, 30, "the large line", alive=wb)
    wb.term()
    assert [len(r["record"]["v"]) for r in records(wb.out)] == [8000000, 100000000, 5]


def mirror_lengths(wb):
    import sqlite3
    c = sqlite3.connect(f"file:{wb.mirror}?mode=ro", uri=True)
    try:
        return c.execute("select id, length(v) from t order by id").fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        c.close()


@pytest.mark.both
def test_row_larger_than_max_row_is_refused(wb, db):  # proves G-09 G-10
    db.sql("create table t (id int primary key, v text)")
    wb.write([wb.file_target()], max_row="1MB").start().streaming()
    db.sql("insert into t values (1, repeat('x', 3000000))")
    wb.wait_exit((3, 4), 30)
    assert "max_row" in wb.last_log() and "public.t" in wb.last_log()
    wb.write([wb.file_target()], max_row="8MB").until_now()
    assert no_repeats(wb.out, "t") == 1


@MODES
def test_memory_of_a_transaction_with_a_million_rows(wb, db, streaming):  # proves G-09
    """Into every target at once. Five million rows: bench/memory."""
    rows = 100_000 if SANITIZED or os.environ.get("WB_QUICK") else 1_000_000 if streaming == "on" else 400_000
    db.sql("create table t (id int primary key, a int, v text)")
    targets = [wb.file_target(), wb.sqlite_target(), wb.sqlite_target(name="log", path="log.db", mode="log")]
    wb.write(targets if streaming == "on" else targets[:2],
             source={"streaming": streaming == "on", "tables": ["public.t"]}).start().streaming()
    db.sql(f"insert into t select g, g * 7, 'abcdefghijklmnopqrst' from generate_series(1, {rows}) g")
    wait_until(lambda: count_lines(wb.out) == rows, 120, "all lines", alive=wb)
    wait_until(lambda: sqlite_rows(wb.mirror, "t") == rows, 120, "all rows", alive=wb)
    if streaming == "on":
        wait_until(lambda: sqlite_rows(wb.dir / "log.db", "changes") == rows, 120, "all changes", alive=wb)
    peak = wb.peak_rss()
    wb.term()
    assert SANITIZED or peak < 64, f"{peak:.0f} MB"


def count_lines(path):
    n = 0
    if path.exists():
        with open(path, "rb") as f:
            while piece := f.read(1 << 20):
                n += piece.count(b"\n")
    return n


def sqlite_rows(path, table):
    import sqlite3
    try:
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute(f"select count(*) from {table}").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
