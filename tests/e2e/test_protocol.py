"""The replication protocol beyond plain rows: prepared transactions, messages, origins, what publications choose."""
import time

import pytest

from compare import changes, records, same_file, same_mirror, sqlite, wait_file, wait_mirror
from conftest import needs
from program import wait_until

pytestmark = pytest.mark.both


def kinds(wb, table=None):
    return [(r["event_type"], r["table_name"]) for r in records(wb.out) if table in (None, r["table_name"])]


# ---------------------------------------------------------------- prepared transactions

@pytest.mark.parametrize("rows", [3, 3000], ids=["small", "streamed"])
def test_prepared_transactions_come_when_they_are_decided(wb, db, rows):
    db.decode_in_little_memory()
    db.sql("create table t (id int primary key, v text)")
    wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
    for n, name in enumerate(("kept", "undone", "late")):
        with db.connect() as c:
            c.autocommit = False
            c.execute(f"insert into t select g, repeat('{name}', 20) from generate_series({n} * 10000 + 1, {n} * 10000 + {rows}) g")
            c.execute(f"prepare transaction '{db.name} {name}'")
            c.commit()
    db.sql("insert into t values (99999, 'between')")
    wait_until(lambda: changes(wb.out), 20, "the row", alive=wb)
    assert [r["record"]["id"] for r in changes(wb.out)] == ["99999"], "nothing of what is not decided"
    db.sql(f"commit prepared '{db.name} kept'")
    db.sql(f"rollback prepared '{db.name} undone'")
    wait_mirror(wb, "t")
    wb.kill9()
    db.sql(f"commit prepared '{db.name} late'")
    wb.until_now()
    assert same_mirror(db, wb.mirror, "t") and same_file(db, wb.out, "t")
    assert [r["record"]["id"] for r in changes(wb.out)][1::rows] == ["1", "20001"]


def test_slot_with_two_phase_is_refused_by_name(wb, db):
    needs(db.server, 14, "two_phase")
    db.sql("create table t (id int primary key); create publication p for table t")
    db.sql(f"select pg_create_logical_replication_slot('two_{db.name}', 'pgoutput', false, true)")
    wb.write([wb.file_target()], source={"slot": f"two_{db.name}", "publication": "p", "snapshot": "never"})
    wb.run(code=3)
    assert "two_phase" in wb.last_log() and f"two_{db.name}" in wb.last_log()


# ---------------------------------------------------------------- messages

def refused_before_14(wb, db):
    if db.server.version >= 14:
        return False
    wb.run(code=3)
    assert "messages needs PostgreSQL 14" in wb.last_log() and wb.check(1).stdout.count("PostgreSQL 14") == 1
    return True


@pytest.mark.older
def test_d8_messages_inside_and_outside_of_transactions(wb, db):
    """Each once, at its place, over restarts; a message outside of transactions comes even when who wrote it rolls back."""
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target(format_options={"event_id": True}), wb.sqlite_target()], source={"messages": True})
    if refused_before_14(wb, db):
        return
    wb.until_now()

    def write():
        db.transaction("select pg_logical_emit_message(true, 'app', 'in 1')", "insert into t values (1)",
                       "select pg_logical_emit_message(false, 'app', 'loose 1')", "insert into t values (2)",
                       "select pg_logical_emit_message(true, 'app', 'in 2')")
        with db.connect() as c:
            c.autocommit = False
            c.execute("insert into t values (50)")
            c.execute("select pg_logical_emit_message(true, 'app', 'never')")
            c.execute("select pg_logical_emit_message(false, 'app', 'loose 2')")
            c.rollback()
        db.sql("insert into t values (3)")
        db.sql("select pg_logical_emit_message(false, 'app', E'\\\\xff00'::bytea)")
        db.sql("insert into t values (4)")
    write()
    for _ in range(3):
        wb.start()
        time.sleep(0.15)
        wb.kill9()
    wb.until_now()
    wb.until_now()
    got = [(r["record"].get("content") if r["event_type"] == "MESSAGE" else r["record"]["id"], r["transaction_id"] is None)
           for r in records(wb.out)]
    assert got == [("loose 1", True), ("in 1", False), ("1", False), ("2", False), ("in 2", False), ("loose 2", True), ("3", False),
                   ("/wA=", True), ("4", False)]
    assert len({r["event_id"] for r in records(wb.out)}) == len(got)
    loose = next(r for r in records(wb.out) if r["record"].get("content") == "loose 1")
    assert (loose["schema_name"], loose["table_name"], loose["primary_key"]) == (None, None, "") and loose["record"]["prefix"] == "app"
    assert abs(int(loose["event_timestamp"]) - time.time()) < 300 and int(loose["position"]) > 0


