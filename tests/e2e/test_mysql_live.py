"""The live MySQL and MariaDB source: copy, stream, restart, kill -9, lost connections; all three servers."""
import random
import time

import pytest

from compare import no_repeats
from my_compare import events, same, wait_same
from program import wait_until
from proxy import Proxy

TABLE = "create table t (id int primary key, v varchar(60), n decimal(12,2))"


def dumping(my):
    return lambda: my.slot_active()


def test_copy_then_stream(my_wb, my):  # proves G-06
    my.sql(TABLE)
    my.sql("create table bare (id int primary key)")
    my.sql("insert into t values (1,'one',1.10),(2,null,-2.00),(3,'dreißig',3)")
    wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target()]).start()
    wait_until(dumping(my), 30, "a dump", alive=wb)
    my.sql("insert into t values (4,'four',4.5); update t set v='two' where id=2; delete from t where id=1")
    wait_same(my, wb, "t", "bare", columns="id")
    wait_same(my, wb, "t")
    wait_until(lambda: len(events(wb, "t")) == 6, 20, "six lines", alive=wb)
    wb.term()
    kinds = [e["event_type"] for e in events(wb, "t")]
    assert kinds == ["READ", "READ", "READ", "INSERT", "UPDATE", "DELETE"]
    e = events(wb, "t")[3]
    assert e["schema_name"] == my.name and e["primary_key"] == "id" and e["record"] == {"id": "4", "v": "four", "n": "4.50"}
    assert e["global_id"] and e["transaction_id"].startswith(e["source"] + ":")


def test_until_now_and_again(my_wb, my):
    my.sql(TABLE)
    my.sql("insert into t values (1,'a',1)")
    wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target()])
    wb.until_now()
    my.sql("insert into t values (2,'b',2)")
    my.sql("flush binary logs")
    my.sql("insert into t values (3,'c',3)")
    wb.until_now()
    wb.until_now()
    my.sql("insert into t values (4,'d',4)")
    my.sql("flush binary logs")  # the log ends in a file without transactions
    wb.until_now()
    my.sql("flush binary logs")
    wb.until_now()
    assert same(my, wb, "t")
    assert [e["record"]["id"] for e in events(wb, "t")] == ["1", "2", "3", "4"]
    s = wb.status()
    assert s["source"]["server"]["log_files"] >= 2 and "position" in s["source"]["server"]


@pytest.mark.servers("my97", "m118")
def test_kill9_exactly_once_into_sqlite(my_wb, my, load):  # proves G-01 G-02
    my.sql("create table t (id int primary key auto_increment, v varchar(40))")
    my.sql("create table sums (id int primary key, n int)")
    my.sql("insert into sums values (1, 0)")
    wb = my_wb.write([my_wb.sqlite_target(), my_wb.sqlite_target(name="log", path="log.db", mode="log"),
                      my_wb.file_target(format_options={"event_id": True})]).start()
    r = random.Random(11)

    def work(c, i):
        with c.cursor() as cur:
            for k in range(r.choice([1, 2, 40])):
                cur.execute("insert into t (v) values (%s)", (f"{i}-{k}",))
            cur.execute("update sums set n = n + 1")
    running = load(my, work)
    for _ in range(5):
        time.sleep(0.5 + r.random() / 2)
        wb.kill9()
        wb.start()
    running.stop()
    wait_same(my, wb, "t", "sums", timeout=60)
    wb.term()
    wb.until_now()
    assert same(my, wb, "t", "sums")
    inserted = [e["record"]["id"] for e in events(wb, "t") if e["event_type"] in ("INSERT", "READ")]
    assert len(inserted) == len(set(inserted)) == my.one("select count(*) from t"), "a row twice, or lost"
    ids = [e["event_id"] for e in events(wb)]
    assert len(ids) == len(set(ids))


@pytest.mark.servers("my97", "m10")
def test_d37_a_connection_that_breaks_inside_a_transaction(my_wb, my):  # proves G-01
    my.sql(TABLE)
    proxy = Proxy("127.0.0.1", my.server.port)
    try:
        wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target()],
                         source={"url": my.url(port=proxy.port), "snapshot": "never", "heartbeat": "500ms"}).start()
        wait_until(dumping(my), 30, "a dump", alive=wb)
        for n in range(6):
            proxy.cut_after(3001 + 7919 * n)
            with my.connect() as c:
                c.begin()
                with c.cursor() as cur:
                    cur.executemany("insert into t values (%s, %s, 1)", [(n * 1000 + i, "x" * 50) for i in range(600)])
                c.commit()
            time.sleep(0.3)
        wait_same(my, wb, "t", timeout=60)
        wb.term()
        got = [e["record"]["id"] for e in events(wb, "t")]
        assert len(got) == len(set(got)) == 3600
        assert wb.status()["source"]["reconnects"] >= 1 if wb.running() else True
    finally:
        proxy.close()


