"""Several targets at different stands; targets that stop, come, go, or are not what the state remembers."""
import json
import os
import shutil
import sqlite3
import threading
import time

import pytest

import shop
from compare import no_repeats, records, same_file, same_mirror, wait_file, wait_mirror
from program import wait_until


def small(db, rows=5):
    db.sql("create table t (id int primary key, v text)")
    db.sql("insert into t select g, 'v' || g from generate_series(1, %s) g", rows)


def test_killed_before_the_first_checkpoint_of_a_target_that_came_late(wb, db):  # proves G-01
    """The target was away when the run began: what it holds from the first moments was unknown to the state, and refused."""
    small(db, rows=0)
    holder = sqlite3.connect(wb.mirror, isolation_level=None)
    holder.execute("begin exclusive")
    wb.write([wb.sqlite_target()], source={"snapshot": "never"}, checkpoint_interval="1m").start()
    wait_until(lambda: "BUSY" in wb.last_log(), 20, "the target to be away", alive=wb)
    holder.execute("rollback")
    holder.close()
    wb.streaming()
    db.sql("insert into t values (5, 'v5')")
    wait_until(lambda: sqlite_count(wb.mirror, "t") == (1,), 40, "the row", alive=wb)
    wb.kill9()
    db.sql("insert into t values (6, 'v6')")
    wb.until_now()
    assert same_mirror(db, wb.mirror, "t")


# ---------------------------------------------------------------- one that stands still

def test_fifo_that_nobody_reads(wb, db):  # proves G-01 G-09 G-11
    """The other target goes on, the connection lives, and the server keeps what the FIFO lacks (D1)."""
    small(db)
    os.mkfifo(wb.dir / "pipe")
    wb.write([wb.file_target(name="stuck", path="pipe"), wb.sqlite_target()], source={"snapshot": "never"}, patience="2s")
    opened = os.open(wb.dir / "pipe", os.O_RDWR)  # somebody has it open and never reads: it fills
    try:
        wb.start().streaming()
        for n in range(6):
            db.sql("insert into t select g, repeat('x', 200) from generate_series(%s::int, %s::int) g", 1000 + n * 5000, 5999 + n * 5000)
            time.sleep(0.5)
        wait_until(lambda: len(sqlite_count(wb.mirror, "t")) and sqlite_count(wb.mirror, "t")[0] == 30000, 40, "the mirror to go on", alive=wb)
        assert wb.peak_rss() < 64 or os.environ.get("WB_SLOW"), f"{wb.peak_rss():.0f} MB"
        assert db.slot_active()
        stuck = wb.target_status("stuck")
        assert stuck["state"] != "running" or stuck["lag_bytes"] > 0
        lag = db.one("select max(pg_current_wal_lsn() - confirmed_flush_lsn) from pg_replication_slots where database = current_database()")
        assert lag > 1_000_000, "the server was told to forget what the FIFO has not got"
        # now somebody reads
        got = []
        stop = threading.Event()

        def drain():
            data = b""
            while not stop.is_set():
                piece = os.read(opened, 65536)
                data += piece
                *lines, data = data.split(b"\n")
                got.extend(lines)
        reader = threading.Thread(target=drain, daemon=True)
        reader.start()
        wait_until(lambda: len(got) >= 30000, 60, "the FIFO to catch up", alive=wb)
        db.sql("insert into t values (99, 'last')")
        wait_until(lambda: got and b'"last"' in got[-1], 20, "the last row", alive=wb)
        stop.set()
        wb.term()
        # what was in the pipe when the target was closed may end in half a line; all of that line comes again
        whole, half = [], []
        for line in got:
            try:
                whole.append(json.loads(line)["record"]["id"])
            except ValueError:
                half.append(line)
        assert len(half) <= 3, half[:10]
        assert set(whole) == set(range(1000, 31000)) | {99}
    finally:
        os.close(opened)


