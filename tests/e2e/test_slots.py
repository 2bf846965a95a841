"""Slots in production: adopted, near their limit, lost, expired; and what is told to the server when."""
import os
import re
import subprocess
import time

import pytest

from compare import no_repeats, records, same_file, same_mirror, wait_mirror
from conftest import missing
from program import wait_until
from proxy import Proxy
from servers import KINDS, SCRIPT, Database, Server, pg_kinds

pytestmark = pytest.mark.both


def table(db):
    db.sql("create table t (id int primary key, v text)")
    db.sql("insert into t values (1, 'a')")


def lsn(text):
    hi, lo = str(text).split("+")[0].split("/")  # a target's position counts turns of copies, too
    return (int(hi, 16) << 32) + int(lo, 16)


# ---------------------------------------------------------------- adoption

def recvlogical(db, *args, timeout=None):
    """The installed client; it speaks to both versions."""
    bin_dir = subprocess.run([SCRIPT, "get"], capture_output=True, text=True, check=True).stdout.strip()
    return subprocess.run([f"{bin_dir}/pg_recvlogical", "-h", "127.0.0.1", "-p", str(db.server.port), "-U", "postgres", "-d", db.name, *args],
                          capture_output=True, timeout=timeout)


def a_slot_of_another_tool(db):
    """As Debezium makes them: its own publication, pgoutput, read up to some place; three rows come after it."""
    table(db)
    db.sql("create publication dbz_publication for all tables")
    db.sql("select pg_create_logical_replication_slot('debezium', 'pgoutput')")
    db.sql("insert into t values (2, 'read by the other')")
    end = db.one("select pg_current_wal_lsn()")
    db.sql("select pg_replication_slot_advance('debezium', %s)", end)
    db.sql("insert into t select g, 'not read' from generate_series(3, 5) g")
    return {"slot": "debezium", "publication": "dbz_publication"}


def test_slot_of_debezium_is_taken_over_where_it_stopped(wb, db):
    theirs = a_slot_of_another_tool(db)
    confirmed = db.confirmed()
    wb.write([wb.file_target()], source={**theirs, "snapshot": "never"}).until_now()
    assert [r["record"]["id"] for r in records(wb.out)] == ["3", "4", "5"]
    assert "takes over" in wb.log() and str(confirmed) in wb.log()
    db.sql("insert into t values (6, 'later')")
    wb.until_now()
    assert [r["record"]["id"] for r in records(wb.out)] == ["3", "4", "5", "6"]
    said = wb.command("drop", wb.file, "--yes", code=0).stdout
    assert "debezium stays" in said and "dbz_publication stays" in said and db.slots() == ["debezium"]


def test_slot_of_debezium_with_a_snapshot(wb, db):
    """The copy first; of what the slot still holds only that which the copy has not."""
    theirs = a_slot_of_another_tool(db)
    wb.write([wb.file_target(), wb.sqlite_target()], source=theirs).until_now()
    assert no_repeats(wb.out, "t") == 5 and same_mirror(db, wb.mirror, "t")
    db.sql("update t set v = 'x'")
    wb.until_now()
    assert same_mirror(db, wb.mirror, "t") and same_file(db, wb.out, "t")
    assert db.slots() == ["debezium"]


