"""Lines of the bug list (tests/README.md) that have no better place: what others lost in their first copy."""
import pytest

from compare import records, same_file, same_mirror, wait_file, wait_mirror
from copies import FAST, SMALL
from program import wait_until

pytestmark = pytest.mark.both


def test_d25_d26_stale_statistics_and_empty_pages(wb, db):
    """The planner's idea of a table says nothing about where its rows are, and empty pages do not end it."""
    made = "(id int primary key, v text) with (autovacuum_enabled = off)"
    db.sql(f"create table stale {made}; insert into stale values (1, 'x'); analyze stale")
    db.sql("insert into stale select g, repeat('s', 400) from generate_series(2, 6000) g")
    db.sql("update pg_class set relpages = 1, reltuples = 1 where relname = 'stale'")
    db.sql(f"create table gaps {made}; insert into gaps select g, repeat('g', 400) from generate_series(1, 6000) g")
    db.sql("delete from gaps where id % 1500 not in (1, 2) and id < 5990")
    db.sql("vacuum gaps")
    db.sql(f"create table lies {made}; insert into lies select g, 'l' from generate_series(1, 20) g")
    db.sql("update pg_class set relpages = 100000, reltuples = 1e9 where relname = 'lies'")
    assert db.one("select count(*) from gaps") == 19
    tables = ["stale", "gaps", "lies"]
    for t in list(tables):  # without a key parts are ranges of pages
        db.sql(f"create table {t}_pages (like {t}) with (autovacuum_enabled = off); insert into {t}_pages select * from {t} order by id")
        tables.append(f"{t}_pages")
    db.sql("insert into gaps_pages select g, repeat('g', 400) from generate_series(100001, 103000) g; insert into gaps_pages values (0, 'last')")
    db.sql("delete from gaps_pages where id > 100000")
    db.sql("vacuum gaps_pages")
    db.sql("update pg_class set relpages = 1, reltuples = 1 where relname in ('stale_pages', 'gaps_pages')")
    db.sql("update pg_class set relpages = 100000, reltuples = 1e9 where relname = 'lies_pages'")
    wb.write([wb.file_target(), wb.sqlite_target()], source=SMALL).until_now(timeout=90)
    assert same_mirror(db, wb.mirror, *tables)
    assert same_file(db, wb.out, *tables)


def test_d27_rows_that_change_while_they_are_copied(wb, db, load):
    """Updated, deleted, moved to another page and key, and inserted, everywhere in the table, all through the copy."""
    db.sql("create table t (id int primary key, n int, pad text)")
    db.sql("insert into t select g, 0, repeat('p', 300) from generate_series(1, 30000) g")

    def change(c, i):
        at = (i * 7919) % 30000
        c.execute("update t set n = n + 1, pad = pad || 'x' where id between %s and %s", (at, at + 20))
        c.execute("delete from t where id = %s", (at + 21,))
        c.execute("update t set id = id + 1000000 where id = %s", (at + 22,))
        c.execute("insert into t values (%s, -1, 'new')", (2000000 + i,))
    traffic = load(db, change)
    wait_until(lambda: traffic.done > 20, 10, "traffic")
    wb.write([wb.file_target(), wb.sqlite_target()], source=SMALL, **FAST).start()
    before = traffic.done
    wait_until(lambda: any(r["event_type"] != "READ" for r in records(wb.out)) if wb.out.exists() else False, 30, "the end of the copy", alive=wb)
    assert traffic.done > before, "nothing changed during the copy"
    traffic.stop()
    wait_mirror(wb, "t")
    wait_file(wb, "t")