@pytest.mark.slow
def test_target_that_stands_still_does_not_cost_the_connection(wb, db):  # proves G-11
    """No budget, nothing is read for three times the server's patience: the connection is kept alive all the same."""
    small(db)
    db.sql(f"alter role walbrook in database {db.name} set wal_sender_timeout = '3s'")
    os.mkfifo(wb.dir / "pipe")
    opened = os.open(wb.dir / "pipe", os.O_RDWR)
    try:
        wb.write([wb.file_target(path="pipe")], source={"snapshot": "never"}, memory="4MB").start().streaming()
        active = "select active_pid from pg_replication_slots where database = current_database()"
        pid = db.one(active)
        db.sql("insert into t select g, repeat('x', 1000) from generate_series(1000, 30000) g")
        time.sleep(9)
        assert wb.running() and db.one(active) == pid and wb.status()["source"]["reconnects"] == 0, wb.tail()
    finally:
        wb.kill9()
        os.close(opened)


def sqlite_count(path, table):
    try:
        c = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return c.execute(f"select count(*) from {table}").fetchone()
        finally:
            c.close()
    except sqlite3.OperationalError:
        return (0,)


def test_sqlite_file_that_another_program_holds_locked(wb, db):  # proves G-11
    small(db)
    wb.write([wb.file_target(), wb.sqlite_target()], patience="2s").start()
    wait_mirror(wb, "t")
    other = sqlite3.connect(wb.mirror, isolation_level=None)
    other.execute("begin immediate")
    db.sql("insert into t select g, 'while locked' from generate_series(100, 20099) g")
    wait_file(wb, "t", timeout=30)
    time.sleep(4)  # beyond patience
    assert wb.running()
    db.sql("update t set v = 'more' where id < 200")
    wait_file(wb, "t", timeout=30)
    assert len(wb.last_log().splitlines()) < 60, "a hot loop"
    other.execute("rollback")
    other.close()
    wait_mirror(wb, "t", timeout=60)
    wb.term()
    assert no_repeats(wb.out, "t") == 20005


def test_readers_of_the_mirror_are_never_blocked_and_see_whole_transactions(wb, db, load):  # proves G-05
    db.sql("create table a (id int primary key, n int); create table b (id int primary key, n int)")
    db.sql("insert into a values (1, 0); insert into b values (1, 0)")
    wb.write([wb.sqlite_target()]).start()
    wait_mirror(wb, "a", "b")

    def move(c, i):
        c.execute("update a set n = n - 1; update b set n = n + 1")
    traffic = load(db, move)
    reader = sqlite3.connect(f"file:{wb.mirror}?mode=ro", uri=True, timeout=0)
    seen = set()
    end = time.monotonic() + 3
    while time.monotonic() < end:
        a, b = reader.execute("select (select n from a), (select n from b)").fetchone()
        assert a + b == 0, f"half a transaction: {a} {b}"
        seen.add(a)
    traffic.stop()
    assert len(seen) > 3, "the mirror did not move while it was read"
    wait_mirror(wb, "a", "b")


# ---------------------------------------------------------------- targets come and go

def test_target_added_needs_to_say_where_it_starts(wb, db):
    small(db)
    wb.write([wb.file_target()]).until_now()
    db.sql("insert into t values (10, 'new')")
    wb.write([wb.file_target(), wb.sqlite_target()]).run(code=2, timeout=20)
    assert "start:" in wb.last_log() and "sqlite" in wb.last_log()
    wb.write([wb.file_target(), wb.sqlite_target(start="snapshot")]).until_now()
    assert same_mirror(db, wb.mirror, "t")
    assert same_file(db, wb.out, "t")
    db.sql("update t set v = 'both'")
    wb.until_now()
    assert same_mirror(db, wb.mirror, "t") and same_file(db, wb.out, "t")
    assert no_repeats(wb.out, "t") == 6, "the old target got the new one's snapshot"


def test_target_added_from_now_on(wb, db):
    small(db)
    wb.write([wb.file_target()]).until_now()
    wb.write([wb.file_target(), wb.file_target(name="late", path="late.jsonl", start="now")]).start().streaming()
    db.sql("insert into t values (10, 'new')")
    wait_until(lambda: len(records(wb.dir / "late.jsonl")) == 1, 20, "the new row", alive=wb)
    wb.term()
    assert records(wb.dir / "late.jsonl")[0]["record"]["v"] == "new"
    assert no_repeats(wb.out, "t") == 6


