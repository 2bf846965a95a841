"""Transforms and per-target selection on real changes."""
import hashlib

import pytest

from compare import changes, records, sqlite
from program import wait_until


@pytest.fixture
def people(db):
    db.sql("create table people (id int primary key, email text, phone text, age int, city text)")
    db.sql("create table noise (id int primary key)")


def run(wb, db, transforms, *statements, targets=None, expect=None):
    wb.write(targets or [wb.file_target()], transforms=transforms).until_now()
    for s in statements:
        db.sql(s)
    wb.until_now()
    return changes(wb.out)


def test_filter_by_operation_and_table(wb, db, people):
    got = run(wb, db, [{"filter": {"operations": ["insert", "delete"], "tables": ["public.*", "!public.noise"]}}],
              "insert into people values (1, 'a', '1', 1, 'x'); insert into noise values (1)",
              "update people set age = 2", "delete from people")
    assert [(r["event_type"], r["table_name"]) for r in got] == [("INSERT", "people"), ("DELETE", "people")]


@pytest.mark.parametrize("where, ids", [
    ({"column": "age", "op": ">", "value": 9}, [2, 3]),
    ({"column": "city", "op": "=", "value": "Žilina"}, [1]),
    ({"column": "city", "op": "in", "value": ["Žilina", "Bern"]}, [1, 2]),
    ({"column": "city", "op": "is_null"}, [3]),
    ([{"column": "age", "op": ">=", "value": 10}, {"column": "id", "op": "!=", "value": 3}], [2]),
])
def test_filter_by_predicate(wb, db, people, where, ids):
    got = run(wb, db, [{"filter": {"where": where}}],
              "insert into people values (1, 'a', null, 9, 'Žilina'), (2, 'b', null, 10, 'Bern'), (3, 'c', null, 100, null)")
    assert sorted(int(r["record"]["id"]) for r in got if r["table_name"] == "people") == ids


def test_mask(wb, db, people):  # proves G-12
    got = run(wb, db, [{"mask": {"columns": ["*.email"], "with": "sha256"}}, {"mask": {"columns": ["people.phone"], "with": "redact"}}],
              "insert into people values (1, 'ann@example.org', 'phone-of-ann', 30, 'x')",
              "update people set email = null, phone = 'phone-of-nobody'")
    assert got[0]["record"]["email"] == hashlib.sha256(b"ann@example.org").hexdigest()
    assert got[1]["record"]["email"] is None, "NULL stays NULL"
    assert "phone-of" not in wb.out.read_text() and "ann@" not in wb.out.read_text()


def test_rename_and_route_into_the_mirror(wb, db, people):
    db.sql("insert into people values (1, 'a', null, 1, 'x')")
    wb.write([wb.file_target(), wb.sqlite_target()],
             transforms=[{"rename": {"tables": {"public.people": "crm.persons"}, "columns": {"public.people.email": "mail"}}}]).until_now()
    db.sql("update people set email = 'b' where id = 1; insert into people values (2, 'c', null, 2, 'y')")
    wb.until_now()
    got = [r for r in records(wb.out) if r["table_name"] != "noise"]
    assert {(r["schema_name"], r["table_name"]) for r in got} == {("crm", "persons")}
    assert all("mail" in r["record"] and "email" not in r["record"] for r in got)
    assert sqlite(wb.mirror).execute("select id, mail from crm_persons order by id").fetchall() == [(1, "b"), (2, "c")]


def test_add_columns(wb, db, people):
    got = run(wb, db, [{"add_columns": {"columns": {"_at": {"event_timestamp": "us"}, "_from": {"value": "shop"}}}}],
              "insert into people values (1, 'a', null, 1, 'x')")
    row = [r for r in got if r["table_name"] == "people"][0]
    assert row["record"]["_from"] == "shop"
    at = int(row["record"]["_at"])
    assert at // 1_000_000 == int(row["event_timestamp"])


def test_ids_do_not_change_with_a_filter(wb, db, people):  # proves G-03
    """Ordinals count the committed changes before any filter."""
    wb.write([wb.file_target(format_options={"event_id": True}),
              wb.file_target(name="few", path="few.jsonl", tables=["public.people"], format_options={"event_id": True})]).until_now()
    db.transaction("insert into noise values (1)", "insert into people (id) values (1)", "insert into noise values (2)", "insert into people (id) values (2)")
    wb.until_now()
    all_ids = {r["event_id"] for r in records(wb.out)}
    few = [r["event_id"] for r in records(wb.dir / "few.jsonl")]
    assert len(few) == 2 and set(few) < all_ids


def test_mistakes_are_named(wb, db, people):  # proves G-10
    for transforms, words in [([{"filtre": {}}], ("filtre", "filter")), ([{"filter": {"operation": ["insert"]}}], ("operation", "operations")),
                              ([{"filter": {"operations": ["inserts"]}}], ("inserts", "insert")), ([{"mask": {}}], ("columns",)),
                              ([{"mask": {"columns": ["*.email"], "with": "sha265"}}], ("sha265", "sha256"))]:
        wb.write([wb.file_target()], transforms=transforms)
        said = wb.check(code=2).stderr
        assert "shop.yaml:" in said and all(w in said for w in words), said