def test_loose_messages_amid_a_streamed_transaction(wb, db):
    """They do not wait for it, and what was confirmed with them does not lose it."""
    needs(db.server, 14, "logical messages and streamed transactions")
    db.decode_in_little_memory()
    db.sql("create table t (id int primary key, v text)")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"messages": True}).start().streaming()
    with db.connect() as c:
        c.autocommit = False
        for n in range(3):
            c.execute(f"insert into t select g, repeat('x', 100) from generate_series({n} * 5000 + 1, {n} * 5000 + 3000) g")
            db.sql(f"select pg_logical_emit_message(false, 'app', 'loose {n}')")
            db.sql("select pg_logical_emit_message(true, 'app', 'small')")
            wait_until(lambda: len(records(wb.out)) == 2 * n + 2, 20, "both messages", alive=wb)
            wait_until(lambda: wb.status()["targets"][0]["lag_bytes"] is not None, 5, "a status")
            if n == 1:
                wb.kill9()
                wb.start().streaming()
        c.commit()
    wait_mirror(wb, "t")
    wait_file(wb, "t")
    wb.term()
    assert [r["record"]["content"] for r in records(wb.out)[:6]] == [x for n in range(3) for x in (f"loose {n}", "small")]
    assert len(records(wb.out)) == 6 + 9000


def test_spools_go_with_the_connection(wb, db):
    """What was streamed and not committed is sent again after a cut: neither lost nor there twice."""
    needs(db.server, 14, "streamed transactions")
    db.decode_in_little_memory()
    db.sql("create table t (id int primary key, v text)")
    wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
    a, b = db.connect(), db.connect()
    for c in (a, b):
        c.autocommit = False
    for n in range(4):
        for k, c in enumerate((a, b)):
            c.execute("savepoint s")
            c.execute(f"insert into t select g, repeat('x', 100) from generate_series({k} * 100000 + {n} * 5000 + 1, {k} * 100000 + {n} * 5000 + 2000) g")
            if n % 2 == k:
                c.execute("rollback to s")
        wait_until(lambda: db.one("select sum(stream_count) from pg_stat_replication_slots") or 0 > n, 10, "a streamed block")
        pid = db.one("select active_pid from pg_replication_slots where database = current_database()")
        db.sql("select pg_terminate_backend(%s)", pid)
        wait_until(lambda: db.one("select active_pid from pg_replication_slots where database = current_database()") not in (None, pid), 20,
                   "another connection", alive=wb)
    b.commit()
    a.commit()
    wait_mirror(wb, "t")
    wait_file(wb, "t")
    wb.term()
    ids = [r["record"]["id"] for r in changes(wb.out)]
    assert len(ids) == len(set(ids)) == 8000
    assert not [p for p in wb.state.iterdir() if "spool" in p.name], "they have no name"


# ---------------------------------------------------------------- origins

def test_origin_none_leaves_out_what_replication_brought(wb, db):
    db.sql("create table t (id int primary key, v text)")
    wb.write([wb.file_target()], source={"origin": "none"})
    if db.server.version < 16:
        wb.run(code=3)
        assert "origin: none needs PostgreSQL 16" in wb.last_log() and wb.check(1).stdout.count("PostgreSQL 16") == 1
        return
    wb.start().streaming()
    origin = f"o_{db.name}"
    with db.connect() as c:
        c.execute("select pg_replication_origin_create(%s)", (origin,))
        c.execute("select pg_replication_origin_session_setup(%s)", (origin,))
        c.execute("insert into t values (1, 'from elsewhere')")
        c.execute("update t set v = 'again' where id = 1")
        c.execute("select pg_replication_origin_session_reset()")
        c.execute("insert into t values (2, 'here')")
        c.execute("select pg_replication_origin_drop(%s)", (origin,))
    wait_until(lambda: changes(wb.out), 20, "the row", alive=wb)
    wb.term()
    assert [r["record"]["id"] for r in changes(wb.out)] == ["2"]


