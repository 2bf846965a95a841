"""Every type that PostgreSQL has gives the same value in snapshot and stream, in record and mirror: what PostgreSQL prints."""
import json

import psycopg
import pytest

from compare import OUTPUT, canon, mirror_canon, records, source_canon, sqlite
from program import wait_until

pytestmark = pytest.mark.both

INT8 = "-9223372036854775808", "9223372036854775807", "0"
# name: (type, values as SQL literals); NULL is added to each
TYPES = {
    "bool": ("boolean", ["true", "false"]),
    "bytea": ("bytea", [r"'\x'", r"'\x00ff5c27'", r"decode(repeat('deadbeef', 100), 'hex')"]),
    "char1": ('"char"', ["'x'"]),
    "int2": ("int2", ["-32768", "32767"]),
    "int4": ("int4", ["-2147483648", "2147483647"]),
    "int8": ("int8", list(INT8)),
    "oid": ("oid", ["0", "4294967295"]),
    "xid": ("xid", ["'4294967295'"]),
    "xid8": ("xid8", ["'18446744073709551615'", "'1'"]),
    "text": ("text", ["''", "'plain'", "E'tab\\tnl\\ncr\\r\\\\ \"quoted\" ''single''\\x01\\x1f'", "'žluťoučký 漢字 🙂 \u2028'", "'\\N'", "'NULL'"]),
    "varchar": ("varchar(20)", ["'abc'", "'trailing '"]),
    "bpchar": ("char(5)", ["'ab'", "''"]),
    "name": ("name", ["'a_name'"]),
    "json": ("json", ["'{\"b\": 1.10,  \"a\": [1, null, \"x\\u0041\"]}'", "'1e400'", "'\"s\"'", "'null'"]),
    "jsonb": ("jsonb", ["'{\"b\": 1.10, \"a\": [1, null, \"ž\"]}'", "'[]'", "'12345678901234567890.123456789'", "'null'"]),
    "xml": ("xml", ["'<a b=\"c\">d</a>'"]),
    "float4": ("float4", ["1.1", "'NaN'", "'Infinity'", "'-Infinity'", "1e-45", "3.4028235e38", "'-0'"]),
    "float8": ("float8", ["0.1", "1e301", "'NaN'", "'Infinity'", "'-Infinity'", "5e-324", "123456789012345680", "'-0'"]),
    "numeric": ("numeric", ["0", "123456789012345678901234567890.123456789012345678901234567890", "'NaN'", "1e-20", "-0.10", "1e40"]),
    "numeric_mod": ("numeric(12,2)", ["12345.6", "-0.01"]),
    "d16_numeric_infinity": ("numeric", ["'Infinity'", "'-Infinity'"]),
    "money": ("money", ["'1234.56'", "'-92233720368547758.08'"]),
    "date": ("date", ["'2024-02-29'", "'0001-01-01'", "'9999-12-31'"]),
    "d17_date": ("date", ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'5874897-12-31'"]),
    "time": ("time", ["'00:00:00'", "'23:59:59.999999'", "'24:00:00'", "'12:00:00.1'"]),
    "timetz": ("timetz", ["'10:00:00+05:30'", "'24:00:00-08'"]),
    "timestamp": ("timestamp", ["'2024-02-29 10:00:00.123456'", "'1969-12-31 23:59:59.999999'", "'2024-01-01'"]),
    "d17_timestamp": ("timestamp", ["'infinity'", "'-infinity'", "'0044-03-15 12:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'10000-01-01'"]),
    "timestamptz": ("timestamptz", ["'2024-02-29 10:00:00.123456+05:30'", "'1900-01-01 00:00:00-03'"]),
    "d17_timestamptz": ("timestamptz", ["'infinity'", "'0001-01-01 00:00:00+00 BC'", "'20000-01-01 00:00:00+00'"]),
    "interval": ("interval", ["'1 year 2 mons -3 days 04:05:06.789'", "'-1 sec'", "'0'"]),
    "bit": ("bit(5)", ["B'10101'"]),
    "varbit": ("varbit", ["B''", "B'1'"]),
    "uuid": ("uuid", ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"]),
    "inet": ("inet", ["'192.168.0.1/24'", "'::1'", "'10.0.0.1/32'"]),
    "cidr": ("cidr", ["'192.168.0.0/24'"]),
    "macaddr": ("macaddr", ["'08:00:2b:01:02:03'"]),
    "macaddr8": ("macaddr8", ["'08:00:2b:01:02:03:04:05'"]),
    "point": ("point", ["'(1,2.5)'"]),
    "lseg": ("lseg", ["'[(0,0),(1,1)]'"]),
    "box": ("box", ["'(2,2),(0,0)'"]),
    "path": ("path", ["'((0,0),(1,1))'", "'[(0,0),(1,1)]'"]),
    "polygon": ("polygon", ["'((0,0),(1,1),(2,0))'"]),
    "line": ("line", ["'{1,2,3}'"]),
    "circle": ("circle", ["'<(1,2),3>'"]),
    "int4range": ("int4range", ["'[1,5)'", "'empty'", "'(,)'", "'[1,5]'"]),
    "numrange": ("numrange", ["'(1.5,2.5]'"]),
    "tsrange": ("tsrange", ["'[2024-01-01 10:00,2024-01-02)'"]),
    "tstzrange": ("tstzrange", ["'[2024-01-01 10:00+00,)'"]),
    "daterange": ("daterange", ["'[2024-01-01,2024-01-05]'"]),
    "int8multirange": ("int8multirange", ["'{[1,3),[5,7)}'", "'{}'"]),
    "int_array": ("int4[]", ["'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'"]),
    "d19_bounds": ("int8[]", ["'[0:1]={7,8}'"]),
    "d19_text_array": ("text[]", ["ARRAY['a,b', NULL, 'q\"x', 'NULL', '', '{']", "'{{NULL},{NULL}}'", "'{}'"]),
    "box_array": ("box[]", ["'{(2,2),(0,0);(4,4),(3,3)}'"]),
    "bytea_array": ("bytea[]", [r"ARRAY['\x00'::bytea, NULL]"]),
    "numeric_array": ("numeric(8,3)[]", ["'{1.5,NaN}'"]),
    "enum": ("mood", ["'sad'", "'veľmi happy'"]),
    "d13_enum_of_other_schema": ("other.mood", ["'red'"]),
    "enum_array": ("mood[]", ["ARRAY['sad','veľmi happy']::mood[]"]),
    "domain": ("posint", ["5"]),
    "domain_text": ("label", ["'x'"]),
    "composite": ("pair", ["ROW(1,'a b')", "ROW(NULL,'q\"\\,')"]),
    "composite_array": ("pair[]", ["ARRAY[ROW(1,'x')::pair]"]),
    "pg_lsn": ("pg_lsn", ["'16/B374D848'"]),
    "tid": ("tid", ["'(0,1)'"]),
    "txid_snapshot": ("txid_snapshot", ["'10:20:10,14,15'"]),
    "tsvector": ("tsvector", ["'a fat cat sat'"]),
    "tsquery": ("tsquery", ["'fat & rat'"]),
    "jsonpath": ("jsonpath", ["'$.a[*]'"]),
    "regclass": ("regclass", ["'pg_class'"]),
    "hstore": ("hstore", ["'a=>1, b=>NULL'"]),
    "citext": ("citext", ["'MiXed'"]),
    "ltree": ("ltree", ["'top.mid.leaf'"]),
}
MAKE = """
create type mood as enum ('sad', 'veľmi happy');
create schema other;
create type other.mood as enum ('red');
create domain posint as int check (value > 0);
create domain label as text;
create type pair as (n int, t text);
"""


def make_tables(db):
    db.sql(MAKE)
    made = {}
    for ext in ("hstore", "citext", "ltree"):
        try:
            db.sql(f"create extension {ext}")
        except psycopg.Error:
            pass  # contrib is not installed with every server
    for name, (sqltype, values) in TYPES.items():
        try:
            db.sql(f"create table t_{name} (id int primary key, v {sqltype})")
        except psycopg.errors.UndefinedObject:
            assert name in ("hstore", "citext", "ltree"), name
            continue
        made[name] = values + ["NULL"]
    return made


def insert(db, tables, base):
    for name, values in tables.items():
        sqltype = TYPES[name][0]
        for i, v in enumerate(values):
            db.sql(f"insert into t_{name} values ({base + i}, ({v})::{sqltype})")


@pytest.mark.sanitize
def test_d16_to_d19_every_type_in_snapshot_and_stream(wb, db):  # proves G-08
    tables = make_tables(db)
    insert(db, tables, 1)
    wb.write([wb.file_target(), wb.sqlite_target(), wb.sqlite_target(name="log", path="log.db", mode="log")]).start()
    wait_until(lambda: len(records(wb.out)) >= sum(map(len, tables.values())), 60, "snapshot", alive=wb)
    insert(db, tables, 1001)
    count = 2 * sum(map(len, tables.values()))
    wait_until(lambda: len(records(wb.out)) >= count, 60, "stream", alive=wb)
    wb.term()

    seen = {(r["table_name"][2:], r["record"]["id"]): r["record"]["v"] for r in records(wb.out)}
    mirror = sqlite(wb.mirror)
    wrong = []
    for name, values in tables.items():
        sqltype = db.one("select format_type(atttypid, -1) from pg_attribute where attrelid = %s::regclass and attname = 'v'", f"t_{name}")
        is_json = sqltype in ("json", "jsonb")
        for row, text in db.sql(f"select id, {OUTPUT.format('v')} from t_{name}"):
            where = f"{name} {'snapshot' if row < 1000 else 'stream'} {text!r}"
            value = seen[name, str(row)]
            # JSON's null and SQL's are one thing in a record
            expected = None if is_json and text == "null" else source_canon(sqltype, text)
            if canon(sqltype, value) != expected:
                wrong.append(f"record {where}: {value!r}")
            (value, kind) = mirror.execute(f'select v, typeof(v) from "t_{name}" where id = ?', (row,)).fetchone()
            held = "0" if text == "-0" else text  # SQLite stores -0.0 as 0, which is equal
            if (value != text) if is_json else mirror_canon(sqltype, value) != source_canon(sqltype, held):
                wrong.append(f"mirror {where}: {value!r} ({kind})")
            if row >= 1000:
                first = seen[name, str(row - 1000)]
                if first != seen[name, str(row)]:
                    wrong.append(f"record {where}: snapshot gave {first!r}, stream {seen[name, str(row)]!r}")
    assert not wrong, "\n".join(wrong)


def test_mirror_column_classes(wb, db):
    """Declared INTEGER, REAL, TEXT or BLOB only, and no number of a decimal is ever a double."""
    db.sql("create table t (id int8 primary key, n numeric, f float8, b bytea, j jsonb, u uuid, at timestamptz, ok bool, i int2)")
    db.sql("insert into t values (1, 0.1, 0.1, '\\x00', '1', gen_random_uuid(), now(), true, 1)")
    wb.write([wb.sqlite_target()]).until_now()
    m = sqlite(wb.mirror)
    declared = {name: kind for _, name, kind, *_ in m.execute("pragma table_info(t)")}
    assert set(declared.values()) <= {"INTEGER", "REAL", "TEXT", "BLOB"}
    assert declared["id"] == "INTEGER" and declared["n"] == "TEXT" and declared["f"] == "REAL" and declared["b"] == "BLOB"
    kinds = m.execute("select typeof(n), typeof(f), typeof(b), typeof(j), typeof(u), typeof(at) from t").fetchone()
    assert kinds == ("text", "real", "blob", "text", "text", "text")


def test_session_settings_of_the_server_do_not_change_values(wb, db):
    """A1: text output depends on settings of the walsender; ours are pinned."""
    db.sql("create table t (id int primary key, d date, at timestamptz, i interval, b bytea, f float8)")
    for setting in ("datestyle to 'SQL, DMY'", "intervalstyle to 'iso_8601'", "bytea_output to 'escape'", "timezone to 'Asia/Kathmandu'",
                    "extra_float_digits to 0"):
        db.sql(f"alter database {db.name} set {setting}")
    row = "'2024-02-29', '2024-02-29 10:00:00.5+00', '1 mon 2 days', '\\x00ff', 0.1::float8 + 0.2::float8"
    db.sql(f"insert into t values (1, {row})")
    wb.write([wb.file_target()]).start()
    wait_until(lambda: records(wb.out), 20, "snapshot", alive=wb)
    db.sql(f"insert into t values (2, {row})")
    wait_until(lambda: len(records(wb.out)) == 2, 20, "stream", alive=wb)
    wb.term()
    a, b = (dict(r["record"], id=None) for r in records(wb.out))
    assert a == b
    assert a["d"] == "2024-02-29" and a["i"] == "1 mon 2 days" and a["f"] == "0.30000000000000004"