def test_slot_of_pg_recvlogical_with_its_position(wb, db):
    """The tool had written more than the server knows of: slot_position or start says so, and nothing comes twice."""
    table(db)
    db.sql("create publication pub for table t")
    assert recvlogical(db, "--slot", "theirs", "--create-slot", "-P", "pgoutput").returncode == 0
    db.sql("insert into t values (2, 'written by the tool')")
    position = db.one("select pg_current_wal_lsn()")
    db.sql("insert into t values (3, 'not yet')")
    source = {"slot": "theirs", "publication": "pub", "snapshot": "never"}
    wb.write([wb.file_target()], source={**source, "slot_position": "nonsense"}).run(code=(2, 3), timeout=20)
    assert "not an LSN" in wb.last_log()
    wb.write([wb.file_target()], source={**source, "slot_position": "7FFF/0"}).run(code=(2, 3), timeout=20)
    assert "log ends at" in wb.last_log()
    for start, words in (({"time": "soon"}, "no time since 1970"), ({"gtid": "0-1-2"}, "no place called gtid"), ("now", "is a map"),
                         ({"lsn": "nonsense"}, "not an LSN")):
        wb.write([wb.file_target()], source={**source, "start": start}).run(code=(2, 3), timeout=20)
        assert words in wb.last_log() and words in wb.command("check", wb.file, code=1).stdout, words
    wb.write([wb.file_target()], source={**source, "start": {"lsn": str(position)}, "slot_position": str(position)}).run(code=(2, 3), timeout=20)
    assert "leave one of them out" in wb.last_log()
    wb.write([wb.file_target()], source={**source, "slot": "nobodys", "start": {"lsn": str(position)}}).run(code=(2, 3), timeout=20)
    assert "does not exist" in wb.last_log() and db.slots() == ["theirs"]
    wb.write([wb.file_target()], source={**source, "start": {"lsn": str(position)}}).until_now()
    assert [r["record"]["id"] for r in records(wb.out)] == ["3"]


def test_slot_that_begins_after_its_tools_position(wb, db):
    """The offset is older than the slot: a gap, with its size."""
    theirs = a_slot_of_another_tool(db)
    wb.write([wb.file_target()], source={**theirs, "snapshot": "never", "slot_position": "0/100"}).run(code=3, timeout=20)
    assert re.search(r"\d+ bytes of log between are lost", wb.last_log())
    assert not records(wb.out)


@pytest.mark.parametrize("plugin", ["test_decoding", "physical"])
def test_slot_of_another_kind(wb, db, plugin):
    table(db)
    name = f"other_{db.name}"
    db.sql("create publication pub for table t")
    db.sql(f"select pg_create_physical_replication_slot('{name}')" if plugin == "physical" else
           f"select pg_create_logical_replication_slot('{name}', '{plugin}')")
    try:
        wb.write([wb.file_target()], source={"slot": name, "publication": "pub"}).run(code=3, timeout=20)
        assert plugin in wb.last_log() and name in wb.last_log()
    finally:
        db.sql("select pg_drop_replication_slot(%s)", name)


def test_slot_of_another_database(wb, db, pg):
    table(db)
    other = Database(pg)
    try:
        other.sql("create publication pub")
        other.sql(f"select pg_create_logical_replication_slot('of_{other.name}', 'pgoutput')")
        db.sql("create publication pub for table t")
        wb.write([wb.file_target()], source={"slot": f"of_{other.name}", "publication": "pub"}).run(code=3, timeout=20)
        assert other.name in wb.last_log() and db.name in wb.last_log()
    finally:
        other.remove()


# ---------------------------------------------------------------- failover property, by version

def test_failover_by_default_where_the_server_can(wb, db, pg):
    table(db)
    wb.write([wb.file_target()]).until_now()
    if pg.version < 17:
        wb.write([wb.file_target()], source={"failover": "on"})
        assert "PostgreSQL 17" in wb.check(code=1).stdout
        wb.run(code=3, timeout=20)
        assert "PostgreSQL 17" in wb.last_log()
        return
    assert db.one("select failover from pg_replication_slots where database = current_database()") is True
    for setting, value in (("off", False), ("auto", True)):  # changed in place, nothing is lost
        db.sql("insert into t values ((select max(id) + 1 from t), 'b')")
        wb.write([wb.file_target()], source={"failover": setting}).until_now()
        assert db.one("select failover from pg_replication_slots where database = current_database()") is value
    assert no_repeats(wb.out, "t") == 3


# ---------------------------------------------------------------- limits of the server

SMALL = ["max_slot_wal_keep_size=4MB", "max_wal_size=32MB", "min_wal_size=32MB", "wal_keep_size=0"]


