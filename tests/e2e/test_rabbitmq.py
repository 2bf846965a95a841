"""Target rabbitmq against a real broker, read back with pika. Needs rabbitmq-server, python3-pika and PostgreSQL."""
import json
import os
import signal
import subprocess
import uuid

import pytest
from certificates import Client
from conftest import missing
from program import wait_until
from rabbit import Broker, first_arrivals, records
from servers import PASSWORD


@pytest.fixture(scope="session")
def mq():
    try:
        broker = Broker()
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
        missing(f"RabbitMQ: {e}")
    yield broker
    broker.remove()


@pytest.fixture
def queue():
    return f"q{uuid.uuid4().hex[:12]}"


def target(mq, **more):
    return {"type": "rabbitmq", "url": mq.url(), **more}


def ids(messages):
    return [r["record"]["id"] for r in records(messages)]


def arrived(wb, mq, queue, n, timeout=30):
    wait_until(lambda: (mq.length(queue) or 0) >= n, timeout, f"{n} messages in {queue}", alive=wb)


def test_properties_and_order(wb, mq, queue):
    wb.db.sql("create table t (id int primary key, v text); insert into t values (1, 'old')")
    wb.write([target(mq, queue=queue, priority=3, ttl="1d", format_options={"event_id": True})])
    said = wb.check(code=0)
    assert "RabbitMQ 3." in said.stdout + said.stderr and "will be made" in said.stdout + said.stderr
    wb.start().streaming()
    wb.db.transaction("insert into t values (2, 'new')", "update t set v = 'x' where id = 1", "delete from t where id = 2")
    arrived(wb, mq, queue, 4)
    wait_until(lambda: wb.target_status("rabbitmq")["unanswered"] == 0, what="all confirmed")
    wb.term()
    found = mq.take(queue)
    assert [r["event_type"] for r in records(found)] == ["READ", "INSERT", "UPDATE", "DELETE"]
    for (_, p, body), op in zip(found, ["READ", "INSERT", "UPDATE", "DELETE"]):
        assert (p.content_type, p.delivery_mode, p.priority, p.expiration) == ("application/json", 2, 3, "86400000")
        assert p.type == op and p.app_id == "walbrook" and p.timestamp > 1600000000
        assert p.message_id == json.loads(body)["event_id"] == p.headers["event_id"]
        assert (p.headers["schema"], p.headers["table"], p.headers["operation"]) == ("public", "t", op)
        assert json.loads(p.headers["key"]) == {"id": json.loads(body)["record"]["id"]}
    assert len({p.message_id for _, p, _ in found}) == 4
    assert wb.target_status("rabbitmq")["facts"]["queue_messages"] == 0


def test_routing(wb, mq, queue):
    """An exchange, a queue for each table, and somebody who binds a queue of his own."""
    wb.db.sql("create table a (id int primary key); create table b (id int primary key)")
    with mq.connect() as c:
        ch = c.channel()
        ch.exchange_declare(f"x{queue}", "topic", durable=True)
        ch.queue_declare(f"{queue}.mine")
        ch.queue_bind(f"{queue}.mine", f"x{queue}", "*.*.delete")
    wb.write([target(mq, exchange=f"x{queue}", queue=queue + ".${table}", routing_key="${schema}.${table}.${operation}")])
    wb.start().streaming()
    wb.db.sql("insert into a values (1), (2); insert into b values (3); delete from a where id = 1")
    arrived(wb, mq, f"{queue}.a", 3)
    arrived(wb, mq, f"{queue}.b", 1)
    arrived(wb, mq, f"{queue}.mine", 1)
    wb.term()
    assert ids(mq.take(f"{queue}.a")) == [1, 2, 1]
    assert ids(mq.take(f"{queue}.b")) == [3]
    (method, _, _), = mq.take(f"{queue}.mine")
    assert method.routing_key == "public.a.delete"


