"""What goes wrong around the program: it loses nothing, repeats nothing, and says in a sentence what to do."""
import os
import re
import sqlite3
import time

import psycopg
import pytest

import shop
from compare import no_repeats, records, same_file, same_mirror, wait_file, wait_mirror
from conftest import needs
from copies import FAST, SMALL, reads
from program import wait_until
from proxy import Proxy
from servers import ROOT, pg_kinds

pytestmark = pytest.mark.both


# ---------------------------------------------------------------- the source refuses

def test_wrong_password(wb, db, pg):  # proves G-10
    role = f"scram_{db.name}"
    db.sql(f"create role {role} login replication password 'right' in role scram_users")
    try:
        wb.write([wb.file_target()], source={"url": db.url(user=role, password="wrong-one")}).run(code=3, timeout=20)
        assert "password" in wb.last_log() and role in wb.last_log()
        assert "wrong-one" not in wb.last_log()
    finally:
        db.sql(f"drop role {role}")


def test_unknown_host(wb, db):
    wb.write([wb.file_target()], source={"url": "postgres://u@no-such-host.invalid/x"})
    assert "no-such-host.invalid" in wb.check(code=1).stdout + wb.said[-1]
    # a name that does not resolve today may resolve tomorrow: `run` keeps trying or ends with 3, but never at once in a loop
    wb.start()
    wait_until(lambda: "no-such-host.invalid" in wb.last_log(), 20, "a word")
    time.sleep(1)
    if wb.running():
        assert len(wb.last_log().splitlines()) < 20, "a hot loop"
        wb.term(code=(0, 3))
    else:
        wb.wait_exit(3)
    assert "no-such-host.invalid" in wb.last_log()


def test_unknown_database(wb, db):
    wb.write([wb.file_target()], source={"url": db.url().replace(db.name, "no_such_db")}).run(code=3, timeout=20)
    assert "no_such_db" in wb.last_log()


def test_wal_level_replica(make_wb, own_server, pg):
    from servers import Database
    server = own_server(*pg.options, "wal_level=replica")
    db = Database(server)
    db.sql("create table t (id int primary key)")
    wb = make_wb(db).write([{"type": "file", "path": "out.jsonl"}])
    found = wb.check(code=1)
    assert "wal_level" in found.stdout and "alter system set wal_level" in found.stdout.lower()
    wb.run(code=3, timeout=20)
    assert "wal_level" in wb.last_log()


# ---------------------------------------------------------------- slots and publications

def run_once(wb, db):
    db.sql("create table t (id int primary key, v text)")
    db.sql("insert into t values (1, 'a')")
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    (slot,) = db.slots()
    return slot


def test_slot_dropped(wb, db):
    slot = run_once(wb, db)
    db.sql("select pg_drop_replication_slot(%s)", slot)
    db.sql("insert into t values (2, 'lost')")
    wb.run(code=3, timeout=20)
    assert slot in wb.last_log()
    assert re.search(r"drop|snapshot", wb.last_log())
    assert no_repeats(wb.out, "t") == 1, "it went on as if nothing were missing"


