"""`reselect: true`: values that the server leaves out of an UPDATE are read from the table, and marked."""
import json

import pytest

from compare import changes, records, same_mirror, wait_file, wait_mirror
from program import wait_until

pytestmark = pytest.mark.both
LONG = "(select string_agg(md5(g::text || {0}), '') from generate_series(1, 400) g)"


def updates(wb):
    return [r for r in records(wb.out) if r["event_type"] == "UPDATE"]


def test_unchanged_values_are_read_by_key(wb, db):
    db.sql('create schema "o""dd"')
    db.sql("""create table "o""dd"."t 1" (a text, "b c" numeric(10,2), at timestamptz, small int, big text, bin bytea, arr text[], j jsonb, n text,
        primary key (at, a, "b c"))""")
    db.sql(f"""insert into "o""dd"."t 1" select E'q"\\\\,{{}}' || g, 1.50, '2024-01-01 00:00:00.123456+02', 0, {LONG.format('g.g')},
        decode({LONG.format('g.g')}, 'hex'), array[{LONG.format('g.g')}, null], to_jsonb({LONG.format('g.g')}), null from generate_series(1, 40) g"""
           .replace("g.g", "0"))
    wb.write([wb.file_target(), wb.sqlite_target()], source={"reselect": True, "tables": ["*.*"]}).until_now()
    want = {r["record"]["a"]: r["record"] for r in changes(wb.out)}
    db.sql("""update "o""dd"."t 1" set small = 1""")
    wb.until_now()
    got = updates(wb)
    assert len(got) == 40
    for r in got:
        assert r["reselected"] == ["big", "bin", "arr", "j"], "what was sent is not marked"
        assert r["record"] == {**want[r["record"]["a"]], "small": "1"}


@pytest.mark.parametrize("identity", ["default", "using index t_u", "full"])
def test_newer_gone_moved(wb, db, identity):
    """What is read is what is there now: it may be newer; of a row that is gone nothing is known."""
    db.sql("create table t (id int primary key, u int not null, small int, big text); create unique index t_u on t (u)")
    db.sql(f"alter table t replica identity {identity}")
    db.sql(f"insert into t select g, g * 10, 0, {LONG.format(0)} from generate_series(1, 5) g")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"reselect": True}).until_now()
    for statement in ("update t set small = 1", "update t set big = 'newer' where id = 1", "delete from t where id = 2",
                      "update t set id = 100, u = 1000 where id = 3", "update t set small = 2 where id = 4"):
        db.sql(statement)
    wb.until_now()
    first = {r["record"]["id"]: r for r in updates(wb)[:5]}
    long = db.one("select big from t where id = 4")
    if identity == "full":
        assert all("reselected" not in r and r["record"]["big"] == long for r in first.values())
    else:
        assert first["1"]["record"]["big"] == "newer" and first["1"]["reselected"] == ["big"]
        assert "big" not in first["2"]["record"] and "reselected" not in first["2"]
        assert "big" not in first["3"]["record"]
        assert first["4"]["record"]["big"] == first["5"]["record"]["big"] == long
        moved = next(r for r in updates(wb) if r["record"]["id"] == "100")
        assert moved["record"]["big"] == long and moved["reselected"] == ["big"] and moved["before"][{"d": "id", "u": "u"}[identity[0]]]
    assert same_mirror(db, wb.mirror, "t")


def test_many_rows_few_queries_bounded_batches(wb, db):
    """In one large transaction, rows of 100 kB, interleaved with others; then a table that has another name by now."""
    db.sql("create table t (id int primary key, n int, big text); create table u (id int primary key, n int, big text)")
    for t in "tu":
        db.sql(f"alter table {t} alter column big set storage external")
        db.sql(f"insert into {t} select g, 0, repeat(md5(g::text), 3000) from generate_series(1, 200) g")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"reselect": True}).until_now()
    db.transaction("update t set n = 1", "update u set n = 1", "update t set n = 2 where id % 2 = 0", "insert into u values (1000, 1, 'x')")
    wb.start().streaming()
    wait_mirror(wb, "t", "u")
    wait_file(wb, "t", "u")
    wb.term()
    assert len(updates(wb)) == 500 and all(r["reselected"] == ["big"] for r in updates(wb))
    db.sql("update t set n = 3 where id = 1; alter table t rename to t2; update u set n = 3 where id = 1; alter table u drop column big")
    wb.until_now()
    assert [(r["table_name"], "big" in r["record"]) for r in updates(wb)[500:]] == [("t", False), ("u", False)]


def test_no_right_to_read_is_a_sentence(make_wb, db):
    db.sql("drop role if exists reader_only; create role reader_only login replication password 'x'")
    try:
        db.sql("create table t (id int primary key, n int, big text); alter table t alter column big set storage external")
        db.sql("insert into t values (1, 0, repeat('x', 10000)); create publication p for table t; grant select (id, n) on t to reader_only")
        wb = make_wb(db)
        wb.write([wb.file_target()], source={"url": db.url(user="reader_only", password="x"), "reselect": True, "snapshot": "never",
                                             "publication": "p"}).start().streaming()
        db.sql("update t set n = 1")
        wb.wait_exit(3, 30)
        assert "to read values that did not change: permission denied for table t" in wb.last_log()
        assert "reselect" in wb.check(1).stdout
    finally:
        db.sql("drop owned by reader_only")
        for s in db.slots():
            wait_until(lambda: not db.one("select active from pg_replication_slots where slot_name = %s", s), 10)
            db.sql("select pg_drop_replication_slot(%s)", s)
        db.sql("drop role reader_only")


def test_formats_say_nothing_without_it(wb, db):
    db.sql("create table t (id int primary key, n int, big text); alter table t alter column big set storage external")
    db.sql("insert into t values (1, 0, repeat('x', 10000))")
    wb.write([wb.file_target()]).until_now()
    db.sql("update t set n = 1")
    wb.until_now()
    last = json.loads(wb.out.read_text().splitlines()[-1])
    assert "reselected" not in last and "big" not in last["record"]