# ---------------------------------------------------------------- what a publication chooses

def test_column_list_and_row_filter_in_snapshot_and_stream(wb, db):
    needs(db.server, 15, "row filters and column lists")
    db.sql("create table t (id int primary key, region text not null, secret text, n int); alter table t replica identity full")
    db.sql("create table c (id int primary key, a text, secret text); create table r (id int, region text, v text, primary key (id, region))")
    db.sql("insert into c values (1, 'a', 's'); insert into r values (1, 'eu', 'x'), (2, 'us', 'x'), (3, 'eu', 'x')")
    db.sql("create publication p for table c (id, a), r where (region = 'eu')")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"publication": "p"}).start().streaming()
    db.sql("insert into c values (2, 'b', 's'); update c set secret = 't'; update c set a = 'z' where id = 1; delete from c where id = 2")
    db.sql("insert into r values (4, 'us', 'y'), (5, 'eu', 'y'); update r set v = 'changed'")
    db.sql("update r set region = 'eu' where id = 2")  # comes into the filter
    db.sql("update r set region = 'us' where id = 3")  # leaves it
    db.sql("update r set region = 'ap' where id = 4")  # never was in it
    wait_until(lambda: kinds(wb, "r")[-1:] == [("DELETE", "r")], 20, "the row that left", alive=wb)
    wb.term()
    assert kinds(wb, "r") == [("READ", "r"), ("READ", "r"), ("INSERT", "r"), ("UPDATE", "r"), ("UPDATE", "r"), ("UPDATE", "r"), ("INSERT", "r"),
                              ("DELETE", "r")]
    assert all("secret" not in r["record"] for r in records(wb.out))
    assert [r["record"]["a"] for r in changes(wb.out, "c") if r["event_type"] != "DELETE"] == ["a", "b", "a", "b", "z"]
    mirror = sqlite(wb.mirror)
    assert mirror.execute("select id, region, v from r order by 1").fetchall() == [(1, "eu", "changed"), (2, "eu", "changed"), (5, "eu", "changed")]
    assert mirror.execute("select * from c").fetchall() == [(1, "z")]


@pytest.mark.parametrize("root", [True, False], ids=["root", "leaves"])
def test_partitions_under_either_name(wb, db, root):
    """Moves between partitions, a partition made later, a row filter and a truncate, by root or by leaf: snapshot and stream agree."""
    needs(db.server, 13, "partitioned tables in a publication")
    db.sql("create table p (id int, k int, v text, primary key (id, k)) partition by range (k)")
    db.sql("create table p1 partition of p for values from (0) to (10); create table p2 partition of p for values from (10) to (20)")
    db.sql("insert into p values (1, 1, 'x'), (2, 11, 'y')")
    db.sql(f"create publication pub for table p with (publish_via_partition_root = {root})")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"publication": "pub"}).start().streaming()
    db.sql("insert into p values (3, 3, 'z')")
    db.sql("update p set k = 12 where id = 1")
    db.sql("create table p3 partition of p for values from (20) to (30); insert into p values (4, 25, 'w')")
    db.sql("truncate p" if root else "truncate p1")  # of one partition the server tells nothing under the root's name
    db.sql("insert into p values (5, 5, 'v'), (6, 16, 'u'); update p set v = 'last'")
    tables = ["p"] if root else ["p1", "p2", "p3"]
    wait_mirror(wb, *tables)
    wb.term()
    assert same_file(db, wb.out, *(tables if not root else []), key=("id", "k"))
    assert {t for _, t in kinds(wb)} == set(tables)
    moved = [(r["event_type"], r["table_name"], r["record"]["k"]) for r in changes(wb.out) if r["record"] and r["record"]["id"] == "1"][1:3]
    if root:
        assert moved == [("DELETE", "p", "1"), ("INSERT", "p", "12")]
        assert not [k for k in kinds(wb) if k[0] in ("CREATE", "ALTER")], "a new partition is no new table"
    else:
        assert moved == [("DELETE", "p1", "1"), ("INSERT", "p2", "12")]
        assert [k for k in kinds(wb) if k[0] == "CREATE"] == [("CREATE", "p3")]


