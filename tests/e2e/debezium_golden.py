"""Golden cases of Debezium: SQL that a real connector saw, and what it sent. Read by test_debezium.py."""
import copy
import json
import re
import struct
from pathlib import Path

from compare import lines

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "debezium"
MARK = "golden_end"  # the schema of a table that shows the end of the stream

# Fields that vary by run, by their place in the value: only these are exempt, and their types are still compared.
VARIES = [r"payload\.(ts_ms|ts_us|ts_ns)", r"payload\.source\.(ts_ms|ts_us|ts_ns|lsn|txId|sequence)", r"payload\.transaction\.id",
          r"payload\.source\.(version|db)"]
VARIES_IN_MYSQL = [r"payload\.source\.(file|pos|gtid|thread|server_id)"]
VARIES_BY_TOPIC = {"transaction": [r"payload\.(id|ts_ms)", r"key\.payload\.id"]}
VARIES_IN_CLOUD = [r"(id|time|iodebezium(version|db|tsms|tsus|tsns|sequence|lsn|txid|gtid|file|pos|thread|serverid))"]
VARIES_UNWRAPPED = [r"payload\.__(lsn|source_ts_ms)"]


def cases(server):
    return sorted(p.stem for p in (GOLDEN / server).glob("*.sql"))


def properties(server, case):
    out = {}
    for name in ("base", case):
        path = GOLDEN / server / f"{name}.properties"
        for line in path.read_text().splitlines() if path.exists() else []:
            if "=" in line:
                key, value = line.split("=", 1)
                out[key.strip()] = value.strip()
    return out


def script(server, case):
    """(setup, [stream, after a pause, ...])"""
    setup, _, stream = (GOLDEN / server / f"{case}.sql").read_text(encoding="utf-8").partition("-- @stream")
    return setup.replace("-- @setup", ""), stream.split("-- @pause")


def statements(text):
    """Statements end with a semicolon at the end of a line, as the recorder split them."""
    out, now = [], []
    for line in text.split("\n"):
        if line.strip().startswith("--") or (not now and not line.strip()):
            continue
        now.append(line)
        if line.rstrip().endswith(";"):
            out.append("\n".join(now))
            now = []
    return out


class Number(float):
    """With its digits: 1.0E10 and 10000000000.0 are two texts."""
    def __new__(cls, text):
        self = super().__new__(cls, text)
        self.text = text
        return self


def message(line):
    """With the bytes of its key: partitioners hash them."""
    m, at = json.loads(line, parse_float=Number), line.index('"key":') + 6
    m["key_text"] = line[at:json.JSONDecoder().raw_decode(line, at)[1]]
    return m


def expected(server, case):
    return [message(line) for line in (GOLDEN / server / f"{case}.keys_values.jsonl").read_text(encoding="utf-8").split("\n") if line]


def got(path):
    """Whole lines only, without the mark's."""
    return [message(line.decode()) for line in lines(path)]


PLAIN = {"decimal.handling.mode": "decimal", "time.precision.mode": "time_precision", "binary.handling.mode": "binary",
         "interval.handling.mode": "interval", "hstore.handling.mode": "hstore", "unavailable.value.placeholder": "unavailable_value",
         "bigint.unsigned.handling.mode": "bigint_unsigned"}
SWITCHES = {"tombstones.on.delete": "tombstones", "include.unknown.datatypes": "unknown_types",
            "provide.transaction.metadata": "transaction_metadata", "skip.messages.without.change": "skip_unchanged",
            "include.schema.changes": "schema_changes", "include.schema.comments": "schema_comments"}


