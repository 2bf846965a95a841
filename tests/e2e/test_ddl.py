"""Schema changes as events: where they stand, what they say, and that a repeat says the same."""
import json
import random
import time

import pytest

from compare import changes, lines, records, same_mirror, wait_mirror
from conftest import needs
from program import wait_until

pytestmark = pytest.mark.both


def ddl(path, *kinds):
    return [r for r in records(path) if r["event_type"] in (kinds or ("CREATE", "ALTER", "DROP"))]


def names(table):
    return [c["name"] for c in table["columns"]]


def test_every_change_of_a_table_is_told_before_its_first_row(wb, db):
    db.sql("create table t (id int primary key, a text, b int)")
    wb.write([wb.file_target(), wb.file_target(name="rows", path="rows.jsonl", format="row", operations=["ddl"]),
              wb.file_target(name="maxwell", path="maxwell.jsonl", format="maxwell", format_options={"output_ddl": True}, operations=["ddl"]),
              wb.file_target(name="quiet", path="quiet.jsonl", operations=["insert", "update"]), wb.sqlite_target()])
    wb.until_now()
    steps = [("alter table t add column c numeric(5,2) default 1.5", "id"), ("alter table t rename column a to label", "id"),
             ("alter table t alter column b type bigint", "id"), ("alter table t drop column b", "id"),
             ("alter table t rename to renamed", "id"), ("alter table renamed drop constraint t_pkey, add primary key (id, c)", "id,c")]
    for i, (statement, _) in enumerate(steps):
        db.sql(statement)
        db.sql(f"insert into {'renamed' if i >= 4 else 't'} (id) values ({i})")
    wb.until_now()
    got = records(wb.out)
    assert [r["event_type"] for r in got] == ["ALTER", "INSERT"] * len(steps)
    for change, row in zip(got[::2], got[1::2]):
        assert list(row["record"]) == names(change["record"]["after"])
        assert change["transaction_id"] == row["transaction_id"] and change["record"]["sql"] is None
        assert (change["schema_name"], change["table_name"]) == (row["schema_name"], row["table_name"])
    assert [c["primary_key"] for c in got[::2]] == [k for _, k in steps]
    before, after = zip(*((c["record"]["before"], c["record"]["after"]) for c in got[::2]))
    assert list(before[1:]) == list(after[:-1]), "each begins where the one before ended"
    assert names(before[0]) == ["id", "a", "b"] and names(after[-1]) == ["id", "label", "c"]
    assert before[4]["table"] == "t" and after[4]["table"] == "renamed"
    label = [next(c for c in t["columns"] if c["id"] == "2") for t in (before[1], after[1])]
    assert [c["name"] for c in label] == ["a", "label"], "the number of a column stays in a rename"
    assert [c["type"] for c in after[3]["columns"]] == ["integer", "text", "numeric(5,2)"]
    rows = [json.loads(line) for line in (wb.dir / "rows.jsonl").read_text().splitlines()]
    assert [r["_alter"] for r in rows] == ["public.t"] * 4 + ["public.renamed"] * 2
    assert [names(r["_schema"]["after"]) for r in rows] == [names(a) for a in after]
    told = [json.loads(line) for line in (wb.dir / "maxwell.jsonl").read_text().splitlines()]
    assert [m["type"] for m in told] == ["table-alter"] * len(steps)
    assert [(names(m["old"]), names(m["def"])) for m in told] == [(names(b), names(a)) for b, a in zip(before, after)]
    assert [r["event_type"] for r in records(wb.dir / "quiet.jsonl")] == ["INSERT"] * len(steps)


def test_columns_of_a_target_are_the_columns_of_its_events(wb, db):
    db.sql("create table t (id int primary key, a text)")
    wb.write([wb.file_target(columns=["t.a"])], transforms=[{"rename": {"columns": {"t.a": "label"}}}]).until_now()
    db.sql("alter table t add column secret text; insert into t values (1, 'x', 'y')")
    wb.until_now()
    change, row = records(wb.out)
    assert names(change["record"]["before"]) == names(change["record"]["after"]) == list(row["record"]) == ["id", "label"]


