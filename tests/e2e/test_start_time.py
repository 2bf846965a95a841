"""`start: {time: …}`: from the first transaction that was committed at that time or later, on PostgreSQL, MySQL and MariaDB. Times are
the servers' own; sleeps only keep two commits apart."""
import json
import re
import sqlite3
import time
from datetime import datetime, timedelta, timezone

import pytest

from compare import records
from my_servers import MyDatabase, MyServer, run
from servers import Database, pg_kinds

CRASHES = ("checkpoint.before_commit", "sqlite.after_commit")


def ids(path):
    """Of the rows in the file, in its order."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [int(r["record"]["id"]) for r in rows if r["event_type"] in ("INSERT", "UPDATE", "DELETE")]


def mirrored(wb, schema=None):
    with sqlite3.connect(wb.mirror) as c:
        return [r[0] for r in c.execute(f"select id from {schema + '_' if schema else ''}t order by 1")]


def apart(db):
    """A moment of the server's clock, later than every commit before it and earlier than every commit after it, also in whole seconds."""
    mysql = isinstance(db, MyDatabase)
    time.sleep(1.01 if mysql and db.mariadb else 0.01)
    now = db.one("select utc_timestamp(6)" if mysql else "select clock_timestamp()").replace(tzinfo=timezone.utc)
    time.sleep(0.01)
    return now


def spelled(when, hours=None):
    """RFC 3339: UTC with Z, or with an offset."""
    if hours is None:
        return when.isoformat().replace("+00:00", "Z")
    return when.astimezone(timezone(timedelta(hours=hours))).isoformat()


def refused(wb, source, *words, code=(2, 3)):
    wb.write([wb.file_target()], source=source).run("--until", "now", code=code)
    for w in words:
        assert w in wb.last_log(), f"{w} is not in:\n{wb.tail()}"


# ---------------------------------------------------------------- PostgreSQL

def table(db, *slots):
    """Slots, as another tool made them."""
    db.sql("create table t (id int primary key, v text)")
    db.sql("create publication pub for table t")
    for slot in slots:
        db.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
    return [{"slot": s, "publication": "pub", "snapshot": "never"} for s in slots]


@pytest.mark.both
def test_postgres(wb, db):
    """Transactions that began before the time and were committed after it come, whole: a large one that is streamed, and a prepared one."""
    sources = table(db, "one", "two", "three")
    db.decode_in_little_memory()
    db.sql("insert into t values (1, 'before')")
    prepared, large = db.connect(), db.connect()
    large.autocommit = False
    large.execute("insert into t select g, repeat('x', 400) from generate_series(1000, 1999) g")
    prepared.execute("begin; insert into t values (2, 'prepared'); prepare transaction %s" % f"'p_{db.name}'")
    db.sql("insert into t values (3, 'before')")
    when = apart(db)
    db.sql("insert into t values (4, 'after')")
    db.sql(f"commit prepared 'p_{db.name}'")
    large.commit()
    db.sql("update t set v = 'x' where id = 1")
    want = [4, 2, *range(1000, 2000), 1]
    for n, (source, text) in enumerate(zip(sources, (spelled(when), spelled(when, 2), when.strftime("%Y-%m-%d %H:%M:%S.%f")))):
        wb.write([wb.file_target(path=f"out{n}.jsonl"), wb.sqlite_target(path=f"m{n}.db")], source={**source, "start": {"time": text}}, state=f"s{n}")
        wb.until_now()
        assert ids(wb.dir / f"out{n}.jsonl") == want, wb.tail()
        assert "the first transaction since then was committed at" in wb.last_log()
    db.sql("insert into t values (5, 'later')")
    wb.until_now()
    assert ids(wb.dir / "out2.jsonl") == [*want, 5] and "looks for the start" not in wb.last_log()
    for c in (prepared, large):
        c.close()


def test_postgres_to_the_microsecond(make_wb, own_server):
    """A commit at that very moment comes; a moment later it does not. The server says when each was committed."""
    db = Database(own_server("track_commit_timestamp=on"))
    wb = make_wb(db)
    sources = table(db, "one", "two")
    for i in (1, 2, 3):
        db.sql("insert into t values (%s, 'x')", i)
        apart(db)
    at = db.one("select pg_xact_commit_timestamp(xmin) from t where id = 2")
    for n, (source, when) in enumerate(zip(sources, (at, at + timedelta(microseconds=1)))):
        wb.write([wb.file_target(path=f"out{n}.jsonl")], source={**source, "start": {"time": spelled(when)}}, state=f"s{n}").until_now()
        assert ids(wb.dir / f"out{n}.jsonl") == [2, 3][n:]


