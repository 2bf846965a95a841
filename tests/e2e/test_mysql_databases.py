"""CREATE, ALTER and DROP DATABASE: events in their place, of the databases that could hold a captured table; and what they do to tables."""
import json
import sqlite3

import pytest

from my_compare import events, wait_same
from my_servers import MyDatabase, run
from program import wait_until


def told(found):
    return [(e["event_type"], e["schema_name"], e["table_name"]) for e in found]


def messages(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_databases_as_events(my_wb, my):
    a, odd, not_ours = f"{my.name}_a", f"{my.name}_Ü `x` y", f"{my.name}_not"
    quoted = "`" + odd.replace("`", "``") + "`"
    ddl = ["insert", "ddl"]
    wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target(), my_wb.file_target(name="rows", path="rows.jsonl", operations=["insert"]),
                      my_wb.file_target(name="a", path="a.jsonl", tables=[f"{a}.t"]),
                      my_wb.file_target(name="dbz", path="dbz.jsonl", format="debezium", envelope=True),
                      my_wb.file_target(name="mx", path="mx.jsonl", format="maxwell", envelope=True, operations=ddl, format_options={"output_ddl": True})],
                     source={"snapshot": "never", "tables": [f"{my.name}*.*", f"!{not_ours}.*"]}).start()
    wait_until(my.slot_active, 30, "a dump", alive=wb)
    statements = [f"create database {a} character set latin1",
                  f"create schema /*!32312 if not exists*/ {quoted} /*!40100 default character set utf8mb4 */"]
    my.sql(statements[0])
    with my.server.connect(charset="latin1") as c:
        run(c, statements[1])
    my.sql(f"create database {not_ours}; alter database {not_ours} character set latin1; drop database {not_ours}")
    my.sql(f"alter database {a} character set utf8mb4")
    with my.server.connect(a) as c:
        run(c, "alter database collate = utf8mb4_bin")  # of the session's
    my.sql(f"create table {a}.t (id int primary key); insert into {a}.t values (1); create table {a}.u (id int primary key)")
    wait_until(lambda: ("CREATE", a, "u") in told(events(wb)), 30, "the tables", alive=wb)  # which are read when they are there
    my.sql(f"drop database if exists {a}")
    my.sql(f"drop schema {quoted}")
    my.sql("create table last (id int primary key); insert into last values (1)")
    for name in ("out", "rows", "mx", "dbz"):
        wait_until(lambda: '"last"' in (wb.dir / f"{name}.jsonl").read_text(), 30, f"the last row in {name}", alive=wb)
    wb.term()
    found = events(wb)
    assert told(found) == [("CREATE", a, None), ("CREATE", odd, None), ("ALTER", a, None), ("ALTER", a, None), ("CREATE", a, "t"),
                           ("INSERT", a, "t"), ("CREATE", a, "u"), ("DROP", a, "t"), ("DROP", a, "u"), ("DROP", a, None),
                           ("DROP", odd, None), ("CREATE", my.name, "last"), ("INSERT", my.name, "last")]
    nothing = {"schema": a, "table": None, "primary_key": [], "columns": []}
    assert found[0]["record"] == {"sql": statements[0], "before": None, "after": nothing}
    assert found[1]["record"]["sql"] == statements[1] and found[1]["record"]["after"]["schema"] == odd
    assert found[2]["record"]["before"] == found[2]["record"]["after"] == nothing
    assert found[9]["record"] == {"sql": f"drop database if exists {a}", "before": nothing, "after": None}
    assert [c["name"] for c in found[7]["record"]["before"]["columns"]] == ["id"]
    # filterable, by operation and by table
    assert {e["event_type"] for e in messages(wb.dir / "rows.jsonl")} == {"INSERT"}
    assert told(messages(wb.dir / "a.jsonl")) == [e for e in told(found) if e[1] == a and e[2] in (None, "t")]
    # each statement once in the formats that tell of statements
    dbz = [m["value"] for m in messages(wb.dir / "dbz.jsonl") if "tableChanges" in m["value"] and m["value"]["databaseName"] in (a, odd)]
    assert [(v["databaseName"], v["ddl"].split(" ")[0].upper(), len(v["tableChanges"])) for v in dbz] == [
        (a, "CREATE", 0), (odd, "CREATE", 0), (a, "ALTER", 0), (a, "ALTER", 0), (a, "CREATE", 1), (a, "CREATE", 1), (a, "DROP", 0), (odd, "DROP", 0)]
    mx = [m["value"] for m in messages(wb.dir / "mx.jsonl")]
    assert [(v["type"], v["database"]) for v in mx if v["type"] != "insert" and v["database"] in (a, odd)] == [
        ("database-create", a), ("database-create", odd), ("database-alter", a), ("database-alter", a), ("table-create", a),
        ("table-create", a), ("database-drop", a), ("database-drop", odd)]
    mirror = sqlite3.connect(wb.mirror)
    assert dict(mirror.execute("select table_name, state from _walbrook_tables")) == {"t": "dropped", "u": "dropped", "last": "ok"}