def test_debezium_messages(wb, mq, queue):
    """Several messages a change, each with an id; tombstones; the format's topic is the routing key."""
    wb.db.sql("create table t (id int primary key, v int)")
    wb.write([target(mq, exchange=f"x{queue}", queue=queue, format="debezium", format_options={"prefix": "lab"})])
    wb.start().streaming()
    wb.db.sql("insert into t values (1, 1); update t set id = 2; delete from t")
    arrived(wb, mq, queue, 6)
    wb.term()
    found = mq.take(queue)
    assert {m.routing_key for m, _, _ in found} == {"lab.public.t"}
    assert [json.loads(b)["op"] if b else "" for _, _, b in found] == ["c", "d", "", "c", "d", ""]
    assert len({p.message_id for _, p, _ in found}) == 6
    assert [json.loads(p.headers["key"]) for _, p, _ in found] == [{"id": i} for i in (1, 1, 1, 2, 2, 2)]
    assert json.loads(found[1][1].headers["__debezium.newkey"]) == {"id": 2}


def test_what_is_no_row(wb, mq, queue):
    """Of a queue for each table: transactions and heartbeats go to the queue of their own topic, not among the rows."""
    wb.db.sql("create table t (id int primary key)")
    lab = f"lab{queue}"
    wb.write([target(mq, queue=f"{lab}.${{schema}}.${{table}}", format="debezium",
                     format_options={"prefix": lab, "transaction_metadata": True, "heartbeat": "100ms"})])
    wb.start().streaming()
    wb.db.sql("insert into t values (1)")
    arrived(wb, mq, f"{lab}.public.t", 1)
    arrived(wb, mq, f"{lab}.transaction", 2)
    arrived(wb, mq, f"__debezium-heartbeat.{lab}", 1)
    wb.term()
    assert [json.loads(b)["op"] for _, _, b in mq.take(f"{lab}.public.t")] == ["c"]
    assert [json.loads(b)["status"] for _, _, b in mq.take(f"{lab}.transaction")] == ["BEGIN", "END"]


@pytest.mark.parametrize("kind", ["quorum", "stream"])
def test_kinds_of_queues(wb, mq, queue, kind):
    wb.db.sql("create table t (id int primary key); insert into t select generate_series(1, 500)")
    wb.write([target(mq, queue=queue, queue_arguments={"x-queue-type": kind})])
    wb.until_now()
    with mq.connect() as c:
        ch = c.channel()
        ch.basic_qos(prefetch_count=100)
        got = []
        for method, _, body in ch.consume(queue, arguments={"x-stream-offset": "first"} if kind == "stream" else None,
                                          inactivity_timeout=20):
            assert method, f"only {len(got)} messages"
            got.append(json.loads(body)["record"]["id"])
            ch.basic_ack(method.delivery_tag)
            if len(got) == 500:
                break
    assert got == list(range(1, 501))


def ledger(c, i):
    """One transaction: key k gets the next number."""
    c.execute("insert into t (k, n) values (%s, %s)", (i % 5, i))


def same_as_ledger(mq, wb, queue):
    """Nothing lost, nothing invented; first arrivals in commit order, also of each key."""
    got = [(r["record"]["k"], r["record"]["n"]) for r in records(mq.take(queue))]
    want = [(k, n) for k, n in wb.db.sql("select k, n from t order by n")]
    first = first_arrivals(got)
    if first != want:
        at = next((i for i, (a, b) in enumerate(zip(first, want)) if a != b), min(len(first), len(want)))
        raise AssertionError(f"{len(first)} of {len(want)} changes; missing {sorted(set(want) - set(first))[:5]}; from number {at} on "
                             f"{first[at:at + 5]} came, and {want[at:at + 5]} was committed")
    return len(got)


