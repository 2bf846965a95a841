"""Copies of tables: parallel, in turns, resumed after kill -9, tables added to a running pipeline and read again."""
import json
import os
import pty
import random
import re
import select
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from compare import differ, records, same_mirror, sqlite, wait_mirror
from copies import FAST, SMALL, each_read_once, folded, kill_some, reads
from program import wait_until

pytestmark = pytest.mark.both


def source(**more):
    return {**SMALL, **more}


def wide(db, table, rows, key="id int primary key", value="g"):
    """A table of many parts: rows of some hundred bytes, and a TOAST value for some."""
    db.sql(f"create table {table} ({key}, v int, pad text, big text)")
    db.sql(f"alter table {table} alter big set storage external")
    db.sql(f"""insert into {table} select {value}, g, repeat('x', 200), case when g % 50 = 0 then repeat(md5(g::text), 300) end
               from generate_series(1, {rows}) g""")
    db.sql(f"analyze {table}")


def churn(rng, tables, top):
    """Inserts, updates, deletes, key changes, TOAST updates: what may happen to rows while they are copied."""
    def work(c, i):
        t = rng.choice(tables)
        k = rng.randint(1, top)
        dice = rng.random()
        if dice < 0.3:
            c.execute(f"update {t} set v = v + 1 where id = %s", (k,))
        elif dice < 0.45:
            c.execute(f"update {t} set id = %s where id = %s and not exists (select from {t} where id = %s)", (k + top, k, k + top))
        elif dice < 0.55:
            c.execute(f"update {t} set id = %s where id = %s and not exists (select from {t} where id = %s)", (k, k + top, k))
        elif dice < 0.7:
            c.execute(f"delete from {t} where id = %s", (k,))
        elif dice < 0.85:
            c.execute(f"insert into {t} values (%s, %s, 'new', repeat(md5(random()::text), 300)) on conflict do nothing", (k, i))
        else:
            c.execute(f"update {t} set big = repeat(md5(random()::text), 300) where id between %s and %s", (k, k + 3))
    return work


# proves G-06, G-02
def test_killed_again_and_again_under_load(wb, db, load):
    """kill -9 at random moments of a parallel copy: the mirror ends equal, and no part that was done is read again."""
    wide(db, "a", 6000)
    wide(db, "b", 6000)
    wb.write([wb.sqlite_target(), wb.file_target()], source=source(), **FAST)
    rng = random.Random(11)
    writer = load(db, churn(rng, ["a", "b"], 6000), pause=0.002)
    kill_some(wb, rng, 7, 0.1, 0.6)
    wb.start()
    time.sleep(1)
    writer.stop()
    wait_mirror(wb, "a", "b", timeout=60)
    wb.term()
    wb.until_now()
    for t in ("a", "b"):
        folded(db, wb.out, t)


# proves G-06
def test_done_parts_are_not_read_again(wb, db):
    """Without writers each row is read once, in a file, whatever was killed when."""
    wide(db, "a", 12000)
    db.sql("create table empty_one (id int primary key)")
    wb.write([wb.file_target(fsync="5ms")], source=source(), **FAST)
    rng = random.Random(3)
    kill_some(wb, rng, 8, 0.1, 0.45)
    wb.until_now()
    each_read_once(wb.out, "a", 12000)


KEYS = {
    "composite": ("a int, b text, primary key (a, b)", "g % 7, 'k' || g"),
    "collated": ("id text collate \"en_US.utf8\" primary key", "chr(97 + g % 26) || case when g % 2 = 0 then '-' else '_' end || upper(md5(g::text))"),
    "uuids": ("id uuid primary key", "md5(g::text)::uuid"),
    "negative": ("id bigint primary key", "g * 7919 - 20000000"),
    "decimals": ("id numeric(20,4) primary key", "(g - 3000) / 8.0"),
    "quoted": ("\"the \"\"id\" varchar(30) primary key", "'a''b\\' || g"),
    "by_index": ("id int, other timestamptz not null unique", "g, 'epoch'::timestamptz + g * interval '1 hour 3 microseconds'"),
    "no_key": ("id int", "g"),
}