def options(props, everything=("public.*",)):
    """The format and its options, and what a pipeline says elsewhere: (format, format options, source, targets' selection)."""
    o, source, select = {"prefix": props["topic.prefix"]}, {}, {}
    cloud = props.get("value.converter", "").endswith("CloudEventsConverter")
    schemaless = "value.converter.json.schemas.enable" if cloud else "value.converter.schemas.enable"
    o["schemas"] = props.get(schemaless, "true") == "true"
    for key, value in props.items():
        if key in PLAIN:
            o[PLAIN[key]] = value
        elif key in SWITCHES:
            o[SWITCHES[key]] = value == "true"
        elif key == "money.fraction.digits":
            o["money_fraction_digits"] = int(value)
        elif key == "skipped.operations":
            o["skip"] = value.split(",")
        elif key == "message.key.columns":
            o["message_key_columns"] = value.split(";")
        elif re.match(r"column\.(mask|truncate|propagate)|boolean\.selector", key):
            o.setdefault("columns", {})[key] = value
        elif key == "column.exclude.list":
            select["columns"] = [f"!{v}" for v in value.split(",")]
        elif key == "column.include.list":
            select["columns"] = [f"public.people.{c}" for c in re.search(r"\((.*)\)", value).group(1).split("|")]
        elif key == "table.exclude.list":
            source["tables"] = [*everything, f"{MARK}.*"] + ["!" + v.replace(".*", "*") for v in value.split(",")]
        elif key == "table.include.list":
            source["tables"] = value.split(",") + [f"{MARK}.*"]
        elif key == "include.query":
            source["query"] = value == "true"
        elif key == "snapshot.mode":
            source["snapshot"] = {"no_data": "never"}[value]
        elif key.startswith("transforms.unwrap.") and not key.endswith(".type"):
            name = {"delete.tombstone.handling.mode": "deletes", "add.fields": "add_fields", "add.headers": "add_headers"}[key[18:]]
            o[name] = value.split(",") if name.startswith("add") else value
    if props.get("transforms") == "unwrap":
        o["unwrap"] = True
    return ("cloudevents" if cloud else "debezium"), o, source, select


# ---------------------------------------------------------------- comparing

def marker(m):
    """The snapshot marker, or None: a row of the stream, or no row. The holder of it, too."""
    v = m["value"]
    if not isinstance(v, dict):
        return None, None, None
    if "iodebeziumsnapshot" in v:
        return (v, "iodebeziumsnapshot", v["iodebeziumsnapshot"])
    source = (v.get("payload") or v).get("source")
    return (source, "snapshot", source["snapshot"]) if isinstance(source, dict) else (None, None, None)


def by_table(messages):
    """Tables are copied in the order of their names by Debezium, of their OIDs by us: rows of the snapshot in the order of topics, with
    the markers `first` and `last` of the whole snapshot taken for those of their table."""
    snapshot = [m for m in messages if marker(m)[2] not in (None, "false")]
    found = [marker(m)[2] for m in snapshot]
    assert found.count("last") <= 1 and found.count("first") <= 1, found
    rows = {}
    for m in snapshot:
        rows.setdefault(m["topic"], []).append(m)
    for group in rows.values():
        for i, m in enumerate(group):
            holder, key, value = marker(m)
            ends = {"first", "first_in_data_collection"} if i == 0 else set()
            ends |= {"last", "last_in_data_collection"} if i == len(group) - 1 else set()
            assert value in (ends or {"true"}), f"row {i} of {len(group)} is {value}"
            holder[key] = "in order"
    rest = [m for m in messages if m not in snapshot]
    return [m for topic in sorted(rows) for m in rows[topic]] + rest

def walk(a, b, path, out):
    """Differences of two JSON values as (path, golden, ours). Fractions are compared by their digits, too."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in list(a) + [k for k in b if k not in a]:
            if k not in a or k not in b:
                out.append((f"{path}.{k}".lstrip("."), a.get(k, "(missing)"), b.get(k, "(missing)")))
            else:
                walk(a[k], b[k], f"{path}.{k}".lstrip("."), out)
    elif isinstance(a, list) and isinstance(b, list):
        if a and b and all(isinstance(x, dict) and "field" in x for x in a + b):  # fields of a schema, by their names
            names = [[x["field"] for x in side] for side in (a, b)]
            if names[0] != names[1]:
                out.append((f"{path}[]", names[0], names[1]))
            other = {x["field"]: x for x in b}
            for x in a:
                if x["field"] in other:
                    walk(x, other[x["field"]], f"{path}[{x['field']}]", out)
        elif len(a) != len(b):
            out.append((path, a, b))
        else:
            for i, (x, y) in enumerate(zip(a, b)):
                walk(x, y, f"{path}[{i}]", out)
    elif isinstance(a, bool) != isinstance(b, bool) or a != b:
        out.append((path, a, b))
    elif isinstance(a, Number) != isinstance(b, Number) or (isinstance(a, Number) and a.text != b.text):
        out.append((path, getattr(a, "text", a), getattr(b, "text", b)))


def payload(part):
    """Without the schema half, if there is one."""
    return part["payload"] if isinstance(part, dict) and "payload" in part else part


def sort_collections(m):
    """The tables of a transaction's end are in no order."""
    v = payload(m["value"])
    if m["topic"].endswith(".transaction") and v["data_collections"]:
        v["data_collections"].sort(key=lambda c: c["data_collection"])


