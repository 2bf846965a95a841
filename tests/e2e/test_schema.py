"""The source's tables change: rows are read with the schema they had, and the mirror follows."""
import re
import threading
import time

import pytest

from compare import changes, records, same_file, same_mirror, sqlite, wait_file, wait_mirror
from program import wait_until
from servers import Database

pytestmark = pytest.mark.both


@pytest.fixture
def run(wb, db):
    db.sql("create table t (id int primary key, a text, b int)")
    db.sql("insert into t select g, 'a' || g, g from generate_series(1, 5) g")
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_mirror(wb, "t")
    return wb


def names(wb, table="t"):
    return [r[1] for r in sqlite(wb.mirror).execute(f'pragma table_info("{table}")')]


def test_d31_rows_of_yesterday_have_yesterdays_schema(wb, db):  # proves G-07
    """All of it happens while nobody reads; the catalog then knows only the end of the story."""
    db.sql("create table t (id int primary key, a text, b int)")
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    db.sql("insert into t values (1, 'one', 1)")
    db.sql("alter table t add column c text")
    db.sql("insert into t values (2, 'two', 2, 'c2')")
    db.sql("alter table t drop column a")
    db.sql("insert into t values (3, 3, 'c3')")
    db.sql("alter table t rename column b to a")
    db.sql("insert into t values (4, 4, 'c4')")
    wb.until_now()
    rows = [r["record"] for r in records(wb.out) if r["event_type"] == "INSERT"]
    assert rows == [{"id": "1", "a": "one", "b": "1"}, {"id": "2", "a": "two", "b": "2", "c": "c2"},
                    {"id": "3", "b": "3", "c": "c3"}, {"id": "4", "a": "4", "c": "c4"}]


def test_added_column_with_a_default_reaches_old_rows(run, db):
    wb = run
    db.sql("alter table t add column n int default 42, add column w text default 'it''s \"x\"', add column e text")
    db.sql("insert into t values (6, 'x', 6, 1)")
    wait_mirror(wb, "t")
    db.sql("alter table t add column at timestamptz default '2024-01-01 00:00:00+00'")
    db.sql("update t set b = 7 where id = 6")
    wait_mirror(wb, "t")


def test_renamed_column_keeps_its_values(run, db):
    wb = run
    db.sql("alter table t rename column a to label")
    db.sql("insert into t values (6, 'x', 6)")
    wait_mirror(wb, "t")
    assert "a" not in names(wb)


def test_two_columns_that_swap_names(run, db):
    wb = run
    db.sql("alter table t add column c text default 'c'")
    db.transaction("alter table t rename column a to tmp", "alter table t rename column c to a", "alter table t rename column tmp to c")
    db.sql("insert into t (id, a, b, c) values (6, 'new a', 6, 'new c')")
    wait_mirror(wb, "t")


def test_dropped_column_is_kept_by_default(run, db):
    wb = run
    db.sql("alter table t drop column a")
    db.sql("insert into t values (6, 6)")
    wait_mirror(wb, "t")
    assert "a" in names(wb)
    assert sqlite(wb.mirror).execute("select a from t where id = 1").fetchone() == ("a1",)


def test_dropped_column_dropped(wb, db):
    db.sql("create table t (id int primary key, a text, b int); insert into t values (1, 'a', 1)")
    wb.write([wb.sqlite_target(on_drop="drop")]).start()
    wait_mirror(wb, "t")
    db.sql("alter table t drop column a")
    db.sql("insert into t values (2, 2)")
    wait_mirror(wb, "t")
    wait_until(lambda: "a" not in names(wb), 5, "the column to go")


def test_dropped_and_added_again_under_the_same_name(run, db):
    wb = run
    db.transaction("alter table t drop column a", "alter table t add column a int default 5")
    db.sql("insert into t (id, b, a) values (6, 6, 7)")
    wait_mirror(wb, "t")


def test_changed_type_marks_the_table_stale(run, db):
    """A rewrite sends no rows: old values in the mirror keep the old form. It says so, and goes on."""
    wb = run
    db.sql("alter table t alter column b type numeric(10,3)")
    db.sql("insert into t values (6, 'x', 6.5)")
    wait_until(lambda: sqlite(wb.mirror).execute("select count(*) from t where id = 6").fetchone()[0] == 1, 20, "the new row", alive=wb)
    wait_until(lambda: "stale" in wb.command("status", wb.file).stdout, 20, "a word in status", alive=wb)
    wb.term()
    assert "stale" in wb.check().stdout
    assert "stale" in wb.log() and "public.t" in wb.log()


def test_unknowable_default_marks_the_table_stale(run, db):
    """A volatile default rewrites the table: each old row has its own value, which no event tells."""
    wb = run
    db.sql("alter table t add column u uuid default md5(random()::text)::uuid")
    db.sql("insert into t (id) values (6)")
    wait_until(lambda: sqlite(wb.mirror).execute("select count(*) from t where id = 6").fetchone()[0] == 1, 20, "the new row", alive=wb)
    wait_until(lambda: "stale" in wb.command("status", wb.file).stdout, 20, "a word in status", alive=wb)