# proves G-06
def test_every_kind_of_key(wb, db):
    """Parts are ranges of keys, compared by the database itself; a table without a key is copied whole or again."""
    if not db.sql("select from pg_collation where collname = 'en_US.utf8'"):
        KEYS["collated"] = ("id text collate \"en-x-icu\" primary key", KEYS["collated"][1])
    for table, (key, value) in KEYS.items():
        wide(db, table, 3000, key, value)
    db.sql("alter table by_index replica identity using index by_index_other_key")
    wb.write([wb.file_target(format="row"), wb.sqlite_target()], source=source(), **FAST)
    for wait in (0.25, 0.4, 0.5):
        wb.start()
        time.sleep(wait)
        if wb.running():
            wb.kill9()
    wb.until_now(timeout=60)
    for table in KEYS:
        differ(db.sql(f"select count(*)::text, sum(v)::text from {table}"),
               [tuple(map(str, r)) for r in sqlite(wb.mirror).execute(f'select count(*), sum(v) from "{table}"')], table)


# proves G-06
def test_tables_are_rewritten_meanwhile(wb, db, load):
    """CLUSTER, VACUUM FULL and TRUNCATE between a crash and the rest of the copy, and while it goes on."""
    wide(db, "a", 6000)
    wide(db, "b", 3000, key="id int")
    db.sql("alter table b replica identity full")
    db.sql("create index on a (v)")
    wb.write([wb.sqlite_target()], source=source(), **FAST)
    writer = load(db, churn(random.Random(5), ["a"], 6000), pause=0.005)
    for n, what in enumerate(("cluster a using a_v_idx", "vacuum full a", "vacuum full b", "truncate b")):
        wb.start()
        time.sleep(0.35)
        wb.kill9()
        db.sql(what)
        if n == 3:
            db.sql("insert into b select g, g, 'after', null from generate_series(1, 500) g")
    wb.start()
    for what in ("vacuum full a", "cluster a using a_pkey"):
        db.sql(what)
    writer.stop()
    wait_mirror(wb, "a", "b", timeout=60)


# proves G-06
@pytest.mark.sanitize
def test_a_table_joins_and_one_is_read_again(wb, db, load):
    """add-table and resync of a running pipeline under load; wishes for a stopped one; HUP takes new tables."""
    wide(db, "a", 3000)
    wb.write([wb.sqlite_target(), wb.file_target()], source=source(), **FAST)
    assert "has not run yet" in wb.command("add-table", wb.file, "public.a", code=2).stderr
    wb.start().streaming()
    wide(db, "b", 4000)
    db.sql("create table c (id int primary key, v int)")
    db.sql("insert into c select g, g from generate_series(1, 100) g")
    writer = load(db, churn(random.Random(7), ["a", "b"], 4000), pause=0.004)
    assert "is copied, in turns" in wb.command("add-table", wb.file, "public.b", code=0).stdout
    wait_mirror_tables(wb, "b")
    time.sleep(0.5)
    with sqlite(wb.mirror) as m:
        assert not m.execute("select 1 from sqlite_master where name = 'c'").fetchone(), "c was not asked for"
    wb.process.send_signal(signal.SIGHUP)
    wait_mirror_tables(wb, "c")
    spoil(wb.mirror, "a")
    wb.command("resync", wb.file, "a", code=0)
    wait_until(lambda: "public.a will be copied" in wb.last_log(), 20, "the wish is heard", alive=wb)
    writer.stop()
    wait_mirror(wb, "a", "b", "c", timeout=60)
    wb.term()
    spoil(wb.mirror, "b")
    assert "when the pipeline runs next" in wb.command("resync", wb.file, "public.b", code=0).stdout
    wb.until_now()
    assert same_mirror(db, wb.mirror, "a", "b", "c")
    assert "has no table" in wb.command("resync", wb.file, "public.nothing", code=2).stderr
    assert not db.sql("select 1 from pg_replication_slots where slot_name like 'walbrook_copy%'")