def same_type(a, b):
    return type(a) is type(b)


def compare(golden, ours, cloud=False, unwrapped=False, mysql=False):
    """Differences of one message, without what varies by run."""
    sort_collections(golden)
    sort_collections(ours)
    out, topic = [], golden["topic"].split(".", 1)[-1]
    if golden["topic"] != ours["topic"]:
        out.append(("topic", golden["topic"], ours["topic"]))
    varies = VARIES + (VARIES_IN_MYSQL if mysql else []) + VARIES_BY_TOPIC.get(topic, []) + (VARIES_IN_CLOUD if cloud else []) + (VARIES_UNWRAPPED if unwrapped else [])
    for part in ("key", "value"):
        found = []
        a, b = golden[part], ours[part]
        if part == "value" and a is not None and not cloud and "payload" not in a:  # without schemas
            a, b = {"payload": a}, {"payload": b}
        if part == "key" and a is not None and "payload" not in a:
            a, b = {"payload": a}, {"payload": b}
        walk(a, b, "", found)
        for path, x, y in found:
            full = path if part == "value" else f"key.{path}".rstrip(".")
            if any(re.fullmatch(v, full) for v in varies) and same_type(x, y):
                continue
            out.append((full if part == "value" else full, x, y))
    if golden["key"] == ours["key"] and golden["key_text"] != ours["key_text"]:
        out.append(("bytes of the key", golden["key_text"], ours["key_text"]))
    if [h[0] for h in golden["headers"]] != [h[0] for h in ours["headers"]]:
        out.append(("headers", [h[0] for h in golden["headers"]], [h[0] for h in ours["headers"]]))
    else:
        for (name, x), (_, y) in zip(golden["headers"], ours["headers"]):
            if name != "__debezium.context.runId" and x != y and not (name == "__db" and y):
                out.append((f"headers.{name}", x, y))
    return out


# ---------------------------------------------------------------- differences that stay, by the names that docs/formats/debezium.md gives them

def float32(v):
    return struct.unpack("f", struct.pack("f", v))[0]


def snapshot_of(message):
    return marker(message)[2] == "in order"


# name: (cases, path, is it that?) Each must be seen in every case that it names; "*": wherever it is.
DIFFERENCES = {
    "snapshot-txid": ("*", r"payload\.source\.txId", lambda a, b, m: b is None and snapshot_of(m)),
    "cloud-txid": (r"cloudevents.*", r"iodebeziumtx[iI]d", lambda a, b, m: a is None or b in (None, "(missing)")),
    "nested-arrays": (r"types_schemaless", r"payload\.after\.ii\[\d\]", lambda a, b, m: a is None and isinstance(b, list)),
    "midnight-24": (r"time_isostring", r"payload\.after\.t\d?", lambda a, b, m: (a, b) == ("00:00:00Z", "24:00:00Z")),
    "dates-out-of-range": (r"infinity", r"payload\.after\.(d|ts)", lambda a, b, m: b in (-735160, 2**31 - 1, -2**31, 2**63 - 1)),
    "null-is-null": (r"source_info_columns", r"payload\.before\.email", lambda a, b, m: (a, b) == ("none", None)),
    "message-tables": (r"message_transaction_metadata", r"payload\.data_collections", lambda a, b, m: "LogicalDecodingMessage" in a[0]["data_collection"]),
    "identity-index": (r"replica_identity", r"key\..*|headers\.__debezium\..*key", lambda a, b, m: m["topic"] == "golden.public.ri_index"),
    "name-columns": (r"types|types_schemaless|hstore_map", r"payload\.after\.nm", lambda a, b, m: a is None),
    "float-digits": ("*", r"payload\.(after|before)\.r", lambda a, b, m: float32(a) == float32(b)),
    "unwrap-tombstone": (r"unwrap", r"", lambda a, b, m: b is None and a["payload"] is None),
    "default-behind": (r"schema_change_behind", r"schema\.fields\[\w+\]\.fields\[n\]\.default", lambda a, b, m: (a, b) == ("(missing)", 5)),
    "generated-columns": (r"defaults", r"schema\.fields\[\w+\]\.fields\[\]|payload\.after\.g",
                          lambda a, b, m: b == "(missing)" or [x for x in a if x != "g"] == b),
    "hstore-order": ("*", r"payload\.after\.hs", lambda a, b, m: json.loads(a) == json.loads(b)),
}