def test_d9_slot_dropped_and_made_again(wb, db):  # proves G-01
    """Between the two is a gap that nobody would see: stop, and say how large it is."""
    slot = run_once(wb, db)
    db.sql("select pg_drop_replication_slot(%s)", slot)
    db.sql("insert into t select g, 'lost' from generate_series(2, 1000) g")
    db.sql("select pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
    db.sql("insert into t values (5000, 'seen')")
    wb.run(code=3, timeout=20)
    assert slot in wb.last_log() and re.search(r"[1-9]\d+ bytes of log between are lost", wb.last_log())
    assert no_repeats(wb.out, "t") == 1


def test_d9_another_server(wb, db):  # proves G-01
    """Positions of one server mean nothing on another one, though slot and publication have the same names there."""
    run_once(wb, db)
    known = sqlite3.connect(wb.state / "state.db")
    assert known.execute("update source set value = '7012345678901234567' where key = 'system_id'").rowcount == 1
    known.commit()
    known.close()
    db.sql("insert into t values (2, 'of another history')")
    wb.run(code=3, timeout=20)
    assert "This is another server" in wb.last_log() and "7012345678901234567" in wb.last_log() and "--resnapshot" in wb.last_log()
    assert no_repeats(wb.out, "t") == 1


def test_slot_lost(make_wb, own_server, pg):
    """max_slot_wal_keep_size: the server removed what we did not read yet."""
    from servers import Database
    needs(pg, 13, "max_slot_wal_keep_size")
    server = own_server(*pg.options, "max_slot_wal_keep_size=1MB", "max_wal_size=32MB", "min_wal_size=32MB", "wal_keep_size=0")
    db = Database(server)
    db.sql("create table other (id int, v text)")
    wb = make_wb(db)
    slot = run_once(wb, db)
    for _ in range(6):
        db.sql("insert into other select g, repeat('x', 500) from generate_series(1, 40000) g; select pg_switch_wal()")
        db.sql("checkpoint")
    assert db.one("select wal_status from pg_replication_slots") == "lost"
    wb.run(code=3, timeout=20)
    assert slot in wb.last_log() and re.search(r"lost|no longer|removed", wb.last_log())
    # and the way out that it names: a new snapshot
    assert "snapshot" in wb.last_log()


def test_slot_in_use(make_wb, wb, db, folder):
    """Another reader on our slot: wait for it, then go on."""
    slot = run_once(wb, db)
    other = psycopg.pq.PGconn.connect(f"host=127.0.0.1 port={db.server.port} user=postgres dbname={db.name} replication=database".encode())
    try:
        pubs = ",".join(db.publications())
        other.exec_(f"START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names '{pubs}')".encode())
        wait_until(db.slot_active, 10, "the other reader")
        db.sql("insert into t values (2, 'b')")
        wb.start()
        wait_until(lambda: slot in wb.last_log(), 20, "a word about the slot", alive=wb)
        time.sleep(0.5)
        assert wb.running() and len(wb.last_log().splitlines()) < 30
    finally:
        other.finish()
    wait_mirror(wb, "t", timeout=40)
    wb.term()
    assert no_repeats(wb.out, "t") == 2


def test_two_runs_of_one_pipeline(wb, db, make_wb):
    run_once(wb, db)
    wb.start().streaming()
    second = make_wb(db)
    second.runs = 50
    second.run(code=(2, 5), timeout=20)
    assert "lock" in second.last_log() or "running" in second.last_log()
    wb.term()


def test_publication_misses_a_table(wb, db):
    """Somebody took a table out of our publication: never go on in silence."""
    db.sql("create table t2 (id int primary key)")
    run_once(wb, db)
    for pub in db.publications():
        db.sql(f"alter publication {pub} drop table t2")
    found = wb.check()
    assert "t2" in found.stdout
    wb.start()
    wait_until(lambda: "t2" in wb.last_log() or not wb.running(), 20, "a word about the table")
    assert "t2" in wb.last_log()


def test_publication_dropped(wb, db):
    run_once(wb, db)
    pubs = db.publications()
    for pub in pubs:
        db.sql(f"drop publication {pub}")
    db.sql("insert into t values (2, 'b')")
    wb.start()
    wait_until(lambda: pubs[0] in wb.last_log() or not wb.running(), 20, "a word about the publication")
    assert pubs[0] in wb.last_log()


def test_tables_without_key_do_not_break_the_application(wb, db):
    """FOR ALL TABLES would make the user's own UPDATE fail. Ours must not."""
    db.sql("create table t (id int primary key, v text); create table nokey (a int, b text); insert into nokey values (1, 'x'), (2, null)")
    wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
    wait_mirror(wb, "nokey")
    db.sql("update nokey set b = 'y' where a = 1")
    db.sql("insert into nokey values (3, 'z')")
    db.sql("delete from nokey where a = 2")
    wait_until(lambda: any(r["record"].get("a") == "3" for r in records(wb.out)), 20, "the insert", alive=wb)
    assert "nokey" in wb.log() and "replica identity" in wb.log().lower()
    found = wb.check()
    assert "nokey" in found.stdout and "alter table" in found.stdout.lower() and "replica identity" in found.stdout.lower()


def test_replica_identity_that_comes_later(wb, db):  # proves G-01
    """The log's own advice, followed: until `resync` the table is named everywhere, from then on its updates travel."""
    db.sql("create table t (id int primary key); create table nokey (a int, b text); insert into nokey values (1, 'x'), (2, null)")
    wb.write([wb.sqlite_target(), wb.file_target()], source={"table_interval": "100ms"}).start().streaming()
    wait_mirror(wb, "nokey")
    wait_until(lambda: (wb.status()["source"]["server"] or {}).get("tables_inserts_only") == "public.nokey", 20, "its name in status", alive=wb)
    db.sql("alter table nokey replica identity full")
    db.sql("update nokey set b = 'not sent' where a = 1")
    wait_until(lambda: "public.nokey has a replica identity now" in wb.last_log(), 20, "a word", alive=wb)
    for _ in range(2):  # while it runs, and at the next start
        assert "walbrook resync FILE public.nokey" in wb.check(code=0).stdout
        wb.term()
        wb.start().streaming()
        assert "public.nokey has a replica identity now" in wb.last_log()
    wb.command("resync", wb.file, "nokey", code=0)
    wait_mirror(wb, "nokey")
    db.sql("update nokey set b = 'sent' where a = 2; delete from nokey where a = 1; insert into nokey values (3, 'z')")
    wait_mirror(wb, "nokey")
    wb.term()
    assert "replica identity" not in wb.check(code=0).stdout and "tables_inserts_only" not in wb.status()["source"]["server"]
    wb.until_now()
    assert same_mirror(db, wb.mirror, "nokey")


def test_replica_identity_that_goes(wb, db):
    """With a publication of updates, the application's UPDATE fails from then on: the log and `check` say it."""
    db.sql("create table t (id int primary key, v text); insert into t values (1, 'a')")
    wb.write([wb.sqlite_target()], source={"table_interval": "100ms"}).start().streaming()
    wait_mirror(wb, "t")
    db.sql("alter table t drop constraint t_pkey")
    with pytest.raises(psycopg.Error, match="replica identity"):
        db.sql("update t set v = 'b'")
    wait_until(lambda: "fail for everyone" in wb.last_log(), 20, "a word", alive=wb)
    found = wb.check(code=1).stdout
    assert "public.t is in the publication" in found and 'ALTER TABLE "public"."t" REPLICA IDENTITY FULL' in found
    db.sql("alter table t replica identity full")
    db.sql("update t set v = 'b'")
    wait_mirror(wb, "t")
    wb.term()
    wb.check(code=0)


def test_tables_made_later_are_named(wb, db):
    run_once(wb, db)
    db.sql("create table later (id int primary key)")
    wb.start().streaming()
    wait_until(lambda: "later" in wb.command("status", wb.file).stdout, 20, "the new table's name in status", alive=wb)


def test_d14_names_that_match_each_other_as_patterns(wb, db):
    db.sql("create table a_b (id int primary key, x int); create table axb (id int primary key, y int, z int)")
    db.sql("insert into a_b values (1, 1); insert into axb values (1, 2, 3)")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"tables": ["public.a_b"]}).until_now()
    assert {r["table_name"] for r in records(wb.out)} == {"a_b"}
    assert same_mirror(db, wb.mirror, "a_b")


