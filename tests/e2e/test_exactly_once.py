"""kill -9 at random moments under load: nothing lost, nothing twice. The long version is tests/chaos."""
import json
import os
import random
import threading
import time

import pytest

import shop
from compare import no_repeats, records, same_file, same_mirror, wait_file, wait_mirror
from conftest import needs
from program import wait_until

pytestmark = pytest.mark.both


@pytest.mark.sanitize
@pytest.mark.parametrize("seed", [1, 2])
def test_kill_9_under_load(wb, db, load, seed):  # proves G-01 G-02
    shop.create(db, 300)
    wb.write([wb.file_target(), wb.sqlite_target(), wb.sqlite_target(name="log", path="log.db", mode="log")])
    r = random.Random(seed)
    wb.start().streaming()
    traffic = load(db, shop.Traffic(seed, wide=60))
    for _ in range(5):
        time.sleep(r.uniform(0.05, 0.9))
        wb.kill9()
        wb.start()
    time.sleep(0.5)
    traffic.stop()
    wait_mirror(wb, *shop.TABLES, timeout=60)
    wait_file(wb, *shop.TABLES, timeout=60)
    wb.term()
    # exactly once: the insert-only table has each row once in the file, and the log's events fit together (fold says so)
    assert no_repeats(wb.out, "audit_log") == db.one("select count(*) from audit_log")
    assert same_file(db, wb.dir / "log.db", *shop.TABLES), "TERM delivers what was read to every target"


def test_kill_9_during_the_snapshot(wb, db):  # proves G-06
    shop.create(db, 8000)
    wb.write([wb.file_target(), wb.sqlite_target()])
    for seen in (1, 4000, 12000):
        wb.start()
        wait_until(lambda: wb.out.exists() and wb.out.stat().st_size > seen * 100, 30, "part of the snapshot", alive=wb)
        wb.kill9()
    wb.until_now()
    assert same_mirror(db, wb.mirror, *shop.TABLES)
    assert same_file(db, wb.out, *shop.TABLES)
    assert len(db.slots()) == 1, "an unfinished snapshot left its slot behind"


def test_d6_rows_of_one_copy_share_one_lsn(fault_wb, db):
    """The rest of a COPY was skipped after a restart, because all its rows have the same position."""
    wb = fault_wb
    db.sql("create table t (id int primary key, v text)")
    wb.write([wb.file_target(), wb.sqlite_target()], memory="4MB").start().streaming()
    with db.connect() as c, c.cursor().copy("copy t from stdin") as copy:
        for i in range(100000):
            copy.write_row((i, "x" * 40))
    for _ in range(3):
        time.sleep(0.15)
        if wb.running():
            wb.kill9()
        wb.start()
    wait_mirror(wb, "t", timeout=60)
    wait_until(lambda: no_repeats(wb.out, "t") == 100000, 30, "every row once", alive=wb)
    wb.term()


def test_stopped_inside_a_transaction_that_is_not_wanted_any_more(fault_wb, db):  # proves G-01 G-02
    """What was counted inside it is not counted off the next one; while it is wanted, its rows do not come again."""
    wb = fault_wb
    db.sql("create table t (id int primary key, v text); create table u (id int primary key)")

    def stopped_inside(first, tables):
        wb.start(env={"WB_FAULT": "file.after_write@15:crash"}).streaming()
        size = wb.out.stat().st_size if wb.out.exists() else 0
        db.sql("insert into t select g, repeat('x', 200) from generate_series(%s::int, %s::int) g", first, first + 79999)
        wb.wait_exit(137, 40)
        assert size < wb.out.stat().st_size and no_repeats(wb.out, "t") < first + 79999, "not a part of it"
        db.sql("insert into u select generate_series(%s::int, %s::int)", first, first + 499)
        wb.write(targets, memory="4MB", source={"streaming": "off", "tables": tables})
        wb.until_now()

    targets = [wb.file_target(fsync="each")]
    wb.write(targets, memory="4MB", source={"streaming": "off"})
    stopped_inside(1, ["public.*"])
    assert no_repeats(wb.out, "t") == 80000 and no_repeats(wb.out, "u") == 500
    stopped_inside(80001, ["public.u"])
    assert no_repeats(wb.out, "u") == 1000