def test_d71_broker_killed(wb, mq, queue, load):
    """The broker dies under load and comes back: what it had not confirmed is sent again. proves G-01, G-04"""
    wb.db.sql("create table t (k int, n int)")
    wb.write([target(mq, queue=queue, window=50)], backoff_min="20ms", backoff_max="200ms")
    wb.start().streaming()
    writer = load(wb.db, ledger)
    for _ in range(2):
        had = writer.done
        wait_until(lambda: writer.done > had + 50 and mq.length(queue) > 0, what="messages", alive=wb)
        mq.kill()
        had = writer.done
        wait_until(lambda: writer.done > had + 50, what="changes while the broker is away", alive=wb)
        mq.start()
    total = writer.stop()
    arrived(wb, mq, queue, total, 60)
    wait_until(lambda: wb.target_status("rabbitmq")["unanswered"] == 0, 60, "all confirmed", alive=wb)
    wb.term()
    same_as_ledger(mq, wb, queue)
    assert "cannot be reached" in wb.log() or "broke" in wb.log()


def test_ours_killed(make_wb, db, mq, queue, load):
    """kill -9 while messages are on their way: every one arrives. proves G-01, G-03"""
    wb = make_wb(db, build="fault")
    wb.db.sql("create table t (k int, n int)")
    wb.write([target(mq, queue=queue, window=20)])
    writer = load(wb.db, ledger)
    for point in ("rabbitmq.after_publish@40", "rabbitmq.before_answer@7", "checkpoint.after_commit@2"):
        wb.start(env={"WB_FAULT": f"{point}:crash"})
        wb.wait_exit(137, 60)
    wb.start().streaming()
    wb.kill9()
    writer.stop()
    wb.until_now()
    same_as_ledger(mq, wb, queue)


@pytest.mark.parametrize("command, alarm, clear", [("set_vm_memory_high_watermark", "0.0000001", "0.4"), ("set_disk_free_limit", "1000000GB", "50MB")],
                         ids=["memory", "disk"])
def test_alarm(wb, mq, queue, command, alarm, clear):
    """A broker out of memory or disk takes nothing; the target waits, says so, and loses nothing."""
    wb.db.sql("create table t (id int primary key, v text)")
    wb.write([target(mq, queue=queue)])
    wb.start().streaming()
    mq.ctl(command, alarm)
    try:
        for i in range(20):
            wb.db.sql("insert into t select g, repeat('x', 1000) from generate_series(%s::int, %s::int) g", i * 100 + 1, i * 100 + 100)
        wait_until(lambda: "takes no messages for now" in wb.last_log(), what="the alarm", alive=wb)
        assert f"low on {'disk' if 'disk' in command else 'memory'}" in wb.last_log()
        wait_until(lambda: "takes no messages" in (wb.target_status("rabbitmq")["facts"] or {}).get("broker", ""), 30, "the alarm in status", alive=wb)
        now = wb.target_status("rabbitmq")
        assert now["state"] == "running" and now["unanswered"] > 0, now
    finally:
        mq.ctl(command, clear)
    arrived(wb, mq, queue, 2000)
    wb.term()
    assert ids(mq.take(queue)) == list(range(1, 2001))
    assert "takes messages again" in wb.log()


def test_full_queue(wb, mq, queue):
    """reject-publish: a refused message is sent again with all that came after it, while somebody makes room: one behind it
    may have been taken meanwhile, and comes again in its place."""
    wb.db.sql("create table t (id int primary key); insert into t select generate_series(1, 300)")
    wb.write([target(mq, queue=queue, window=30, queue_arguments={"x-max-length": 10, "x-overflow": "reject-publish"})])
    wb.start()
    got = []
    wait_until(lambda: "RabbitMQ refuses messages" in wb.last_log(), what="a refusal", alive=wb)

    def read():
        got.extend(ids(mq.take(queue, 7)))
        return len(set(got)) == 300
    wait_until(read, 60, "all rows", alive=wb)
    wb.term()
    assert first_arrivals(got[::-1]) == list(range(300, 0, -1)), "the last of each are in order"