def test_d15_names_with_many_bytes_and_quotes(wb, db):
    db.sql('create schema "Schéma";')
    db.sql('create table "Schéma"."Täble ""q"" 表" ("Ključ id" int primary key, "sel ect" text, "a,b" text)')
    name = 'Täble "q" 表'
    db.sql('insert into "Schéma"."Täble ""q"" 表" values (1, \'x\', \'y\')')
    wb.write([wb.file_target(), wb.sqlite_target()], source={"tables": ["Schéma.*"]}).start().streaming()
    db.sql('insert into "Schéma"."Täble ""q"" 表" values (2, \'x\', null)')
    wait_until(lambda: len(records(wb.out)) == 2, 20, "two rows", alive=wb)
    wb.term()
    for r in records(wb.out):
        assert (r["schema_name"], r["table_name"], r["primary_key"]) == ("Schéma", name, "Ključ id")
        assert list(r["record"]) == ["Ključ id", "sel ect", "a,b"]


def test_d29_slot_creation_behind_an_open_transaction(wb, db):
    """It waits, says for whom, and leaves no half-made slot when it is told to stop."""
    db.sql("create table t (id int primary key)")
    db.transaction("insert into t values (2)", f"prepare transaction '{db.name} forgotten'")
    with db.connect() as c:
        c.autocommit = False
        c.execute("insert into t values (1)")
        pid = c.info.backend_pid
        wb.write([wb.file_target()]).start()
        wait_until(lambda: f"process {pid} of " in wb.last_log(), 30, "a word about what it waits for", alive=wb)
        wait_until(lambda: f"prepared transaction {db.name} forgotten of " in wb.last_log(), 10, "the prepared one, too", alive=wb)
        wb.term(code=(0, 3))
        c.rollback()
    db.sql(f"rollback prepared '{db.name} forgotten'")
    wait_until(lambda: not db.slot_active(), 10, "nobody at the slot")
    wb.until_now()
    assert len(db.slots()) == 1


