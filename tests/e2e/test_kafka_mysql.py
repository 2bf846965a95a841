"""MySQL and MariaDB → Kafka in Debezium's format, at least once and exactly once side by side. Needs Java 17 and Maven."""
import json
import random
import time

import pytest

from program import wait_until
from test_kafka import target

ROWS = 5  # that are there before


def both(my, kafka):
    """Two targets; the first one's format sends heartbeats, too."""
    options = {"prefix": my.name, "schemas": False}
    return [target(my, kafka, name="least", topic=f"{my.name}.least.${{table}}", format="debezium", format_options={**options, "heartbeat": "100ms"}),
            target(my, kafka, name="exact", topic=f"{my.name}.exact.${{table}}", format="debezium", format_options=options, delivery="exactly_once",
                   transactional_id=f"wb-{my.name}", commit_interval="100ms", transaction_timeout="10s")]


def arrived(kafka, my, way):
    """(key, count, op) in order."""
    name = f"{my.name}.{way}.c"
    messages = [json.loads(m.value) for m in kafka.read(name)] if name in kafka.topics(my.name) else []
    return [(m["after"]["id"], m["after"]["n"], m["op"]) for m in messages]


def whole(kafka, my, way):
    """Every count of every key in order, up to what the table holds; repeats only at least once."""
    last, seen = {}, set()
    for key, n, _ in arrived(kafka, my, way):
        assert n == last.get(key, 0) + 1 or (way == "least" and n <= last[key]), f"{way}, key {key}: {n} after {last.get(key)}"
        last[key] = n
        seen.add((key, n))
    rows = [tuple(map(int, r)) for r in my.sql("select id, n from c")]
    assert last == dict(rows), f"{way}: {sum(last.values())} of {sum(n for _, n in rows)}"
    assert seen == {(k, i) for k, n in rows for i in range(1, n + 1)}
    return True


@pytest.mark.servers("my97", "m118")
def test_both_deliveries_through_kills(my_wb, my, kafka, load):  # proves G-01 G-02 G-04
    my.sql("create table c (id int primary key, n int not null)")
    my.sql(f"insert into c values {','.join(f'({i}, 1)' for i in range(1, ROWS + 1))}")
    wb = my_wb.write(both(my, kafka), backoff_min="20ms").start()
    for way in ("least", "exact"):
        wait_until(lambda: len(arrived(kafka, my, way)) >= ROWS, 60, f"the copy, {way}", alive=wb)
        assert {op for _, _, op in arrived(kafka, my, way)} == {"r"}
    # A copy of which a kill leaves no trace is made anew: it shows the latest count, and those between are not told.
    wait_until(lambda: all(t["position"] for t in wb.status()["targets"]), 30, "both checkpoints", alive=wb)
    r = random.Random(5)

    def work(c, i):
        with c.cursor() as cur:
            for _ in range(r.randint(1, 6)):
                cur.execute("insert into c values (%s, 1) on duplicate key update n = n + 1", (r.randint(1, 20),))
    running = load(my, work)
    for _ in range(3):
        time.sleep(r.uniform(0.2, 0.6))
        wb.kill9()
        wb.start()
    running.stop()
    for way in ("least", "exact"):
        wait_until(lambda: whole(kafka, my, way), 60, f"every count, {way}", alive=wb)
    beats = f"__debezium-heartbeat.{my.name}"
    wait_until(lambda: beats in kafka.topics(beats) and len(kafka.read(beats)) > 1, 30, "heartbeats", alive=wb)
    wb.term()
    assert {json.loads(m.value)["tableChanges"][0]["id"] for m in kafka.read(my.name)} == {f'"{my.name}"."c"'}
    for m in kafka.read(beats):
        assert json.loads(m.key) == {"serverName": my.name} and set(json.loads(m.value)) == {"ts_ms"}