@pytest.mark.servers("my97", "m118")
def test_server_restart_and_rotation(own_my_server, make_wb, my_server):
    from my_servers import MyDatabase
    server = own_my_server(my_server.kind)
    my = MyDatabase(server)
    my.sql(TABLE)
    wb = make_wb(my)
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_until(dumping(my), 30, "a dump", alive=wb)
    for n in range(3):
        my.sql(f"insert into t values ({n}, 'before', 1)")
        if n == 1:
            server.restart("fast")
        else:
            my.sql("flush binary logs")
        my.sql(f"insert into t values ({100 + n}, 'after', 1)")
    wait_same(my, wb, "t", timeout=60)
    wb.term()
    got = [e["record"]["id"] for e in events(wb, "t")]
    assert len(got) == len(set(got)) == 6


@pytest.mark.servers("my97")
def test_file_positions_without_gtid(own_my_server, make_wb):
    from my_servers import MyDatabase, MyServer
    server = own_my_server("my97", MyServer.WITHOUT_GTID)
    my = MyDatabase(server)
    my.sql(TABLE)
    my.sql("insert into t values (1, 'copied', 1)")
    wb = make_wb(my)
    wb.write([wb.file_target(), wb.sqlite_target()])
    wb.until_now()
    my.sql("insert into t values (2, 'streamed', 1)")
    my.sql("flush binary logs")
    wb.until_now()
    wb.start()
    wait_until(dumping(my), 30, "a dump", alive=wb)
    wb.kill9()
    my.sql("insert into t values (3, 'later', 1)")
    wb.until_now()
    assert same(my, wb, "t")
    assert [e["record"]["id"] for e in events(wb, "t")] == ["1", "2", "3"]
    assert events(wb, "t")[1]["global_id"] is None
    wb.write([wb.file_target(path="other")], source={"snapshot_locking": "none"}, name="other")
    wb.run("--until", "now", code=3)
    assert "without GTIDs MySQL does not tell which transactions others see" in wb.last_log()
    assert "snapshot_locking: none needs gtid_mode = ON" in wb.check(code=1).stdout
    wb.write([wb.file_target(), wb.sqlite_target()])
    # another server's files are not ours
    (server.data / "auto.cnf").unlink()
    server.restart("fast")
    wb.run("--until", "now", code=3)
    assert "another server" in wb.last_log() and "--resnapshot" in wb.last_log()


def purge_all_but_the_last(server):
    """MariaDB keeps a file until InnoDB has checkpointed what is in it."""
    def purged():
        server.sql(f"purge binary logs to '{server.logs()[-1]}'")
        return len(server.logs()) == 1
    wait_until(purged, 20, "the purge of old logs")


@pytest.mark.servers("my97", "m118")
def test_purged_log_is_recognised(own_my_server, make_wb, my_server):  # proves G-10
    from my_servers import MyDatabase
    server = own_my_server(my_server.kind)
    my = MyDatabase(server)
    my.sql(TABLE)
    my.sql("insert into t values (1, 'a', 1)")
    wb = make_wb(my)
    wb.write([wb.sqlite_target()]).until_now()
    my.sql("insert into t values (2, 'b', 1)")
    for _ in range(3):
        my.sql("flush binary logs")
    my.sql("insert into t values (3, 'c', 1)")
    purge_all_but_the_last(server)
    wait_until(lambda: "log_lost" in wb.status()["source"]["server"], 10, "status tells of it")
    wb.run("--until", "now", code=3)
    assert "purged" in wb.last_log() and "resnapshot" in wb.last_log()
    wb.run("--until", "now", "--resnapshot", "sqlite")
    assert same(my, wb, "t")
    wb.write([wb.sqlite_target()], source={"snapshot": "when_needed"})
    my.sql("insert into t values (4, 'd', 1)")
    my.sql("flush binary logs")
    purge_all_but_the_last(server)
    wb.until_now()
    assert same(my, wb, "t")


@pytest.mark.servers("my97", "m10")
def test_stopped_inside_a_transaction_that_is_not_wanted_any_more(make_wb, my):  # proves G-01 G-02
    """What was counted inside it is not counted off the next one; while it is wanted, its rows do not come again."""
    my.sql("create table t (id int primary key, v varchar(300)); create table u (id int primary key)")
    seed = f"insert into {{}} with recursive g (n) as (select {{}} union all select n + 1 from g where n < {{}}) select {{}} from g"
    my.sql(f"set session {'cte_max_recursion_depth' if my.mysql else 'max_recursive_iterations'} = 1000000")
    wb = make_wb(my, build="fault")
    targets = [wb.file_target(fsync="each")]
    wb.write(targets, memory="4MB", source={"snapshot": "never"})

    def stopped_inside(first, tables):
        wb.start(env={"WB_FAULT": "file.after_write@15:crash"})
        wait_until(dumping(my), 30, "a dump", alive=wb)
        size = wb.out.stat().st_size if wb.out.exists() else 0
        my.sql(seed.format("t", first, first + 79999, "n, repeat('x', 200)"))
        wb.wait_exit(137, 40)
        assert size < wb.out.stat().st_size and no_repeats(wb.out, "t") < first + 79999, "not a part of it"
        my.sql("flush binary logs; " + seed.format("u", first, first + 499, "n"))
        wb.write(targets, memory="4MB", source={"snapshot": "never", "tables": tables})
        wb.until_now()

    stopped_inside(1, [f"{my.name}.*"])
    assert no_repeats(wb.out, "t") == 80000 and no_repeats(wb.out, "u") == 500
    stopped_inside(80001, [f"{my.name}.u"])
    assert no_repeats(wb.out, "u") == 1000