def test_stopped_inside_a_transaction_and_then_another_publication(fault_wb, db):  # proves G-01 G-02
    """The server would send other changes of it, or none: what was counted by the first one is not counted off those."""
    wb = fault_wb
    db.sql("create table t (id int primary key, v text); create table u (id int primary key); create publication t_and_u for table t, u; "
           "create publication u_alone for table u")

    def write(publication):
        wb.write([wb.file_target(fsync="each")], memory="4MB", source={"streaming": "off", "publication": publication})

    write("t_and_u")
    wb.start(env={"WB_FAULT": "file.after_write@15:crash"}).streaming()
    db.transaction("insert into t select g, repeat('x', 200) from generate_series(1, 80000) g", "insert into u select generate_series(1, 500)")
    wb.wait_exit(137, 40)
    assert 0 < no_repeats(wb.out, "t") < 80000, "not a part of it"
    db.sql("insert into u select generate_series(501, 1000)")
    write("u_alone")
    wb.until_now(code=3)
    assert "a part of the transaction" in wb.last_log() and "publication" in wb.last_log()
    write("t_and_u")
    wb.until_now()
    assert no_repeats(wb.out, "t") == 80000 and no_repeats(wb.out, "u") == 1000
    write("u_alone")  # now it is whole
    db.sql("insert into t values (80001, 'nobody'); insert into u select generate_series(1001, 1500)")
    wb.until_now()
    assert no_repeats(wb.out, "t") == 80000 and no_repeats(wb.out, "u") == 1500


def test_d5_d8_stopped_right_after_a_commit(fault_wb, db):
    """The target stands at the very end of what came last, no keepalive moved it on, and the source goes back to before that for
    another target: it does not come again, and nothing of the next one is taken for it."""
    wb = fault_wb
    needs(db.server, 14, "logical messages")
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target(fsync="each"), wb.sqlite_target()], source={"messages": True}).until_now()
    message = "select pg_logical_emit_message(%s, 'app', 'a message')"
    for step in (["insert into t values (1)"], [message % "true", "insert into t values (2)", message % "true"], [message % "false"],
                 ["insert into t values (3)"]):
        # the first journal is the start's own; the mirror is late
        wb.start(env={"WB_FAULT": "file.journal_synced@2:crash;sqlite.before_commit:sleep=60000"}).streaming()
        db.transaction(*step)
        wb.wait_exit(137, 30)
    wb.until_now()
    got = [r["record"]["id"] if r["event_type"] == "INSERT" else r["event_type"] for r in records(wb.out)]
    assert got == ["1", "MESSAGE", "2", "MESSAGE", "MESSAGE", "3"]
    assert same_mirror(db, wb.mirror, "t")


@pytest.mark.older
def test_d4_d5_stopped_between_small_transactions(wb, db):
    """COMMIT, BEGIN and the first row may share a position: stop and start after each. Changes are counted from the BEGIN on,
    whatever the connection brought before, or a count that was kept would mean others after a restart."""
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target(format_options={"event_id": True}), wb.sqlite_target()])
    for i in range(6):
        db.sql(f"insert into t values ({2 * i})")
        db.transaction(f"insert into t values ({2 * i + 1})", f"insert into t values ({1000 + i})")
        wb.until_now()
    assert same_mirror(db, wb.mirror, "t")
    assert no_repeats(wb.out, "t") == 18
    counted = {}
    for r in records(wb.out):
        if r["event_type"] == "INSERT":
            counted.setdefault(r["transaction_id"], []).append(int(r["event_id"].rsplit(":", 1)[1]))
    assert len(counted) >= 10 and all(n == list(range(len(n))) for n in counted.values()), counted


