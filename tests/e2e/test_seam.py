"""Where the snapshot ends and the stream begins: one history, whatever happens between the two."""
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from compare import records, same_file, same_mirror, wait_mirror
from program import wait_until

pytestmark = pytest.mark.both


# proves G-06
def test_rewrite_between_snapshot_and_lock(fault_wb, db):
    """ALTER TABLE that rewrites does not obey snapshots: without care the table would have been copied empty."""
    db.sql("create table a (id int primary key, v int)")
    db.sql("insert into a select g, g from generate_series(1, 500) g")
    fault_wb.write([fault_wb.sqlite_target()], backoff_min="10ms", backoff_max="100ms")
    fault_wb.start("--until", "now", env={"WB_FAULT": "postgres.snapshot_exported:sleep=1500"})
    wait_until(lambda: "made the replication slot" in fault_wb.last_log(), 20, "a slot", alive=fault_wb)
    db.sql("alter table a alter column v type bigint using v * 2")
    db.sql("update a set v = v + 1 where id = 1")
    fault_wb.wait_exit(0)
    assert "rewritten while the snapshot began" in fault_wb.last_log()
    with sqlite3.connect(fault_wb.mirror) as mirror:
        assert mirror.execute("select count(*), sum(v) from a").fetchone() == (500, 500 * 501 + 1)


# proves G-06
@pytest.mark.older
def test_changes_during_the_copy(fault_wb, db):
    """What is committed between the slot's snapshot and the copy comes once, from the stream."""
    db.sql("create table a (id int primary key, v int)")
    db.sql("insert into a select g, 0 from generate_series(1, 500) g")
    fault_wb.write([fault_wb.sqlite_target(), fault_wb.file_target(format="row", format_options={"op_key": "_op"})])
    fault_wb.start(env={"WB_FAULT": "postgres.snapshot_exported:sleep=1000"})
    wait_until(lambda: "made the replication slot" in fault_wb.last_log(), 20, "a slot", alive=fault_wb)
    db.sql("update a set v = 1 where id = 7")
    db.sql("insert into a values (1000, 5)")
    db.sql("delete from a where id = 8")

    def arrived():
        try:
            with sqlite3.connect(f"file:{fault_wb.mirror}?mode=ro", uri=True) as mirror:
                return mirror.execute("select count(*), sum(v) from a").fetchone() == (500, 6)
        except sqlite3.OperationalError:  # no file, no table
            return False
    wait_until(arrived, 20, "the mirror", alive=fault_wb)
    fault_wb.term()
    lines = fault_wb.out.read_text().splitlines()
    assert len(lines) == 503, "500 rows read, then three changes"


def stopped(process):
    """It came to a fault point that stops it."""
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


# proves G-06
def test_a_truncate_that_waits_does_not_stop_the_copy(fault_wb, db, load):
    """Between the locks of the first connection and those of the others a TRUNCATE queues: whoever asks for a lock now waits
    behind it, and it waits for the first connection. The copy goes on with that one."""
    db.sql("create table a (id int primary key, pad text)")
    db.sql("insert into a select g, repeat('x', 300) from generate_series(1, 4000) g")
    fault_wb.write([fault_wb.sqlite_target(), fault_wb.file_target()], source={"snapshot_chunk": "64kB", "snapshot_workers": 3})
    fault_wb.start(env={"WB_FAULT": "postgres.tables_locked:stop"})
    wait_until(lambda: stopped(fault_wb.process), 30, "the first connection has its locks", alive=fault_wb)
    application = load(db, lambda c, i: c.execute("truncate a" if i == 0 else "select pg_sleep(0.05)"))
    wait_until(lambda: db.sql("select 1 from pg_locks where relation = 'a'::regclass and not granted"), 20, "a TRUNCATE that waits")
    fault_wb.process.send_signal(signal.SIGCONT)
    wait_until(lambda: application.done > 0, 30, "the TRUNCATE has had its turn", alive=fault_wb)
    application.stop()
    assert "copies with 1 connection(s), not 3" in fault_wb.last_log()
    db.sql("insert into a values (1, 'after')")
    wait_mirror(fault_wb, "a")
    fault_wb.term()
    reads = sum('"event_type":"READ"' in line for line in fault_wb.out.read_text().splitlines())
    assert reads == 4000, "what was there when the snapshot was taken"


# proves G-06
def test_d27_a_copy_is_at_its_point_of_the_stream(fault_wb, db):
    """A table is read again. The stream has not brought the last commit that the snapshot has, and the first one that it has not
    follows at once: the first comes before the copy, the other after it, or the copy's row would overwrite it for good."""
    wb = fault_wb
    db.sql("create table a (id int primary key, v int); insert into a select g, 0 from generate_series(1, 500) g")
    wb.write([wb.sqlite_target(), wb.file_target()]).start(env={"WB_FAULT": "postgres.copy_snapshot:stop"}).streaming()
    wait_mirror(wb, "a")
    sender = db.one("select active_pid from pg_replication_slots where database = current_database()")
    os.kill(sender, signal.SIGSTOP)
    try:
        db.sql("insert into a values (501, 0)")
        wb.command("resync", wb.file, "a", code=0)
        wait_until(lambda: stopped(wb.process), 30, "a snapshot")
        db.sql("update a set v = 1 where id = 7")
    finally:
        os.kill(sender, signal.SIGCONT)
    wb.process.send_signal(signal.SIGCONT)
    db.sql("insert into a values (502, 0)")

    def events(key):
        return [r["event_type"] for r in records(wb.out) if r["record"] and r["record"]["id"] == key]
    wait_until(lambda: len(events("500")) == 2 and events("502"), 30, "the second copy, and what follows it", alive=wb)
    wb.term()
    assert events("501") == ["INSERT", "READ"] and events("7") == ["READ", "READ", "UPDATE"] and events("502") == ["INSERT"]
    assert same_mirror(db, wb.mirror, "a") and same_file(db, wb.out, "a")


# proves G-06
def test_a_copy_behind_transactions_that_overlap(wb, db):
    """There is always one open transaction: the copy says whom it waits for, the stream flows, and the copy comes in the end."""
    db.sql("create table a (id int primary key, v int); create table other (id serial primary key)")
    db.sql("insert into a select g, g from generate_series(1, 500) g")
    wb.write([wb.sqlite_target()], checkpoint_interval="50ms").start().streaming()
    wait_mirror(wb, "a")
    with db.connect() as one, db.connect() as two:
        for c in (one, two):
            c.autocommit = False
        one.execute("insert into other default values")
        with sqlite3.connect(wb.mirror, timeout=10) as mirror:
            mirror.execute("delete from a where id < 100")
        wb.command("resync", wb.file, "a", code=0)
        wait_until(lambda: f"process {one.info.backend_pid}" in wb.last_log(), 30, "a word about the first one", alive=wb)
        for n in range(2):
            late, early = (two, one) if n == 0 else (one, two)
            late.execute("insert into other default values")
            early.commit()
            db.sql(f"insert into a values ({1000 + n}, 0)")
            wait_until(lambda: sqlite3.connect(wb.mirror).execute(f"select 1 from a where id = {1000 + n}").fetchone(), 30,
                       "the stream flows", alive=wb)
        one.commit()
    wait_until(lambda: same_mirror(db, wb.mirror, "a"), 60, "the copy", alive=wb)
