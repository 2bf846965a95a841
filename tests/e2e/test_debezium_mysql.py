"""The format debezium against what Debezium's connectors for MySQL and MariaDB sent for the same SQL (tests/golden/debezium), as
test_debezium.py does it for PostgreSQL. Cases with the same SQL are one run with several targets. Needs the servers m10 and my97, and `walbrook`.
What is left different is in debezium_golden.py, with the words of docs/formats/debezium.md."""
import hashlib
import itertools
import json
import subprocess

import pytest

from debezium_golden import (MARK, by_table, cases, differences, expected, got, message, offline_differences, options, properties,
                             schema_differences, script, statements)
from my_servers import run
from program import wait_until
from servers import PASSWORD
from test_debezium import without_mark
from test_decode import dump


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


def replay(wb, server, name, case, start, *more):
    """What `decode` makes of the log since `start`, with the options of the pipeline's target."""
    fmt, o, source, _ = options(properties(name, case), ["golden*.*"])
    args = ["--format", fmt, "--envelope", "--start", f"{start[0]}:{start[1]}", *more]
    for key, value in o.items():
        args += ["--format-option", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    for pattern in source.get("tables", [f"{MARK}.*", "golden*.*"]):
        args += ["--tables", pattern]
    args += ["--query"] if source.get("query") else []
    done = subprocess.run([wb.binary, "decode", *args, server.data / start[0]], capture_output=True, env=wb.env, timeout=120)
    assert done.returncode == 0, f"{args}\n{done.stderr.decode()}"
    return without_mark([message(line) for line in done.stdout.decode().split("\n") if line])


def feed(wb, server, name, group):
    """What our format makes of a script, by case; and what of that is different when `decode` makes it of the same log."""
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
    source = {"type": "mysql", "url": url, "tables": [f"{MARK}.*", "golden*.*"], **source}
    wb.write(targets, source=source, checkpoint_interval="1m").start()  # versions of tables stay in the state until then
    wait_until(lambda: server.dumps(), 30, "a reader of the log", alive=wb)
    out = {case: wb.dir / f"{case}.jsonl" for case in group}
    marks = itertools.count(1)

    def mark(*paths):
        n = next(marks)
        server.sql(f"insert into {MARK}.mark values ({n})")
        for path in paths:
            wait_until(lambda: sum(f"{MARK}.mark" in m["topic"] for m in got(path)) >= n, 20, "the mark", alive=wb)
    mark(*out.values())
    start, copied = server.log_position(), {case: len(got(out[case])) for case in group}
    declared = dump(server, wb.dir, "golden")
    with server.connect("golden") as c:
        for s in [s for part in parts for s in statements(part)]:
            run(c, s)
            if group[0].startswith("ddl"):
                mark(out[group[0]])  # a table that is altered again before it was read is another case
    mark(*out.values())
    offline = []
    for case in group:
        live = without_mark(got(out[case])[copied[case]:])
        for who, more in (("nobody", []), ("dump", ["--schema", declared]), ("state", ["--schema", wb.state])):
            _, o, _, select = options(properties(name, case))
            refused = who == "nobody" and "columns" in o  # by name: test_decode.py
            if not select and not refused:  # `decode` does not choose columns
                offline += offline_differences(f"{name}/{case}", who, live, replay(wb, server, name, case, start, *more))
    wb.term()
    return {case: without_mark(got(out[case])) for case in group}, offline


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
    made, offline = feed(wb, server, name, group)
    found = {case: check(name, case, made[case]) for case in group}
    shown = "\n".join(f"{case}: {line}" for case in group for line in found[case][:40])
    assert not shown, f"{sum(map(len, found.values()))} differences\n{shown}"
    assert not offline, f"{len(offline)} differences of decode\n" + "\n".join(offline[:60])


@pytest.mark.servers("my97")
@pytest.mark.parametrize("group", groups("mysql"), ids=lambda g: g[0])
def test_golden_mysql(golden_server, make_wb, group):
    check_group(make_wb(), golden_server, "mysql", group)


@pytest.mark.servers("m10")
@pytest.mark.parametrize("group", groups("mariadb"), ids=lambda g: g[0])
def test_golden_mariadb(golden_server, make_wb, group):
    check_group(make_wb(), golden_server, "mariadb", group)