def wait_mirror_tables(wb, *tables):
    def there():
        return all(sqlite(wb.mirror).execute(f"select count(*) from {t}").fetchone()[0] for t in tables)

    def tried():
        try:
            return there()
        except Exception:  # noqa: BLE001: no such table yet
            return False
    wait_until(tried, 40, f"{tables} in the mirror", alive=wb)


def spoil(path, table):
    """Somebody edited the mirror: rows too many, rows too few."""
    for _ in range(50):
        try:
            with sqlite3.connect(path, timeout=10) as c:
                c.execute(f"delete from {table} where id % 3 = 0")
                c.execute(f"insert into {table} (id, v) values (999999, 1)")
            return
        except sqlite3.OperationalError:
            time.sleep(0.1)


# proves G-06, G-11
def test_a_target_that_comes_later(wb, db, folder, tmpfs):
    """One of two targets is down for half of the copy: it gets what it lacks, the other one nothing twice."""
    wide(db, "a", 6000)
    small = tmpfs(400_000)
    wb.write([wb.file_target(), {"type": "sqlite", "name": "late", "path": str(small / "late.db")}],
             source=source(), patience="300ms", **FAST)
    wb.start()
    wait_until(lambda: len(reads(wb.out, "a")) == 6000, 40, "the first target has all", alive=wb)
    wb.term()
    (folder / "moved").mkdir()
    wb.write([wb.file_target(), {"type": "sqlite", "name": "late", "path": str(folder / "moved" / "late.db"), "start": "snapshot"}],
             source=source(), **FAST)
    wb.until_now("--forget", "late")
    differ(db.sql("select count(*)::int from a"), sqlite(folder / "moved" / "late.db").execute("select count(*) from a").fetchall(), "late")
    assert set(reads(wb.out, "a").values()) == {1}


# proves G-06
def test_part_of_the_rows_and_columns(wb, db):
    db.sql("create table a (id int primary key, v int, secret text)")
    db.sql("insert into a select g, g % 10, 's' || g from generate_series(1, 1000) g")
    db.sql("create table b (id int primary key, v int)")
    db.sql("insert into b values (1, 1)")
    wb.write([wb.file_target(format="row"), wb.sqlite_target()],
             source={"snapshot_where": {"public.a": "v = 3"}, "snapshot_columns": {"public.a": ["v"]}})
    wb.until_now()
    rows = [r for r in map(json.loads, wb.out.read_text().splitlines()) if "v" in r]
    assert len(rows) == 101 and not any("secret" in r for r in rows)
    db.sql("update a set v = 4, secret = 'told' where id = 3")
    wb.until_now()
    assert sqlite(wb.mirror).execute("select id, v, secret from a where id = 3").fetchall() == [(3, 4, "told")]


def test_snapshot_command(wb, db):
    """Once, without a slot; interrupted it begins again from nothing."""
    wide(db, "a", 6000)
    wb.write([wb.file_target(), wb.sqlite_target()], source=source(snapshot="never"), **FAST)
    for wait in (0.15, 0.3):
        wb.runs += 1
        with open(wb.stderr, "wb") as err:
            p = subprocess.Popen([wb.binary, "snapshot", wb.file], cwd=wb.dir, stderr=err, env=wb.env)
        time.sleep(wait)
        p.kill()
        p.wait()
    wb.command("snapshot", wb.file, code=0)
    assert set(reads(wb.out, "a").values()) == {1} and len(reads(wb.out, "a")) == 6000
    assert same_mirror(db, wb.mirror, "a")
    assert not db.sql("select 1 from pg_replication_slots where database = current_database()")


