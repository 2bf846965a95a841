"""The main job on its plainest path: a snapshot, then the stream, into a record file and a SQLite mirror."""
import pytest

import shop
from compare import changes, no_repeats, same_file, same_mirror, sqlite, wait_file, wait_mirror
from program import wait_until

pytestmark = pytest.mark.both


@pytest.mark.older
@pytest.mark.sanitize
def test_snapshot_then_stream_to_file_and_mirror(wb, db, load):  # proves G-04 G-06
    shop.create(db, 500)
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    # no TRUNCATE: the server shows a table as empty to snapshots that are older than that (docs/operations.md)
    traffic = load(db, shop.Traffic(1, truncate=False), 0.002)
    wait_until(lambda: traffic.done > 200, 30, "traffic")
    traffic.stop()
    wait_mirror(wb, *shop.TABLES)
    wait_file(wb, *shop.TABLES)
    wb.term()
    same_mirror(db, wb.mirror, *shop.TABLES)
    same_file(db, wb.out, *shop.TABLES)


def test_until_now_ends_and_goes_on_where_it_ended(wb, db):  # proves G-01
    shop.create(db, 100)
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    assert same_mirror(db, wb.mirror, *shop.TABLES)
    assert same_file(db, wb.out, *shop.TABLES)
    db.sql("insert into audit_log (what) select 'while it was down' from generate_series(1, 50)")
    wb.until_now()
    assert same_mirror(db, wb.mirror, *shop.TABLES)
    assert same_file(db, wb.out, *shop.TABLES)
    assert no_repeats(wb.out, "audit_log") == 50
    size = wb.out.stat().st_size
    wb.until_now()
    assert wb.out.stat().st_size == size, "an idle run wrote something"


def test_until_now_with_an_empty_database(wb, db):
    wb.write([wb.file_target()], source={"tables": ["public.*"]})
    db.sql("create table t (id int primary key)")
    wb.until_now()
    assert changes(wb.out) == []


def test_snapshot_never_starts_at_now(wb, db):
    shop.create(db, 10)
    wb.write([wb.file_target(), wb.sqlite_target()], source={"snapshot": "never"}).start().streaming()
    db.sql("insert into audit_log (what) values ('after')")
    wait_until(lambda: len(changes(wb.out)) == 1, 20, "one change", alive=wb)
    wb.term()
    assert changes(wb.out)[0]["record"]["what"] == "after"


def test_empty_tables_are_in_the_mirror(wb, db):
    db.sql("create table t (id int primary key, v text); create table full_one (id int primary key); insert into full_one values (1)")
    wb.write([wb.sqlite_target(), wb.file_target(), wb.sqlite_target(name="log", path="log.db", mode="log")]).until_now()
    assert [r[1] for r in sqlite(wb.mirror).execute("pragma table_info(t)")] == ["id", "v"]
    assert len(wb.out.read_text().splitlines()) == 1, "an empty table is not a line"
    assert sqlite(wb.dir / "log.db").execute("select count(*) from changes").fetchone() == (1,)


def test_record_keys_and_their_order(wb, db):
    db.sql("create schema other; create table other.t (b int, a int, v text, primary key (a, b))")
    wb.write([wb.file_target()], source={"tables": ["other.t"], "snapshot": "never"}).start().streaming()
    db.sql("insert into other.t values (2, 1, 'x')")
    db.sql("update other.t set v = 'y'")
    db.sql("delete from other.t")
    db.sql("truncate other.t")
    wait_until(lambda: len(changes(wb.out)) == 4, 20, "four changes", alive=wb)
    wb.term()
    got = changes(wb.out)
    assert [r["event_type"] for r in got] == ["INSERT", "UPDATE", "DELETE", "TRUNCATE"]
    for r in got:
        assert list(r)[:11] == ["global_id", "transaction_id", "event_timestamp", "event_type", "service", "source", "position",
                                "primary_key", "schema_name", "table_name", "record"]
        assert r["global_id"] is None and r["service"] == "shop" and r["primary_key"] == "a,b"
        assert (r["schema_name"], r["table_name"]) == ("other", "t")
        assert r["transaction_id"] is not None and int(r["position"]) > 0
    assert got[1]["record"] == {"b": "2", "a": "1", "v": "y"}
    assert {k: got[2]["record"][k] for k in ("a", "b")} == {"b": "2", "a": "1"}
    commit = db.one("select extract(epoch from now())::bigint")
    assert abs(commit - int(got[0]["event_timestamp"])) < 60


def test_a_role_without_superuser_is_enough(wb, db):
    """What docs/operations.md tells to grant, and no more."""
    role = f"plain_{db.name}"
    db.sql(f"create role {role} login replication password 'x'")
    try:
        db.sql(f"create schema mine authorization {role}; grant create on database {db.name} to {role}")
        db.sql(f"set role {role}; create table mine.t (id int primary key, v text); reset role")
        db.sql("insert into mine.t values (1, 'a')")
        wb.write([wb.sqlite_target()], source={"url": db.url(user=role, password="x"), "tables": ["mine.*"]}).until_now()
        assert sqlite(wb.mirror).execute("select id, v from mine_t").fetchall() == [(1, "a")]
        wb.command("drop", wb.file, "--yes", code=0)
        assert db.slots() == [] and db.publications() == []
    finally:
        db.sql(f"drop schema if exists mine cascade; drop owned by {role}; drop role {role}")