@pytest.mark.servers("my97", "m118")
@pytest.mark.parametrize("crash", [None, "sqlite.after_commit@1", "checkpoint.before_commit@2"])
def test_a_dropped_database_is_told_of_after_a_crash(make_wb, my, crash):
    """Its tables are gone from our history by then, and must be named again."""
    other = f"{my.name}_b"
    my.sql(f"create database {other}; create table {other}.t (id int primary key, v int); insert into {other}.t values (1, 1), (2, 2)")
    my.sql(f"create table {other}.u (id int primary key); insert into {other}.u values (1)")
    wb = make_wb(my, build="fault" if crash else "release")
    wb.write([wb.sqlite_target(commit_rows=1), wb.file_target()], source={"tables": [f"{other}.*"]})
    wb.until_now()
    my.sql(f"insert into {other}.u values (2); drop database {other}")
    my.sql(f"create database {other}; create table {other}.t (id int primary key); insert into {other}.t values (7)")
    if crash:
        wb.run("--until", "now", env={"WB_FAULT": f"{crash}:crash"}, code=137)
    wb.until_now()
    found = told(events(wb))
    for e in [("DROP", other, "t"), ("DROP", other, "u"), ("DROP", other, None), ("CREATE", other, None), ("CREATE", other, "t")]:
        assert e in found, found
    mirror = sqlite3.connect(wb.mirror)
    assert sorted(mirror.execute("select table_name, state from _walbrook_tables where state <> 'aside'")) == [("t", "ok"), ("u", "dropped")]
    assert mirror.execute(f'select * from "{other}_t"').fetchall() == [(7,)]


@pytest.mark.servers("m10", "m118")
def test_or_replace_is_another_table_and_another_database(my_wb, my):
    """MariaDB: one statement drops what had the name, with all that is in it."""
    other = f"{my.name}_b"
    my.sql(f"create database {other}; create table {other}.t (id int primary key); insert into {other}.t values (1)")
    my.sql("create table t (id int primary key, v int); insert into t values (1, 1), (2, 2)")
    wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target(), my_wb.file_target(name="dbz", path="dbz.jsonl", format="debezium", envelope=True)],
                     source={"tables": [f"{my.name}*.*"]}).start()
    wait_same(my, wb, "t")
    wait_until(my.slot_active, 30, "a dump", alive=wb)
    my.sql("create or replace table t (id int primary key, v int); insert into t values (3, 3)")
    my.sql(f"create or replace database {other} character set latin1")
    my.sql(f"create table {other}.t (id int primary key); insert into {other}.t values (2)")
    wait_same(my, wb, "t")
    wait_until(lambda: "INSERT" in {e["event_type"] for e in events(wb) if e["schema_name"] == other}, 30, "the row", alive=wb)
    wb.term()
    found = told([e for e in events(wb) if e["event_type"] != "READ"])
    assert found == [("DROP", my.name, "t"), ("CREATE", my.name, "t"), ("INSERT", my.name, "t"), ("DROP", other, "t"), ("DROP", other, None),
                     ("CREATE", other, None), ("CREATE", other, "t"), ("INSERT", other, "t")]
    assert sqlite3.connect(wb.mirror).execute(f'select * from "{other}_t"').fetchall() == [(2,)]
    ddl = [m["value"]["ddl"] for m in messages(wb.dir / "dbz.jsonl") if "ddl" in m["value"] and m["value"]["source"]["snapshot"] == "false"]
    assert [d.split(" (")[0] for d in ddl] == ["create or replace table t", f"create or replace database {other} character set latin1",
                                               f"create table {other}.t"]


@pytest.mark.servers("my97", "m10")
def test_an_altered_database_changes_no_table(my_wb, my, metadata):
    """Nor does one that is created. Columns that are read behind such a statement are still those of the row."""
    my.conn.close()
    my._conn = None
    my.sql("create table t (id int primary key, a int)")
    wb = my_wb.write([my_wb.file_target()])
    wb.until_now()
    my.sql("alter table t add column b int; insert into t values (1, 2, 3)")
    my.sql(f"alter database {my.name} character set latin1; create database if not exists {my.name}; insert into t values (2, 3, 4)")
    my.sql(f"alter database {my.name} character set utf8mb4")
    wb.until_now()
    assert [e["record"] for e in events(wb, "t") if e["event_type"] == "INSERT"] == [{"id": "1", "a": "2", "b": "3"}, {"id": "2", "a": "3", "b": "4"}]
    assert [e[0] for e in told(events(wb)) if e == (e[0], my.name, None)] == ["ALTER", "CREATE", "ALTER"]


@pytest.mark.servers("m10")
def test_names_of_databases_in_small_letters(own_my_server, make_wb, my_server):
    server = own_my_server(my_server.kind, "--lower-case-table-names=1")
    my = MyDatabase(server)
    wb = make_wb(my)
    wb.write([wb.file_target()], source={"tables": [f"{my.name}*.*"]}).until_now()
    my.sql(f"create database {my.name}_Big; create table {my.name}_BIG.T (id int primary key); drop database {my.name}_bIG")
    wb.until_now()
    big = f"{my.name}_big"
    assert told(events(wb)) == [("CREATE", big, None), ("CREATE", big, "t"), ("DROP", big, "t"), ("DROP", big, None)]
