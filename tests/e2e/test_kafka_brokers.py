"""Target kafka, when its brokers are in trouble: a leader that moves or dies, a broker whose disk is full. Servers of their own."""
import json
import socket
import struct
import subprocess

from program import wait_until
from test_kafka import Counters, folded, target, topic
from test_kafka_exactly_once import once


def leaders(kafka, name):
    """Which broker leads each partition; waits until the cluster has one for all."""
    def known():
        parts = kafka.admin().list_topics(name, timeout=10).topics[name].partitions
        found = {p: m.leader for p, m in parts.items()}
        return found if found and all(n > 0 for n in found.values()) else None
    return wait_until(known, 30, "a leader of each partition")


def compact(items):
    """An array, or a text, as newer requests have it: its length and one, then its items."""
    return bytes([len(items) + 1]) + b"".join(i if isinstance(i, bytes) else bytes([i]) for i in items)


def request(port, api, version, body):
    """One request with a header of version 2; confluent-kafka's administrator has none of these."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        message = struct.pack(">hhih", api, version, 1, -1) + b"\0" + body + b"\0"
        s.sendall(struct.pack(">i", len(message)) + message)
        f = s.makefile("rb")
        return f.read(struct.unpack(">i", f.read(4))[0])


def lead(kafka, name, order):
    """The replicas of each partition in that order, and the first of them leads: AlterPartitionReassignments and ElectLeaders
    (https://kafka.apache.org/protocol)."""
    topic_, n, replicas = compact(name.encode()), len(leaders(kafka, name)), compact([struct.pack(">i", b) for b in order])
    parts = compact([struct.pack(">i", p) + replicas + b"\0" for p in range(n)])
    request(kafka.port, 45, 0, struct.pack(">i", 30000) + compact([topic_ + parts + b"\0"]))

    def led():
        request(kafka.port, 43, 2, b"\0" + compact([topic_ + compact([struct.pack(">i", p) for p in range(n)]) + b"\0"]) + struct.pack(">i", 30000))
        return set(leaders(kafka, name).values()) == {order[0]}
    wait_until(led, 30, f"broker {order[0]} to lead {name}")


def test_another_leader(wb, db, own_kafka, load):  # proves G-01 G-02 G-03 G-04
    """Two brokers. Leadership moves while we write, then the leader dies and comes back: nothing is lost, the order of every key kept,
    and what is exactly once comes once."""
    rf = ("transaction.state.log.replication.factor=2", "offsets.topic.replication.factor=2", "unclean.leader.election.enable=false")
    first = own_kafka(*rf)
    second = own_kafka("--join", str(first.dir), *rf)
    both = [first.brokers, second.brokers]
    db.sql("create table c (id int primary key, n int not null)")
    common = {"brokers": both, "partitions": 3, "replication": 2}
    wb.write([{**target(db, first, name="once", topic=f"{db.name}.once", **common), "delivery": "exactly_once", "transactional_id": f"wb-{db.name}",
               "commit_interval": "100ms", "transaction_timeout": "10s"},
              target(db, first, name="least", topic=f"{db.name}.least", **common)], source={"snapshot": "never"}).start().streaming()
    traffic = load(db, Counters(5))
    names = [f"{db.name}.once", f"{db.name}.least"]
    wait_until(lambda: set(names) <= set(first.topics(db.name)), 30, "both topics", alive=wb)

    def more():
        """Both have something new."""
        for name in names:
            had = len(first.read(name))
            wait_until(lambda: len(first.read(name)) > had + 20, 60, f"more in {name}", alive=wb)
    for order in ([1, 2], [2, 1]):
        for name in names:
            lead(first, name, order)
        more()
    second.kill()
    wait_until(lambda: all(set(leaders(first, n).values()) == {1} for n in names), 30, "the other broker to lead")
    more()
    second.start()
    more()
    traffic.stop()
    want = dict(db.sql("select id, n from c"))

    def whole():
        last, seen = folded(first.read(names[1]))
        assert last == want
        return all(seen[k] == set(range(1, n + 1)) for k, n in want.items())
    wait_until(whole, 60, "every count at least once", alive=wb)
    wait_until(lambda: once(first, db, names[0]), 60, "every count once", alive=wb)
    wb.term()


def ended(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_broker_with_a_full_disk(wb, db, own_kafka, tmpfs, folder):  # proves G-01 G-04
    """Its log directory is offline, and a broker that has no other ends. We wait and say so; when there is room and it is started again
    everything arrives, in order."""
    small, where = tmpfs(24_000_000), folder / "broker"
    where.mkdir()
    (where / "data").symlink_to(small)
    kafka = own_kafka(where=where)
    db.sql("create table t (id int primary key, v text)")
    wb.write([target(db, kafka, compression="none")], source={"snapshot": "never"}).start().streaming()
    db.sql("insert into t values (1, 'first')")
    wait_until(lambda: topic(db, "t") in kafka.topics() and len(kafka.read(topic(db, "t"))) == 1, 30, "the first row", alive=wb)
    db.sql("insert into t select g, repeat('x', 1000) from generate_series(2, 40000) g")
    pid = kafka.pid
    wait_until(lambda: ended(pid), 60, "the broker to end", alive=wb)
    assert "No space left on device" in (where / "log").read_text()
    wait_until(lambda: "Kafka confirms nothing for now" in wb.last_log(), 30, "a word about it", alive=wb)
    assert "room on their disks" in wb.last_log()
    wait_until(lambda: "confirms nothing" in (wb.target_status("kafka")["facts"] or {}).get("broker", ""), 30, "the same in status", alive=wb)
    now = wb.target_status("kafka")
    assert now["state"] == "running" and now["facts"]["unconfirmed_messages"] > 0, now
    subprocess.run(["mount", "-o", "remount,size=200000000", small], check=True)
    kafka.start()
    wait_until(lambda: len({m.key for m in kafka.read(topic(db, "t"))}) == 40000, 60, "all rows", alive=wb)
    got = [json.loads(m.key)["id"] for m in kafka.read(topic(db, "t"))]
    assert sorted(set(got)) == list(range(1, 40001))
    assert got == sorted(got), "out of order, or repeated within one run"
    wait_until(lambda: "Kafka confirms messages again" in wb.last_log(), 30, "that it is over", alive=wb)
    wb.term()
