"""walbrook import debezium: a configuration of Debezium becomes a pipeline that runs. Needs a PostgreSQL server."""
import json
import struct

import pytest
from servers import PASSWORD


def properties(db, **more):
    given = {"debezium.source.connector.class": "io.debezium.connector.postgresql.PostgresConnector",
             "debezium.source.database.hostname": "127.0.0.1", "debezium.source.database.port": str(db.server.port),
             "debezium.source.database.user": "walbrook", "debezium.source.database.password": PASSWORD,
             "debezium.source.database.dbname": db.name, "debezium.source.topic.prefix": "lab_cdc",
             "debezium.source.plugin.name": "pgoutput", "debezium.source.table.include.list": r"public\\.customers,public.or.*",
             "debezium.source.slot.name": f"dbz_{db.name}", "debezium.source.publication.name": "dbz_publication",
             "debezium.source.tombstones.on.delete": "false", "debezium.source.offset.storage.file.filename": "offsets.dat",
             "debezium.source.errors.max.retries": "7", "debezium.source.custom.secret.key": "hush-hush",
             "debezium.sink.type": "pubsub", "debezium.format.value.schemas.enable": "false", **more}
    return "# Debezium Server\n" + "".join(f"{k} = {v}\n" for k, v in given.items())


def java_offsets(server, offset):
    """What FileOffsetBackingStore writes: a serialized HashMap of byte arrays."""
    def array(data):
        return b"\x75\x71\x00\x7e\x00\x02" + struct.pack(">i", len(data)) + data
    key = json.dumps(["kafka", {"server": server}], separators=(",", ":")).encode()
    return b"\xac\xed\x00\x05\x73\x72\x00\x11java.util.HashMap" + array(key) + array(json.dumps(offset).encode()) + b"\x78"


def imported(wb, *args):
    done = wb.command("import", "debezium", *args, code=0)
    assert "hush-hush" not in done.stdout
    return done.stdout


def test_moves_over(wb):
    """The slot, the offset, tables and format: what Debezium had not read comes, and its last transaction once more: it keeps
    offsets of events, so of that one's end there is none."""
    db = wb.db
    db.sql("create table customers (id int primary key, v text); create table orders (id int primary key); create table other (id int);"
           "create publication dbz_publication for table customers, orders")
    db.sql(f"select pg_create_logical_replication_slot('dbz_{db.name}', 'pgoutput')")
    db.sql("insert into customers values (1, 'read by Debezium')")
    lsn = db.one("select (pg_current_wal_lsn() - '0/0')::bigint")
    db.sql("insert into customers values (2, 'its last')")
    event = db.one("select (pg_current_wal_lsn() - '0/0')::bigint")
    db.sql("delete from customers where id = 2; insert into orders values (3)")
    (wb.dir / "application.properties").write_text(properties(db))
    (wb.dir / "offsets.dat").write_bytes(java_offsets("someone_else", {"lsn": 1}) +
                                         java_offsets("lab_cdc", {"lsn_proc": event, "lsn_events_processed": 1, "messageType": "INSERT",
                                                                  "lsn_commit": lsn, "lsn": event, "txId": 7, "ts_usec": 1}))
    text = imported(wb, "application.properties", "--offsets", "offsets.dat")
    assert "#  errors.max.retries = 7" in text and "#  custom.secret.key = ***" in text and "sink.type" in text
    assert "slot_position: Debezium keeps no offset of a transaction's end" in text
    wb.file.write_text(text.replace("changes.jsonl", "out.jsonl"))
    wb.run("--until", "now", env={"PGPASSWORD": PASSWORD})
    found = [json.loads(line) for line in wb.out.read_text().splitlines()]
    assert [(m["topic"], m["value"]["op"], (m["value"]["after"] or m["value"]["before"])["id"]) for m in found] == [
        ("lab_cdc.public.customers", "c", 2), ("lab_cdc.public.customers", "d", 2), ("lab_cdc.public.orders", "c", 3)]