@pytest.mark.parametrize("policy", ["stop", "skip", "retry"])
def test_unroutable(wb, mq, queue, policy):
    """Nobody has bound a queue: an acknowledgement alone does not mean that a message is anywhere."""
    wb.db.sql("create table t (id int primary key); insert into t values (1), (2), (3)")
    wb.write([target(mq, exchange=f"x{queue}", unroutable=policy)])
    if policy == "stop":
        wb.run("--until", "now", code=4)
        assert "no queue for messages with routing key" in wb.last_log()
    elif policy == "skip":
        wb.start()
        wait_until(lambda: "they are skipped" in wb.last_log(), what="a word about it", alive=wb)
        wait_until(lambda: (wb.target_status("rabbitmq")["facts"] or {}).get("skipped") == 3, what="three skipped rows", alive=wb)
        wb.term()
        return
    wb.write([target(mq, exchange=f"x{queue}", unroutable="retry")])
    wb.start()
    wait_until(lambda: "waiting for one" in wb.last_log(), what="a returned message", alive=wb)
    with mq.connect() as c:
        c.channel().queue_declare(queue, durable=True)
        c.channel().queue_bind(queue, f"x{queue}", "#")
    arrived(wb, mq, queue, 3)
    wb.term()
    assert first_arrivals(ids(mq.take(queue))) == [1, 2, 3]


def test_queue_deleted(wb, mq, queue):
    """Somebody deletes the queue under us: it is made again, and the row that found none is in it."""
    wb.db.sql("create table t (id int primary key)")
    wb.write([target(mq, queue=queue)])
    wb.start().streaming()
    wb.db.sql("insert into t values (1)")
    arrived(wb, mq, queue, 1)
    with mq.connect() as c:
        c.channel().queue_delete(queue)
    wb.db.sql("insert into t values (2)")
    arrived(wb, mq, queue, 1)
    wb.term()
    assert ids(mq.take(queue)) == [2]
    assert "making it again" in wb.log()


def test_tls(wb, mq, queue):
    wb.db.sql("create table t (id int primary key); insert into t values (1)")
    url, ca = mq.url("localhost", mq.tls_port).replace("amqp:", "amqps:"), f"{mq.dir}/ca.crt"
    for given, words in (({"url": url}, "certificate"),  # the system does not know the authority
                         ({"url": url.replace("localhost", "127.1"), "tls_ca": ca}, "mismatch"),
                         ({"url": mq.url("localhost").replace("amqp:", "amqps:"), "tls_ca": ca, "connect_timeout": "2s"}, "TLS"),
                         ({"url": mq.url(), "tls_ca": ca}, "amqps://")):
        wb.write([target(mq, queue=queue, **given)])
        said = wb.check(code=1)
        assert words in said.stdout + said.stderr
    wb.write([target(mq, queue=queue, url=url.replace("localhost", "127.1"), tls_ca=ca)])
    wb.run(code=4)
    for host in ("localhost", "127.0.0.1"):
        wb.write([target(mq, queue=queue, url=url.replace("localhost", host), tls_ca=ca)])
        assert "with TLS" in wb.check(code=0).stdout
    wb.until_now()
    assert ids(mq.take(queue)) == [1]