# ---------------------------------------------------------------- connections that break

@pytest.mark.sanitize
def test_connection_cut_mid_message_repeats_nothing(wb, db, load):  # proves G-02
    shop.create(db, 50)
    proxy = Proxy("127.0.0.1", db.server.port)
    try:
        wb.write([wb.file_target(), wb.sqlite_target()], source={"url": db.url(port=proxy.port)}).start().streaming()
        traffic = load(db, shop.Traffic(7, wide=100), 0.002)
        for bytes_more in (100_001, 33_333, 250_007, 7):
            before = proxy.cuts
            proxy.cut_after(bytes_more)
            wait_until(lambda: proxy.cuts > before, 30, "the cut", alive=wb)
        traffic.stop()
        wait_mirror(wb, *shop.TABLES, timeout=60)
        wait_file(wb, *shop.TABLES, timeout=60)
        wb.term()
        assert no_repeats(wb.out, "audit_log") == db.one("select count(*) from audit_log")
    finally:
        proxy.close()


def test_server_away_for_a_while(wb, db):
    """Connections refused: back off, do not end, do not spin; then go on."""
    slot = run_once(wb, db)
    proxy = Proxy("127.0.0.1", db.server.port)
    try:
        wb.write([wb.file_target(), wb.sqlite_target()], source={"url": db.url(port=proxy.port)}).start().streaming()
        proxy.refuse()
        db.sql("insert into t values (2, 'meanwhile')")
        wait_until(lambda: proxy.connections >= 2, 20, "two attempts", alive=wb)
        tried = proxy.connections
        time.sleep(1)
        assert wb.running()
        assert proxy.connections - tried < 15, f"{proxy.connections - tried} connections in 1 s"
        proxy.refuse(False)
        wait_mirror(wb, "t", timeout=40)
        assert no_repeats(wb.out, "t") == 2
        assert db.slots() == [slot]
    finally:
        proxy.close()


