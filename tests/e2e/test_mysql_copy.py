"""Copies of MySQL's and MariaDB's tables: parallel, in turns, resumed after kill -9 and restarts of the server, tables added and
read again, with locks and without. Needs the servers of my_servers.py; one server of its own for a test that restarts it."""
import json
import random
import signal
import sqlite3
import subprocess
import threading
import time

import pymysql
import pytest

from compare import records, sqlite
from copies import FAST, SMALL, kill_some, reads, tolerant_fold
from my_compare import events, same, wait_same
from my_servers import MyDatabase, MyServer
from program import wait_until

ROW = "id int primary key, v int, pad varchar(300), big mediumtext"


def source(my, **more):
    return {**SMALL, **more}


def wide(my, table, rows, columns=ROW, key="n", engine="InnoDB"):
    """A table of many parts: rows of some hundred bytes."""
    table = table.replace("`", "``")
    my.sql(f"create table `{table}` ({columns}) engine={engine}")
    limit = "cte_max_recursion_depth" if my.mysql else "max_recursive_iterations"
    my.sql(f"""set session {limit} = 100000; insert into `{table}` with recursive g (n) as (select 1 union all select n + 1 from g where
               n < {rows}) select {key}, n, repeat('x', 200), if(n % 50 = 0, repeat(sha2(n, 256), 30), null) from g; analyze table `{table}`""")


def churn(rng, tables, top):
    """Inserts, updates, deletes, key changes; half of the sessions log only what changed."""
    def work(c, i):
        t, k, dice = rng.choice(tables), rng.randint(1, top), rng.random()
        with c.cursor() as cur:
            if i % 200 == 0:
                cur.execute(f"set session binlog_row_image = '{rng.choice(['FULL', 'MINIMAL', 'NOBLOB'])}'")
            if dice < 0.35:
                cur.execute(f"update {t} set v = v + 1 where id = %s", (k,))
            elif dice < 0.5:
                cur.execute(f"update ignore {t} set id = %s where id = %s", (k + top, k))
            elif dice < 0.6:
                cur.execute(f"update ignore {t} set id = %s where id = %s", (k, k + top))
            elif dice < 0.75:
                cur.execute(f"delete from {t} where id = %s", (k,))
            else:
                cur.execute(f"insert ignore into {t} values (%s, %s, 'new', %s)", (k, i, "y" * rng.choice([1, 3000])))
    return work


def folded(my, wb, table):
    """The record file, as a mirror would apply it, against the table."""
    got = sorted((int(r["id"]), int(r["v"]), r["pad"], r["big"]) for r in tolerant_fold(wb.out, table, ["id"]).values())
    want = list(my.sql(f"select id, v, pad, big from {table} order by id"))
    assert len(got) == len(want) and got == want


def all_arrived(my, wb, *tables):
    wait_same(my, wb, *tables, timeout=60)
    wb.term()
    wb.until_now()
    assert same(my, wb, *tables)


# proves G-06, G-02
@pytest.mark.sanitize
def test_killed_again_and_again_under_load(my_wb, my, load):
    """kill -9 at random moments of a parallel copy under load: the mirror ends equal."""
    wide(my, "a", 4000)
    wide(my, "b", 4000)
    wb = my_wb.write([my_wb.sqlite_target()], source=source(my), **FAST)
    rng = random.Random(11)
    writer = load(my, churn(rng, ["a", "b"], 4000), pause=0.002)
    kill_some(wb, rng, 5, 0.15, 0.6)
    wb.start()
    time.sleep(1)
    writer.stop()
    all_arrived(my, wb, "a", "b")


# proves G-06
@pytest.mark.servers("my97", "m10")
def test_done_parts_are_not_read_again(my_wb, my):
    """Without writers each row is read once, in a file, whatever was killed when."""
    wide(my, "a", 8000)
    my.sql("create table empty_one (id int primary key)")
    wb = my_wb.write([my_wb.file_target(fsync="5ms")], source=source(my), **FAST)
    kill_some(wb, random.Random(3), 6, 0.15, 0.5)
    wb.until_now()
    seen = reads(wb.out, "a")
    assert len(seen) == 8000 and set(seen.values()) == {1}


