"""The format maxwell from PostgreSQL and from MySQL and MariaDB. Needs a PostgreSQL and a MariaDB server.
The shapes byte for byte: tests/unit/formats_maxwell_test.c; here what the sources make of them."""
import json

from compare import lines
from program import wait_until
import pytest


def messages(wb):
    return [json.loads(line) for line in lines(wb.out)]


def arrived(wb, n):
    wait_until(lambda: len(messages(wb)) >= n, 20, f"{n} messages", alive=wb)
    wb.term()
    return messages(wb)


def bootstrap(found):
    assert [m["value"]["type"] for m in found] == ["bootstrap-start", "bootstrap-insert", "bootstrap-complete"]
    return found[1]["value"]["data"]


def test_from_postgres(wb):
    wb.db.sql("create table t (id int primary key, v text, n numeric(10,2), at timestamptz); alter table t replica identity full; "
              "insert into t values (1, 'old', 1.50, '2024-02-29 12:00:00.25+02')")
    wb.write([wb.file_target(format="maxwell", envelope=True, fsync="each")]).start().streaming()
    wb.db.transaction("insert into t (id, v) values (2, 'new')", "update t set v = 'x' where id = 1", "delete from t where id = 2")
    found = arrived(wb, 6)
    assert bootstrap(found[:3]) == {"id": 1, "v": "old", "n": 1.5, "at": "2024-02-29 10:00:00.25"}
    assert '"n":1.50' in wb.out.read_text()
    rows = [m["value"] for m in found[3:]]
    assert [list(r) for r in rows] == [["database", "table", "type", "ts", "xid", "data"],
                                       ["database", "table", "type", "ts", "xid", "data", "old"],
                                       ["database", "table", "type", "ts", "xid", "commit", "data"]]
    assert len({r["xid"] for r in rows}) == 1
    assert [(r["database"], r["table"], r["type"]) for r in rows] == [("public", "t", k) for k in ("insert", "update", "delete")]
    assert rows[1]["old"] == {"v": "old"} and rows[2]["data"]["v"] == "new"
    assert [m["key"] for m in found[3:]] == [{"database": "public", "table": "t", "pk.id": i} for i in (2, 1, 2)]


@pytest.mark.servers("m10")
def test_from_mysql(my_wb):
    wb, db = my_wb, my_wb.db
    db.sql("create table t (ID int unsigned primary key, v varchar(20), d decimal(8,3), s set('a','b','c'), b blob, at datetime(3), "
           "ts timestamp null, j json)")
    db.sql("insert into t values (1, 'old', 2.500, 'a,c', x'ff00', '2024-02-29 10:00:00.5', null, '{\"k\": 1}')")
    options = {"output_binlog_position": True, "output_server_id": True, "output_thread_id": True, "output_ddl": True}
    wb.write([wb.file_target(format="maxwell", format_options=options, envelope=True, fsync="each",
                             operations=["insert", "update", "delete", "ddl"])]).start().streaming()
    db.sql("update t set v = 'new', s = '' where ID = 1")
    db.sql("alter table t add column more int")
    found = arrived(wb, 5)
    data = bootstrap(found[:3])
    assert {k: data[k] for k in ("ID", "v", "d", "s", "b", "at", "ts")} == {
        "ID": 1, "v": "old", "d": 2.5, "s": ["a", "c"], "b": "/wA=", "at": "2024-02-29 10:00:00.500", "ts": None}
    assert '"d":2.500' in wb.out.read_text()
    row = found[3]["value"]
    assert row["commit"] is True and row["old"] == {"v": "old", "s": ["a", "c"]} and row["data"]["s"] == []
    assert row["server_id"] > 0 and ":" in row["position"]
    assert found[3]["key"]["pk.id"] == 1
    ddl = found[4]["value"]
    assert ddl["type"] == "table-alter" and ddl["ts"] > 10 ** 12 and ddl["sql"].startswith("alter table t")
    assert [c["name"] for c in ddl["def"]["columns"]][-1] == "more" and len(ddl["old"]["columns"]) == 8
    assert ddl["def"]["primary-key"] == ["ID"] and ddl["def"]["columns"][0] == {"type": "int", "name": "ID", "signed": False}