@pytest.mark.servers("my97", "m10")
def test_stop_is_quick(my_wb, my):
    my.sql(TABLE)
    wb = my_wb.write([my_wb.file_target()]).start()
    wait_until(dumping(my), 30, "a dump", alive=wb)
    wb.term(timeout=10)
    proxy = Proxy("127.0.0.1", my.server.port)
    try:
        wb.write([wb.file_target()], source={"url": my.url(port=proxy.port)}).start()
        wait_until(dumping(my), 30, "a dump", alive=wb)
        proxy.stall()
        time.sleep(0.3)
        wb.term(timeout=10)
    finally:
        proxy.close()


@pytest.mark.servers("my97", "m10")
def test_memory_of_a_large_transaction(my_wb, my):  # proves G-09
    my.sql("create table t (id int primary key, a int, v varchar(40))")
    wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target()], source={"snapshot": "never"}).start()
    wait_until(dumping(my), 30, "a dump", alive=wb)
    with my.connect() as c, c.cursor() as cur:
        c.begin()
        cur.execute("insert into t values (0, 0, 'abcdefghijklmnopqrst')")
        rows = 1
        while rows < 250_000:
            cur.execute(f"insert into t select id + {rows}, id * 7, v from t")
            rows *= 2
        c.commit()
    wait_until(lambda: same_count(my, wb, rows), 120, "all rows", alive=wb)
    peak = wb.peak_rss()
    wb.term()
    assert peak < 64 or "WB_SLOW" in __import__("os").environ, f"{peak:.0f} MB"


def same_count(my, wb, rows):
    import sqlite3
    try:
        return sqlite3.connect(f"file:{wb.mirror}?mode=ro", uri=True).execute(f"select count(*) from {my.name}_t").fetchone()[0] == rows
    except sqlite3.OperationalError:
        return False


@pytest.mark.servers("my97", "m118")
def test_snapshot_under_load_is_one_history(my_wb, my, load):  # proves G-06
    my.sql("create table t (id int primary key auto_increment, v varchar(40), n int default 0)")
    my.sql("create table u (id int primary key, n int)")
    my.sql("insert into t (v) values " + ",".join(f"('{i}')" for i in range(3000)))
    my.sql("insert into u values (1,0)")
    r = random.Random(4)

    def work(c, i):
        with c.cursor() as cur:
            cur.execute("insert into t (v) values (%s)", (f"new {i}",))
            cur.execute("update t set n = n + 1 where id = %s", (r.randint(1, 3000),))
            cur.execute("delete from t where id = %s", (r.randint(1, 3000),))
            cur.execute("update u set n = n + 1")
    running = load(my, work)
    wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target()]).start()
    time.sleep(2.5)
    running.stop()
    wait_same(my, wb, "t", "u", timeout=60)
    wb.term()
    rows = {}
    for e in events(wb, "t"):  # folded in order, every event fits what is there
        key = e["record"]["id"]
        if e["event_type"] in ("READ", "INSERT"):
            assert key not in rows, f"{e['event_type']} of {key}, which is there"
            rows[key] = e["record"]
        elif e["event_type"] == "UPDATE":
            assert key in rows
            rows[key] = e["record"]
        else:
            assert rows.pop(key, None) is not None, f"DELETE of {key}, which is not there"
    assert sorted(map(int, rows)) == [i for (i,) in my.sql("select id from t order by id")]


@pytest.mark.servers("my97", "m10")
def test_tables_without_transactions_are_copied_under_the_lock(my_wb, my):
    my.sql("create table m (id int primary key, v varchar(20)) engine=MyISAM")
    my.sql("create table t (id int primary key)")
    my.sql("insert into m values (1,'a'),(2,'b'); insert into t values (1)")
    wb = my_wb.write([my_wb.sqlite_target(), my_wb.file_target()]).start()
    wait_until(dumping(my), 30, "a dump", alive=wb)
    my.sql("insert into m values (3,'c'); update m set v = 'x' where id = 1; insert into t values (2)")  # D58
    wait_same(my, wb, "m", "t")
    wb.term()
    assert "engine without transactions" in wb.check(code=0).stdout


def test_tail_and_init_and_explain(my_wb, my):
    import subprocess
    my.sql(TABLE)
    url = my.url()
    out = my_wb.command("init", url, code=0).stdout
    assert "type: mysql" in out and f'"{my.name}.*"' in out and "hunter2" not in out
    out = my_wb.command("explain", "types", url, code=0).stdout
    assert "decimal(12,2)" in out
    tail = subprocess.Popen([my_wb.binary, "tail", url, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(dumping(my), 30, "a dump")
        my.sql("insert into t values (1,'seen',2)")
        line = tail.stdout.readline()
        assert '"seen"' in line and '"INSERT"' in line
    finally:
        tail.terminate()
        assert tail.wait(10) == 0