def test_same_events_after_every_kill(wb, db):  # proves G-02 G-03
    """A schema change is no row of the log: only the state can tell whether it was told, and where."""
    db.sql("create table t (id serial primary key, a text)")
    wb.write([wb.file_target(format_options={"event_id": True}), wb.sqlite_target()]).until_now()
    r = random.Random(3)
    for n in range(5):
        db.sql("insert into t (a) select 'x' from generate_series(1, 50)")
        db.transaction("insert into t (a) select 'y' from generate_series(1, 20)", f"alter table t add column c{n} int default {n}",
                       "insert into t (a) select 'z' from generate_series(1, 2000)")
        db.sql("update t set a = 'w' where id % 100 = 0")
        wb.start()
        time.sleep(r.random() * 0.4)
        wb.kill9()
    wb.until_now()
    told = ddl(wb.out)
    assert [names(e["record"]["after"])[-1] for e in told] == [f"c{n}" for n in range(5)]
    got = records(wb.out)
    for e in told:
        i = got.index(e)
        assert got[i - 1]["record"].keys() != got[i + 1]["record"].keys() == set(names(e["record"]["after"]))
    ids = [e["event_id"] for e in got]
    assert len(set(ids)) == len(ids)
    assert same_mirror(db, wb.mirror, "t")


@pytest.mark.parametrize("where", ["noted", "told"])
def test_crash_between_state_and_target(fault_wb, db, where):
    """The state knows of the event, no target has it: it is told at the next start, at the same place."""
    wb = fault_wb
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    db.transaction("insert into t values (1)", "alter table t add column a int", "insert into t values (2)")
    db.transaction("alter table t add column b int", "insert into t values (3)")
    for _ in range(2):
        wb.until_now(env={"WB_FAULT": f"postgres.ddl_{where}@1:crash"}, code=None)
    wb.until_now()
    assert [names(e["record"]["after"]) for e in ddl(wb.out)] == [["id", "a"], ["id", "a", "b"]]
    assert [r["event_type"] for r in records(wb.out)] == ["INSERT", "ALTER", "INSERT", "ALTER", "INSERT"]
    assert same_mirror(db, wb.mirror, "t")


def test_history_of_a_table_that_is_gone(wb, db):
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    for statement in ("alter table t add column a int", "insert into t values (2)", "alter table t add column b int",
                      "insert into t values (3)", "drop table t"):
        db.sql(statement)
    wb.until_now()
    assert [names(e["record"]["after"]) for e in ddl(wb.out, "ALTER")] == [["id", "a"], ["id", "a", "b"]]


def test_streamed_transaction_with_a_schema_change(wb, db):
    db.decode_in_little_memory()
    db.sql("create table t (id int primary key, v text)")
    wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
    with db.connect() as c:
        c.autocommit = False
        c.execute("insert into t select g, repeat('a', 100) from generate_series(1, 2000) g")
        c.execute("savepoint s")
        c.execute("alter table t add column never int")
        c.execute("insert into t select g, 'n', 1 from generate_series(5001, 7000) g")
        c.execute("rollback to s")
        c.execute("alter table t add column n int default 7")
        c.execute("insert into t select g, 'b', g from generate_series(2001, 4000) g")
        c.commit()
    wait_mirror(wb, "t", timeout=40)
    wb.term()
    got = records(wb.out)
    at = [i for i, r in enumerate(got) if r["event_type"] == "ALTER"]
    assert at == [2000] and names(got[2000]["record"]["after"]) == ["id", "v", "n"]