def test_d8_logical_message_then_insert_and_restart(wb, db):
    """Nobody wants them, and still they are counted, whatever the option, and end nothing."""
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target(format_options={"event_id": True})]).until_now()
    db.transaction("select pg_logical_emit_message(true, 'app', 'hello')", "insert into t values (1)",
                   "select pg_logical_emit_message(false, 'app', 'loose')", "insert into t values (2)",
                   "select pg_logical_emit_message(true, 'app', 'bye')")
    wb.until_now()
    wb.until_now()
    assert no_repeats(wb.out, "t") == 2
    assert [r["event_id"].rsplit(":", 1)[1] for r in records(wb.out)] == ["1", "2"]


def test_d10_transaction_open_across_restarts(wb, db):
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
    with db.connect() as c:
        c.autocommit = False
        c.execute("insert into t select generate_series(1, 100)")
        db.sql("insert into t values (1000)")
        wait_until(lambda: no_repeats(wb.out, "t") == 1, 20, "the small transaction", alive=wb)
        wb.term()
        wb.start().streaming()
        c.execute("insert into t select generate_series(101, 200)")
        wb.kill9()
        wb.start().streaming()
        c.commit()
    wait_mirror(wb, "t")
    wait_until(lambda: no_repeats(wb.out, "t") == 201, 20, "every row once", alive=wb)


def test_event_ids_are_the_same_in_a_repeat(wb, db):  # proves G-03
    """A FIFO gets some rows again after a crash, in order, with the ids that they had."""
    db.sql("create table t (id int primary key)")
    fifo = wb.dir / "pipe"
    os.mkfifo(fifo)
    wb.write([wb.file_target(path="pipe", format_options={"event_id": True})], source={"snapshot": "never"})
    got = []

    def read():
        with open(fifo, "rb") as f:
            for line in f:
                if line.endswith(b"\n"):
                    got.append(json.loads(line))
    for rnd in range(3):
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        wb.start().streaming()
        for i in range(20):
            db.transaction(f"insert into t values ({100 * rnd + 2 * i})", f"insert into t values ({100 * rnd + 2 * i + 1})")
        wait_until(lambda: got and got[-1]["record"]["id"] == 100 * rnd + 39, 20, "all rows", alive=wb)
        wb.kill9()
        reader.join(10)
    ids = {}
    for r in got:
        assert r["event_id"], "a change without an id"
        assert ids.setdefault(r["event_id"], r["record"]["id"]) == r["record"]["id"], "one id for two changes"
    assert len(ids) == 120 and sorted(ids.values()) == [100 * n + i for n in range(3) for i in range(40)]


def test_d2_idle_tables_do_not_hold_the_log(wb, db):  # proves G-01
    """Only an unpublished table is written: the slot moves on, from keepalives."""
    db.sql("create table quiet (id int primary key); create table busy (id int)")
    wb.write([wb.file_target()], source={"tables": ["public.quiet"]}).start().streaming()
    before = db.confirmed()
    db.sql("insert into busy select generate_series(1, 20000)")
    mark = db.one("select pg_current_wal_lsn()")
    db.sql("insert into busy values (0)")
    wait_until(lambda: db.one("select bool_and(confirmed_flush_lsn >= %s) from pg_replication_slots "
                              "where database = current_database()", mark), 40, f"slot past {mark} (was {before})", alive=wb)


def test_d11_confirmed_position_never_goes_back(wb, db, load):
    shop.create(db)
    """Not under load, not when the connection is cut and the stream begins anew, not at a restart."""
    wb.write([wb.file_target(), wb.sqlite_target()], source={"status_interval": "100ms"}, backoff_min="10ms").start().streaming()
    traffic = load(db, shop.Traffic(3), 0.001)
    seen = ["0/0"]

    def go_on(times):
        """Until the position has moved on so often."""
        aim = len(seen) + times

        def moved():
            now = db.confirmed()
            assert db.one("select %s::pg_lsn >= %s::pg_lsn", now, seen[-1]), f"{seen[-1]} then {now}"
            if now != seen[-1]:
                seen.append(now)
            return len(seen) >= aim
        end = time.monotonic() + 30 * float(os.environ.get("WB_SLOW", "1"))
        while not moved():
            assert time.monotonic() < end and wb.running(), wb.tail()
            time.sleep(0.02)
    go_on(2)
    db.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()")
    go_on(2)
    wb.kill9()
    wb.start()
    go_on(2)
    traffic.stop()