KEYS = {
    "composite": ("a int, b varchar(20) not null, v int, pad varchar(300), big mediumtext, primary key (a, b)", "n % 7, concat('k', n)"),
    "crowded": ("a int, b int, v int, pad varchar(300), big mediumtext, primary key (a, b)", "1, n"),
    "collated": ("id varchar(60) character set latin1 collate latin1_german1_ci primary key, v int, pad varchar(300), big mediumtext",
                 "concat(char(97 + n % 26), if(n % 2, '-', '_'), upper(left(sha2(n, 256), 32)))"),
    "bytes": ("id binary(16) primary key, v int, pad varchar(300), big mediumtext", "unhex(left(sha2(n, 256), 32))"),
    "negative": ("id bigint primary key, v int, pad varchar(300), big mediumtext", "n * 7919 - 20000000"),
    "huge": ("id bigint unsigned primary key, v int, pad varchar(300), big mediumtext", "18446744073709551615 - n * 4611686018427"),
    "decimals": ("id decimal(20,4) primary key, v int, pad varchar(300), big mediumtext", "(n - 1500) / 8.0"),
    "times": ("id datetime(3) primary key, v int, pad varchar(300), big mediumtext", "timestamp '2020-01-01 00:00:00.125' + interval n hour"),
    "it`s": ("`the \"'`` id` varchar(30) primary key, v int, pad varchar(300), big mediumtext", "concat('a''b\\\\\\\\', n)"),
    "label": ("e enum('z','y','x'), id int, v int, pad varchar(300), big mediumtext, primary key (e, id)", "1 + n % 3, n"),
    "floats": ("id float primary key, v int, pad varchar(300), big mediumtext", "n / 3"),
    "no_key": ("id int, v int, pad varchar(300), big mediumtext", "n"),
}


# proves G-06
@pytest.mark.servers("my97", "m118")
def test_every_kind_of_key(my_wb, my):
    """Parts are ranges of keys, compared by the database itself; a table without a key is copied whole or again."""
    for table, (columns, key) in KEYS.items():
        wide(my, table, 1500, columns, key)
    wb = my_wb.write([my_wb.sqlite_target()], source=source(my, snapshot_turn="100ms"), **FAST)
    kill_some(wb, random.Random(4), 2, 0.4, 0.8)
    wb.until_now(timeout=60)
    for table in KEYS:
        name = table.replace("`", "``")
        want = my.sql(f"select count(*), cast(sum(v) as signed) from `{name}`")[0]
        assert sqlite(wb.mirror).execute(f'select count(*), sum(v) from "{my.name}_{table}"').fetchone() == tuple(map(int, want)), table


# Tables without a primary key; what the server takes for it. COLUMN_KEY and a log with binlog_row_metadata=FULL say the same.
UNIQUE = {
    "plain": ("n int, m int not null, unique u (m)", ["m"]),
    "first_of_two": ("n int not null, m int not null, unique later (m), unique earlier (n)", ["m"]),
    "nullable": ("n int, m int not null, unique u (n), key k (m)", []),
    "prefix": ("n int not null, m varchar(30) not null, unique u (m(2))", []),
    "wide_one": ("n int not null, m int not null, unique u (m, n)", ["m", "n"]),
    "two_ways": ("n int not null, m int not null, unique z (m, n), unique a (n, m)", None),
    "generated_too": ("n int not null, m int as (n + 1) virtual, unique u (m), unique v (n)", ["n"]),
    "beside": ("n int not null, m int not null, unique u (m), primary key (n)", ["n"]),
    **{f"more{i}": ("n int not null, m int not null, unique u (m)", ["m"]) for i in range(4)},
}


def row(my, table, n):
    my.sql(f"insert into {table} (n) values ({n})" if table == "generated_too" else f"insert into {table} (n, m) values ({n}, {n + 20})")


# proves G-03
@pytest.mark.parametrize("metadata", ["FULL", "MINIMAL"])
@pytest.mark.servers("my97", "m10")
def test_a_unique_key_in_the_copy_is_that_of_the_stream(my_wb, my, metadata):
    """Many tables are asked for at once, few one by one: both find it."""
    my.sql(f"set global binlog_row_metadata = {metadata}")
    try:
        for table, (columns, _) in UNIQUE.items():
            my.sql(f"create table {table} ({columns})")
            row(my, table, 1)
        for i, tables in enumerate(([f"{my.name}.*"], [f"{my.name}.{t}" for t in list(UNIQUE)[:5]])):
            wb = my_wb.write([my_wb.file_target(path=f"out{i}.jsonl")], source=source(my, snapshot="initial", tables=tables), state=f"state{i}")
            wb.until_now()
            for table in UNIQUE:
                row(my, table, i + 2)
            wb.until_now()
            keys = {}
            for r in records(wb.dir / f"out{i}.jsonl"):
                keys.setdefault(r["table_name"], {})[r["event_type"]] = r["primary_key"]
            assert set(keys) == set(UNIQUE if not i else list(UNIQUE)[:5])
            for table, by_event in keys.items():
                want = UNIQUE[table][1]
                assert set(by_event) == {"READ", "INSERT"} and len(set(by_event.values())) == 1, (table, by_event)
                assert want is None or by_event["READ"] == ",".join(want), (table, by_event)
    finally:
        my.sql("set global binlog_row_metadata = FULL")