# The same of MySQL and MariaDB; cases are SERVER/CASE.
def same_json(a, b):
    """As JSON, where Debezium drops types of MySQL's own ("base64:type15:eA==") and zeros of times."""
    def plain(v):
        if isinstance(v, dict):
            return {k: plain(x) for k, x in v.items()}
        if isinstance(v, list):
            return [plain(x) for x in v]
        return re.sub(r"^base64:type\d+:|(?<=:\d\d\.\d{3})000$", "", v) if isinstance(v, str) else v
    return plain(json.loads(a)) == plain(json.loads(b))


DIFFERENCES_MYSQL = {
    "json-text": (r"mysql/types(_schemaless)?", r"payload\.(before|after)\.j", lambda a, b, m: same_json(a, b)),
    "enum-comma": (r".*/types(_schemaless)?", r"payload\.(before|after)\.e", lambda a, b, m: a.replace("\\,", ",") == b),
    "year-zero": (r".*/zero_dates", r"payload\.after\.y", lambda a, b, m: a in (1900, 2000, None) and b == 0),
    "zero-timestamp": (r"mariadb/zero_dates", r"payload\.after\.ts", lambda a, b, m: b is None),
    "snapshot-fraction": (r".*/defaults", r"payload\.after\.ts", lambda a, b, m: a.replace("Z", ".000000Z") == b and snapshot_of(m)),
    "connection-zone": (r"mysql/connect_zone", r"payload\.after\.ts.?", lambda a, b, m: a.replace("T11:", "T12:") == b and snapshot_of(m)),
    "midnight-24": (r".*/time_isostring", r"payload\.after\.t6", lambda a, b, m: (a, b) == ("00:00:00Z", "24:00:00Z")),
    "thread-known": (r"mariadb/(ddl|transaction_metadata)", r"payload\.source\.thread", lambda a, b, m: a is None and isinstance(b, int)),
    "unwrap-tombstone": (r"mysql/unwrap", r"", lambda a, b, m: b is None and a["payload"] is None),
    "several-rules": (r"mysql/filters", r"schema\.fields\[\w+\]\.fields\[(name|email)\]\.parameters.*|payload\.(before|after)\.email",
                      lambda a, b, m: a == "(missing)" or len(b) == 64),
    "default-quotes": (r".*/defaults", r"schema\.fields\[\w+\]\.fields\[(v|bn)\]\.default", lambda a, b, m: (a, b) in (("it''s", "it's"), ("YWJcMA==", "YWIA"))),
    "float-digits": (r"mysql/vector", r"payload\.after\.w\[\d\]", lambda a, b, m: float32(float(a)) == float32(float(b))),
    "default-unsigned": (r".*/defaults", r"schema\.fields\[\w+\]\.fields\[bu\]\.default", lambda a, b, m: (a, b) == (2**63 - 1, -1)),
}
# Of the messages of the schema change topic, wherever they are.
SCHEMA_CHANGES = {
    "snapshot-statement": (r"payload\.ddl", lambda a, b, m: a.startswith("CREATE TABLE") and b.startswith("CREATE TABLE")
                           and payload(m["value"])["source"]["snapshot"] == "true"),
    "table-charset": (r"payload\.tableChanges\[0\]\.table\.(defaultCharsetName|comment)", lambda a, b, m: b is None),
    "drop-of-several": (r"payload\.source\.table", lambda a, b, m: b in a.split(",")),
    "thread-known": (r"payload\.source\.thread", lambda a, b, m: b is None),
    "as-stored": (r"payload\.tableChanges\[0\]\.table\.columns\[\d+\]\.(defaultValueExpression|length)",
                  lambda a, b, m: (a, b) == ("1.5", "1.500") or (a is None and b in (11, 20))),
    "default-quotes": (r"payload\.tableChanges\[0\]\.table\.columns\[\d+\]\.defaultValueExpression",
                       lambda a, b, m: (a, b) in (("it''s", "it's"), ("ab\\0", "ab"), ("ab\\0", "ab\0"))),
    "captured-only": (r"payload\.tableChanges\[0\]\.table\.columns", lambda a, b, m: [c["name"] for c in a if c["name"] != "secret"] == [c["name"] for c in b]),
}