def test_our_own_certificate(wb, mq, queue, folder):  # proves G-12
    """A port that wants one takes the right one, as two files and as one; without it, and with files that cannot be used, a sentence."""
    c = Client(mq.dir, folder)
    junk = folder / "junk.pem"
    junk.write_text("nothing\n")
    port = mq.listen_for_certificates()
    wb.db.sql("create table t (id int primary key); insert into t values (1)")
    base = {"url": mq.url("localhost", port).replace("amqp:", "amqps:"), "tls_ca": str(c.ca)}
    cert, key = {"tls_cert": str(c.cert)}, {"tls_key": str(c.key)}
    for own, words in (({}, "wants a certificate of who comes, and there is none"),
                       ({"tls_cert": str(c.stranger), "tls_key": str(c.stranger_key)}, "refuses the certificate of `tls_cert`"),
                       ({**cert, "tls_key": str(c.other_key)}, "does not belong to the certificate"),
                       ({**cert, "tls_key": "nowhere.pem"}, "The file of `tls_key` cannot be read: "),
                       ({**key, "tls_cert": "nowhere.pem"}, "The file of `tls_cert` cannot be read: "),
                       ({"tls_ca": "nowhere.pem"}, "The file of `tls_ca` cannot be read: "),
                       ({**cert, "tls_key": str(junk)}, "no private key in PEM"), ({**key, "tls_cert": str(junk)}, "no certificate in PEM"),
                       ({"tls_ca": str(junk)}, "has no certificates in PEM"), (cert, "name its file with `tls_key`"),
                       (key, "`tls_key` needs `tls_cert`"), ({**cert, "tls_key": str(c.locked)}, "without a password")):
        wb.write([target(mq, queue=queue, **{**base, **own})])

        def refused():  # the broker closes the connection behind its alert, which may get lost
            found = wb.check(code=1)
            assert words in found.stdout, f"{own}: {found.stdout}"
            return not found.stderr  # OpenSSL would ask for the password here
        wait_until(refused, 20, words)
    wb.run("--until", "now", code=4)
    assert "without a password" in wb.last_log()
    for i, own in enumerate(({**cert, **key}, {"tls_cert": str(c.both)})):
        wb.write([target(mq, queue=queue, **base, **own)]).until_now()
        assert ids(mq.take(queue)) == [i + 1]
        wb.db.sql("insert into t values (%s)", i + 2)


def test_how_much_is_verified(wb, mq, queue, folder):
    """tls_verify: full wants authority and name, ca the authority alone, none nothing."""
    wb.db.sql("create table t (id int primary key); insert into t values (1)")
    url, ca, other = mq.url("127.1", mq.tls_port).replace("amqp:", "amqps:"), f"{mq.dir}/ca.crt", str(Client(mq.dir, folder).stranger)
    for mode, given, works in (("full", ca, False), ("ca", ca, True), ("ca", other, False), ("none", other, True), ("none", None, True)):
        wb.write([target(mq, queue=queue, url=url, tls_verify=mode, **({"tls_ca": given} if given else {}))])
        said = wb.check(code=0 if works else 1).stdout
        assert ("with TLS" if works else "certificate") in said, f"{mode}: {said}"
        assert ("certificate is not verified" in said) == (mode == "none"), said
    wb.until_now()
    assert ids(mq.take(queue)) == [1]


def test_what_is_refused(wb, mq, queue):
    wb.db.sql("create table t (id int primary key); insert into t values (1)")
    with mq.connect() as c:
        c.channel().queue_declare(f"{queue}.soft", durable=False)
    cases = [({"url": mq.url(password=PASSWORD + "x"), "queue": queue}, "ACCESS_REFUSED"),
             ({"url": mq.url(vhost="nowhere"), "queue": queue}, "vhost nowhere not found"),
             ({"queue": queue, "declare": "passive"}, "no queue"),
             ({"queue": f"{queue}.soft"}, "inequivalent arg 'durable'"),
             ({"exchange": "x" + queue, "exchange_type": "nosuch"}, "unknown exchange type"),
             ({"queue": queue, "queue_arguments": {"x-max-length": 5}}, "drops its oldest messages"),
             ({"queue": queue, "routing_key": "x"}, "needs an `exchange`")]
    for given, words in cases:
        wb.write([target(mq, **given)])
        wb.run("--until", "now", code=(2, 4))
        assert words in wb.last_log(), f"{given}: {wb.tail()}"
    assert mq.length(queue) is None