# proves G-06
@pytest.mark.servers("my97", "m10")
def test_parts_of_a_unique_key(my_wb, my):
    """Ranges are read through the index that the key has."""
    wide(my, "a", 3000, columns="id int not null, v int, pad varchar(300), big mediumtext, unique `odd``name` (id)")
    wb = my_wb.write([my_wb.file_target(fsync="5ms")], source=source(my), **FAST)
    kill_some(wb, random.Random(3), 2, 0.15, 0.5)
    wb.until_now()
    seen = reads(wb.out, "a")
    assert len(seen) == 3000 and set(seen.values()) == {1}


# proves G-06
@pytest.mark.servers("my97", "m118")
def test_server_restarts_in_the_copy(own_my_server, make_wb, my_server, load):
    """File positions where the server has no GTIDs: a new view, the stream up to its place, the parts that are left."""
    server = own_my_server(my_server.kind, *([MyServer.WITHOUT_GTID] if my_server.mysql else []))
    my = MyDatabase(server)
    wide(my, "a", 6000)
    wide(my, "nokey", 500, columns="id int, v int, pad varchar(300), big mediumtext")
    wb = make_wb(my)
    wb.write([wb.sqlite_target(), wb.file_target()], source=source(my, snapshot_turn="5ms"), **FAST).start()
    wait_until(lambda: len(reads(wb.out, "a")) > 300, 30, "a part of the copy", alive=wb)
    server.restart("fast")  # killed, it may lose its last commits: nothing is synced here
    writer = load(my, churn(random.Random(8), ["a"], 6000), pause=0.003)
    time.sleep(0.5)
    writer.stop()
    server.restart("fast")
    wait_same(my, wb, "a", "nokey", timeout=60)
    wb.term()
    folded(my, wb, "a")


def rows_of(wb, table):
    try:
        return sqlite(wb.mirror).execute(f"select count(*) from {table}").fetchone()[0]
    except sqlite3.OperationalError:
        return 0  # no such table yet


def spoil(path, table):
    """Somebody edited the mirror: rows too many, rows too few."""
    def edited():
        with sqlite3.connect(path, timeout=10) as c:
            c.execute(f"delete from {table} where id % 3 = 0")
            c.execute(f"insert or replace into {table} (id, v) values (999999, 1)")
        return True
    wait_until(edited, 20, "the mirror is spoiled")


# proves G-06
@pytest.mark.servers("my97", "m10")
def test_a_table_joins_and_one_is_read_again(my_wb, my, load):
    """add-table and resync of a running pipeline under load; wishes for a stopped one; HUP takes new patterns."""
    wide(my, "a", 2000)
    wide(my, "b", 3000)
    wide(my, "c", 100)
    pick = {"tables": [f"{my.name}.a", f"{my.name}.b"]}
    wb = my_wb.write([my_wb.sqlite_target(), my_wb.file_target()], source=source(my, snapshot="initial", **{"tables": [f"{my.name}.a"]}), **FAST)
    assert "has not run yet" in wb.command("add-table", wb.file, f"{my.name}.a", code=2).stderr
    wb.until_now()
    wb.write([wb.sqlite_target(), wb.file_target()], source=source(my, **pick), **FAST)
    wb.start()
    wait_until(lambda: "streams from" in wb.last_log(), 30, "the stream", alive=wb)
    writer = load(my, churn(random.Random(7), ["a", "b"], 3000), pause=0.004)
    assert "is copied, in turns" in wb.command("add-table", wb.file, f"{my.name}.b", code=0).stdout
    wait_until(lambda: rows_of(wb, f"{my.name}_b") > 1000, 40, "rows of b", alive=wb)
    assert "leaves out" in wb.command("add-table", wb.file, f"{my.name}.c", code=2).stderr
    wb.write([wb.sqlite_target(), wb.file_target()], source=source(my), **FAST)
    wb.process.send_signal(signal.SIGHUP)
    wait_until(lambda: rows_of(wb, f"{my.name}_c") == 100, 40, "rows of c", alive=wb)
    my.sql("insert into c values (1000, 1, 'streamed', null)")
    spoil(wb.mirror, f"{my.name}_a")
    wb.command("resync", wb.file, "a", code=0)
    wait_until(lambda: wb.last_log().count(f"{my.name}.a will be copied") == 1, 20, "the wish is heard", alive=wb)
    writer.stop()
    wait_same(my, wb, "a", "b", "c", timeout=60)
    wb.term()
    spoil(wb.mirror, f"{my.name}_b")
    assert "when the pipeline runs next" in wb.command("resync", wb.file, f"{my.name}.b", code=0).stdout
    wb.until_now()
    assert same(my, wb, "a", "b", "c")
    assert "has no table" in wb.command("resync", wb.file, f"{my.name}.nothing", code=2).stderr
    my.sql('create table `odd.\n"x` (id int primary key)')
    my.sql('insert into `odd.\n"x` values (1)')
    wb.until_now()
    for n, name in enumerate((f'{my.name}.odd.\n"x', f'"{my.name}"."odd.\n""x"', 'odd.\n"x')):  # as the log writes it, in quotes, in the url's database
        wb.command("resync", wb.file, name, code=0)
        wb.until_now()
        assert sum("odd." in e["table_name"] and e["event_type"] == "READ" for e in records(wb.out)) == n + 1


