"""Target kafka, delivery: exactly_once: a reader of committed messages sees each change once. Needs Java 17 and Maven."""
import json
import os
import random
import shutil
import signal
import time

from program import wait_until
from test_kafka import Counters, kills, target, topic


def exact(db, kafka, **more):
    return target(db, kafka, delivery="exactly_once", transactional_id=f"wb-{db.name}", **more)


def once(kafka, db, name, table="c"):
    """Every count of every key exactly once and in order, up to what the table holds."""
    counts = {}
    for m in kafka.read(name):
        r = json.loads(m.value)["record"]
        assert r["n"] == counts.get(r["id"], 0) + 1, f"key {r['id']}: {r['n']} after {counts.get(r['id'])}"
        counts[r["id"]] = r["n"]
    want = dict(db.sql(f"select id, n from {table}"))
    assert counts == want, f"{sum(counts.values())} of {sum(want.values())}"
    return True


POINTS = ["kafka.before_begin", "kafka.sent", "kafka.sent@3", "kafka.before_position", "kafka.before_position@2", "kafka.before_commit",
          "kafka.before_commit@2", "kafka.before_commit@3", "kafka.after_commit", "kafka.after_commit@2", "kafka.after_commit@3",
          "kafka.after_answer@2", "kafka.initialised", "checkpoint.before_commit", "checkpoint.after_commit", "checkpoint.before_settle"]


def test_killed_at_every_fault_point(fault_wb, db, kafka):  # proves G-02
    """Each point once, on a first start, in a copy or in the stream, whatever comes first; and what follows fits."""
    wb = fault_wb
    db.sql("create table c (id int primary key, n int not null)")
    work = Counters(3)
    wb.write([exact(db, kafka, partitions=3)], source={"snapshot": "never"}).until_now()
    for i, point in enumerate(["kafka.topic_made", "kafka.topic_made@2", *POINTS]):
        wb.start(env={"WB_FAULT": f"{point}:crash"})
        with db.connect() as c:
            c.autocommit = False
            for j in range(40 if point == "kafka.topic_made@2" else 3000):  # until it dies
                work(c, i * 10000 + j)
                c.commit()
                if not wb.running():
                    break
                time.sleep(0.02)
        if point != "kafka.topic_made@2":  # a second topic may never be made
            wb.wait_exit(137, 30)
        elif wb.running():
            wb.kill9()
    wb.until_now()
    assert once(kafka, db, topic(db, "c"))
    raw = len(kafka.read(topic(db, "c"), committed=False))
    assert raw > sum(n for _, n in db.sql("select id, n from c")), "nothing was ever given up: the points were not reached in the middle"


def test_kill_9_of_ours_and_of_the_broker(wb, db, own_kafka, load):  # proves G-02 G-04
    kafka = own_kafka()
    db.sql("create table c (id int primary key, n int not null)")
    wb.write([exact(db, kafka, partitions=3, commit_interval="100ms", transaction_timeout="10s")], source={"snapshot": "never"}).start().streaming()
    traffic = load(db, Counters(11))
    r = random.Random(11)
    for kill in kills(r, wb, kafka, wb, wb):
        time.sleep(r.uniform(0.2, 0.6))
        if kill is wb:
            wb.kill9()
            wb.start()
        else:
            kafka.kill()
            kafka.start()
    time.sleep(0.3)
    traffic.stop()
    wait_until(lambda: once(kafka, db, topic(db, "c")), 60, "every count once", alive=wb)
    wb.term()


def test_killed_within_a_snapshot(wb, db, kafka):  # proves G-06
    """A turn of a copy counts as a whole: no row twice. A wide enough table for several of them."""
    db.sql("create table c (id int primary key, n int, pad text)")
    db.sql("insert into c select g, 1, repeat('x', 300) from generate_series(1, 30000) g")
    wb.write([exact(db, kafka)], memory="8MB")
    for seen in (1, 8000, 20000):
        wb.start()
        wait_until(lambda: topic(db, "c") in kafka.topics(db.name), 30, "the topic", alive=wb)
        time.sleep(0.05 * seen / 8000)
        wb.kill9()
    wb.until_now()
    assert once(kafka, db, topic(db, "c"))


def test_a_large_transaction_is_split(wb, db, kafka):
    """More messages than one Kafka transaction may have; killed in its middle."""
    db.sql("create table c (id int primary key, n int, pad text)")
    wb.write([exact(db, kafka, commit_messages=500)], source={"snapshot": "never"}, memory="4MB").start().streaming()
    db.sql("insert into c select g, 1, repeat('y', 100) from generate_series(1, 60000) g")
    wait_until(lambda: topic(db, "c") in kafka.topics(db.name) and len(kafka.read(topic(db, "c"), committed=False)) > 5000, 30, "some of it", alive=wb)
    wb.kill9()
    wb.start()
    wait_until(lambda: once(kafka, db, topic(db, "c")), 30, "each once", alive=wb)
    wb.term()
    assert len(kafka.read(f"wb-{db.name}.position")) > 5, "positions within the transaction"


def test_a_second_run_shuts_out_the_first(wb, db, kafka, make_wb, folder):
    """A run that slept while another took over, from a copy of the state, does not write again."""
    db.sql("create table c (id int primary key, n int)")
    wb.write([exact(db, kafka)], source={"snapshot": "never"}).start().streaming()
    db.sql("insert into c values (1, 1)")
    wait_until(lambda: topic(db, "c") in kafka.topics(db.name) and once(kafka, db, topic(db, "c")), 20, "the row", alive=wb)
    wb.freeze()
    other = folder / "other"
    other.mkdir()
    shutil.copytree(wb.state, other / "shop.state")
    db.sql("select pg_terminate_backend(active_pid) from pg_replication_slots where active and database = current_database()")
    second = make_wb(db, where=other)
    second.write([exact(db, kafka)], source={"snapshot": "never"}, checkpoint_interval="1m")  # the server keeps its log for the first
    db.sql("insert into c values (2, 1)")
    second.start()
    wait_until(lambda: once(kafka, db, topic(db, "c")), 20, "the second row", alive=second)
    second.kill9()
    os.kill(wb.process.pid, signal.SIGCONT)
    db.sql("insert into c values (3, 1)")
    wb.wait_exit(4, 40)
    assert "Another run of this pipeline has taken over" in wb.last_log()
    second.until_now()
    assert once(kafka, db, topic(db, "c"))


def test_the_position_topic_is_gone(wb, db, kafka):
    db.sql("create table c (id int primary key, n int); insert into c values (1, 1)")
    wb.write([exact(db, kafka, transaction_timeout="1h")])
    assert "the broker allows 900000" in wb.check(code=1).stdout
    wb.write([exact(db, kafka)])
    assert "isolation.level=read_committed" in wb.check(code=0).stdout
    wb.until_now()
    assert kafka.setting(f"wb-{db.name}.position", "cleanup.policy") == "compact"
    kafka.drop(f"wb-{db.name}.position")
    wait_until(lambda: f"wb-{db.name}.position" not in kafka.topics(f"wb-{db.name}"), 20, "the topic to go")
    wb.run("--until", "now", code=4)
    assert "its data are gone, or it is another one" in wb.last_log()