def test_target_removed_or_renamed_stops_until_forgotten(wb, db):
    small(db)
    wb.write([wb.file_target(), wb.sqlite_target(name="mirror")]).until_now()
    wb.write([wb.file_target()]).run(code=2, timeout=20)
    assert "mirror" in wb.last_log() and "--forget" in wb.last_log()
    wb.until_now("--forget", "mirror")
    wb.until_now()
    wb.write([wb.file_target(name="other")]).run(code=2, timeout=20)
    assert "file" in wb.last_log()


def test_two_pipelines_in_one_process(make_wb, db):
    small(db)
    a = make_wb(db, "one").write([{"type": "file", "path": "one.jsonl"}])
    b = make_wb(db, "two").write([{"type": "file", "path": "two.jsonl"}])
    a.run(b.file, "--until", "now")
    assert len(records(a.dir / "one.jsonl")) == len(records(b.dir / "two.jsonl")) == 5


# ---------------------------------------------------------------- yesterday's files

def backup(*paths):
    """Copies, with SQLite's own sidecar files; returns what puts them back."""
    kept = []
    for p in paths:
        for q in [p] + list(p.parent.glob(p.name + "-*")):
            if q.exists():
                copy = q.with_name("backup." + q.name)
                shutil.copytree(q, copy) if q.is_dir() else shutil.copy2(q, copy)
                kept.append((copy, q))

    def restore():
        for p in paths:
            for q in [p] + list(p.parent.glob(p.name + "-*")):
                shutil.rmtree(q) if q.is_dir() else q.unlink(missing_ok=True)
        for copy, q in kept:
            shutil.copytree(copy, q) if copy.is_dir() else shutil.copy2(copy, q)
    return restore


def test_sqlite_restored_from_yesterday(wb, db):
    """Its own stand is behind the state: stop, print both; rewinding is refused when the log is gone."""
    small(db)
    wb.write([wb.file_target(), wb.sqlite_target(name="mirror")]).until_now()
    restore = backup(wb.mirror)
    db.sql("insert into t values (10, 'today')")
    wb.until_now()
    restore()
    wb.run(code=(2, 4), timeout=20)
    assert "mirror" in wb.last_log() and "behind" in wb.last_log()
    wb.run("--accept", "mirror", "--until", "now", code=3, timeout=20)
    assert "lost" in wb.last_log(), "the server has dropped what the copy lacks: accepting it cannot help"
    # the way out that always works
    wb.until_now("--resnapshot", "mirror")
    assert same_mirror(db, wb.mirror, "t")
    assert no_repeats(wb.out, "t") == 6


def test_sqlite_file_removed(wb, db):
    small(db)
    wb.write([wb.sqlite_target(name="mirror")]).until_now()
    wb.mirror.unlink()
    wb.run(code=(2, 4), timeout=20)
    assert "mirror" in wb.last_log()
    wb.until_now("--resnapshot", "mirror")
    assert same_mirror(db, wb.mirror, "t")


def test_state_restored_from_yesterday(wb, db):
    """The targets are beyond the state, the slot too: what they hold is used, or it stops; never a repeat."""
    small(db)
    wb.write([wb.file_target(), wb.sqlite_target(name="mirror")]).until_now()
    restore = backup(wb.state)
    db.sql("insert into t values (10, 'today')")
    wb.until_now()
    restore()
    db.sql("insert into t values (11, 'tomorrow')")
    wb.run("--until", "now", code=(0, 2, 3, 4), timeout=30)
    if wb.process.returncode == 0:
        assert same_mirror(db, wb.mirror, "t")
        assert same_file(db, wb.out, "t")
        assert no_repeats(wb.out, "t") == 7
    else:
        assert "state" in wb.last_log() or "lost" in wb.last_log()
        assert no_repeats(wb.out, "t") == 6


def test_state_removed_while_targets_remain(wb, db):
    small(db)
    wb.write([wb.file_target(), wb.sqlite_target(name="mirror")]).until_now()
    shutil.rmtree(wb.state)
    wb.run(code=(2, 3, 4), timeout=20)
    assert "state" in wb.last_log()


def test_state_of_a_newer_version(wb, db):
    small(db)
    wb.write([wb.file_target()]).until_now()
    c = sqlite3.connect(wb.state / "state.db")
    assert c.execute("update meta set value = '1000' where key = 'version'").rowcount == 1
    c.commit()
    c.close()
    wb.run(code=2, timeout=20)
    assert "version 1000" in wb.last_log() and "newer" in wb.last_log()