# proves G-06
@pytest.mark.servers("my97", "m118")
@pytest.mark.parametrize("locking", ["minimal", "none"])
def test_tables_are_altered_meanwhile(my_wb, my, load, locking):
    """Between a crash and the rest of the copy: renames, a new key, TRUNCATE, DROP; and a table that others swap in."""
    for t in ("a", "b", "c", "d", "e"):
        wide(my, t, 2500)
    wb = my_wb.write([my_wb.sqlite_target()], source=source(my, snapshot_locking=locking, snapshot_turn="5ms"), **FAST)
    writer = load(my, churn(random.Random(5), ["a"], 2500), pause=0.005)
    for what in ("rename table b to b2", "alter table c drop primary key, add primary key (v, id)", "truncate table d; insert into d values (1, 1, 'after', null)",
                 "drop table e", "create table a2 like a; rename table c to c_old, d to c, c_old to d"):
        kill_some(wb, random.Random(6), 1, 0.25, 0.3)
        my.sql(what)
    wb.start()
    writer.stop()
    wait_same(my, wb, "a", "b2", "c", "d", timeout=60)


@pytest.mark.servers("my97", "m118")
def test_renamed_before_its_copy_was_whole(make_wb, my):
    """Killed in the midst of the copy; then the tables get other names, and one of them is another."""
    for t in ("a", "b", "c", "d"):
        wide(my, t, 2500)
    wb = make_wb(my, build="fault")
    wb.write([wb.sqlite_target()], source=source(my, snapshot_workers=1, snapshot_turn="1ms"), **FAST)  # a turn for each table at least
    wb.run("--until", "now", env={"WB_FAULT": "copy.after_note@3:crash"}, code=137)
    my.sql("rename table a to a2; update a2 set id = 5000 where id = 7; rename table b to tmp, c to b, tmp to c; drop table d; create table d (id int primary key)")
    wb.run("--until", "now", env={"WB_FAULT": "checkpoint.after_commit@1:crash"}, code=(0, 137))
    wb.until_now()
    my.sql("insert into d values (1)")
    wb.until_now()
    assert same(my, wb, "a2", "b", "c", "d")


# proves G-06
@pytest.mark.servers("my97", "m10", "m118")
def test_without_any_lock(my_wb, my, load):
    """snapshot_locking: none: in turns with the stream under load, interrupted, with a user who may not lock."""
    wide(my, "a", 6000)
    wide(my, "b", 3000)
    my.server.sql(f"drop user if exists unlocking; create user unlocking identified by 'hunter2'; grant select, replication slave, "
                  f"{'replication client' if my.mysql else 'binlog monitor'} on *.* to unlocking")
    wb = my_wb.write([my_wb.sqlite_target(), my_wb.file_target()],
                     source=source(my, snapshot_locking="none", snapshot_turn="1ms", url=my.url(user="unlocking", password="hunter2")), **FAST)
    rng = random.Random(12)
    writer = load(my, churn(rng, ["a", "b"], 6000), pause=0.002)
    wb.start()
    wait_until(lambda: len(reads(wb.out, "a")) > 100, 30, "a part of the copy", alive=wb)
    wb.kill9()
    kill_some(wb, rng, 2, 0.2, 0.5)
    wb.start()
    time.sleep(1)
    writer.stop()
    all_arrived(my, wb, "a", "b")
    kinds = [e["event_type"] for e in events(wb)]
    assert "UPDATE" in kinds[:len(kinds) - kinds[::-1].index("READ")], "the stream rested until the copy was over"