def test_create_and_drop_in_a_publication_of_all_tables(wb, db):
    needs(db.server, 14, "logical messages, which bring a DROP")
    db.sql("create table t (id int primary key); create publication every for all tables")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"publication": "every", "table_interval": "200ms"}).start().streaming()
    db.sql("create table later (id int primary key, v text); insert into later values (1, 'x')")
    wait_mirror(wb, "later")
    db.sql("insert into t values (1); drop table later; insert into t values (2)")
    wait_until(lambda: ddl(wb.out, "DROP"), 20, "the DROP", alive=wb)
    db.sql("insert into t values (3)")
    wait_mirror(wb, "t")
    wb.term()
    got = records(wb.out)
    assert [(r["event_type"], r["table_name"]) for r in got][:4] == [
        ("CREATE", "later"), ("INSERT", "later"), ("INSERT", "t"), ("INSERT", "t")]
    created, dropped = ddl(wb.out)
    assert created["record"]["before"] is None and names(created["record"]["after"]) == ["id", "v"]
    assert dropped["record"] == {"sql": None, "before": created["record"]["after"], "after": None}
    assert dropped["table_name"] == "later" and int(dropped["position"]) > 0


def test_dropped_while_nobody_looked(wb, db):
    needs(db.server, 14, "logical messages, which bring a DROP")
    db.sql("create table t (id int primary key, v text); create table u (id int primary key)")
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    db.sql("insert into t values (1, 'last'); drop table t; insert into u values (1)")
    wb.start()
    wait_until(lambda: ddl(wb.out), 20, "the DROP", alive=wb)
    wb.kill9()
    wb.until_now()
    wb.until_now()
    assert [(r["event_type"], r["table_name"]) for r in records(wb.out)] == [("INSERT", "t"), ("INSERT", "u"), ("DROP", "t")]


def test_messages_of_others_are_not_believed(wb, db):
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target()]).start().streaming()
    slot, oid = db.slots()[0], db.one("select 't'::regclass::oid")
    for word in (f"schema {slot} drop {oid}", f"schema {slot} drop 4000000000", f"schema {slot} add {oid}", f"schema {slot} add 1",
                 f"schema {slot} drop", "schema", f"schema {slot} drop {oid} x", "schema " + "x" * 500):
        db.sql("select pg_logical_emit_message(true, 'walbrook', %s)", word)
    db.sql("insert into t values (1)")
    wait_until(lambda: changes(wb.out), 20, "the row", alive=wb)
    assert not ddl(wb.out)


def test_new_tables_are_named(wb, db):
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target()], source={"table_interval": "200ms"}).start().streaming()
    db.sql("create table later (id int primary key); create table other_later (id int primary key)")
    wait_until(lambda: "public.later is new" in wb.last_log() and "public.other_later is new" in wb.last_log(), 20, "a word", alive=wb)
    time.sleep(0.7)
    assert wb.last_log().count("public.later is new") == 1
    db.sql("insert into later values (1); insert into t values (1)")
    wait_until(lambda: changes(wb.out), 20, "the row", alive=wb)
    assert [r["table_name"] for r in records(wb.out)] == ["t"]


@pytest.mark.sanitize
def test_new_tables_join(wb, db):
    """With a word in the log where they joined, over a kill, with and without a key; and in a publication that is not ours to change."""
    db.sql("create table t (id int primary key)")
    wb.write([wb.file_target(), wb.sqlite_target()], source={"table_interval": "200ms", "new_tables": "add"}).start().streaming()
    db.sql("create table later (id int primary key, v text); create table keyless (a int)")
    wait_until(lambda: "public.later is new and was added" in wb.log() and "public.keyless is new and was added" in wb.log(), 20, "both", alive=wb)
    db.sql("insert into later values (1, 'x'); insert into keyless values (1)")
    wait_mirror(wb, "later", "keyless")
    wb.kill9()
    db.sql("update later set v = 'y'; insert into keyless values (2); update keyless set a = 3 where a = 2")
    wb.start()
    wait_mirror(wb, "later")
    wait_until(lambda: len(changes(wb.out, "keyless")) >= 2, 20, "the insert", alive=wb)
    wb.term()
    assert sorted(r["table_name"] for r in ddl(wb.out, "CREATE")) == ["keyless", "later"]
    assert [r["record"]["after"]["table"] for r in ddl(wb.out)] == [r["table_name"] for r in ddl(wb.out)]