# proves G-06
def test_snapshot_command_crashes_before_the_targets_answer(fault_wb, db):
    """All rows are handed over, no target has said that it has them: the next run is not `done`, it copies again."""
    wide(db, "a", 6000)
    fault_wb.write([fault_wb.file_target(), fault_wb.sqlite_target()], source=source(snapshot="never"), **FAST)
    crashed = fault_wb.command("snapshot", fault_wb.file, env={"WB_FAULT": "copy.over@1:crash"})
    assert crashed.returncode not in (0, 1)
    for _ in range(2):
        fault_wb.command("snapshot", fault_wb.file, code=0)
        assert set(reads(fault_wb.out, "a").values()) == {1} and len(reads(fault_wb.out, "a")) == 6000
        assert same_mirror(db, fault_wb.mirror, "a")


def test_snapshot_command_with_files_that_rotate(fault_wb, db):
    """Begun again after a crash, rows in files that were moved away come once more: a warning says so, and none is lost."""
    wide(db, "a", 6000)
    fault_wb.write([fault_wb.file_target(rotate_size="100kB", fsync="1ms")], source=source(snapshot="never", snapshot_turn="1ms"), **FAST)
    crashed = fault_wb.command("snapshot", fault_wb.file, env={"WB_FAULT": "file.rotate_done:crash"})
    assert crashed.returncode not in (0, 1)
    moved = [p for p in fault_wb.dir.glob("out.jsonl.*") if "journal" not in p.name]
    again = fault_wb.command("snapshot", fault_wb.file, code=0)
    assert moved and "their rows come once more" in again.stderr
    files = [p for p in fault_wb.dir.glob("out.jsonl*") if "journal" not in p.name and p not in moved]
    seen = [r["record"]["id"] for p in files for r in records(p)]
    assert len(seen) == len(set(seen)) == 6000


# proves G-06
def test_lost_slot_ends_in_a_new_copy(wb, db):
    """snapshot: when_needed: rows that went meanwhile are gone in the mirror, too."""
    wide(db, "a", 3000)
    wb.write([wb.sqlite_target()], source=source(snapshot="when_needed"), **FAST)
    wb.until_now()
    db.sql("select pg_drop_replication_slot('walbrook_shop')")
    db.sql("delete from a where id % 2 = 0")
    wb.until_now()
    assert same_mirror(db, wb.mirror, "a")
    assert "new snapshot" in wb.last_log()


@pytest.mark.slow
def test_ten_thousand_tables(wb, db):
    """One query for all tables, not one for each: the start takes seconds."""
    for part in range(20):
        db.sql("".join(f"create table t{part * 500 + i} (id int primary key, v text);" for i in range(500)))
    db.sql("insert into t77 values (1, 'x')")
    wb.write([wb.file_target()], **FAST)
    wb.start()
    wait_until(lambda: "copies public." in wb.last_log(), 20, "the first table", alive=wb)
    wait_until(lambda: "streams from" in wb.last_log(), 120, "the stream", alive=wb)
    db.sql("insert into t78 values (1, 'y')")
    wait_until(lambda: len(records(wb.out)) == 2, 20, "both rows", alive=wb)


def test_progress_in_status_and_on_a_terminal(wb, db):
    """A target that takes no more holds the copy up: what is copied, how much of it, and how long it takes."""
    db.sql("create table a (id int primary key, v text)")
    db.sql("insert into a select g, repeat('x', 1000) from generate_series(1, 20000) g; analyze a")
    os.mkfifo(wb.dir / "pipe")
    held = os.open(wb.dir / "pipe", os.O_RDWR | os.O_NONBLOCK)
    ours, theirs = pty.openpty()
    seen = b""
    try:
        wb.write([{"type": "file", "path": "pipe"}], memory="4MB")
        wb.process = subprocess.Popen([wb.binary, "run", wb.file], cwd=wb.dir, stderr=theirs, stdout=subprocess.DEVNULL,
                                      stdin=subprocess.DEVNULL, env={**wb.env, "TERM": "xterm", "COLUMNS": "200"})

        def told():
            nonlocal seen
            if select.select([held], [], [], 0)[0]:
                os.read(held, 65536)  # little by little
            while select.select([ours], [], [], 0)[0]:
                seen += os.read(ours, 65536)
            s = wb.status()["source"]["snapshot"]
            return s and 0 < s["rows"] < s["total"] and s["eta_seconds"] is not None and b"left: " in seen and s
        s = wait_until(told, 40, "progress")
        assert s["table"] == "public.a" and 15000 < s["total"] < 25000
        assert re.search(r"copying +public\.a, [\d,. ]+ of about [\d,. ]+ rows, left: ", wb.command("status", wb.file, code=0).stdout)
        assert re.search(r"public\.a  \[#*\.*\] +\d+ %  \S+ of about \S+ rows", seen.decode(errors="replace"))
    finally:
        wb.kill9()
        os.close(held)
        os.close(ours)
        os.close(theirs)