def test_network_gone_without_a_word(wb, db):
    """A stalled network ends in time when we are told to stop, and nothing is lost."""
    run_once(wb, db)
    proxy = Proxy("127.0.0.1", db.server.port)
    try:
        wb.write([wb.file_target(), wb.sqlite_target()], source={"url": db.url(port=proxy.port)}, grace="2s").start().streaming()
        proxy.stall()
        db.sql("insert into t values (2, 'meanwhile')")
        time.sleep(0.5)
        wb.term(code=(0, 3), timeout=10)
    finally:
        proxy.close()
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    assert same_mirror(db, wb.mirror, "t") and no_repeats(wb.out, "t") == 2


def test_server_restart_immediate(make_wb, own_server, load, pg):  # proves G-02 G-06
    """In the midst of the first copy, then twice in the midst of a transaction."""
    from servers import Database
    server = own_server(*pg.options)
    db = Database(server)
    shop.create(db, 3000)
    wb = make_wb(db)
    wb.write([wb.file_target(), wb.sqlite_target()], source=SMALL, **FAST).start()
    wait_until(lambda: wb.out.exists() and wb.out.stat().st_size > 200_000, 30, "part of the copy", alive=wb)
    server.restart("immediate")
    wait_until(lambda: len(reads(wb.out, "customers")) == 3000 and len(reads(wb.out, "orders")) == 6000, 60, "the rest of the copy", alive=wb)
    assert set(reads(wb.out, "customers").values()) == {1} == set(reads(wb.out, "orders").values()), "a part that was done was read again"
    wb.streaming(timeout=60)
    for seed in (1, 2):
        traffic = load(db, shop.Traffic(seed, wide=300), 0.001)
        c = db.connect()
        c.autocommit = False
        c.execute("insert into audit_log (what) select 'never committed' from generate_series(1, 30000)")
        time.sleep(0.7)
        server.restart("immediate")
        try:
            traffic.stop()
        except psycopg.Error:
            pass
        wb.streaming(timeout=60)
    db.sql("insert into audit_log (what) values ('after')")
    wait_mirror(wb, *shop.TABLES, timeout=60)
    wait_file(wb, *shop.TABLES, timeout=60)
    wb.term()
    assert no_repeats(wb.out, "audit_log") == db.one("select count(*) from audit_log")


# ---------------------------------------------------------------- crashes at fault points

def fault_points():
    """Those of checkpoint and targets, by name from the sources; tests/chaos/run --sweep takes all of them, with power cuts."""
    names = set()
    for path in (ROOT / "src").rglob("*.c"):
        names.update(re.findall(r'WB_FAULT\("((?:checkpoint|file|sqlite)\.[^"]+)"\)', path.read_text()))
    return sorted(n for n in names if "rotate" not in n and "truncate" not in n)


def in_turns(what):
    """Points of ours, the same whatever the server: every other one on 18."""
    only = pg_kinds("pg15", "pg18")
    return [(only[i % len(only)], w) for i, w in enumerate(what)]


@pytest.mark.parametrize("pg, point", in_turns(fault_points()), indirect=["pg"], scope="session")
def test_crash_at_fault_point(fault_wb, db, point):  # proves G-01 G-02
    wb = fault_wb
    db.sql("create table t (id int primary key, v text)")
    db.sql("insert into t select g, 'snapshot' from generate_series(1, 200) g")
    wb.write([wb.file_target(), wb.sqlite_target()])
    hit = 0
    for n, passage in enumerate((1, 2)):
        wb.start(env={"WB_FAULT": f"{point}@{passage}:crash"})
        for i in range(10):
            db.sql(f"insert into t values ({10000 * (n + 1) + i}, 'x')")
            db.sql(f"update t set v = 'y{n}' where id = {1 + i}")
            time.sleep(0.02)
        try:
            wb.wait_exit(None, 3)
            hit += wb.process.returncode == 137
            assert wb.process.returncode == 137, wb.tail()
        except AssertionError:
            if not wb.running():
                raise
            wb.kill9()
    assert hit, f"{point} was never passed"
    wb.until_now()
    assert same_mirror(db, wb.mirror, "t") and same_file(db, wb.out, "t")
    assert no_repeats(wb.out, "t") == 220