@pytest.mark.servers("my97")
def test_a_view_without_locks_has_what_was_handed_over(own_my_server, make_wb):  # proves G-06
    """A commit in the log that nobody sees yet, since no replica has acknowledged it: a view of now would lack its row, and
    the stream has brought the row already."""
    server = own_my_server("my97", "--plugin-load-add=semisync_source.so", "--rpl-semi-sync-source-timeout=600000")
    my = MyDatabase(server)
    wide(my, "a", 3000)
    wb = make_wb(my)
    wb.write([wb.sqlite_target(), wb.file_target()], source=source(my, snapshot_locking="none"), **FAST).start()
    wait_same(my, wb, "a", timeout=60)
    server.sql("set global rpl_semi_sync_source_enabled = on, global rpl_semi_sync_source_wait_no_replica = on")
    other = server.connect(my.name)
    held = threading.Thread(target=other.cursor().execute, args=("insert into a values (90000, 1, 'held', null)",))
    held.start()
    try:
        wait_until(lambda: any(e["record"].get("id") == "90000" for e in events(wb, "a")), 30, "the row, from the log", alive=wb)
        wb.command("resync", wb.file, "a", code=0)
        wait_until(lambda: "waits for others to see" in wb.last_log(), 30, "the copy to wait", alive=wb)
        assert not my.sql("select 1 from a where id = 90000") and set(reads(wb.out, "a").values()) == {1}
    finally:
        server.sql("set global rpl_semi_sync_source_enabled = off")
        held.join()
        other.close()
    assert wb.last_log().count("waits for others to see") == 1
    wait_until(lambda: set(reads(wb.out, "a").values()) == {1, 2}, 30, "the second copy", alive=wb)
    wait_same(my, wb, "a", timeout=60)


@pytest.mark.servers("my97", "m10")
def test_without_any_lock_is_refused_by_name(my_wb, my):
    my.sql("create table nokey (id int); insert into nokey values (1)")
    wb = my_wb.write([my_wb.file_target()], source=source(my, snapshot_locking="none"))
    wb.run("--until", "now", code=3)
    assert "nokey: it has no primary key" in wb.last_log() and "minimal" in wb.last_log()
    my_wb.write([my_wb.file_target()], source=source(my, snapshot_locking="none", snapshot="only"), name="one").run()
    assert len(events(wb, "nokey")) == 1, "one view, and nothing that follows: no key is needed"
    my.sql("create table plain (id int primary key) engine = MyISAM")
    my_wb.write([my_wb.file_target(path="two")], source=source(my, snapshot_locking="none", snapshot="only"), name="two").run(code=3)
    assert "plain: its engine has no transactions" in wb.last_log()


# proves G-06
@pytest.mark.servers("m10")
def test_tables_without_transactions_resume(my_wb, my, load):
    """MyISAM is read under the lock; after a crash again, what is left of it."""
    wide(my, "m", 4000, engine="MyISAM")
    wide(my, "t", 4000)
    wb = my_wb.write([my_wb.sqlite_target()], source=source(my, snapshot_turn="5ms"), **FAST)
    writer = load(my, churn(random.Random(9), ["m", "t"], 4000), pause=0.003)
    kill_some(wb, random.Random(9), 4, 0.2, 0.5)
    wb.start()
    time.sleep(0.5)
    writer.stop()
    all_arrived(my, wb, "m", "t")


@pytest.mark.servers("my97", "m10")
def test_part_of_the_rows_and_columns(my_wb, my):
    my.sql("create table a (id int primary key, v int, secret text); create table b (id int primary key)")
    my.sql("insert into a values " + ",".join(f"({i}, {i % 10}, 's{i}')" for i in range(1, 1001)))
    my.sql("insert into b values (1)")
    wb = my_wb.write([my_wb.file_target(format="row"), my_wb.sqlite_target()],
                     source={"snapshot_where": {f"{my.name}.a": "v = 3"}, "snapshot_columns": {f"{my.name}.a": ["v"]}})
    wb.until_now()
    rows = [r for r in map(json.loads, wb.out.read_text().splitlines()) if "v" in r]
    assert len(rows) == 100 and not any("secret" in r for r in rows)
    my.sql("update a set v = 4, secret = 'told' where id = 3")
    wb.until_now()
    assert sqlite(wb.mirror).execute(f"select id, v, secret from {my.name}_a where id = 3").fetchall() == [(3, 4, "told")]