def test_rights(wb, mq, queue):
    """check asks for the rights to make and to send, and makes and sends nothing."""
    user = f"u{queue}"
    mq.ctl("add_user", user, PASSWORD)
    wb.db.sql("create table t (id int primary key); insert into t values (1)")
    both = {"url": mq.url(user=user), "exchange": f"x{queue}", "queue": queue}
    for rights, missing in ((("^$", "^$", ".*"), ("to send to the exchange", "to make the exchange", "to make the queue")),
                            ((f"^{queue}$", ".*", ".*"), ("to make the exchange",)), (("^x.*", ".*", ".*"), ("to make the queue",)),
                            ((".*", "^$", ".*"), ("to send to the exchange",)), ((".*", ".*", ".*"), ())):
        mq.ctl("set_permissions", user, *rights)
        said = wb.write([target(mq, **both)]).check(code=1 if missing else 0).stdout
        all_of_them = ("send to the exchange", "make the exchange", "make the queue")
        assert {w for w in all_of_them if f"RabbitMQ refuses to {w}" in said} == {w.removeprefix("to ") for w in missing}, said
        assert all(f"This user may {w}" in said for w in all_of_them if f"to {w}" not in missing), said
    assert mq.length(queue) is None
    wb.until_now()
    assert "This user may make the queue" in wb.check(code=0).stdout  # the same of what is there
    assert ids(mq.take(queue)) == [1]


def test_a_silent_broker(wb, mq, queue):
    """It stands still: two heartbeats later the connection is given up, and what was not confirmed is sent again."""
    wb.db.sql("create table t (id int primary key)")
    wb.write([target(mq, queue=queue, heartbeat="1s", connect_timeout="1s")], backoff_min="20ms", backoff_max="200ms")
    wb.start().streaming()
    wb.db.sql("insert into t values (1)")
    arrived(wb, mq, queue, 1)
    os.kill(mq.pid, signal.SIGSTOP)
    try:
        wb.db.sql("insert into t select generate_series(2, 500)")
        wait_until(lambda: "was silent for two heartbeats" in wb.log() or "did not answer in time" in wb.log(), 30, "a word about it", alive=wb)
    finally:
        os.kill(mq.pid, signal.SIGCONT)
    wait_until(lambda: wb.target_status("rabbitmq")["unanswered"] == 0 and (mq.length(queue) or 0) >= 500, 60, "all rows", alive=wb)
    wb.term()
    assert first_arrivals(ids(mq.take(queue))) == list(range(1, 501))


def test_huge_row(wb, mq, queue):
    """20 MB arrive whole; what the broker would refuse becomes a dead letter."""
    wb.db.sql("create table t (id int primary key, v text); insert into t values (1, repeat('x', 20 << 20)), (2, 'small')")
    wb.write([target(mq, queue=queue), target(mq, name="small", queue=queue + ".small", max_message="1MB")],
             dead_letters="dead.jsonl", memory="32MB")
    wb.until_now()
    assert [(r["record"]["id"], len(r["record"]["v"])) for r in records(mq.take(queue))] == [(1, 20 << 20), (2, 5)]
    assert ids(mq.take(queue + ".small")) == [2]
    dead = [json.loads(line) for line in (wb.dir / "dead.jsonl").read_text().splitlines()]
    assert [d["change"]["record"]["id"] for d in dead] == [1] and "max_message" in dead[0]["error"]


def test_connection_closed_by_the_operator(wb, mq, queue):
    wb.db.sql("create table t (id int primary key)")
    wb.write([target(mq, queue=queue)], backoff_min="20ms", backoff_max="200ms")
    wb.start().streaming()
    wb.db.sql("insert into t values (1)")
    arrived(wb, mq, queue, 1)
    mq.ctl("close_all_connections", "bye")
    wb.db.sql("insert into t values (2)")
    arrived(wb, mq, queue, 2)
    wb.term()
    assert first_arrivals(ids(mq.take(queue))) == [1, 2]