@pytest.mark.older
def test_partitions_before_13(wb, db):
    """Only under their own names: a root that is named without them is refused, not read as nothing. From 13 on, one table."""
    partitioned(db)
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"tables": ["public.t", "public.p"]})
    tables = ["p"]
    if db.server.version < 13:
        wb.run(code=3)
        assert "public.p is partitioned" in wb.last_log() and "public.p1" in wb.last_log()
        assert wb.check(1).stdout.count("public.p is partitioned") == 1 and db.slots() == []
        wb.write([wb.file_target(), wb.sqlite_target()], source={"tables": ["public.*"]})
        tables = ["p1", "p2"]
    wb.until_now()
    db.sql("insert into p values (500, 5, 'y'); update p set k = 15 where id = 500; truncate p2; insert into p values (501, 15, 'z')"
           if db.server.version < 13 else "insert into p values (500, 5, 'y'); update p set k = 15 where id = 500")
    wb.until_now()
    assert same_mirror(db, wb.mirror, *tables)
    assert {t for _, t in kinds(wb)} == set(tables)
    if db.server.version < 13:  # who takes a partition away by name has said so
        wb.write([wb.file_target(path="part.jsonl")], source={"tables": ["public.*", "!public.p2"], "snapshot": "only"}, state="part.state")
        wb.run(timeout=20)
        assert {r["table_name"] for r in records(wb.dir / "part.jsonl")} == {"p1"}


def test_stored_generated_columns(wb, db):
    db.sql("create table t (id int primary key, a int, twice int generated always as (a * 2) stored)")
    db.sql("insert into t (id, a) values (1, 1)")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"generated_columns": "stored"})
    if db.server.version < 18:
        wb.run(code=3)
        assert "generated_columns: stored needs PostgreSQL 18" in wb.last_log()
        return
    wb.start().streaming()
    db.sql("insert into t (id, a) values (2, 2); update t set a = 5 where id = 1")
    wait_mirror(wb, "t")
    wb.term()
    assert same_file(db, wb.out, "t")
    assert [r["record"]["twice"] for r in changes(wb.out)] == ["2", "4", "10"]
    assert not [r for r in records(wb.out) if r["event_type"] == "ALTER"]


def test_generated_columns_in_a_replica_identity(wb, db):
    """They do not travel, so they identify nothing; and 18 would refuse the application's updates: it must go on in any case."""
    gen = "generated always as (a * 2) stored"
    db.sql(f"create table g (a int, k int {gen} primary key, v text); create table h (a int, b int, k int {gen.replace('a *', 'b *')}, v text, primary key (a, k))")
    db.sql(f"create table f (id int primary key, a int, k int {gen}, v text); alter table f replica identity full")
    db.sql("insert into g values (1), (2); insert into h values (1, 1), (1, 2); insert into f values (1, 1), (2, 2)")
    wb.write([wb.file_target(), wb.sqlite_target()])
    assert "public.g has a generated column in its replica identity" in wb.check(0).stdout
    wb.start().streaming()
    wait_until(lambda: len(records(wb.out)) == 6, 20, "the copy", alive=wb)
    for t in "ghf":  # no error for the application
        db.sql(f"update {t} set v = 'x'")
    db.sql("insert into h values (1, 3), (1, 4); insert into g values (5)")
    wait_until(lambda: len(changes(wb.out, "g")) >= 1 and len(changes(wb.out, "h")) >= 2, 20, "the inserts", alive=wb)
    wait_until(lambda: sqlite(wb.mirror).execute("select count(*) from h").fetchone() == (4,), 20, "rows that share a part of their key", alive=wb)
    assert {r["event_type"] for r in records(wb.out) if r["table_name"] in "gh"} == {"READ", "INSERT"}
    assert all(r["primary_key"] == "" for r in records(wb.out) if r["table_name"] in "gh")
    cut = "the replica identity of public.{} has a generated column"
    assert [cut.format(t) in wb.last_log() for t in "ghf"] == [True, True, db.server.version >= 18]
    wb.term()
    if db.server.version >= 18:
        wb.write([wb.sqlite_target(path="second.db")], source={"generated_columns": "stored"}, state="second.state", name="second").start().streaming()
        assert cut.split("{")[0] not in wb.last_log()
        db.sql("update g set v = 'y'; update h set v = 'y', b = b + 10; update f set v = 'y'; delete from h where b = 11")
        wait_mirror(wb, "g", "h", "f", path=wb.dir / "second.db")