# What schema_changes below leaves out.
SAID = ["captured-only", "cloud-schema-changes"]

# Cases of which we say something else as a whole: what Debezium sent, changed into what we send.
def under_the_root(golden):
    text = re.sub(r"golden\.public\.part_[ab]", "golden.public.part", json.dumps(golden)).replace('"table": "part_a"', '"table": "part"')
    out = json.loads(text.replace('"table": "part_b"', '"table": "part"'))
    return [m for i, m in enumerate(out) if not (i == 1 and snapshot_twice(out))]


def snapshot_twice(messages):
    return messages[0]["key"] == messages[1]["key"] and messages[1]["value"]["payload"]["op"] == "r"


def without_new_tables(golden):
    return [m for m in golden if m["topic"] != "golden.public.s2"]


def without_unlogged(golden):
    return [m for m in golden if m["topic"] != "golden.public.ul"]


WHOLE = {
    "partitions": (r"partitions|partitions_via_root", under_the_root),
    "new-tables": ("schema_change", without_new_tables),
    "unlogged-tables": ("snapshot", without_unlogged),
}

# Cases for which we have no counterpart.
ABSENT = {
    "no-outbox-router": "outbox",
    "no-snapshot-overrides": "snapshot_where",
}


def fits(pattern, case):
    return pattern == "*" or bool(re.fullmatch(pattern, case))


def listed(server, case):
    """The differences that may stay, and the name by which they know the case."""
    return (DIFFERENCES, case) if server == "postgres" else (DIFFERENCES_MYSQL, f"{server}/{case}")


def known_as(server, case, message, path, x, y):
    """The name of the listed difference that this is; None: it is none."""
    known, name = listed(server, case)
    return next((n for n, (where, places, is_it) in known.items()
                 if fits(where, name) and re.fullmatch(places, path) and is_it(x, y, message)), None)


def differences(server, case, golden, ours):
    """Lines about what is different and not known, and about what is known and not different any more."""
    known, name = listed(server, case)
    props = properties(server, case)
    cloud, unwrapped = "CloudEvents" in props.get("value.converter", ""), "unwrap" in props.get("transforms", "")
    found, seen = [], set()
    for i, (a, b) in enumerate(zip(golden, ours)):
        for path, x, y in compare(a, b, cloud, unwrapped, server != "postgres"):
            why = known_as(server, case, a, path, x, y)
            seen.add(why)
            if not why:
                found.append(f"{i} {a['topic']} {path}: {json.dumps(x, ensure_ascii=False)[:600]} / {json.dumps(y, ensure_ascii=False)[:600]}")
    if len(golden) != len(ours):
        found.append(f"messages: {[m['topic'] for m in golden]} / {[m['topic'] for m in ours]}")
    gone = [n for n, (where, _, _) in known.items() if where != "*" and fits(where, name) and n not in seen]
    if gone:
        found.append(f"no longer different, take them from the list and from docs/formats/debezium.md: {gone}")
    return found


def schema_changes(messages):
    """Those of tables, and in the stream of databases. Debezium's snapshot also has statements that make room for them (SET, DROP, USE):
    see `snapshot-statement`."""
    out = [m for m in messages if m["topic"] == "golden" and m["value"]]
    out = [m for m in out if payload(m["value"])["databaseName"] != MARK and
           (payload(m["value"])["tableChanges"] or payload(m["value"])["source"]["snapshot"] == "false")]
    first = [m for m in out if payload(m["value"])["source"]["snapshot"] == "true" and payload(m["value"])["tableChanges"][0]["type"] == "CREATE"]
    return sorted(first, key=lambda m: payload(m["value"])["tableChanges"][0]["id"]) + [
        m for m in out if payload(m["value"])["source"]["snapshot"] == "false"]


