"""Copies whose parts are pages of the table's file: large tables in the order of their keys, without TOAST values. Pages outlive the
snapshot in which they were divided, though rows move meanwhile: what moved has changed, and the stream brings it."""
import random
import sqlite3
import time

import pytest

from compare import records, same_mirror, sqlite, wait_mirror
from copies import FAST, SMALL, each_read_once, folded, kill_some, reads
from program import wait_until
from test_copy import churn

pytestmark = pytest.mark.both


def narrow(db, table, rows):
    db.sql(f"create table {table} (id int primary key, v int, pad text, big text)")
    db.sql(f"alter table {table} alter big set storage external")
    db.sql(f"insert into {table} select g, g, repeat('x', 200) from generate_series(1, {rows}) g")
    db.sql(f"analyze {table}")


def by_pages(wb, tables=1):
    """The plan in the state: keys with the number of a file."""
    c = sqlite3.connect(f"file:{wb.state / 'state.db'}?mode=ro", uri=True)
    try:
        plan = c.execute("select value from source where key = 'copy/plan'").fetchone()
    finally:
        c.close()
    return (plan[0] if plan else b"").count(b"1:23@") == tables


ONE = {**SMALL, "snapshot_workers": 1, "snapshot_turn": "1ms"}  # a turn for each part


def mirrored(wb):
    try:
        return sqlite(wb.mirror).execute("select count(*) from a").fetchone()[0]
    except sqlite3.OperationalError:  # no file, no table
        return 0


def kill_amid(wb):
    """The first parts are at the targets, for sure; the others are not."""
    wb.start(env={"WB_FAULT": "copy.after_note@3:sleep=60000"})
    wait_until(lambda: mirrored(wb) and (not wb.out.exists() or reads(wb.out, "a")), 30, "the first parts", alive=wb)
    wb.kill9()
    assert by_pages(wb)


# proves G-06
def test_done_pages_are_not_read_again(wb, db):
    """Without writers each row is read once, in a file, whatever was killed when."""
    narrow(db, "a", 12000)
    wb.write([wb.file_target(fsync="5ms")], source=SMALL, **FAST)
    rng = random.Random(4)
    kill_some(wb, rng, 8, 0.1, 0.45)
    wb.until_now()
    each_read_once(wb.out, "a", 12000)


# proves G-06 G-02
def test_killed_again_and_again_while_rows_move(wb, db, load):
    narrow(db, "a", 8000)
    narrow(db, "b", 8000)
    wb.write([wb.sqlite_target(), wb.file_target()], source=SMALL, **FAST)
    rng = random.Random(21)
    writer = load(db, churn(rng, ["a", "b"], 8000), pause=0.002)
    kill_some(wb, rng, 7, 0.1, 0.5, after=lambda: db.sql(f"vacuum {rng.choice('ab')}"))  # room for rows to move into parts that are done
    wb.start()
    time.sleep(1)
    writer.stop()
    wait_mirror(wb, "a", "b", timeout=60)
    wb.term()
    wb.until_now()
    for t in ("a", "b"):
        folded(db, wb.out, t)


def make_room(db):
    """In the first pages: not before the snapshots of who was killed are gone, and of who copies in another database just now."""
    def empty():
        db.sql("vacuum (index_cleanup on) a")  # few dead rows: it would leave them in the index else
        return db.one("select coalesce(sum(avail), 0) from pg_freespace('a') where blkno < 6") > 30000
    db.sql("create extension pg_freespacemap")
    wait_until(empty, 60, "room in the first pages")


# proves G-06
def test_rows_that_move_into_done_pages(fault_wb, db):
    """Between a crash and the rest of the copy, rows of the parts that are left are updated, and lie in those that are done now."""
    narrow(db, "a", 40000)
    fault_wb.write([fault_wb.sqlite_target(), fault_wb.file_target()], source=ONE, **FAST)
    kill_amid(fault_wb)
    assert max(map(int, reads(fault_wb.out, "a"))) < 39000, "those that are to move are done"
    db.sql("delete from a where id <= 200")
    make_room(db)
    db.sql("update a set v = -1 where id > 39900; update a set id = id + 10000 where id between 39800 and 39850")
    assert db.one("select count(*) from a where v = -1 and (ctid::text::point)[0] < 8") > 30, "they did not move"
    fault_wb.until_now()
    assert same_mirror(db, fault_wb.mirror, "a")
    folded(db, fault_wb.out, "a")


# proves G-06
@pytest.mark.parametrize("what", ["vacuum full a", "cluster a using a_v", "truncate a; insert into a select g, g, 'again' from generate_series(1, 900) g",
                                  "alter table a alter v type bigint", "alter table a drop constraint a_pkey, add primary key (id, v)"])
def test_another_file_or_key_begins_again(fault_wb, db, what):
    narrow(db, "a", 40000)
    db.sql("create index a_v on a (pad, id)")
    fault_wb.write([fault_wb.sqlite_target()], source=ONE, **FAST)
    kill_amid(fault_wb)
    db.sql("delete from a where id % 3 = 0")
    db.sql(what)
    fault_wb.until_now()
    assert "its copy begins again" in fault_wb.last_log()
    assert same_mirror(db, fault_wb.mirror, "a")


# proves G-06
def test_another_file_between_the_plan_and_the_snapshot(fault_wb, db):
    """The rest of the copy waits for its snapshot, behind a transaction; the file that was looked at is gone by then."""
    narrow(db, "a", 40000)
    db.sql("create table b (id int primary key)")
    fault_wb.write([fault_wb.sqlite_target()], source=ONE, **FAST)
    kill_amid(fault_wb)
    with db.connect() as c:
        c.autocommit = False
        c.execute("insert into b values (1)")
        fault_wb.start("--until", "now")
        wait_until(lambda: f"process {c.info.backend_pid}" in fault_wb.last_log(), 30, "a word about what it waits for", alive=fault_wb)
        db.sql("delete from a where id % 3 = 0")
        db.sql("vacuum full a")
        c.commit()
    fault_wb.wait_exit(0)
    log = fault_wb.last_log()
    assert "rewritten while the snapshot began" in log and "its copy begins again" in log
    assert same_mirror(db, fault_wb.mirror, "a")


# proves G-06
@pytest.mark.parametrize("why", ["random", "toast", "inserts only", "not analyzed", "a target without updates", "a filter"])
def test_tables_that_are_divided_by_keys(fault_wb, db, why):
    """Where rows lie anyhow, or not all of a change would come."""
    narrow(db, "a", 3000)
    more, target, pipeline = {}, {}, {}
    if why == "random":
        db.sql("create table b as select * from a order by md5(id::text); truncate a; insert into a select * from b; drop table b")
    elif why == "toast":
        db.sql("update a set big = repeat(md5(id::text), 300) where id = 5")
    elif why == "inserts only":
        db.sql("create publication a_few for table a with (publish = 'insert')")
        more = {"publication": "a_few"}
    elif why == "a target without updates":
        target = {"operations": ["insert"]}
    elif why == "a filter":
        pipeline = {"transforms": [{"filter": {"operations": ["insert"]}}]}
    else:
        db.sql("create table b (like a including all); insert into b select * from a; drop table a; alter table b rename to a")
    if why != "not analyzed":
        db.sql("analyze a")
    fault_wb.write([fault_wb.file_target(**target)], source={**SMALL, **more}, **pipeline, **FAST)
    fault_wb.run("--until", "now", env={"WB_FAULT": "copy.after_note@1:crash"}, code=137)
    assert by_pages(fault_wb, 0)
    fault_wb.until_now()
    assert len({r["record"]["id"] for r in records(fault_wb.out)}) == 3000
