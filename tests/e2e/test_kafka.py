"""Target kafka against a real broker, read by confluent-kafka. Needs Java 17 and Maven (tests/servers/kafka)."""
import json
import os
import random
import re
import signal
import sys
import time

import pytest

import test_debezium as golden
from debezium_golden import MARK, by_table, compare, expected, known_as, message, options, payload, properties, script, statements
from program import wait_until
from servers import ROOT

sys.path.insert(0, str(ROOT / "tests" / "servers"))
from proxy import Proxy  # noqa: E402


def target(db, kafka, **more):
    return {"type": "kafka", "brokers": kafka.brokers, "topic": f"{db.name}.${{schema}}.${{table}}", **more}


def topic(db, table):
    return f"{db.name}.public.{table}"


def records(kafka, name):
    return [json.loads(m.value) for m in kafka.read(name)]


def murmur2(data):
    """org.apache.kafka.common.utils.Utils.murmur2, written again from its definition."""
    mask, m = 0xffffffff, 0x5bd1e995
    h = 0x9747b28c ^ len(data)
    for i in range(0, len(data) // 4 * 4, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    tail = data[len(data) // 4 * 4:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def test_murmur2_is_the_java_clients():
    """The vectors of Kafka's own UtilsTest."""
    for text, want in {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
                       "a-little-bit-longer-string": -1486304829, "abc": 479470107}.items():
        assert murmur2(text.encode()) == want & 0xffffffff


# ---------------------------------------------------------------- what arrives

@pytest.mark.parametrize("case", ["transactions", "tombstones_off", "transaction_metadata", "unwrap"])
def test_golden_debezium_through_kafka(wb, db, kafka, case):
    """Topics, keys, values, tombstones and headers, as Debezium sent them."""
    setup, parts = script("postgres", case)
    fmt, o, source, select = options(properties("postgres", case))
    prefix = o["prefix"]
    db.sql(f"create schema {MARK}; create table {MARK}.mark (id int primary key)")
    for s in statements(setup):
        db.sql(s)
    # everybody's prefix is the same: the topics get the database's name in front
    t = target(db, kafka, topic=f"{db.name}-${{topic}}", format=fmt, format_options=o, partitions=1, **select)
    wb.write([t], source={"tables": ["public.*", "other.*", f"{MARK}.*"], **source}).start().streaming()
    for part in parts:
        with db.connect() as c:
            for s in statements(part):
                c.execute(s)
    db.sql(f"insert into {MARK}.mark values (1)")
    wait_until(lambda: f"{db.name}-{prefix}.{MARK}.mark" in kafka.topics(db.name), 30, "the mark", alive=wb)
    wb.term()
    ours = [message(m.line()) for name in kafka.topics(db.name) for m in kafka.read(name)]
    for m in ours:
        m["topic"] = m["topic"].removeprefix(f"{db.name}-")
    ours, gold = golden.without_mark(ours), expected("postgres", case)
    unwrapped = "unwrap" in properties("postgres", case).get("transforms", "")
    assert {m["topic"] for m in ours} == {m["topic"] for m in gold}
    found = []
    for name in {m["topic"] for m in gold}:
        a, b = ([m for m in side if m["topic"] == name] for side in (gold, ours))
        assert [m["value"] is None for m in a] == [m["value"] is None for m in b] or unwrapped
        for x, y in zip(by_table(a), by_table(b), strict=True):
            for path, p, q in compare(x, y, False, unwrapped):
                if not known_as("postgres", case, x, path, p, q):
                    found.append((name, path, p, q))
    assert not found, found[:10]
    assert payload(ours[0]["key"])


def test_rows_land_where_the_java_client_puts_them(wb, db, kafka):
    """Seven partitions, made by us with the settings asked for; the key's bytes decide."""
    db.sql("create table t (id int primary key, v text); create table nokey (v text)")
    db.sql("insert into t select g, 'v' || g from generate_series(1, 300) g; insert into nokey select 'x' from generate_series(1, 20)")
    wb.write([target(db, kafka, partitions=7, replication=1, topic_config={"cleanup.policy": "delete", "retention.ms": 7200000})])
    wb.until_now()
    assert kafka.topics(db.name) == {topic(db, "t"): 7, topic(db, "nokey"): 7}
    assert kafka.setting(topic(db, "t"), "retention.ms") == "7200000"
    got = kafka.read(topic(db, "t"))
    assert len(got) == 300 and len({m.partition for m in got}) == 7
    for m in got:
        assert m.partition == (murmur2(m.key) & 0x7fffffff) % 7, m.key
        assert json.loads(m.key) == {"id": json.loads(m.value)["record"]["id"]}
    assert [m.key for m in kafka.read(topic(db, "nokey"))] == [None] * 20
    # the same file again takes the topics as they are; another number of partitions is refused
    db.sql("insert into t values (1000, 'late')")
    wb.until_now()
    wb.write([target(db, kafka, partitions=5)])
    db.sql("insert into t values (1001, 'later')")
    wb.run("--until", "now", code=4)
    assert "has 7 partitions, and the pipeline file says 5" in wb.last_log()


@pytest.mark.asan
def test_names_that_topics_cannot_have(wb, db, kafka):
    db.sql('create table "größe m²" (id int primary key); insert into "größe m²" values (1)')
    db.sql('create table "a b" (id int primary key); insert into "a b" values (1)')
    wb.write([target(db, kafka)]).until_now()
    assert set(kafka.topics(db.name)) == {f"{db.name}.public.gr__e_m_", f"{db.name}.public.a_b"}
    db.sql('create table "a:b" (id int primary key); insert into "a:b" values (2)')
    two = {**target(db, kafka), "name": "two", "start": "snapshot"}
    wb.write([two]).run("--until", "now", "--forget", "kafka", code=4)
    one, other = (rf"{db.name}\.public\.a{c}b" for c in " :")
    both = rf"Two names become the topic {db.name}\.public\.a_b: ({one} and {other}|{other} and {one})\."
    assert re.search(both, wb.last_log()), wb.last_log()  # which one is copied first is not promised


def test_names_are_refused_on_request(wb, db, kafka):
    db.sql('create table "a b" (id int primary key); insert into "a b" values (1)')
    wb.write([target(db, kafka, topic_characters="refuse")]).run("--until", "now", code=4)
    assert "cannot be a topic" in wb.last_log()


def test_a_large_row(wb, db, kafka):
    """20 MB: refused with its size, or set aside, or sent when it is allowed."""
    db.sql("create table t (id int primary key, v text)")
    wb.write([target(db, kafka)], dead_letters="dead.jsonl").until_now()
    db.transaction("insert into t values (1, 'before')", "insert into t values (2, repeat('x', 20000000))", "insert into t values (3, 'after')")
    wb.run("--until", "now", code=4)
    assert "bytes as a message; the topic" in wb.last_log() and "on_too_large" in wb.last_log()
    wb.write([target(db, kafka, on_too_large="dead_letter")], dead_letters="dead.jsonl").until_now()
    assert {r["record"]["id"] for r in records(kafka, topic(db, "t"))} == {1, 3}
    dead = [json.loads(line) for line in (wb.dir / "dead.jsonl").read_text().splitlines()]
    assert [d["change"]["record"]["id"] for d in dead] == [2]
    db.sql("insert into t values (4, repeat('y', 20000000)), (5, 'last')")
    wb.write([target(db, kafka, on_too_large="skip")]).start()
    wait_until(lambda: "left out: A INSERT of public.t" in wb.last_log(), 30, "a word about it", alive=wb)
    wait_until(lambda: (wb.target_status("kafka")["facts"] or {}).get("too_large") == 1, 30, "one row left out", alive=wb)
    wait_until(lambda: 5 in [r["record"]["id"] for r in records(kafka, topic(db, "t"))], 30, "the row after it", alive=wb)
    wb.term()
    kafka.make(f"{db.name}.big", max_message_bytes="30000000")
    db.sql("insert into t values (6, repeat('z', 20000000))")
    big = {**target(db, kafka, topic=f"{db.name}.big", max_message="24MB"), "name": "big", "start": "snapshot"}
    wb.write([big]).until_now("--forget", "kafka")
    assert {r["record"]["id"]: len(r["record"]["v"]) for r in records(kafka, f"{db.name}.big")}[6] == 20000000


# ---------------------------------------------------------------- who may come in

def test_passwords_and_certificates(wb, db, kafka):
    db.sql("create table t (id int primary key); insert into t values (1)")
    plain = {"brokers": f"127.0.0.1:{kafka.listener('sasl')}", "sasl": "plain", "username": "walbrook"}
    wb.write([target(db, kafka, **{**plain, "password": "wrong"})]).run("--until", "now", code=4)
    assert "`username` and `password`" in wb.last_log() and "wrong" not in wb.last_log().replace("wrong password", "")
    wb.write([target(db, kafka, **{**plain, "password": kafka.password})]).until_now()
    assert kafka.password not in wb.log()
    assert len(kafka.read(topic(db, "t"))) == 1
    tls = {"brokers": f"127.0.0.1:{kafka.listener('tls')}", "tls": True}
    db.sql("insert into t values (2)")
    wb.write([target(db, kafka, **tls)]).run("--until", "now", code=4)
    assert "tls_ca" in wb.last_log()
    wb.write([target(db, kafka, **tls, tls_ca=str(kafka.dir / "ca.crt"))]).until_now()
    assert len(kafka.read(topic(db, "t"))) == 2
    found = wb.check(code=0).stdout
    assert "Kafka answers: 1 broker" in found and "Topics can be made" in found and "Messages of up to 999424 bytes fit" in found
    wb.write([target(db, kafka, acks="leader", replication=3, max_message="20MB")])
    found = wb.check(code=1).stdout
    assert "its crash may lose changes" in found and "`replication` is 3, and there are 1 brokers" in found and "new topics take 1048588 bytes" in found


def test_a_certificate_for_another_name(wb, db, kafka, monkeypatch):
    """The listener is the right one, its name is not: localhost.localdomain is not in the certificate."""
    db.sql("create table t (id int primary key); insert into t values (1)")
    tls = {"tls": True, "tls_ca": str(kafka.dir / "ca.crt"), "brokers": f"127.1:{kafka.listener('tls')}"}
    wb.write([target(db, kafka, **tls)]).run("--until", "now", code=4)
    assert "certificate" in wb.last_log() and "for the name" in wb.last_log()


def test_scram(wb, db, kafka):
    """librdkafka before 2.6.1 cannot log in to Kafka 4 by SCRAM: check knows the pair; a newer one can."""
    db.sql("create table t (id int primary key); insert into t values (1)")
    scram = {"brokers": f"127.0.0.1:{kafka.listener('sasl')}", "sasl": "scram-sha-512", "username": "walbrook", "password": kafka.password}
    wb.write([target(db, kafka, **scram)])
    version = wb.command("--version", code=0).stdout.split("librdkafka ")[1].split(",")[0]
    if tuple(int(n) for n in version.split(".")[:3]) >= (2, 6, 1):
        wb.until_now()
        assert len(kafka.read(topic(db, "t"))) == 1
        return
    assert "cannot log in by SCRAM to Kafka 4" in wb.check(code=1).stdout
    wb.run("--until", "now", code=4)
    assert "mended in 2.6.1" in wb.last_log()


def test_scram_where_it_can_work(wb, db, own_kafka, monkeypatch):
    """Kafka 3 takes the nonce of every librdkafka; a wrong password is refused, and so is a user without rights."""
    monkeypatch.setenv("WALBROOK_KAFKA_VERSION", "3.9.1")
    old = own_kafka("--sasl", "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS")
    db.sql("create table t (id int primary key); insert into t values (1)")
    scram = {"brokers": f"127.0.0.1:{old.listener('sasl')}", "sasl": "scram-sha-512", "username": "walbrook", "password": old.password}
    wb.write([target(db, old, **{**scram, "password": "wrong"})]).run("--until", "now", code=4)
    assert "`username` and `password`" in wb.last_log()
    found = wb.write([target(db, old, **scram)]).check(code=0).stdout
    assert f"This user may not make topics like {wb.name}.check" in found and "does not let us read its message.max.bytes" in found
    wb.run("--until", "now", code=4)
    assert "authorization failed" in wb.last_log() and "Give the user the rights" in wb.last_log()
    assert not old.topics(db.name)
    old.stop()
    old.options = ("--sasl",)  # everybody may do everything
    old.start()
    wb.until_now()
    found = wb.check(code=0).stdout
    assert "a version before 4" in found and "Topics can be made" in found
    db.sql("insert into t values (2)")
    wb.write([target(db, old, **{**scram, "sasl": "scram-sha-256"})]).until_now()
    assert [json.loads(m.key) for m in old.read(topic(db, "t"))] == [{"id": 1}, {"id": 2}]


def test_what_is_refused(wb, db, kafka):
    db.sql("create table t (id int primary key)")
    for more, words in (({"rdkafka": {"message.timeout.ms": 5}}, "would be a lost change"), ({"rdkafka": {"no.such": 1}}, "no.such"),
                        ({"sasl": "plain"}, "`username` and `password`"), ({"topic": "${tabel}"}, "Did you mean ${table}"),
                        ({"format": "jsn"}, "There is no format"), ({"tls_ca": "x"}, "`tls` is not on")):
        wb.write([target(db, kafka, **more)]).run("--until", "now", code=(2, 4))
        assert words in wb.last_log(), more
        assert words in (lambda c: c.stdout + c.stderr)(wb.check()), more
    wb.write([{"type": "kafka", "brokers": "127.0.0.1:1", "create_topics": False}])
    assert "No broker answers" in wb.check(code=1).stdout or "127.0.0.1:1" in wb.check(code=1).stdout


# ---------------------------------------------------------------- what goes wrong

class Counters:
    """work(conn, i): rows that count up, so that an order that was lost shows."""

    def __init__(self, seed, keys=40):
        self.seed, self.keys = seed, keys

    def __call__(self, c, i):
        r = random.Random(self.seed * 1_000_003 + i)
        for _ in range(r.randint(1, 8)):
            c.execute("insert into c values (%s, 1) on conflict (id) do update set n = c.n + 1", (r.randint(1, self.keys),))


def folded(messages):
    """The last count of each key; a repeat may begin anywhere, but nothing may be missing in between."""
    last, seen = {}, {}
    for m in messages:
        r = json.loads(m.value)["record"]
        k, n = r["id"], r["n"]
        assert n <= last.get(k, n - 1) + 1 or k not in last, f"key {k}: {n} after {last.get(k)}"
        last[k] = n
        seen.setdefault(k, set()).add(n)
    return last, seen


def complete(kafka, db, name):
    last, seen = folded(kafka.read(name))
    want = dict(db.sql("select id, n from c"))
    assert last == want, f"{len(last)} of {len(want)} keys, {sum(a != want.get(k) for k, a in last.items())} differ"
    for k, n in want.items():
        assert seen[k] == set(range(1, n + 1)), f"key {k} lacks some of 1 to {n}"
    return True


def kills(r, *usual):
    """WB_KILLS (make chaos): so many, at random, instead of the usual few."""
    return [r.choice(usual[:2]) for _ in range(int(os.environ.get("WB_KILLS", "0")))] or usual


def test_kill_9_of_ours_and_of_the_broker_under_load(wb, db, own_kafka, load):  # proves G-01 G-03 G-04
    """Nothing lost, the order of every key kept; a broker that stands still holds up, and no more; a wiped one is refused."""
    kafka = own_kafka()
    db.sql("create table c (id int primary key, n int not null); create table t (id int primary key, v text)")
    wb.write([target(db, kafka, partitions=3)], source={"snapshot": "never"}).start().streaming()
    traffic = load(db, Counters(7))
    r = random.Random(7)
    for kill in kills(r, wb, kafka, wb):
        time.sleep(r.uniform(0.2, 0.7))
        if kill is wb:
            wb.kill9()
            wb.start()
        else:
            kafka.kill()
            kafka.start()
    time.sleep(0.3)
    traffic.stop()
    wait_until(lambda: complete(kafka, db, topic(db, "c")), 60, "every count", alive=wb)
    stands_still(wb, db, kafka)
    wb.term()
    wiped(wb, db, kafka)


def stands_still(wb, db, kafka):
    """Nothing is confirmed, `status` says how much; the queue is bounded, and all of it arrives in the end."""
    db.sql("insert into t values (0, '')")
    wait_until(lambda: topic(db, "t") in kafka.topics() and len(kafka.read(topic(db, "t"))) == 1, 30, "the topic", alive=wb)
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        db.sql("insert into t select g, repeat('x', 1000) from generate_series(1, 40000) g")
        wait_until(lambda: (wb.target_status("kafka")["facts"] or {}).get("unconfirmed_messages", 0) > 0, 30, "a queue", alive=wb)
        assert wb.peak_rss() < 100
    finally:
        os.kill(kafka.pid, signal.SIGCONT)
    wait_until(lambda: len({m.key for m in kafka.read(topic(db, "t"))}) == 40001, 60, "all rows", alive=wb)
    wait_until(lambda: wb.target_status("kafka")["facts"]["unconfirmed_messages"] == 0, 30, "no queue", alive=wb)
    facts = wb.target_status("kafka")["facts"]
    assert facts["confirmed_messages"] >= 40000 and facts["broker_lag_us"] > 0 and facts["oldest_unconfirmed_ms"] == 0, facts


def wiped(wb, db, kafka):
    """A cluster without what was confirmed is refused."""
    kafka.wipe()
    db.sql("insert into t values (-1)")
    wb.run("--until", "now", code=4)
    assert "its data are gone, or it is another one" in wb.last_log()
    wb.until_now("--accept", "kafka")
    assert [json.loads(m.key)["id"] for m in kafka.read(topic(db, "t"))] == [-1]
    db.sql("insert into t values (-2)")
    wb.until_now()
    assert sorted(json.loads(m.key)["id"] for m in kafka.read(topic(db, "t"))) == [-2, -1]


@pytest.mark.asan
def test_a_topic_that_was_deleted(wb, db, kafka):
    """It is made again with its settings, and what was not confirmed is in it."""
    db.sql("create table t (id int primary key)")
    wb.write([target(db, kafka, partitions=2, topic_config={"retention.ms": 5400000})], source={"snapshot": "never"}).start().streaming()
    db.sql("insert into t values (1)")
    wait_until(lambda: topic(db, "t") in kafka.topics() and len(kafka.read(topic(db, "t"))) == 1, 30, "the row", alive=wb)
    kafka.drop(topic(db, "t"))
    wait_until(lambda: topic(db, "t") not in kafka.topics(), 20, "the topic to go")
    db.sql("insert into t values (2)")
    wait_until(lambda: topic(db, "t") in kafka.topics() and 2 in [json.loads(m.key)["id"] for m in kafka.read(topic(db, "t"))], 90,
               "the next row in a new topic", alive=wb)
    assert kafka.topics()[topic(db, "t")] == 2 and kafka.setting(topic(db, "t"), "retention.ms") == "5400000"
    wb.term()


def test_no_right_to_make_topics_and_none_there(wb, db, kafka):
    db.sql("create table t (id int primary key); insert into t values (1)")
    wb.write([target(db, kafka, create_topics=False)]).run("--until", "now", code=4)
    assert f"There is no topic {topic(db, 't')}, and `create_topics` is off." in wb.last_log()
    kafka.make(topic(db, "t"))
    wb.until_now()
    assert len(kafka.read(topic(db, "t"))) == 1
    kafka.make(f"{db.name}.small", max_message_bytes="500000")
    small = {**target(db, kafka, topic=f"{db.name}.small"), "name": "small", "start": "snapshot"}
    wb.write([small]).run("--until", "now", "--forget", "kafka", code=4)
    assert "takes at most 500000 bytes at once, and `batch_size` is 999424" in wb.last_log()


def test_a_broker_that_is_not_there_at_the_start(wb, db, kafka):
    """The target is down, the source waits; when the broker comes all of it is sent."""
    db.sql("create table t (id int primary key); insert into t values (1)")
    proxy = Proxy("127.0.0.1", kafka.port)
    try:
        proxy.refuse(True)
        wb.write([target(db, kafka, brokers=f"127.0.0.1:{proxy.port}")]).start()
        wait_until(lambda: "target kafka" in wb.last_log(), 30, "a word about it", alive=wb)
        proxy.refuse(False)
        wait_until(lambda: topic(db, "t") in kafka.topics() and len(kafka.read(topic(db, "t"))) == 1, 40, "the row", alive=wb)
    finally:
        proxy.close()
    wb.term()