def test_on_schema_change_stop(wb, db):
    db.sql("create table t (id int primary key, a text); insert into t values (1, 'x')")
    wb.write([wb.file_target(), wb.sqlite_target(on_schema_change="stop", name="mirror")]).start()
    wait_mirror(wb, "t")
    db.sql("alter table t add column n int")
    db.sql("insert into t values (2, 'y', 2)")
    wait_until(lambda: "mirror" in wb.last_log() and re.search("schema|column", wb.last_log()) or not wb.running(), 20, "the stop")
    assert sqlite(wb.mirror).execute("select count(*) from t").fetchone()[0] == 1
    wait_until(lambda: len(changes(wb.out)) == 2, 20, "the other target to go on")


def test_key_changes(run, db):
    wb = run
    db.transaction("alter table t drop constraint t_pkey", "alter table t alter column b set not null", "alter table t add primary key (b)")
    db.sql("insert into t values (1, 'same id, other b', 100)")
    db.sql("update t set a = 'upd' where b = 3")
    wait_mirror(wb, "t")


def test_table_dropped_and_made_again(run, db):
    wb = run
    db.sql("drop table t")
    db.sql("create table t (id int primary key, other text)")
    db.sql("insert into t values (1, 'x')")
    wait_until(lambda: "public.t" in wb.last_log() or '"t"' in wb.last_log() or "t" in wb.command("status", wb.file).stdout, 20,
               "a word about the new table", alive=wb)
    assert wb.running()


def test_table_renamed(run, db):
    wb = run
    db.sql("alter table t rename to renamed")
    db.sql("insert into renamed values (6, 'x', 6)")
    wait_until(lambda: any(r["table_name"] == "renamed" for r in records(wb.out)), 20, "the row under its new name", alive=wb)
    db.sql("update renamed set a = 'y' where id = 1")
    wait_until(lambda: len(changes(wb.out)) == 7, 20, "the update", alive=wb)


def test_schema_changes_between_runs_and_in_one_transaction(wb, db):
    db.sql("create table t (id int primary key, a text)")
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    for n in range(4):
        db.transaction(f"insert into t (id) values ({10 * n})", f"alter table t add column c{n} int default {n}",
                       f"insert into t (id, c{n}) values ({10 * n + 1}, 99)")
        if n == 2:
            db.sql("alter table t rename column c0 to zero")
        wb.until_now()
    assert same_mirror(db, wb.mirror, "t")


def test_generated_and_identity_columns(wb, db):
    db.sql("create table t (id int generated always as identity primary key, a int, twice int generated always as (a * 2) stored)")
    db.sql("insert into t (a) values (1)")
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_until(lambda: len(changes(wb.out)) == 1, 20, "snapshot", alive=wb)
    db.sql("insert into t (a) values (2)")
    wait_until(lambda: len(changes(wb.out)) == 2, 20, "stream", alive=wb)
    wb.term()
    a, b = (set(r["record"]) for r in changes(wb.out))
    assert a == b, "snapshot and stream differ in their columns"


def test_partitioned_table(wb, db):
    db.sql("create table p (id int, k int, v text, primary key (id, k)) partition by range (k)")
    db.sql("create table p1 partition of p for values from (0) to (10); create table p2 partition of p for values from (10) to (20)")
    db.sql("insert into p values (1, 1, 'x'), (2, 11, 'y')")
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_until(lambda: len(changes(wb.out)) == 2, 20, "snapshot", alive=wb)
    db.sql("insert into p values (3, 3, 'z'); update p set k = 12 where id = 1; delete from p where id = 2")
    # one name for a row, in snapshot and stream alike: the root's, or the partition's
    wait_until(lambda: len(changes(wb.out)) >= 5, 20, "stream", alive=wb)
    wb.term()
    tables = {r["table_name"] for r in changes(wb.out)}
    assert tables == {"p"} or tables == {"p1", "p2"}, tables
    if tables == {"p"}:
        assert same_mirror(db, wb.mirror, "p") and same_file(db, wb.out, "p", key=("id", "k"))
    else:
        assert same_mirror(db, wb.mirror, "p1", "p2")


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "never"])
def test_commit_that_other_sessions_do_not_see_yet(make_wb, own_server, seen):
    """The server sends a transaction before others see it, behind a synchronous standby long before. The catalog is asked only when
    it shows what the transaction did to a column; when it never does, the mirror says what it cannot know."""
    db = Database(own_server("synchronous_standby_names=nobody", "synchronous_commit=local"))
    db.sql("create table t (id int primary key); insert into t values (1)")
    wb = make_wb(db)
    wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
    wait_mirror(wb, "t")
    with db.connect() as c:
        pid = c.info.backend_pid

        def commit():
            c.execute("set synchronous_commit = on")
            c.execute("begin; alter table t add column v int default 42; insert into t values (2, 3); commit")
        t = threading.Thread(target=commit)
        t.start()
        waiting = "select count(*) from pg_stat_activity where pid = %s and wait_event = 'SyncRep'"
        wait_until(lambda: db.one(waiting, pid) == 1, 10, "the commit to wait")
        time.sleep(1 if seen else 4)
        assert len(changes(wb.out)) == (1 if seen else 2)
        db.sql(f"select pg_cancel_backend({pid})")
        t.join(10)
    if seen:
        wait_mirror(wb, "t")
        assert sqlite(wb.mirror).execute("select * from t order by 1").fetchall() == [(1, 42), (2, 3)]
        assert "stale" not in wb.log()
    else:
        assert "cannot see it" in wb.log() and "stale" in wb.log()