@pytest.mark.both
def test_postgres_refusals(wb, db):
    early, = table(db, "early")
    before = apart(db)
    if db.server.version >= 17:
        wb.write([wb.file_target(path="early.jsonl")], source={**early, "start": {"time": spelled(before)}}, state="early").until_now()  # nobody used the slot since
        assert "nothing came since then" in wb.last_log() or "the first transaction since" in wb.last_log()
    late, = [{**early, "slot": "late"}]
    db.sql("select pg_create_logical_replication_slot('late', 'pgoutput')")
    db.sql("insert into t values (1, 'in it')")
    for start, words in (({"time": "2026-13-01"}, "no time since 1970"), ({"time": "yesterday"}, "no time since 1970"),
                         ({"time": spelled(before), "lsn": "0/1"}, "not both")):
        refused(wb, {**late, "start": start}, words, code=2)
        assert words in wb.command("check", wb.file, code=1).stdout
    refused(wb, {**late, "start": {"time": spelled(before)}, "slot_position": "0/1"}, "leave one of them out")
    refused(wb, {**late, "start": {"time": spelled(apart(db) + timedelta(hours=1))}}, "by the server's clock")
    refused(wb, {**late, "slot": "nobodys", "start": {"time": spelled(before)}}, "does not exist; a new one begins now")
    for _ in range(2):  # our own look at the slot does not make it younger
        refused(wb, {**late, "start": {"time": spelled(before)}}, "cannot be known", "start: {lsn: ", code=3)
    assert not records(wb.out) and sorted(db.slots()) == ["early", "late"]
    lsn = re.search(r"start: \{lsn: ([0-9A-F/]+)\}", wb.last_log()).group(1)
    wb.write([wb.file_target()], source={**late, "start": {"lsn": lsn}}).until_now()
    assert ids(wb.out) == [1]


@pytest.mark.both
def test_postgres_killed_before_the_first_checkpoint(fault_wb, db):  # proves G-01 G-02
    wb = fault_wb
    source, = table(db, "theirs")
    db.sql("insert into t values (1, 'before')")
    when = apart(db)
    db.sql("insert into t values (2, 'after')")
    wb.write([wb.file_target(), wb.sqlite_target()], source={**source, "start": {"time": spelled(when)}})
    for n, point in enumerate(("postgres.start_time_read", "postgres.start_time_kept", *CRASHES)):
        wb.start(env={"WB_FAULT": f"{point}@1:crash"})
        wb.wait_exit(137)
        db.sql(f"insert into t values ({n + 3}, 'after')")
    wb.until_now()
    assert ids(wb.out) == mirrored(wb) == [2, 3, 4, 5, 6]


@pytest.mark.parametrize("pg", pg_kinds("pg18"), indirect=True, scope="session")
@pytest.mark.parametrize("point", ["postgres.start_time_read", "postgres.start_time_kept"])
def test_postgres_killed_while_it_looks(fault_wb, db, point):
    """The slot's last use, which shows that it is old enough, is known although our own look at it is a use."""
    source, = table(db, "theirs")
    when = apart(db)
    db.sql("insert into t values (1, 'after')")
    wb = fault_wb.write([fault_wb.file_target()], source={**source, "start": {"time": spelled(when)}})
    wb.start(env={"WB_FAULT": f"{point}@1:crash"}).wait_exit(137)
    wb.until_now()
    assert ids(wb.out) == [1]


# ---------------------------------------------------------------- MySQL, MariaDB

def my_table(my):
    my.sql("create table t (id int primary key, v varchar(20))")
    my.sql("insert into t values (1, 'before')")
    my.sql("flush binary logs")
    my.sql("alter table t add column n int default 7")
    my.sql("insert into t values (2, 'before', 2)")


def rows_and_names(path):
    return [r["record"] for r in records(path) if r["event_type"] in ("INSERT", "UPDATE", "DELETE")]


