"""Target kafka: certificates of our own, and options that a single message shows. A real broker, read by confluent-kafka."""
import json
import re
import struct
import zlib

from certificates import Client
from program import wait_until
from test_kafka import Proxy, murmur2, target, topic


def ids(kafka, name):
    return [json.loads(m.value)["record"]["id"] for m in kafka.read(name)]


def test_our_own_certificate(wb, db, kafka, folder):  # proves G-12
    """A listener that wants one takes the right one, as two files, as one, and with a password; without it a sentence."""
    db.sql("create table t (id int primary key); insert into t values (1)")
    c = Client(kafka.dir, folder)
    base = {"brokers": f"127.0.0.1:{kafka.listener('mtls')}", "tls": True, "tls_ca": str(c.ca)}
    for own, words in (({}, "wants a certificate of who comes, and there is none"),
                       ({"tls_cert": str(c.stranger), "tls_key": str(c.stranger_key)}, "refuses the certificate of `tls_cert`")):
        wb.write([target(db, kafka, **base, **own)])

        def refused():  # the broker closes the connection behind its alert, which may get lost
            found = wb.check(code=1).stdout
            assert words in found, found
            return True
        wait_until(refused, 20, words)
    wb.run("--until", "now", code=4)
    assert "refuses the certificate of `tls_cert`" in wb.last_log()
    for i, own in enumerate(({"tls_cert": str(c.cert), "tls_key": str(c.key)}, {"tls_cert": str(c.both)},
                             {"tls_cert": str(c.cert), "tls_key": str(c.locked), "tls_key_password": c.password})):
        wb.write([target(db, kafka, **base, **own)]).until_now()
        assert len(kafka.read(topic(db, "t"))) == i + 1
        db.sql("insert into t values (%s)", i + 2)
    assert c.password not in wb.log()


def test_files_of_certificates_that_cannot_be_used(wb, db, kafka, folder):
    db.sql("create table t (id int primary key)")
    c = Client(kafka.dir, folder)
    junk = folder / "junk.pem"
    junk.write_text("nothing\n")
    cert, key = {"tls_cert": str(c.cert)}, {"tls_key": str(c.key)}
    for own, words in (({**cert, "tls_key": str(c.other_key)}, "does not belong to the certificate"),
                       ({**cert, "tls_key": "nowhere.pem"}, "The file of `tls_key` cannot be read: "),
                       ({**key, "tls_cert": "nowhere.pem"}, "The file of `tls_cert` cannot be read: "),
                       ({"tls_ca": "nowhere.pem"}, "nowhere.pem: No such file"),
                       ({**cert, "tls_key": str(junk)}, "no private key in PEM"), ({**key, "tls_cert": str(junk)}, "no certificate in PEM"),
                       ({"tls_ca": str(junk)}, "has no certificates in PEM"), (cert, "name its file with `tls_key`"), (key, "`tls_key` needs `tls_cert`"),
                       ({**cert, "tls_key": str(c.locked)}, "`tls_key_password`"),
                       ({**cert, "tls_key": str(c.locked), "tls_key_password": c.password[:-1]}, "`tls_key_password`")):
        wb.write([target(db, kafka, **{"tls": True, "tls_ca": str(c.ca), "brokers": f"127.0.0.1:{kafka.listener('mtls')}", **own})])
        found = wb.check(code=1).stdout
        assert words in found, f"{own}: {found}"
        assert c.password[:-1] not in found
    wb.run("--until", "now", code=4)
    assert "`tls_key_password`" in wb.last_log()


def test_a_certificate_that_is_not_verified(wb, db, kafka):
    """tls_verify: false takes any name and any authority, and check warns of it; true takes neither."""
    db.sql("create table t (id int primary key); insert into t values (1)")
    base = {"brokers": f"127.1:{kafka.listener('tls')}", "tls": True}
    for more in ({}, {"tls_ca": str(kafka.dir / "ca.crt")}):
        assert "certificate" in wb.write([target(db, kafka, **base, **more)]).check(code=1).stdout
        found = wb.write([target(db, kafka, **base, **more, tls_verify=False)]).check(code=0).stdout
        assert "The broker's certificate is not verified." in found, found
    wb.write([target(db, kafka, **base, tls_verify=False)]).until_now()
    assert ids(kafka, topic(db, "t")) == [1]


# ---------------------------------------------------------------- what a message shows

def codec(kafka, name):
    """Of the first batch in the broker's own file: bits 0 to 2 of its attributes (https://kafka.apache.org/documentation/#recordbatch)."""
    for path in kafka.dir.glob(f"data/{name}-*/00000000000000000000.log"):
        head = path.read_bytes()[:61]
        if head:
            assert head[16] == 2, "magic"
            return ["none", "gzip", "snappy", "lz4", "zstd"][struct.unpack(">h", head[21:23])[0] & 7]
    raise AssertionError(f"nothing is in {name}")


def fnv1a(data):
    """FNV-1a of 32 bits, its absolute value: Sarama's."""
    h = 0x811c9dc5
    for b in data:
        h = (h ^ b) * 0x01000193 & 0xffffffff
    return abs(h - (1 << 32) if h >> 31 else h)


