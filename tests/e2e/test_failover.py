"""A primary that dies and a standby that is promoted: PostgreSQL 18, with failover slots."""
import threading

import psycopg
import pytest

import shop
from compare import no_repeats, records, same_file, same_mirror, wait_file, wait_mirror
from program import wait_until
from servers import PASSWORD, Database


@pytest.fixture
def pair(own_server):
    primary = own_server("--pg18")
    standby = own_server("wal_receiver_status_interval=1", standby_of=primary)
    db = Database(primary)
    url = f"postgres://walbrook:{PASSWORD}@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/{db.name}"
    yield primary, standby, db, url
    db.remove()


def copied(standby, primary):
    """The standby's copy of our slot can be used when it is promoted."""
    with primary.connect("postgres") as c:
        c.execute("select pg_log_standby_snapshot()")
    with standby.connect("postgres") as c:
        return c.execute("select bool_and(synced and not temporary and failover and invalidation_reason is null) "
                         "from pg_replication_slots where slot_type = 'logical'").fetchone()[0]


def test_promoted_standby_is_followed(make_wb, pair, load):  # proves G-01 G-02
    primary, standby, db, url = pair
    with primary.connect("postgres") as c:  # a logical reader never sees what the standby has not got
        c.execute("alter system set synchronized_standby_slots = 'standby'")
        c.execute("select pg_reload_conf()")
    shop.create(db, 50)
    wb = make_wb(db)
    wb.write([wb.file_target(), wb.sqlite_target()], source={"url": url}).start().streaming()
    traffic = load(db, shop.Traffic(1, wide=20), 0.003)
    wait_until(lambda: copied(standby, primary), 40, "the slot on the standby", alive=wb)
    assert wb.status()["source"]["server"] is None or wb.status()["source"]["server"].get("failover") == "on"
    primary.stop("immediate")
    with pytest.raises(psycopg.Error):
        traffic.stop()
    wait_until(lambda: "None of the 2 servers" in wb.last_log(), 20, "a word about both", alive=wb)
    assert wb.running(), "a standby that is not promoted yet ended it"
    standby.promote()
    db.moved_to(standby)
    traffic = load(db, shop.Traffic(2, wide=20), 0.003)
    wb.streaming(timeout=40)
    assert "timeline" in wb.last_log()
    threading.Event().wait(0.5)
    traffic.stop()
    wait_mirror(wb, *shop.TABLES, timeout=40)
    wait_file(wb, *shop.TABLES, timeout=40)
    wb.term()
    assert no_repeats(wb.out, "audit_log") == db.one("select count(*) from audit_log")
    primary.start()  # the old primary comes back as if nothing had happened, and somebody writes to it
    with primary.connect(db.name) as c:
        c.execute("insert into audit_log (what) values ('on the wrong side')")
    db.sql("insert into audit_log (what) values ('on the right side')")
    wb.until_now()  # from a fresh start, which tries the old one first
    assert "is the primary of before a failover" in wb.last_log()
    assert same_mirror(db, wb.mirror, *shop.TABLES) and same_file(db, wb.out, *shop.TABLES)
    assert not any("wrong side" in str(r) for r in records(wb.out))
    primary.stop("immediate")
    wb.command("drop", wb.file, "--yes", code=0)
    assert db.slots() == [] and db.publications() == []


def test_promoted_standby_that_lacks_what_we_have_is_a_gap(make_wb, pair):  # proves G-01
    """Without synchronized_standby_slots: the last rows were handed over, and the new primary never had them."""
    primary, standby, db, url = pair
    db.sql("create table t (id int primary key, v text)")
    wb = make_wb(db)
    wb.write([wb.file_target(), wb.sqlite_target()], source={"url": url}).start().streaming()
    found = wb.check()
    assert "synchronized_standby_slots" in found.stdout and "alter system" in found.stdout.lower()
    db.sql("insert into t values (1, 'a')")
    wait_until(lambda: copied(standby, primary), 40, "the slot on the standby", alive=wb)
    standby.stop("fast")
    db.sql("insert into t select g, 'only here' from generate_series(2, 2000) g")
    wait_mirror(wb, "t")
    wb.term()
    primary.stop("immediate")
    standby.start("primary_conninfo=''")
    standby.promote()
    db.moved_to(standby)
    db.sql("insert into t values (3000, 'b')")
    wb.run(code=3, timeout=30)
    assert "timeline" in wb.last_log() and "never had" in wb.last_log()
    assert len(records(wb.out)) == 2000, "it went on as if nothing were missing"


def test_a_standby_is_not_a_primary(make_wb, pair):
    """The address of the standby alone: said in a sentence, at once."""
    primary, standby, db, url = pair
    db.sql("create table t (id int primary key)")
    wait_until(lambda: db.name in [r[0] for r in standby.connect("postgres").execute("select datname from pg_database")],
               20, "the database on the standby")
    wb = make_wb(db).write([{"type": "file", "path": "out.jsonl"}],
                           source={"url": f"postgres://walbrook:{PASSWORD}@127.0.0.1:{standby.port}/{db.name}"})
    wb.run(code=3, timeout=60)
    assert "standby" in wb.last_log() or "read-only" in wb.last_log()