def test_hup_with_other_tables_in_the_file(wb, db):
    """What the file says now: a table more is copied, and streams."""
    db.sql("create table a (id int primary key); create table b (id int primary key); insert into b values (1)")
    wb.write([wb.sqlite_target()], source=source(tables=["public.a"]), **FAST).start().streaming()
    wait_mirror(wb, "a")
    wb.write([wb.sqlite_target()], source=source(tables=["public.*"]), **FAST)
    wb.process.send_signal(signal.SIGHUP)
    wait_mirror_tables(wb, "b")
    db.sql("insert into a values (5); insert into b values (2)")
    wait_mirror(wb, "a", "b")
    wb.term()
    db.sql("insert into b values (3)")
    wb.until_now()
    assert same_mirror(db, wb.mirror, "a", "b")


def test_crashes_around_the_ledger(fault_wb, db):
    """A crash on either side of each write of it: each row once."""
    wide(db, "a", 6000)
    for point in ("copy.before_note", "copy.after_note", "copy.turn_over", "copy.planned"):
        out = f"{point}.jsonl"
        fault_wb.write([fault_wb.file_target(path=out)], source=source(snapshot_turn="5ms"), **FAST)
        for n in (1, 2, 3):
            fault_wb.run("--until", "now", code=None, env={"WB_FAULT": f"{point}@{n}:crash"})
        fault_wb.until_now()
        assert set(reads(fault_wb.dir / out, "a").values()) == {1} and len(reads(fault_wb.dir / out, "a")) == 6000, point
        fault_wb.command("drop", fault_wb.file, "--yes", code=0)


def test_rows_of_every_length(wb, db):
    """Lengths around those of the buffers that rows are read into, and text that is all escapes."""
    lengths = [n + d for n in (1, 8192, 16384, 32768, 1 << 20) for d in range(-16, 17, 1 if n == 8192 else 7) if n + d > 0]
    db.sql("create table a (id int primary key, n int, t text)")
    db.sql("insert into a select i, n, repeat(case mod(i, 3) when 0 then 'x' when 1 then E'\\t' else E'\\n' end, n)"
           " from unnest(%s::int[]) with ordinality as u(n, i)", lengths)
    wb.write([wb.sqlite_target()], source=source(snapshot_chunk="64MB"), **FAST)
    wb.until_now()
    assert same_mirror(db, wb.mirror, "a")


def test_until_now_when_the_target_breaks_in_the_copy(fault_wb, db):
    """It comes back, and the source is slow to go back for it: until then nothing says that the copy is done."""
    wb, fifo = fault_wb, fault_wb.dir / "fifo"
    db.sql("create table t (id int primary key); insert into t select generate_series(1, 50)")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    wb.write([wb.file_target(path="fifo")], backoff_min="10ms", backoff_max="100ms")
    wb.start("--until", "now", env={"WB_FAULT": "file.before_write@1:stop;source.joined@2:sleep=500"})
    wait_until(lambda: Path(f"/proc/{wb.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", 30, "the first write", alive=wb)
    os.close(reader)
    os.kill(wb.process.pid, signal.SIGCONT)
    wait_until(lambda: "has gone" in wb.last_log(), 30, "a word about it", alive=wb)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    wb.wait_exit(0)
    rows = [json.loads(line) for line in os.read(reader, 65536).splitlines()]
    os.close(reader)
    assert sorted(r["record"]["id"] for r in rows) == list(range(1, 51))
