"""Two processes with one pipeline: the second waits, takes over when the first one dies, and fences one that only slept."""
import signal
import time

import pytest

import shop
from compare import no_repeats, same_mirror, wait_file, wait_mirror
from program import wait_until

pytestmark = pytest.mark.both


@pytest.fixture
def second(make_wb, wb):
    """The same pipeline file and state folder, in another process."""
    other = make_wb(wb.db)
    other.runs = 50
    return other


def standing_by(second):
    wait_until(lambda: "stands by" in second.last_log(), 20, "the second one to stand by", alive=second)


@pytest.mark.parametrize("death", ["kill -9", "TERM"])
def test_standby_takes_over(wb, second, db, load, death):  # proves G-01 G-02
    """Under load, within seconds; nothing is lost and nothing repeated."""
    shop.create(db, 50)
    wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
    second.start("--standby")
    standing_by(second)
    traffic = load(db, shop.Traffic(3, wide=50), 0.002)
    time.sleep(1)
    assert second.running() and str(wb.process.pid) in second.last_log()
    if death == "TERM":
        wb.term()
    else:
        wb.kill9()
    wait_until(lambda: "streams from" in second.last_log(), 10, "the second one to stream", alive=second)
    time.sleep(0.5)
    traffic.stop()
    wait_mirror(second, *shop.TABLES, timeout=60)
    wait_file(second, *shop.TABLES, timeout=60)
    second.term()
    assert no_repeats(wb.out, "audit_log") == db.one("select count(*) from audit_log")
    assert len(db.slots()) == 1


def test_standby_without_a_first_one_just_runs(wb, db):
    shop.create(db, 5)
    wb.write([wb.sqlite_target()]).start("--standby").streaming()
    wait_mirror(wb, *shop.TABLES)
    wb.term()


def test_standby_ends_when_told_to(wb, second, db):
    db.sql("create table t (id int primary key)")
    wb.write([wb.sqlite_target()]).start().streaming()
    second.start("--standby")
    standing_by(second)
    second.term(timeout=5)
    second.run("--standby", "--until", "now", code=2, timeout=10)
    db.sql("insert into t values (1)")
    wait_mirror(wb, "t")
    wb.term()


def test_without_standby_the_second_is_refused(wb, second, db):
    """As ever, with a word about the other way."""
    db.sql("create table t (id int primary key)")
    wb.write([wb.sqlite_target()]).start().streaming()
    second.run(code=2, timeout=10)
    assert str(wb.process.pid) in second.last_log() and "--standby" in second.last_log()
    wb.term()


def test_one_that_only_slept_is_fenced(wb, second, db):  # proves G-02
    """A paused machine whose lock in the shared folder was given away: it must not write a row when it wakes."""
    db.sql("create table t (id int primary key, v text)")
    db.sql("insert into t values (1, 'a')")
    wb.write([wb.sqlite_target()]).start().streaming()
    wait_mirror(wb, "t")
    time.sleep(1.2)  # its checkpoint is written, its transaction closed
    wb.freeze()
    try:
        (wb.state / "lock").unlink()  # what a file server does whose lease has run out
        db.sql("insert into t values (2, 'b')")
        second.start()
        wait_mirror(second, "t", timeout=20)  # less than wal_sender_timeout
        assert "ended the server's process" in second.last_log()
    finally:
        wb.process.send_signal(signal.SIGCONT)
    wb.wait_exit((2, 3, 4), 15)
    assert "taken over" in wb.last_log()
    db.sql("insert into t values (3, 'c')")
    wait_mirror(second, "t")
    second.term()
    assert same_mirror(db, wb.mirror, "t")


def test_status_and_drop_see_who_runs(wb, second, db):
    db.sql("create table t (id int primary key)")
    wb.write([wb.sqlite_target()]).start().streaming()
    second.start("--standby")
    standing_by(second)
    wait_until(lambda: wb.status()["pid"] == wb.process.pid, 10, "status of the one that runs", alive=wb)
    assert str(wb.process.pid) in wb.command("drop", wb.file, "--yes", code=2).stderr
    wb.kill9()
    wait_until(lambda: wb.status()["pid"] == second.process.pid, 20, "status of the one that took over", alive=second)
    second.term()
    wb.command("drop", wb.file, "--yes", code=0)
    assert db.slots() == [] and not wb.state.exists()