@pytest.mark.servers("my97", "m10", "m118")
def test_mysql(my_wb, my):
    """Across files and an ALTER; what follows comes all, also where a session sets the clock that the log shows back."""
    wb = my_wb
    my_table(my)
    with my.connect() as c:
        run(c, "set timestamp = unix_timestamp() - 3600")
        run(c, "insert into t values (3, 'earlier', 3)")
    large = my.connect(autocommit=False)
    run(large, "insert into t values (10, 'begun before', 10)")
    if my.mysql:
        with my.connect() as c:
            run(c, "xa start 'x'; insert into t values (11, 'prepared', 11); xa end 'x'; xa prepare 'x'")
    when = apart(my)
    my.sql("insert into t values (4, 'after', 4)")
    with my.connect() as c:
        run(c, "set timestamp = unix_timestamp() - 3600")
        run(c, "insert into t values (5, 'after', 5)")
    my.sql("flush binary logs")
    large.commit()
    if my.mysql:
        my.sql("xa commit 'x'")
    my.sql("alter table t drop column v")
    my.sql("insert into t values (6, 6)")
    want = [4, 5, 10, *([11] if my.mysql else []), 6]
    for n, text in enumerate((spelled(when), spelled(when, -7))):
        wb.write([wb.file_target(path=f"out{n}.jsonl"), wb.sqlite_target(path=f"m{n}.db")],
                 source={"snapshot": "never", "start": {"time": text}}, state=f"s{n}").until_now()
        assert ids(wb.dir / f"out{n}.jsonl") == want, wb.tail()
        assert "the first transaction since then was committed at" in wb.last_log()
    found = rows_and_names(wb.dir / "out1.jsonl")
    assert found[0]["v"] == "after" and found[0]["n"] == "4" and "v" not in found[-1] and found[-1]["n"] == "6"
    my.sql("insert into t values (7, 7)")
    wb.until_now()
    assert ids(wb.dir / "out1.jsonl") == [*want, 7] and "looks for the start" not in wb.last_log()
    wb.write([wb.file_target(path="none.jsonl")], source={"snapshot": "never", "start": {"time": spelled(apart(my))}}, state="s2").until_now()
    my.sql("insert into t values (8, 8)")
    wb.until_now()
    assert ids(wb.dir / "none.jsonl") == [8]
    large.close()


@pytest.mark.servers("my97", "m118")
def test_mysql_killed_before_the_first_checkpoint(make_wb, my):  # proves G-01 G-02
    wb = make_wb(my, build="fault")
    my_table(my)
    when = apart(my)
    my.sql("insert into t values (3, 'after', 3)")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"snapshot": "never", "start": {"time": spelled(when)}})
    for n, point in enumerate(("mysql.start_time_found", *CRASHES)):
        wb.start(env={"WB_FAULT": f"{point}@1:crash"})
        wb.wait_exit(137)
        my.sql(f"insert into t values ({n + 4}, 'after', 0)")
    wb.until_now()
    assert ids(wb.out) == mirrored(wb, my.name) == [3, 4, 5, 6]


def test_mysql_refusals(make_wb, own_my_server):
    """And with file positions: a log that does not reach back; the time that is named does."""
    my = MyDatabase(own_my_server("my97", MyServer.WITHOUT_GTID))
    wb = make_wb(my)
    my_table(my)
    early = apart(my)
    my.sql("insert into t values (3, 'after', 3)")
    never = {"snapshot": "never", "start": {"time": spelled(early)}}
    refused(wb, {**never, "snapshot": "initial"}, "needs snapshot: never")
    refused(wb, {**never, "start": {"time": "12:00"}}, "no time since 1970")
    refused(wb, {**never, "start": {"time": spelled(early), "gtid": "0-1-1"}}, "not both")
    refused(wb, {**never, "start": {"time": spelled(early + timedelta(days=1))}}, "by the server's clock")
    refused(wb, {**never, "start": {"time": "2020-01-01"}}, "reaches back to", code=3)
    wb.write([wb.file_target()], source=never).until_now()
    assert ids(wb.out) == [3]
    my.sql("flush binary logs")
    my.sql("insert into t values (4, 'after', 4)")
    time.sleep(1.1)  # the file is older than its second
    my.sql("insert into t values (5, 'after', 5)")
    my.sql(f"purge binary logs to '{my.server.logs()[-1]}'")
    wb.write([wb.file_target(path="late.jsonl")], source=never, state="late").run("--until", "now", code=3)
    oldest = re.search(r"start: \{time: (\S+)\}", wb.last_log()).group(1)
    assert datetime.fromisoformat(oldest.replace("Z", "+00:00")) > early
    wb.write([wb.file_target(path="late.jsonl")], source={**never, "start": {"time": oldest}}, state="late").until_now()
    assert ids(wb.dir / "late.jsonl")[-1] == 5