def test_switches(wb):
    """Each switch under its own name here, masks of columns among them; logins in what has no counterpart are not shown."""
    given = {"decimal.handling.mode": "string", "time.precision.mode": "connect", "binary.handling.mode": "hex", "interval.handling.mode": "string",
             "hstore.handling.mode": "map", "money.fraction.digits": "4", "unavailable.value.placeholder": "gone", "topic.delimiter": "-",
             "topic.transaction": "tx", "topic.heartbeat.prefix": "beat", "heartbeat.interval.ms": "9000", "extended.headers.enabled": "false",
             "include.unknown.datatypes": "true", "provide.transaction.metadata": "true", "skip.messages.without.change": "true",
             "skipped.operations": "none", "message.key.columns": "public.customers:v", "column.exclude.list": "public.customers.secret",
             "column.mask.with.3.chars": r"public\\.customers\\.v", "column.mask.hash.v2.SHA-256.with.salt.a'b": "public.customers.email",
             "column.truncate.to.5.chars": "public.customers.note", "column.propagate.source.type": ".*"}
    words = ("decimal: 'string'", "time_precision: 'connect'", "binary: 'hex'", "interval: 'string'", "hstore: 'map'", "money_fraction_digits: '4'",
             "unavailable_value: 'gone'", "delimiter: '-'", "transaction_topic: 'tx'", "heartbeat_prefix: 'beat'", "heartbeat: 9000ms", "headers: false",
             "unknown_types: true", "transaction_metadata: true", "skip_unchanged: true", "skip: ['none']", "tombstones: false",
             "message_key_columns: ['public.customers:v']", "columns: ['!public.customers.secret']")
    more = {f"debezium.source.{k}": v for k, v in given.items()}
    more.update({"debezium.sink.pubsub.address": "https://me:let-me-in@pubsub", "debezium.sink.x.API.Key": "let-me-in", "debezium.sink.x.Password": "let-me-in"})
    db = wb.db
    db.sql("create table customers (id int primary key, v text, email text, note text, secret text)")
    db.sql("create publication dbz_publication for table customers")
    db.sql(f"select pg_create_logical_replication_slot('dbz_{db.name}', 'pgoutput')")
    (wb.dir / "a.properties").write_text(properties(db, **more))
    text = imported(wb, "a.properties")
    missing = [w for w in words if w not in text]
    assert not missing and "let-me-in" not in text, text
    assert "column." not in text.partition("# Without a counterpart here:")[2]
    wb.file.write_text(text.replace("snapshot: 'initial'", "snapshot: 'never'").replace("changes.jsonl", "out.jsonl"))
    db.sql("insert into customers values (1, 'hidden', 'a@b', 'a long note', 'x')")
    wb.run("--until", "now", env={"PGPASSWORD": PASSWORD})
    row, = [json.loads(line) for line in wb.out.read_text().splitlines() if '"lab_cdc-public-customers"' in line]
    after = row["value"]["after"]
    assert (after["v"], after["note"], len(after["email"]), "secret" in after) == ("***", "a lon", 64, False)


def test_connector(wb):
    """A connector of Kafka Connect, MySQL, with an offset from a dump of the topic; expressions that no pattern is."""
    config = {"name": "inv", "config": {
        "connector.class": "io.debezium.connector.mysql.MySqlConnector", "database.hostname": "db", "database.user": "me@home",
        "database.password": PASSWORD, "database.server.id": 184054, "topic.prefix": "dbserver1", "database.include.list": "inventory",
        "table.exclude.list": "inventory.(a|b)", "transforms": "unwrap", "transforms.unwrap.add.fields": "op, table",
        "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState", "heartbeat.interval.ms": 5000, "key.converter.schemas.enable": "false",
        "bigint.unsigned.handling.mode": "precise", "include.schema.changes": "false", "include.schema.comments": "true", "snapshot.mode": "when_needed",
        "converters": "b", "b.type": "io.debezium.connector.binlog.converters.TinyIntOneToBooleanConverter", "b.selector": "inventory.flags.*"}}
    (wb.dir / "c.json").write_text(json.dumps(config))
    (wb.dir / "dump").write_text('["inv",{"server":"dbserver1"}]\t{"file":"binlog.000003","pos":805,"gtids":"u:1-5"}\n'
                                 '["inv",{"server":"dbserver1"}]\t{"file":"binlog.000004","pos":17,"gtids":"u:1-9","event":2}\n')
    assert "snapshot: 'when_needed'" in imported(wb, "c.json")
    text = imported(wb, "c.json", "--offsets", "dump")
    for words in ("url: 'mysql://me%40home@db:3306/'", "'inventory.*'", "server_id: 184054", "unwrap: true", "['op', 'table']",
                  "heartbeat: 5000ms", "snapshot: 'never'", "position: 'u:1-9 binlog.000004:17'", "binlog_row_metadata = FULL", "#  table.exclude.list = inventory.(a|b)",
                  "bigint_unsigned: 'precise'", "schema_changes: false", "schema_comments: true", "'boolean.selector': 'inventory.flags.*'",
                  "position: Debezium keeps no offset of a transaction's end", "schemas: the connector does not say", "keys and values both have one", "bootstrap.servers of Kafka Connect", "schemas: true", "prefix: 'dbserver1'"):
        assert words in text, words