@pytest.fixture(params=pg_kinds("pg15", "pg18"), scope="module")
def small_server(request):
    try:
        if request.param == "pg12":
            pytest.skip("PostgreSQL 12 has no max_slot_wal_keep_size: 13 brought it")
        server = Server(*KINDS[request.param], *SMALL)
    except RuntimeError as e:
        missing(str(e))
    yield server
    server.remove()


@pytest.fixture
def small(small_server):
    """A server that keeps little, with a table that fills the log."""
    db = Database(small_server)
    table(db)
    db.sql("create table other (id int, v text)")
    yield db
    db.remove()


def fill(db, megabytes):
    for _ in range(megabytes):
        db.sql("insert into other select g, repeat('x', 1000) from generate_series(1, 950) g; truncate other")


def lose(db):
    for _ in range(3):
        fill(db, 12)
        db.sql("select pg_switch_wal()")
        db.sql("checkpoint")
    assert db.one("select wal_status from pg_replication_slots where database = current_database()") == "lost"


def test_d30_lost_slot_reads_everything_again(make_wb, small):  # proves G-01
    """when_needed: a new slot, a new copy of every table, and rows that were deleted in the gap go, too."""
    db = small
    db.sql("insert into t select g, 'old' from generate_series(2, 100) g")
    wb = make_wb(db)
    wb.write([wb.sqlite_target()], source={"snapshot": "when_needed", "tables": ["public.t"]}).until_now()
    assert same_mirror(db, wb.mirror, "t")
    db.sql("delete from t where id > 50; update t set v = 'changed in the gap' where id < 10; insert into t values (500, 'new')")
    lose(db)
    wb.start().streaming()
    wait_mirror(wb, "t")
    assert "bytes of log" in wb.last_log() and "new snapshot" in wb.last_log()
    db.sql("insert into t values (501, 'streamed')")
    wait_mirror(wb, "t")
    wb.term()
    assert len(db.slots()) == 1


def test_lost_slot_of_another_tool_is_not_replaced(make_wb, small):
    """when_needed does not drop what is not ours: it says who must, and then makes its own."""
    db = small
    db.sql("create publication theirs for table t")
    db.sql("select pg_create_logical_replication_slot('theirs', 'pgoutput')")
    wb = make_wb(db)
    wb.write([wb.sqlite_target()], source={"snapshot": "when_needed", "slot": "theirs", "publication": "theirs"}).until_now()
    lose(db)
    wb.run(code=3, timeout=20)
    assert "pg_drop_replication_slot" in wb.last_log() and db.slots() == ["theirs"]
    db.sql("delete from t; select pg_drop_replication_slot('theirs')")
    wb.until_now()
    assert same_mirror(db, wb.mirror, "t") and db.slots() == ["theirs"]
    wb.command("drop", wb.file, "--yes", code=0)
    assert db.slots() == []


def test_lost_slot_ends_in_a_sentence(make_wb, small):
    db = small
    wb = make_wb(db)
    wb.write([wb.sqlite_target()], source={"tables": ["public.t"]}).until_now()
    lose(db)
    assert "lost" in wb.check(code=1).stdout
    server = wb.status()["source"]["server"]
    assert server["slot_state"] == "lost" and server["wal_status"] == "lost"
    wb.run(code=3, timeout=20)
    assert "max_slot_wal_keep_size" in wb.last_log() and "bytes of log" in wb.last_log() and "when_needed" in wb.last_log()
    wb.command("drop", wb.file, "--yes", code=0)
    assert db.slots() == []