@pytest.mark.parametrize("damage", ["garbage", "middle", "empty"])
def test_state_corrupt(wb, db, damage):
    small(db)
    wb.write([wb.file_target()]).until_now()
    path = wb.state / "state.db"
    for side in wb.state.glob("state.db-*"):
        side.unlink()
    data = bytearray(path.read_bytes())
    if damage == "garbage":
        data[:] = os.urandom(len(data))
    elif damage == "middle":
        data[100:] = b"\xff" * (len(data) - 100)
    else:
        data = b""
    path.write_bytes(data)
    wb.run("--until", "now", code=(2, 3, 4), timeout=20)
    assert "state" in wb.last_log()
    assert no_repeats(wb.out, "t") == 5


def test_state_read_only(wb, db, make_wb):
    if os.geteuid() == 0:
        wb.write([wb.file_target()], state="/proc/no-state-here").run(code=2, timeout=20)
        assert "/proc/no-state-here" in wb.last_log()
    small(db)
    wb.write([wb.file_target()]).until_now()
    if os.geteuid() != 0:
        os.chmod(wb.state / "state.db", 0o400)
        os.chmod(wb.state, 0o500)
        wb.run(code=2, timeout=20)
        os.chmod(wb.state, 0o700)
        assert "state" in wb.last_log()


def test_state_on_a_file_system_that_became_read_only(wb, db, tmpfs):  # proves G-01
    """Refused in a sentence, by `run` and `check`; nothing is lost or comes twice when it can be written again."""
    import subprocess

    def remount(how):
        subprocess.run(["mount", "-o", f"remount,{how}", where], check=True)
    where = tmpfs("16m")
    small(db)
    wb.write([wb.file_target()], state=str(where / "state")).until_now()
    remount("ro")
    try:
        wb.run("--until", "now", code=2, timeout=20)
        assert str(where) in wb.last_log() and "read" in wb.last_log().lower()
        assert str(where) in wb.check(code=1).stdout
    finally:
        remount("rw")
    db.sql("insert into t values (10, 'later')")
    wb.until_now()
    assert no_repeats(wb.out, "t") == 6


def test_state_folder_is_private(wb, db):  # proves G-12
    small(db)
    wb.write([wb.file_target()]).until_now()
    assert (wb.state.stat().st_mode & 0o777) == 0o700


# ---------------------------------------------------------------- the file target's own rules

def test_file_shorter_than_its_journal(wb, db):
    small(db, 100)
    wb.write([wb.file_target()]).until_now()
    os.truncate(wb.out, 50)
    wb.run(code=(2, 4), timeout=20)
    assert "out.jsonl" in wb.last_log() and "journal" in wb.last_log()


def test_file_replaced_by_another(wb, db):
    small(db, 100)
    wb.write([wb.file_target()]).until_now()
    copy = wb.out.with_suffix(".copy")
    shutil.copy(wb.out, copy)
    os.replace(copy, wb.out)
    wb.run(code=(2, 4), timeout=20)
    assert "out.jsonl" in wb.last_log()


def test_half_a_line_after_the_journal_is_cut_off(wb, db):  # proves G-02
    small(db, 100)
    wb.write([wb.file_target()]).until_now()
    with open(wb.out, "ab") as f:
        f.write(b'{"half": ')
    db.sql("insert into t values (1000, 'x')")
    wb.until_now()
    assert no_repeats(wb.out, "t") == 101
    assert b'{"half"' not in wb.out.read_bytes()


