"""Lines of the bug list (tests/README.md) that have no better place: what others lost in their first copy."""
import pytest

from compare import same_file, same_mirror, wait_file, wait_mirror
from program import wait_until

pytestmark = pytest.mark.both


def test_d25_d26_stale_statistics_and_empty_pages(wb, db):
    """The planner's idea of a table says nothing about where its rows are, and empty pages do not end it."""
    made = "(id int primary key, v text) with (autovacuum_enabled = off)"
    db.sql(f"create table stale {made}; insert into stale values (1, 'x'); analyze stale")
    db.sql("insert into stale select g, repeat('s', 400) from generate_series(2, 40000) g")
    db.sql("update pg_class set relpages = 1, reltuples = 1 where relname = 'stale'")
    db.sql(f"create table gaps {made}; insert into gaps select g, repeat('g', 400) from generate_series(1, 40000) g")
    db.sql("delete from gaps where id % 10000 not in (1, 2) and id < 39990")
    db.sql("vacuum gaps")
    db.sql(f"create table lies {made}; insert into lies select g, 'l' from generate_series(1, 20) g")
    db.sql("update pg_class set relpages = 100000, reltuples = 1e9 where relname = 'lies'")
    assert db.one("select count(*) from gaps") == 19
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    assert same_mirror(db, wb.mirror, "stale", "gaps", "lies")
    assert same_file(db, wb.out, "stale", "gaps", "lies")


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
    wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
    wait_until(lambda: wb.mirror.exists() and traffic.done > 200, 20, "more traffic", alive=wb)
    traffic.stop()
    wait_mirror(wb, "t")
    wait_file(wb, "t")