def schema_differences(golden, ours):
    golden, ours = schema_changes(golden), schema_changes(ours)
    told = [t["id"] for m in ours for t in payload(m["value"])["tableChanges"]]
    golden = [m for m in golden if payload(m["value"])["source"]["snapshot"] == "false"
              or payload(m["value"])["tableChanges"][0]["id"] in told]  # `captured-only`
    found = []
    for i, (a, b) in enumerate(zip(golden, ours)):
        for path, x, y in compare(a, b, mysql=True):
            known = any(re.fullmatch(places, path) and is_it(x, y, a) for places, is_it in SCHEMA_CHANGES.values())
            if not known:
                found.append(f"schema change {i} {path}: {json.dumps(x, ensure_ascii=False)[:300]} / {json.dumps(y, ensure_ascii=False)[:300]}")
    if len(golden) != len(ours):
        found.append(f"schema changes: {[payload(m['value'])['ddl'] for m in golden]} / {[payload(m['value'])['ddl'] for m in ours]}")
    return found


# ---------------------------------------------------------------- the same log through `run` and through `decode`

FIELD = r"(key|value)\.schema\.(fields\[(before|after)\]\.)?fields\[\w+\]"
# What is not in the log, by the names of docs/decode.md: (who does not know it, path, is it that?) Who and case: "nobody m10/types"; a
# dump is of before the case, and does not know what the case alters.
OFFLINE = {
    "declared-defaults": (r"nobody .*|dump \w+/ddl.*", FIELD + r"\.default|value\.payload\.after\.dtn",
                          lambda a, b: b in ("(missing)", 0)),
    "declared-comments": (r"nobody mariadb/ddl|nobody mysql/ddl_comments|dump \w+/ddl.*", FIELD + r"\.doc", lambda a, b: b == "(missing)"),
    "declared-floats": (r"nobody .*", FIELD + r"\.type|value\.(payload\.)?(before|after)\.f72",
                        lambda a, b: (a, b) == ("double", "float") or (isinstance(a, float) and float32(a) == float32(b))),
    "declared-uuid": (r"nobody mariadb/mariadb_types", r"value\.schema\..*\[u\]\.(name|type|version)|value\.payload\.after\.u",
                      lambda a, b: b in ("(missing)", "bytes") or len(b) == 24),
    "change-columns": (r"(nobody|dump) .*", r"value\.payload\.tableChanges\[0\]\.table", lambda a, b: b is None),
    "truncate-columns": (r"(nobody|dump) \w+/truncate", r"value\.schema\.fields\[(before|after)\]\.fields", lambda a, b: b == []),
}


def offline_differences(case, who, live, offline):
    """Messages of the same changes. Only when they were made, and by which run, may differ, and what `who` cannot tell."""
    found = []
    if [m["topic"] for m in live] != [m["topic"] for m in offline]:
        found.append(f"{case}, {who}: {[m['topic'] for m in live]} / {[m['topic'] for m in offline]}")
    for i, (a, b) in enumerate(zip(copy.deepcopy(live), offline)):
        diffs = []
        for m in (a, b):
            m["headers"] = [h for h in m["headers"] if h[0] != "__debezium.context.runId"]
            v = payload(m["value"])
            if isinstance(v, dict) and "op" in v and "source" in v:
                assert {type(v.pop(f"ts_{unit}")) for unit in ("ms", "us", "ns")} == {int}
        walk(a, b, "", diffs)
        for path, x, y in diffs:
            known = any(re.fullmatch(whom, f"{who} {case}") and re.fullmatch(places, path) and is_it(x, y)
                        for whom, places, is_it in OFFLINE.values())
            if not known:
                found.append(f"{case}, {who}: {i} {a['topic']} {path}: {json.dumps(x, ensure_ascii=False)[:300]} / {json.dumps(y, ensure_ascii=False)[:300]}")
    return found
