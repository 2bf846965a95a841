"""The format debezium against what Debezium's connectors for MySQL and MariaDB sent for the same SQL (tests/golden/debezium), as
test_debezium.py does it for PostgreSQL. Cases with the same SQL are one run with several targets. Needs the servers m10 and my97, and `walbrook`.
What is left different is in debezium_golden.py, with the words of docs/formats/debezium.md."""
import hashlib
import itertools
import json

import pytest

from debezium_golden import (MARK, by_table, cases, differences, expected, got, options, properties, schema_differences, script,
                             statements)
from my_servers import run
from program import wait_until
from servers import PASSWORD
from test_debezium import without_mark


def groups(server):
    """Cases that one run does: the same SQL, the same source."""
    out = {}
    for case in cases(server):
        _, _, source, _ = options(properties(server, case), ["golden*.*"])
        text = json.dumps([script(server, case), source])
        out.setdefault(hashlib.sha256(text.encode()).hexdigest(), []).append(case)
    return sorted(out.values())


def drop_all(server):
    for name in ("golden", "golden2", MARK):
        server.sql(f"drop database if exists {name}")


def feed(wb, server, name, group):
    """What our format makes of a script, by case."""
    setup, parts = script(name, group[0])
    targets, source = [], {}
    for case in group:
        fmt, o, source, select = options(properties(name, case), ["golden*.*"])
        targets.append(wb.file_target(name=case, path=f"{case}.jsonl", format=fmt, format_options=o, envelope=True, fsync="each", **select))
    with server.connect() as c:
        run(c, f"create database {MARK}; create table {MARK}.mark (id int primary key); create database golden "
               f"character set {'utf8mb4' if server.mysql else 'latin1'}; use golden")
        for s in statements(setup):
            run(c, s)
    url = f"mysql://walbrook:{PASSWORD}@127.0.0.1:{server.port}/golden"
    wb.write(targets, source={"type": "mysql", "url": url, "tables": [f"{MARK}.*", "golden*.*"], **source}).start()
    wait_until(lambda: server.dumps(), 30, "a reader of the log", alive=wb)
    out = {case: wb.dir / f"{case}.jsonl" for case in group}
    marks = itertools.count(1)

    def mark(*paths):
        n = next(marks)
        server.sql(f"insert into {MARK}.mark values ({n})")
        for path in paths:
            wait_until(lambda: sum(f"{MARK}.mark" in m["topic"] for m in got(path)) >= n, 20, "the mark", alive=wb)
    with server.connect("golden") as c:
        for s in [s for part in parts for s in statements(part)]:
            run(c, s)
            if group[0].startswith("ddl"):
                mark(out[group[0]])  # a table that is altered again before it was read is another case
    mark(*out.values())
    wb.term()
    return {case: without_mark(got(out[case])) for case in group}


@pytest.fixture
def golden_server(my_server):
    drop_all(my_server)
    yield my_server
    drop_all(my_server)


def check(server, case, ours):
    golden = expected(server, case)
    rows = [[m for m in side if m["topic"] != "golden"] for side in (golden, ours)]
    found = differences(server, case, by_table(rows[0]), by_table(rows[1]))
    return found + ([] if case.startswith("cloudevents") else schema_differences(golden, ours))


def check_group(wb, server, name, group):
    made = feed(wb, server, name, group)
    found = {case: check(name, case, made[case]) for case in group}
    shown = "\n".join(f"{case}: {line}" for case in group for line in found[case][:40])
    assert not shown, f"{sum(map(len, found.values()))} differences\n{shown}"


@pytest.mark.servers("my97")
@pytest.mark.parametrize("group", groups("mysql"), ids=lambda g: g[0])
def test_golden_mysql(golden_server, make_wb, group):
    check_group(make_wb(), golden_server, "mysql", group)


@pytest.mark.servers("m10")
@pytest.mark.parametrize("group", groups("mariadb"), ids=lambda g: g[0])
def test_golden_mariadb(golden_server, make_wb, group):
    check_group(make_wb(), golden_server, "mariadb", group)