def partitioned(db):
    db.sql("create table p (id int, k int, v text, primary key (id, k)) partition by range (k)")
    db.sql("create table p1 partition of p for values from (0) to (10); create table p2 partition of p for values from (10) to (20)")
    db.sql("insert into p select g, g % 20, 'x' from generate_series(1, 100) g")


def test_truncate_of_one_partition(wb, db):  # proves G-10
    """The server does not send it under the root's name: it is seen all the same, while we run and while we do not."""
    needs(db.server, 13, "partitioned tables in a publication")
    partitioned(db)
    wb.write([wb.file_target(), wb.sqlite_target()], source={"table_interval": "100ms"}).start().streaming()
    wait_mirror(wb, "p")
    db.sql("truncate p1; insert into p values (500, 5, 'after')")
    wait_until(lambda: "partition public.p1 of public.p was truncated" in wb.last_log(), 20, "a word", alive=wb)
    wait_mirror(wb, "p")
    db.sql("create table p3 partition of p for values from (20) to (30); insert into p values (600, 25, 'z')")
    db.sql("truncate p3")
    wait_until(lambda: "partition public.p3 of public.p was truncated" in wb.last_log(), 20, "a word", alive=wb)
    wait_mirror(wb, "p")
    wait_file(wb, "p", key=("id", "k"))
    wb.term()
    db.sql("insert into p values (501, 5, 'one more'); truncate p2; insert into p values (502, 15, 'after')")
    wb.until_now()
    assert "partition public.p2 of public.p was truncated" in wb.last_log()
    assert same_mirror(db, wb.mirror, "p") and same_file(db, wb.out, "p", key=("id", "k"))
    wb.until_now()
    assert "truncated" not in wb.last_log() and "copied" not in wb.last_log()


def test_new_files_of_partitions_that_nobody_truncated(wb, db):
    """VACUUM FULL, CLUSTER, TRUNCATE of the root, in any state of ours: nothing is copied again."""
    needs(db.server, 13, "partitioned tables in a publication")
    partitioned(db)
    wb.write([wb.file_target(), wb.sqlite_target()], source={"table_interval": "100ms"})
    wb.until_now()
    newest = "select max(xmin::text::bigint) < txid_snapshot_xmin(txid_current_snapshot()) from p"
    for running in (False, True):
        wait_until(lambda: db.one(newest), 20, "the end of older transactions")
        if running:
            wb.start().streaming()
        db.sql("vacuum full p1")
        db.sql("cluster p2 using p2_pkey")
        files = [r[0] for r in db.sql("select relfilenode from pg_class where relname in ('p1', 'p2') and relfilenode <> oid")]
        assert len(files) == 2, "the files are the old ones"
        if not running:
            wb.until_now()
            wb.start().streaming()
        state = wb.state / "state.db"
        kept = lambda: b"".join(r[0] for r in sqlite(state).execute("select value from source where key = 'leaves/files'"))  # noqa: E731
        wait_until(lambda: all(f.to_bytes(4, "big") in kept() for f in files), 20, "the new files to be known", alive=wb)
        db.sql("truncate p; insert into p select g, g % 20, 'y' from generate_series(1, 50) g")
        wait_mirror(wb, "p")
        wb.term()
        db.sql("truncate p; insert into p select g, g % 20, 'y' from generate_series(1, 50) g")  # seen by the next run
        wb.until_now()
        assert same_mirror(db, wb.mirror, "p")
    assert "was truncated" not in wb.log() and "copied again" not in wb.log()
    assert not [r for r in records(wb.out)[100:] if r["event_type"] == "READ"]


def test_truncate_of_a_partition_without_snapshots(wb, db):
    """Nothing may be copied: a sentence that says what is wrong."""
    needs(db.server, 13, "partitioned tables in a publication")
    partitioned(db)
    wb.write([wb.sqlite_target()], source={"snapshot": "never", "table_interval": "100ms"}).start().streaming()
    db.sql("truncate p1")
    wait_until(lambda: "partition public.p1 of public.p was truncated" in wb.last_log(), 20, "a word", alive=wb)
    assert "it is not copied again" in wb.last_log()
    wb.term()
    assert "TRUNCATE of a single partition of public.p" in wb.check(code=0).stdout
    wb.write([wb.sqlite_target()])
    assert "single partition" not in wb.check(code=0).stdout
