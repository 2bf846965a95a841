"""`walbrook verify`: the mirror against the source, row by row; what is found is what a test put there by hand."""
import json
import sqlite3
import time

import pytest

import shop
from compare import wait_mirror
from conftest import needs

pytestmark = pytest.mark.both


def edit(path, *statements):
    c = sqlite3.connect(path, timeout=20)
    for s in statements:
        c.execute(s)
    c.commit()
    c.close()


def found(wb, code):
    done = wb.command("verify", wb.file, "--json", code=code)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [r for r in rows if r["what"] == "compared"], [r for r in rows if r["what"] != "compared"]


def nothing_left(wb, db):
    assert not list(wb.state.glob("verify.*")), "a copy was left"
    assert len(db.slots()) == 1 and len(db.publications()) <= 2


def test_equal_and_then_not(wb, db):
    shop.create(db, 200)
    db.sql("create table nokey (a int, b text); insert into nokey values (1, 'x'), (1, 'x'), (2, null)")
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    tables, differences = found(wb, 0)
    assert not differences and {t["table"] for t in tables} >= {*shop.TABLES, "nokey"}
    assert next(t["rows"] for t in tables if t["table"] == "nokey") == 3
    said = wb.command("verify", wb.file, code=0).stdout
    assert "no difference" in said and "newer than" not in said
    db.sql("create table t (id int primary key, v text, n numeric(10,2), at timestamptz, b bytea)")
    db.sql("insert into t select g, 'v' || g, g, '2024-02-29 10:00:00.5+02', '\\xdead' from generate_series(1, 50) g")
    for pub in db.publications():
        if not pub.endswith("_insert"):
            db.sql(f"alter publication {pub} add table t")
    db.sql("insert into t values (51, null, 'NaN', 'infinity', '')")
    wb.until_now("--resnapshot", "sqlite")
    assert not found(wb, 0)[1]
    edit(wb.mirror, "update t set v = 'edited' where id = 7", "delete from t where id = 9", "insert into t (id, v) values (777, 'made up')",
         "update t set n = '51.00' where id = 51", "delete from nokey where rowid = (select min(rowid) from nokey where a = 1)")
    tables, differences = found(wb, 1)
    assert {(d["table"], d["what"], d["key"]) for d in differences if d["table"] == "t"} == {
        ("t", "differs", "id = 7"), ("t", "missing", "id = 9"), ("t", "extra", "id = 777"), ("t", "differs", "id = 51")}
    assert next(d["detail"] for d in differences if d["key"] == "id = 7") == "v: 'v7' at the source, 'edited' here"
    assert [d["detail"] for d in differences if d["table"] == "nokey" and d["what"] == "missing"] == ["2 of them at the source"]
    said = wb.command("verify", wb.file, code=1).stdout
    assert "they differ" in said and "made up" not in said and "(id = 777): not at the source" in said
    nothing_left(wb, db)


def test_what_transforms_and_selections_make_is_compared(wb, db):
    db.sql("create schema app; create table app.users (id int primary key, email text, secret text, kept text);"
           "create table app.other (id int primary key)")
    db.sql("insert into app.users select g, g || '@x.org', 's', 'k' from generate_series(1, 20) g; insert into app.other values (1)")
    wb.write([wb.sqlite_target(columns=["!*.secret"], tables=["app.users"])], source={"tables": ["app.*"]},
             transforms=[{"mask": {"columns": ["*.email"], "with": "sha256"}}]).until_now()
    tables, differences = found(wb, 0)
    assert [t["table"] for t in tables] == ["users"] and not differences
    edit(wb.mirror, "update app_users set email = '1@x.org' where id = 1")
    assert [d["key"] for d in found(wb, 1)[1]] == ["id = 1"]


def test_a_publication_with_a_filter_and_a_column_list(wb, db):
    needs(db.server, 15, "row filters and column lists")
    db.sql("create table t (id int primary key, v text, hidden text); insert into t select g, 'v', 'h' from generate_series(1, 20) g")
    db.sql("create publication part for table t (id, v) where (id > 10)")
    wb.write([wb.sqlite_target()], source={"publication": "part"}).until_now()
    tables, differences = found(wb, 0)
    assert not differences and tables[0]["rows"] == 10


def test_while_it_runs_only_what_stays_different(wb, db, load):
    """Rows that change all the while are not called different; the one that was edited by hand is."""
    shop.create(db, 300)
    db.sql("create table quiet (id int primary key, v text); insert into quiet select g, 'q' from generate_series(1, 1000) g")
    wb.write([wb.sqlite_target()]).start().streaming()
    wait_mirror(wb, *shop.TABLES, "quiet")
    traffic = load(db, shop.Traffic(5, wide=20), 0.005)
    time.sleep(0.3)
    assert not found(wb, 0)[1]
    edit(wb.mirror, "update quiet set v = 'edited' where id = 500")
    assert [(d["table"], d["key"]) for d in found(wb, 1)[1]] == [("quiet", "id = 500")]
    traffic.stop()
    wb.term()
    nothing_left(wb, db)


def test_behind_says_so(wb, db):
    db.sql("create table t (id int primary key)")
    wb.write([wb.sqlite_target()]).until_now()
    (wb.state / "verify.4194305.0.db").write_text("of one that was killed; no process has this number")
    db.sql("insert into t values (1)")
    said = wb.command("verify", wb.file, code=1).stdout
    assert "newer than the mirror" in said and "(id = 1): not in the mirror" in said
    wb.until_now()
    wb.command("verify", wb.file, code=0)
    nothing_left(wb, db)


def test_what_cannot_be_compared(wb, db):
    db.sql("create table t (id int primary key)")
    wb.write([wb.sqlite_target()])
    assert "not run yet" in wb.command("verify", wb.file, code=2).stderr
    wb.write([wb.file_target()]).until_now()
    assert "mirror" in wb.command("verify", wb.file, code=2).stderr


@pytest.mark.servers("my97", "m118")
def test_mysql_and_mariadb(my_wb, my):
    my.sql("create table t (id int primary key, v varchar(20), n decimal(10,2), at timestamp(3) null, b varbinary(9), e enum('x','y'), j json); "
           "create table nokey (a int, b text); insert into nokey values (1, 'x'), (1, 'x'), (2, null)")
    with my.connect() as c, c.cursor() as cur:
        cur.executemany("insert into t values (%s, %s, %s, '2024-02-29 10:00:00.5', x'dead', 'y', '{\"k\": [1, 2.5]}')",
                        [(i, f"v{i}", i) for i in range(1, 51)])
    my_wb.write([my_wb.file_target(), my_wb.sqlite_target()]).until_now()
    tables, differences = found(my_wb, 0)
    assert not differences and {t["table"]: t["rows"] for t in tables} == {"t": 50, "nokey": 3}, tables
    my.sql("update t set v = 'new' where id = 3; insert into t (id) values (51)")
    my_wb.until_now()
    assert not found(my_wb, 0)[1]
    t = f'"{my.name}_t"'
    edit(my_wb.mirror, f"update {t} set v = 'edited' where id = 7", f"delete from {t} where id = 9", f"insert into {t} (id, v) values (777, 'made up')")
    differences = found(my_wb, 1)[1]
    assert {(d["what"], d["key"]) for d in differences} == {("differs", "id = 7"), ("missing", "id = 9"), ("extra", "id = 777")}
    assert next(d["detail"] for d in differences if d["key"] == "id = 7") == "v: 'v7' at the source, 'edited' here"
    assert not list(my_wb.state.glob("verify.*")), "a copy was left"
