"""What every source promises the engine, asked of each in the same words: all servers of all sources.
proves G-01, G-03, G-04, G-06, G-07"""
import hashlib
import random
import time

import pytest

from compare import changes
from my_servers import MyDatabase
from program import wait_until

TABLE = "create table t (id int primary key, v varchar(100))"


def told(wb, table="t"):
    """(operation, id, v) of every line."""
    return [(r["event_type"], int(r["record"]["id"]), r["record"].get("v")) for r in changes(wb.out, table)]


def begin(conn):
    if hasattr(conn, "begin"):
        conn.begin()
    else:
        conn.autocommit = False


def cut(db):
    """The server ends every connection of ours."""
    if isinstance(db, MyDatabase):
        for session in db.server.sessions("walbrook"):
            try:
                db.sql(f"kill {session}")
            except Exception as e:  # noqa: BLE001: it went by itself
                assert "1094" in str(e), e
    else:
        db.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'walbrook' and datname = current_database()")


def test_rows_then_changes_in_the_order_of_commits(any_wb, any_db):
    any_db.sql(TABLE)
    any_db.sql("insert into t values (1, 'a'), (2, null)")
    any_wb.write([any_wb.file_target()]).until_now()
    with any_db.connect() as one, any_db.connect() as two:
        begin(one), begin(two)
        one.cursor().execute("insert into t values (3, 'late')")
        two.cursor().execute("insert into t values (4, 'early')")
        two.cursor().execute("update t set v = 'b' where id = 2")
        two.commit()
        one.cursor().execute("delete from t where id = 1")
        one.commit()
    with any_db.connect() as gone:
        begin(gone)
        gone.cursor().execute("insert into t values (5, 'never')")
        gone.rollback()
    any_wb.until_now()
    lines = told(any_wb)
    assert sorted(lines[:2]) == [("READ", 1, "a"), ("READ", 2, None)]
    assert [(op, i) for op, i, _ in lines[2:]] == [("INSERT", 4), ("UPDATE", 2), ("INSERT", 3), ("DELETE", 1)]
    ids = [r["transaction_id"] for r in changes(any_wb.out, "t")[2:]]
    assert ids[0] == ids[1] != ids[2] == ids[3], "what was one transaction is one"


def test_resumes_at_every_position(any_wb, any_db):
    """Ended or killed after each transaction: the next run brings the next one, whole, and nothing else."""
    any_db.sql(TABLE)
    any_wb.write([any_wb.file_target()]).until_now()
    n = 0
    for i in range(1, 7):
        rows = ", ".join(f"({n + k}, 'x{i}')" for k in range(1, i + 1))
        any_db.transaction(f"insert into t values {rows}", f"update t set v = 'y{i}' where id = {n + 1}")
        if i % 2:
            any_wb.start().streaming()
            any_wb.kill9()
        any_wb.until_now()
        n += i
        assert len(told(any_wb)) == n + i
    expected = []
    n = 0
    for i in range(1, 7):
        expected += [("INSERT", n + k, f"x{i}") for k in range(1, i + 1)] + [("UPDATE", n + 1, f"y{i}")]
        n += i
    assert told(any_wb) == expected


def test_connections_that_the_server_cuts(any_wb, any_db, load):
    any_db.sql("create table t (id int primary key, v varchar(100))")
    any_wb.write([any_wb.file_target()], backoff_min="10ms", backoff_max="100ms").start().streaming()
    r = random.Random(5)

    def work(c, i):
        cur = c.cursor()
        for k in range(r.choice([1, 3, 30])):
            cur.execute(f"insert into t values ({i * 100 + k}, 'w')")
    running = load(any_db, work)
    for _ in range(4):
        time.sleep(0.3)
        cut(any_db)
    running.stop()
    any_wb.term()
    any_wb.until_now()
    lines = [i for _, i, _ in told(any_wb)]
    assert len(lines) == len(set(lines)) == any_db.one("select count(*) from t") and lines == sorted(lines)


def test_a_row_has_the_columns_of_its_time(any_wb, any_db):
    any_db.sql(TABLE)
    any_wb.write([any_wb.file_target()]).until_now()
    for i, change in enumerate(["alter table t add column w int", "alter table t rename column v to u", "alter table t drop column w"]):
        any_db.sql(f"insert into t (id) values ({i})")
        any_db.sql(change)
    any_db.sql("insert into t (id) values (3)")
    any_wb.until_now()
    assert [sorted(r["record"]) for r in changes(any_wb.out, "t")] == [["id", "v"], ["id", "v", "w"], ["id", "u", "w"], ["id", "u"]]


def test_a_long_value_and_a_long_transaction(any_wb, any_db):
    """5 MB in one value; 20,000 rows in one transaction, in the midst of which we are ended."""
    big = "longtext" if isinstance(any_db, MyDatabase) else "text"
    any_db.sql(f"create table long_t (id int primary key, v {big})")
    any_db.sql(TABLE)
    any_wb.write([any_wb.file_target()]).until_now()
    any_db.sql("insert into long_t values (1, repeat('0123456789', 500000))")
    rows = [", ".join(f"({k + j}, 'z')" for j in range(1000)) for k in range(0, 20000, 1000)]
    any_db.transaction(*[f"insert into t values {r}" for r in rows])
    any_wb.start()
    wait_until(lambda: any_wb.out.stat().st_size > 5_000_000, 30, "the long value", alive=any_wb)
    any_wb.term()
    any_wb.until_now()
    value = changes(any_wb.out, "long_t")[0]["record"]["v"]
    assert hashlib.sha256(value.encode()).digest() == hashlib.sha256(b"0123456789" * 500000).digest()
    assert [i for _, i, _ in told(any_wb)] == list(range(20000))


@pytest.mark.parametrize("wrong", ["password", "port"])
def test_refuses_with_a_sentence(any_wb, any_db, wrong):
    url = any_db.url(password="not-this-one") if wrong == "password" else any_db.url(port=1)
    any_wb.write([any_wb.file_target()], source={"url": url}, patience="1s")
    any_wb.run(code=None, timeout=30)
    assert any_wb.process.returncode == 3, any_wb.last_log()
    assert "not-this-one" not in any_wb.last_log() and ("walbrook" if wrong == "password" else "127.0.0.1") in any_wb.last_log()