@pytest.mark.parametrize("compress", ["none", "zstd", "gzip"])
def test_rotation_by_size_and_compression(wb, db, compress):
    import subprocess
    db.sql("create table t (id int primary key, v text)")
    wb.write([wb.file_target(rotate_size="64kB", compress=compress)]).start().streaming()
    for n in range(8):
        db.sql("insert into t select g, repeat(md5(g::text), 3) from generate_series(%s::int, %s::int) g", n * 500, n * 500 + 499)
        time.sleep(0.15)
        if n == 4:
            wb.kill9()
            wb.start().streaming()
    db.sql("insert into t values (999999, 'end')")

    def everything():
        lines = []
        for p in sorted(wb.dir.glob("out*"), key=lambda p: (p.stat().st_mtime_ns)):
            tool = {"none": ["cat"], "zstd": ["zstd", "-dcq"], "gzip": ["gzip", "-dc"]}[compress]
            if p.suffix in (".journal",) or p.name.endswith(".wb") or "journal" in p.name:
                continue
            done = subprocess.run(tool + [str(p)], capture_output=True)
            lines += done.stdout.splitlines()
        return lines
    wait_until(lambda: len(everything()) == 4001, 20, "every row in the files", alive=wb)
    wb.term()
    ids = [json.loads(x)["record"]["id"] for x in everything()]
    assert len(set(ids)) == len(ids) == 4001
    files = [p for p in wb.dir.glob("out*") if "journal" not in p.name]
    if compress == "none":
        assert len(files) > 2, "it never rotated"


def test_hup_reopens_the_file(wb, db):
    """logrotate's way: move the file away, HUP, a new one goes on."""
    import signal
    small(db)
    wb.write([wb.file_target()]).start()
    wait_file(wb, "t")
    os.rename(wb.out, wb.dir / "moved.jsonl")
    wb.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    db.sql("insert into t values (10, 'after')")
    wait_until(lambda: len(records(wb.out)) == 1, 20, "the new file", alive=wb)
    wb.term()
    assert len(records(wb.dir / "moved.jsonl")) == 5


def test_stdout_as_a_target(wb, db):
    import subprocess
    small(db)
    wb.write([{"type": "file", "path": "-"}])
    done = subprocess.run([wb.binary, "run", wb.file, "--until", "now"], capture_output=True, text=True, timeout=60, env=wb.env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 5 and "READ" in done.stdout


# ---------------------------------------------------------------- selection, tables without key

def test_selection_per_target(wb, db):
    shop.create(db, 20)
    wb.write([wb.file_target(tables=["public.customers"]),
              wb.file_target(name="deletes", path="deletes.jsonl", operations=["delete"]),
              wb.sqlite_target(columns=["customers.id", "customers.name", "orders.*", "audit_log.*"])]).start()
    wait_mirror(wb, "orders")
    db.sql("delete from customers where id <= 3; delete from orders where id <= 2")
    db.sql("insert into audit_log (what) values ('x')")
    wait_mirror(wb, "orders", "audit_log")
    wait_until(lambda: len(records(wb.dir / "deletes.jsonl")) == 5, 20, "the deletes", alive=wb)
    wb.term()
    assert {r["table_name"] for r in records(wb.out)} == {"customers"}
    assert {r["event_type"] for r in records(wb.dir / "deletes.jsonl")} == {"DELETE"}
    c = sqlite3.connect(wb.mirror)
    names = [r[1] for r in c.execute("pragma table_info(customers)")]
    assert "name" in names and "email" not in names and "balance" not in names


def test_mirror_of_a_table_without_key(wb, db):
    """Handled, and said."""
    db.sql("create table n (a int, b text); insert into n values (1, 'x'), (1, 'x'), (2, null)")
    db.sql("create table f (a int, b text); alter table f replica identity full; insert into f values (1, 'x'), (1, 'x'), (2, null)")
    wb.write([wb.sqlite_target()]).start()
    wait_mirror(wb, "n", "f")
    db.sql("insert into n values (3, 'y')")
    db.sql("update f set b = 'z' where a = 2")
    db.sql("delete from f where ctid = (select min(ctid) from f where a = 1)")
    wait_mirror(wb, "n", "f")
    wb.term()
    assert '"n"' in wb.log() or "public.n" in wb.log()


def test_log_mode_is_append_only(wb, db):
    small(db)
    wb.write([wb.sqlite_target(mode="log", path="log.db"), wb.file_target()]).start()
    wait_file(wb, "t")
    db.sql("update t set v = 'w' where id = 1; delete from t where id = 2; truncate t")
    wait_until(lambda: len(records(wb.out)) == 8, 20, "all changes", alive=wb)
    wb.term()
    c = sqlite3.connect(wb.dir / "log.db")
    tables = [n for (n,) in c.execute("select name from sqlite_master where type = 'table'")]
    counts = {n: c.execute(f'select count(*) from "{n}"').fetchone()[0] for n in tables}
    assert 8 in counts.values(), counts