def test_compressions_partitioners_and_names(wb, db, kafka):
    """Each codec is in the broker's files and read back; each hash as its definition says; the position's topic by its name."""
    db.sql("create table t (id int primary key, v text); create table nokey (n int)")
    db.sql("insert into t select g, repeat('walbrook ', 30) from generate_series(1, 200) g; insert into nokey select generate_series(1, 20)")
    kinds = {"gzip": ("consistent", zlib.crc32), "snappy": ("fnv1a", fnv1a), "zstd": ("murmur2", lambda key: murmur2(key) & 0x7fffffff)}
    targets = [target(db, kafka, name=c, topic=f"{db.name}.{c}.${{table}}", partitions=7, compression=c, partitioner=p, **(
        {"delivery": "exactly_once", "transactional_id": f"wb-{db.name}", "position_topic": f"{db.name}.where.we.stand"} if c == "zstd" else {}))
        for c, (p, _) in kinds.items()]
    wb.write(targets).until_now()
    for c, (p, hash_of) in kinds.items():
        got = kafka.read(f"{db.name}.{c}.t")
        assert sorted(json.loads(m.value)["record"]["id"] for m in got) == list(range(1, 201)), c
        assert [m.partition for m in got] == [hash_of(m.key) % 7 for m in got], p
        assert codec(kafka, f"{db.name}.{c}.t") == c
        nokey = kafka.read(f"{db.name}.{c}.nokey")
        assert sorted(json.loads(m.value)["record"]["n"] for m in nokey) == list(range(1, 21))
        assert {m.partition for m in nokey} == {hash_of(b"") % 7}, p
    assert kafka.setting(f"{db.name}.where.we.stand", "cleanup.policy") == "compact"
    assert kafka.read(f"{db.name}.where.we.stand")[-1].value and f"wb-{db.name}.position" not in kafka.topics("wb-")


class Listening(Proxy):
    """Keeps what the program sends."""

    def __init__(self, port):
        self.heard = b""
        super().__init__("127.0.0.1", port)

    def _forward(self, pair, source):
        if source is pair.client:
            self.heard += source.recv(4096, 2)  # MSG_PEEK
        super()._forward(pair, source)


def test_client_id(wb, db, kafka):
    """In the header of the first request (https://kafka.apache.org/protocol#protocol_messages), whatever it is."""
    db.sql("create table t (id int primary key)")
    proxy = Listening(kafka.port)
    try:
        for more, want in (({}, b"walbrook"), ({"client_id": "lab-7"}, b"lab-7")):
            proxy.heard = b""
            wb.write([target(db, kafka, brokers=f"127.0.0.1:{proxy.port}", **more)]).check(code=0)
            _, _, _, _, n = struct.unpack(">ihhih", proxy.heard[:14])
            assert proxy.heard[14:14 + n] == want
    finally:
        proxy.close()


def test_cloudevents_in_binary_mode(wb, db, kafka):
    """CloudEvents 1.0, Kafka's binding, binary: attributes as ce_ headers, content-type, the data alone as the value; names and values of
    attributes as Debezium's converter publishes them. What has no value is no header."""
    db.sql("create table orders (id int primary key, what text); alter table orders replica identity full")
    wb.write([target(db, kafka, topic=f"{db.name}-${{topic}}", format="cloudevents", format_options={"mode": "binary", "prefix": "lab"})],
             source={"snapshot": "never"}).start().streaming()
    db.sql("insert into orders values (1, 'one')")
    db.sql("update orders set what = 'größer' where id = 1")
    db.sql("delete from orders")
    name = f"{db.name}-lab.public.orders"
    wait_until(lambda: name in kafka.topics(db.name) and len(kafka.read(name)) == 4, 30, "three events and a tombstone", alive=wb)
    wb.term()
    got = kafka.read(name)
    assert [json.loads(m.key) for m in got] == [{"id": 1}] * 4 and got[3].value is None
    one, two = {"id": 1, "what": "one"}, {"id": 1, "what": "größer"}
    assert [json.loads(m.value) for m in got[:3]] == [{"before": None, "after": one}, {"before": one, "after": two}, {"before": two, "after": None}]
    seen, places = set(), []
    for m, op in zip(got[:3], "cud"):
        h = dict(m.headers)
        assert len(h) == len(m.headers) and all(h.values()), m.headers
        fixed = {"ce_specversion": "1.0", "ce_source": "/debezium/postgresql/lab", "ce_type": "io.debezium.connector.postgresql.DataChangeEvent",
                 "content-type": "application/json", "ce_iodebeziumop": op, "ce_iodebeziumconnector": "postgresql", "ce_iodebeziumname": "lab",
                 "ce_iodebeziumsnapshot": "false", "ce_iodebeziumdb": db.name, "ce_iodebeziumschema": "public", "ce_iodebeziumtable": "orders"}
        assert {k: h.get(k) for k in fixed} == fixed
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", h["ce_time"])
        assert h["ce_id"].startswith(f"name:lab;lsn:{h['ce_iodebeziumlsn']};txId:{h['ce_iodebeziumtxid']};")
        assert json.loads(h["ce_iodebeziumsequence"])[1] == h["ce_iodebeziumlsn"]
        assert (h["ce_iodebeziumtsus"][:-3], h["ce_iodebeziumtsns"]) == (h["ce_iodebeziumtsms"], h["ce_iodebeziumtsus"] + "000")
        rest = {"ce_id", "ce_time", "ce_iodebeziumversion", "ce_iodebeziumlsn", "ce_iodebeziumtxid", "ce_iodebeziumsequence",
                "ce_iodebeziumtsms", "ce_iodebeziumtsus", "ce_iodebeziumtsns"}
        assert {k for k in h if not k.startswith("__")} == set(fixed) | rest
        seen.add(h["ce_id"])
        places.append(int(h["ce_iodebeziumlsn"]))
    assert len(seen) == 3 and places == sorted(places)