def test_schema_changes_in_debeziums_topic(wb, db):
    """`schema_changes: true`, in the shape of Debezium's connectors for databases whose log has no statements; nobody else gets any."""
    needs(db.server, 14, "logical messages, which bring a DROP")
    db.sql("create type mood as enum ('sad', 'o,k'); create table t (id serial primary key, a varchar(20) not null default 'x', m mood)")
    db.sql("insert into t (m) values ('sad')")
    told = {"prefix": "lab", "schema_changes": True}
    targets = [wb.file_target(name=n, path=f"{n}.jsonl", envelope=True, format=f, format_options=o) for n, f, o in (
        ("told", "debezium", told), ("schemas", "debezium", {**told, "schemas": True}), ("quiet", "debezium", {"prefix": "lab"}),
        ("cloud", "cloudevents", {"prefix": "lab"}))]
    wb.write(targets).start().streaming()
    db.sql("alter table t add column n numeric(5,2)[], alter column a type text; insert into t (n) values ('{1.5}')")

    def seen(name):
        return [json.loads(line) for line in lines(wb.dir / f"{name}.jsonl")]
    wait_until(lambda: all([m["topic"] for m in seen(t["name"])].count("lab.public.t") == 2 for t in targets), 20, "both rows", alive=wb)
    db.sql("drop table t")
    wait_until(lambda: all('"DROP"' in json.dumps(seen(n)) for n in ("told", "schemas")), 20, "the DROP", alive=wb)
    wb.term()
    all_of_it = seen("told")
    assert [m["topic"] for m in all_of_it] == ["lab", "lab.public.t", "lab", "lab.public.t", "lab"]
    changes = [m for m in all_of_it if m["topic"] == "lab"]
    assert all(m["key"] == {"databaseName": db.name} for m in changes)
    assert all((m["value"]["databaseName"], m["value"]["schemaName"], m["value"]["ddl"]) == (db.name, "public", None) for m in changes)
    assert [m["value"]["source"]["snapshot"] for m in changes] == ["true", "false", "false"]
    assert {(m["value"]["source"]["db"], m["value"]["source"]["schema"], m["value"]["source"]["table"]) for m in changes} == {(db.name, "public", "t")}
    assert set(changes[0]["value"]["source"]) == set(all_of_it[1]["value"]["source"]), "as a row's"
    create, alter, drop = (m["value"]["tableChanges"][0] for m in changes)
    assert [c["type"] for c in (create, alter, drop)] == ["CREATE", "ALTER", "DROP"] and drop["table"] is None
    assert create["id"] == alter["id"] == drop["id"] == f'"{db.name}"."public"."t"'
    assert create["table"]["primaryKeyColumnNames"] == ["id"]

    def parts(change, *keys):
        return [tuple(c[k] for k in keys) for c in change["table"]["columns"]]
    keys = ("name", "jdbcType", "typeName", "typeExpression", "length", "scale", "optional", "autoIncremented", "enumValues")
    assert parts(create, *keys) == [
        ("id", 4, "integer", "integer", None, None, False, True, None),
        ("a", 12, "character varying", "character varying(20)", 20, None, False, False, None),
        ("m", 12, "public.mood", "public.mood", None, None, True, False, ["sad", "o,k"])]
    assert parts(alter, *keys)[1:] == [
        ("a", 12, "text", "text", None, None, False, False, None), ("m", 12, "public.mood", "public.mood", None, None, True, False, ["sad", "o,k"]),
        ("n", 2003, "numeric[]", "numeric(5,2)[]", None, None, True, False, None)]
    assert parts(alter, "position", "defaultValueExpression")[1] == (2, "'x'::character varying")
    assert [m["value"]["payload"] for m in seen("schemas") if m["topic"] == "lab"] == [m["value"] for m in changes]
    schema = next(m["value"]["schema"] for m in seen("schemas") if m["topic"] == "lab")
    assert [f["field"] for f in schema["fields"]] == list(changes[0]["value"])
    for name in ("quiet", "cloud"):
        assert [m["topic"] for m in seen(name)] == ["lab.public.t"] * 2