def test_slot_near_its_limit_is_said_in_time(make_wb, small):
    """A target stands still: the log warns before the server gives the slot up, and status shows how much is left."""
    db = small
    db.sql("alter system set max_wal_size = '2GB'")  # no checkpoint while we look
    db.sql("select pg_reload_conf()")
    wb = make_wb(db)
    os.mkfifo(wb.dir / "pipe")
    held = os.open(wb.dir / "pipe", os.O_RDWR)
    try:
        wb.write([{"type": "file", "path": "pipe"}], source={"snapshot": "never", "tables": ["public.t"]}, memory="4MB").start().streaming()
        db.sql("insert into t select g, repeat('x', 1000) from generate_series(10, 8000) g")
        fill(db, 20)
        wait_until(lambda: "max_slot_wal_keep_size" in wb.last_log(), 30, "a warning", alive=wb)
        server = wait_until(lambda: wb.status()["source"]["server"], 20, "the server's facts")
        assert server["wal_status"] in ("reserved", "extended", "unreserved", "lost") and "safe_wal_size" in server
        assert "safe wal size" in wb.command("status", wb.file).stdout
    finally:
        wb.kill9()
        os.close(held)
        db.sql("alter system reset max_wal_size")
        db.sql("select pg_reload_conf()")


def test_idle_replication_slot_timeout(make_wb, own_server):
    """18: a slot that rested too long is given up; the reason is in the sentence."""
    server = own_server("--pg18", "idle_replication_slot_timeout=1s")
    db = Database(server)
    table(db)
    wb = make_wb(db)
    wb.write([wb.sqlite_target()]).until_now()
    assert "idle_replication_slot_timeout" in wb.check().stdout
    time.sleep(2.2)
    db.sql("checkpoint")
    assert db.one("select invalidation_reason from pg_replication_slots") == "idle_timeout"
    db.sql("insert into t values (2, 'in the gap')")
    wb.run(code=3, timeout=20)
    assert "idle_replication_slot_timeout" in wb.last_log() and "bytes of log" in wb.last_log()
    wb.write([wb.sqlite_target()], source={"snapshot": "when_needed"}).until_now()
    assert same_mirror(db, wb.mirror, "t")


# ---------------------------------------------------------------- what the server is told

def test_d1_only_what_is_durable_is_confirmed(make_wb, wb, db):  # proves G-01
    """A target that takes nothing, keepalives all the while: the confirmed position stays before what it lacks."""
    table(db)
    os.mkfifo(wb.dir / "pipe")
    held = os.open(wb.dir / "pipe", os.O_RDWR)
    try:
        wb.write([wb.sqlite_target(), {"type": "file", "path": "pipe"}], source={"snapshot": "never", "status_interval": "100ms"}).start().streaming()
        before = db.one("select pg_current_wal_lsn()")
        db.sql("insert into t select g, repeat('x', 100) from generate_series(10, 5000) g")
        end = db.one("select pg_current_wal_lsn()")
        wait_until(lambda: lsn(db.one("select sent_lsn from pg_stat_replication r join pg_replication_slots s on s.active_pid = r.pid "
                                      "where s.database = current_database() order by 1 desc limit 1")) > lsn(before) + 400_000, 20, "the rows to be sent", alive=wb)
        time.sleep(1.5)
        assert lsn(db.confirmed()) < lsn(end), "the server was told that the pipe has what it has not"
    finally:
        wb.kill9()
        os.close(held)


def test_d3_an_idle_pipeline_keeps_its_place(wb, db):
    """Progress without rows is kept as well: after a restart nothing is read again, and the log is not held."""
    table(db)
    db.sql("create table unpublished (id int)")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"tables": ["public.t"], "status_interval": "100ms"}).start().streaming()
    wait_mirror(wb, "t")
    db.sql("insert into unpublished select generate_series(1, 20000)")
    end = db.one("select pg_current_wal_lsn()")
    wait_until(lambda: lsn(db.confirmed()) >= lsn(end), 30, "the idle position to be confirmed", alive=wb)
    wb.kill9()
    wb.until_now()
    begins = re.findall(r"streams from ([0-9A-F]+/[0-9A-F]+)", wb.last_log())
    assert begins and lsn(begins[0]) >= lsn(end), f"it went back to {begins}, which was {end}"
    assert no_repeats(wb.out, "t") == 1