@pytest.mark.servers("my97", "m118")
def test_snapshot_command(my_wb, my):
    """Once; interrupted it begins again from nothing; a second one finds that all is done."""
    wide(my, "a", 6000)
    wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target()], source=source(my, snapshot="never"), **FAST)
    for wait in (0.15, 0.3):
        wb.runs += 1
        with open(wb.stderr, "wb") as err:
            p = subprocess.Popen([wb.binary, "snapshot", wb.file], cwd=wb.dir, stderr=err, env=wb.env)
        time.sleep(wait)
        p.kill()
        p.wait()
    for _ in range(2):
        wb.command("snapshot", wb.file, code=0)
        assert set(reads(wb.out, "a").values()) == {1} and len(reads(wb.out, "a")) == 6000
    assert same(my, wb, "a")


@pytest.mark.servers("m118")
def test_crashes_around_each_write_of_the_ledger(make_wb, my):
    """A crash on either side of each: each row once."""
    wide(my, "a", 3000)
    for point in ("copy.before_note", "copy.after_note", "copy.turn_over", "copy.planned"):
        wb = make_wb(my, build="fault", name=point.replace(".", "_"))
        out = f"{point}.jsonl"
        wb.write([wb.file_target(path=out)], source=source(my, snapshot_turn="5ms"), **FAST)
        for n in (1, 2, 3):
            wb.run("--until", "now", code=None, env={"WB_FAULT": f"{point}@{n}:crash"})
        wb.until_now()
        seen = reads(wb.dir / out, "a")
        assert set(seen.values()) == {1} and len(seen) == 3000, point


# proves G-06, G-11
@pytest.mark.servers("my97")
def test_a_target_that_comes_later(my_wb, my, load):
    """It gets every table, in turns with the stream, while the one that was there gets nothing twice."""
    wide(my, "a", 4000)
    wb = my_wb.write([my_wb.file_target()], source=source(my), **FAST)
    wb.until_now()
    writer = load(my, churn(random.Random(2), ["a"], 4000), pause=0.003)
    wb.write([wb.file_target(), {**wb.sqlite_target(), "start": "snapshot"}], source=source(my), **FAST).start()
    time.sleep(1)
    writer.stop()
    all_arrived(my, wb, "a")
    assert set(reads(wb.out, "a").values()) == {1}
    folded(my, wb, "a")


@pytest.mark.servers("my97", "m118")
def test_many_tables_are_dealt_out(my_wb, my):
    """Of some hundred tables each is read on one connection; the large one in parts, on all. Nothing is left out."""
    my.sql("".join(f"create table t{i} (id int primary key, v int);" for i in range(270)))
    my.sql("".join(f"insert into t{i} values (1, {i}), (2, -{i});" for i in range(0, 270, 3)))
    wide(my, "big", 3000)
    wb = my_wb.write([my_wb.file_target()], source=source(my, snapshot_workers=3), **FAST)
    wb.until_now()
    got = [(e["table_name"], e["record"]["id"], e["record"]["v"]) for e in events(wb) if e["table_name"] != "big" and e["record"]]
    assert sorted(got) == sorted((f"t{i}", str(n), str(v)) for i in range(0, 270, 3) for n, v in ((1, i), (2, -i)))
    assert set(reads(wb.out, "big").values()) == {1} and len(reads(wb.out, "big")) == 3000


@pytest.mark.slow
@pytest.mark.servers("m10")
def test_ten_thousand_tables(my_wb, my):
    """A few statements for all tables, not some for each: the start takes seconds."""
    for part in range(20):
        my.sql("".join(f"create table t{part * 500 + i} (id int primary key, v text) engine=MyISAM;" for i in range(500)))
    my.sql("insert into t77 values (1, 'x')")
    asked = int(my.sql("show global status like 'questions'")[0][1])
    wb = my_wb.write([my_wb.file_target()], source={"snapshot": "never"}, **FAST).start()
    wait_until(my.slot_active, 60, "the stream", alive=wb)
    assert int(my.sql("show global status like 'questions'")[0][1]) - asked < 2000
    my.sql("insert into t78 values (1, 'y')")
    wait_until(lambda: len(events(wb, "t78")) == 1, 20, "the row", alive=wb)
