"""The format debezium against what Debezium itself sent for the same SQL (tests/golden/debezium): keys, values and headers, field for
field. What is left different is listed here, each with the words of docs/formats/debezium.md; a difference that is gone must go from the list."""
import re
import time

import pytest

from conftest import needs
from debezium_golden import (ABSENT, DIFFERENCES, DIFFERENCES_MYSQL, MARK, OFFLINE, SAID, SCHEMA_CHANGES, WHOLE, by_table, cases, differences, expected, fits, got, options,
                             payload, properties, script, statements)
from program import wait_until
from servers import ROOT

def mark_seen(wb):
    return any(m["topic"] and f"{MARK}." in m["topic"] for m in got(wb.out))


def feed(wb, db, case):
    """What our format makes of a golden script."""
    setup, parts = script("postgres", case)
    fmt, o, source, select = options(properties("postgres", case))
    db.sql(f"create schema {MARK}; create table {MARK}.mark (id int primary key)")
    for s in statements(setup):
        db.sql(s)
    source = {"tables": ["public.*", "other.*", f"{MARK}.*"], "messages": case in ("message", "message_transaction_metadata"), **source}
    target = wb.file_target(format=fmt, format_options=o, envelope=True, fsync="each", **select)
    wb.write([target], source=source).start().streaming()
    for i, part in enumerate(parts):
        if i:
            time.sleep(0.3)
        with db.connect() as c:
            for s in statements(part):
                c.execute(s)
    db.sql(f"insert into {MARK}.mark values (1)")
    wait_until(lambda: mark_seen(wb), 20, "the mark", alive=wb)
    wb.term()
    return without_mark(got(wb.out))


def without_mark(messages):
    """Its row, and begin and end of its transaction, which Debezium's recorder left out too."""
    ids = [payload(m["key"])["id"] for m in messages if m["topic"].endswith(".transaction")
           and f"{MARK}.mark" in [c["data_collection"] for c in payload(m["value"])["data_collections"] or []]]
    return [m for m in messages if f"{MARK}." not in m["topic"] and not
            (m["topic"].endswith(".transaction") and payload(m["key"])["id"] in ids)]


# which version of the server brought what a script uses
SINCE = {"message": 14, "message_transaction_metadata": 14, "numeric_infinity_string": 14, "partitions": 13, "partitions_via_root": 13,
         "types": 14, "types_schemaless": 14, "unknown_types": 14, "unknown_types_hex": 14}


@pytest.mark.parametrize("case", [c for c in cases("postgres") if c not in ABSENT.values()])
def test_golden_postgres(wb, db, case):
    needs(db.server, SINCE.get(case, 0), f"such thing as {case}.sql uses")
    ours, golden = by_table(feed(wb, db, case)), expected("postgres", case)
    for name, (where, change) in WHOLE.items():
        if fits(where, case):
            changed = change(golden)
            assert changed != golden, f"{name} is gone: take it from the list"
            golden = changed
    found = differences("postgres", case, by_table(golden), ours)
    assert not found, f"{len(found)} differences\n" + "\n".join(found[:40])


def test_differences_are_documented():
    text = (ROOT / "docs" / "formats" / "debezium.md").read_text()
    known = {**DIFFERENCES, **DIFFERENCES_MYSQL, **SCHEMA_CHANGES, **WHOLE, **ABSENT, **dict.fromkeys(SAID)}
    for name in known:
        assert f"`{name}`" in text, f"docs/formats/debezium.md does not say why {name}"
    for name in re.findall(r"^\| `([a-z-]+)` \|", text, re.M):
        assert name in known, f"{name} is no difference that a test sees"
    offline = (ROOT / "docs" / "decode.md").read_text()
    assert set(re.findall(r"^\| `([a-z][a-z-]+)` \|", offline, re.M)) == set(OFFLINE)