@pytest.mark.servers("my97", "m10")
def test_goes_on_in_the_log_of_mysql(my_wb, my):
    """`position`: right after what Debezium has had; rows from before an ALTER have the columns that they had."""
    my.sql("create table t (id int primary key, v varchar(20)); insert into t values (1, 'had')")
    state = my.sql("show binary log status" if my.server.mysql else "show master status")[0]
    files = f"{state[0]}:{state[1]}"
    gtids = my.sql("select @@global.gtid_executed" if my.server.mysql else "select @@global.gtid_binlog_pos")[0][0].replace("\n", "")
    my.sql("insert into t values (2, 'two')")
    my.sql("alter table t add column n int default 7")
    my.sql("insert into t values (3, 'three', 3)")
    wb = my_wb
    for source, words in (({"position": files, "snapshot": "never"}, "has no GTIDs"), ({"position": f"{gtids} {files}"}, "needs snapshot: never"),
                          ({"position": "here", "snapshot": "never"}, "is not a position"), ({"start": {"time": "2026-01-01"}}, "`start` needs snapshot: never"),
                          ({"start": {"file": state[0]}}, "belong together"), ({"start": {"lsn": "0/1"}}, "it knows gtid, file, pos, time"),
                          ({"start": {"gtid": gtids}, "position": files}, "leave one of them out")):
        wb.write([wb.file_target()], source=source).run("--until", "now", code=(2, 3))
        assert words in wb.last_log(), wb.tail()
    for i, place in enumerate(({"position": f"{gtids} {files}"}, {"start": {"gtid": gtids, "file": state[0], "pos": state[1]}}, {"start": {"gtid": gtids}})):
        wb.write([wb.file_target(path=f"out{i}.jsonl", operations=["insert"])], source={**place, "snapshot": "never"}, state=f"state{i}")
        wb.until_now()
        wb.until_now()
        rows = [json.loads(line)["record"] for line in (wb.dir / f"out{i}.jsonl").read_text().splitlines()]
        assert [(r["id"], r["v"], r.get("n")) for r in rows] == [(2, "two", None), (3, "three", 3)], rows


def test_rabbitmq_sink(wb):
    more = {"debezium.sink.type": "rabbitmq", "debezium.sink.rabbitmq.connection.host": "mq", "debezium.sink.rabbitmq.exchange": "x",
            "debezium.sink.rabbitmq.connection.username": "me", "debezium.sink.rabbitmq.connection.password": PASSWORD,
            "debezium.sink.rabbitmq.routingKey.source": "topic"}
    (wb.dir / "a.properties").write_text(properties(wb.db, **more))
    text = imported(wb, "a.properties")
    assert "url: 'amqp://me@mq:5672/'" in text and "exchange: 'x'" in text and "password: ${RABBITMQ_PASSWORD}" in text
    assert "routing_key" not in text and "slot_position" not in text
    wb.file.write_text(text)
    said = wb.command("check", wb.file, env={"PGPASSWORD": PASSWORD, "RABBITMQ_PASSWORD": "x"})
    assert "config" not in said.stderr and "There is no" not in said.stderr, said.stderr


@pytest.mark.parametrize("text, words", [("a = b\n", "no connector.class"), ('{"config": 1}', "no connector.class"),
                                         ("connector.class=io.debezium.connector.oracle.OracleConnector\n", "There is no source"),
                                         ("", "no connector.class")])
def test_refusals(wb, text, words):
    (wb.dir / "f").write_text(text)
    assert words in wb.command("import", "debezium", "f", code=2).stderr
    (wb.dir / "good").write_text(properties(wb.db))
    (wb.dir / "offsets").write_bytes(java_offsets("another", {"lsn": 5}))
    assert "holds no offset of lab_cdc" in wb.command("import", "debezium", "good", "--offsets", "offsets", code=2).stderr
    assert "cannot be read" in wb.command("import", "debezium", "nothing", code=2).stderr