def test_d7_first_change_after_a_restart_is_not_the_next_one_seen(wb, db):
    """The stored position never comes up in the stream itself: what comes after it is taken all the same."""
    table(db)
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    for i in range(3):
        db.sql("insert into t values (%s, 'b')", 10 + i)
        db.sql("create table if not exists unpublished (id int); insert into unpublished select generate_series(1, 3000)")
        wb.until_now()
    assert no_repeats(wb.out, "t") == 4 and same_mirror(db, wb.mirror, "t")


def test_d28_what_is_confirmed_is_what_was_saved(fault_wb, db):  # proves G-01
    """The stream goes on while a checkpoint is written, and the process dies right after: nothing between is lost."""
    wb = fault_wb
    table(db)
    wb.write([wb.file_target(), wb.sqlite_target()], checkpoint_interval="50ms")
    late = "checkpoint.before_commit@4:sleep=2000;checkpoint.before_commit@4"  # time enough for a word to the server
    for i, point in enumerate(("checkpoint.after_commit@3", "checkpoint.before_settle@3", late)):
        wb.start(env={"WB_FAULT": f"{point}:crash"})
        for n in range(200):
            db.sql("insert into t values (%s, 'x')", 1000 * (i + 1) + n)
            if wb.process.poll() is not None:
                break
            time.sleep(0.01)
        wb.wait_exit(137, 20)
        saved = [t["position"] for t in wb.status()["targets"] if t["position"]]
        assert all(lsn(db.confirmed()) <= lsn(p) for p in saved), "confirmed beyond what the state holds"
    wb.until_now()
    assert same_mirror(db, wb.mirror, "t") and same_file(db, wb.out, "t")


def test_heartbeat(wb, db, pg):
    """It writes, it moves an idle pipeline on, and nobody sees it: not the targets either when they want messages."""
    table(db)
    db.sql("select pg_create_logical_replication_slot('watcher_' || current_database(), 'test_decoding')")
    wb.write([wb.file_target()], source={"heartbeat": "200ms", "messages": pg.version >= 14, "status_interval": "100ms"}).start().streaming()
    before = db.one("select pg_current_wal_lsn()")
    wait_until(lambda: db.one("select bool_and(confirmed_flush_lsn > %s::pg_lsn) from pg_replication_slots where database = current_database() "
                              "and plugin = 'pgoutput'", str(before)), 20, "the confirmed position to move", alive=wb)
    if pg.version >= 14:
        db.sql("select pg_logical_emit_message(true, 'app', 'for the targets')")
        wait_until(lambda: any("app" in str(r) for r in records(wb.out)), 20, "the application's message", alive=wb)
    wb.term()
    seen = [r[0] for r in db.sql("select data from pg_logical_slot_get_changes('watcher_' || current_database(), null, null)")]
    assert sum("prefix: walbrook" in s and "heartbeat" in s for s in seen) >= 2
    assert not any("heartbeat" in str(r) for r in records(wb.out))


def test_an_old_connection_that_the_server_believes_in_is_ended(wb, db):
    """The server does not notice that our connection is dead: the next start ends it instead of waiting a minute."""
    table(db)
    proxy = Proxy("127.0.0.1", db.server.port)
    try:
        wb.write([wb.file_target(), wb.sqlite_target()], source={"url": db.url(port=proxy.port)}).start().streaming()
        wait_mirror(wb, "t")
        proxy.stall()
        time.sleep(0.1)
        wb.kill9()
        assert db.slot_active(), "the server noticed by itself"
        db.sql("insert into t values (2, 'b')")
        wb.write([wb.file_target(), wb.sqlite_target()]).start()
        wait_mirror(wb, "t", timeout=20)
        assert "ended the server's process" in wb.last_log()
        wb.term()
        assert no_repeats(wb.out, "t") == 2
    finally:
        proxy.close()
