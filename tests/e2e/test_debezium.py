"""The format debezium against what Debezium itself sent for the same SQL (tests/golden/debezium): keys, values and headers, field for
field. What is left different is listed here, each with the words of docs/formats/debezium.md; a difference that is gone must go from the list."""
import json
import re
import time

import pytest

from debezium_golden import (ABSENT, DIFFERENCES, MARK, WHOLE, by_table, cases, compare, expected, got, options, payload, properties,
                             script, statements)
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
    source = {"tables": ["public.*", "other.*", f"{MARK}.*"], "messages": case.startswith("message"), **source}
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


def fits(pattern, case):
    return pattern == "*" or bool(re.fullmatch(pattern, case))


def known(case, message, path, a, b):
    """The name of the difference, or None."""
    for name, (where, places, is_it) in DIFFERENCES.items():
        if fits(where, case) and re.fullmatch(places, path) and is_it(a, b, message):
            return name
    return None


@pytest.mark.parametrize("case", [c for c in cases("postgres") if c not in ABSENT.values()])
def test_golden_postgres(wb, db, case):
    ours, golden = by_table(feed(wb, db, case)), expected("postgres", case)
    for name, (where, change) in WHOLE.items():
        if fits(where, case):
            changed = change(golden)
            assert changed != golden, f"{name} is gone: take it from the list"
            golden = changed
    golden = by_table(golden)
    props = properties("postgres", case)
    cloud, unwrapped = "CloudEvents" in props.get("value.converter", ""), "unwrap" in props.get("transforms", "")
    found, seen = [], set()
    for i, (a, b) in enumerate(zip(golden, ours)):
        for path, x, y in compare(a, b, cloud, unwrapped):
            name = known(case, a, path, x, y)
            seen.add(name)
            if not name:
                found.append((i, path, x, y))
    if len(golden) != len(ours):
        found.append((-1, "messages", [m["topic"] for m in golden], [m["topic"] for m in ours]))
    shown = "\n".join(f"{i} {p}: {json.dumps(x, ensure_ascii=False)[:600]} / {json.dumps(y, ensure_ascii=False)[:600]}" for i, p, x, y in found[:40])
    assert not found, f"{len(found)} differences\n{shown}"
    gone = [n for n, (where, _, _) in DIFFERENCES.items() if where != "*" and fits(where, case) and n not in seen]
    assert not gone, f"no longer different, take them from the list and from docs/formats/debezium.md: {gone}"


def test_differences_are_documented():
    text = (ROOT / "docs" / "formats" / "debezium.md").read_text()
    for name in [*DIFFERENCES, *WHOLE, *ABSENT]:
        assert f"`{name}`" in text, f"docs/formats/debezium.md does not say why {name}"
    for name in re.findall(r"^\| `([a-z-]+)` \|", text, re.M):
        assert name in {**DIFFERENCES, **WHOLE, **ABSENT}, f"{name} is no difference that a test sees"
