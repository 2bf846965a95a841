"""Source, mirror and record file side by side, through psycopg, sqlite3 and json alone: never through our own code.

Everything is compared as canonical text: what PostgreSQL's own output functions give in UTC. `canon` brings what a SQLite column
or a record's JSON holds to that text, and knows nothing else of our formats.
"""
import base64
import json
import sqlite3

from program import wait_until


class Number(str):
    """A JSON number that keeps its digits (and the sign of -0)."""


def plain(value):
    """JSON as text that tells 1 from 1.0 and "1", whatever the order of keys."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{plain(v)}" for k, v in sorted(value.items())) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(plain, value)) + "]"
    return str(value) if isinstance(value, Number) else json.dumps(value)


def canon(pgtype, value):
    """The text of PostgreSQL's output function, from a SQLite value or a JSON value of the record format."""
    if value is None:
        return None
    base = pgtype.split("(")[0]
    if base == "boolean":
        return {True: "t", False: "f", 1: "t", 0: "f", "1": "t", "0": "f"}.get(value, value)
    if base == "bytea":
        if isinstance(value, bytes):
            return "\\x" + value.hex()
        return "\\x" + base64.b64decode(value, validate=True).hex()
    if base in ("real", "double precision"):
        return str(float(value))
    if base in ("json", "jsonb"):
        return plain(value) if not isinstance(value, bytes) else value
    if base.startswith("timestamp") and isinstance(value, str):
        value = value.replace("T", " ") if value[:1].isdigit() else value
        if value.endswith("Z"):
            value = value[:-1] + "+00"
        return value[:-3] if value.endswith("+00:00") else value  # the form that SQLite's own date functions read
    return str(value)


def mirror_canon(pgtype, value):
    if pgtype in ("real", "double precision") and value is not None:
        return canon(pgtype, float(value) + 0.0)
    if pgtype in ("json", "jsonb") and value is not None:
        return plain(json.loads(value, parse_int=Number, parse_float=Number))
    return canon(pgtype, value)


def source_canon(pgtype, text):
    if text is None:
        return None
    if pgtype in ("real", "double precision"):
        return str(float(text))
    if pgtype in ("json", "jsonb"):
        return plain(json.loads(text, parse_int=Number, parse_float=Number))
    return text


# Not ::text, which is a cast of its own for some types (char(n) loses its blanks, inet gains a mask).
OUTPUT = """case when "{0}" is null then null else format('%s', "{0}") end"""


def columns(db, table, schema="public"):
    return db.sql("""select attname, format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum""", f'"{schema}"."{table}"')


def source_rows(db, table, schema="public", order=None):
    """Sorted rows as tuples of canonical text."""
    cols = columns(db, table, schema)
    listed = ", ".join(OUTPUT.format(c) for c, _ in cols)
    rows = db.sql(f'select {listed} from "{schema}"."{table}"')
    return sorted((tuple(source_canon(t, v) for (_, t), v in zip(cols, row)) for row in rows), key=repr)


def sqlite(path):
    c = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    c.text_factory = lambda b: b.decode("utf-8", "surrogateescape")
    return c


def mirror_rows(path, db, table, schema="public", name=None):
    """The same from the mirror: the source's columns, in the source's order."""
    cols = columns(db, table, schema)
    listed = ", ".join(f't."{c}"' for c, _ in cols)  # SQLite takes "c" alone for a text when there is no such column
    if not path.exists():
        raise AssertionError(f"no {path.name} yet")
    c = sqlite(path)
    try:
        rows = c.execute(f'select {listed} from "{name or table}" t').fetchall()
    except sqlite3.OperationalError as e:
        if "no such table" in str(e):
            return []  # nothing ever came; test_smoke says when it must be there
        raise AssertionError(f"mirror: {e}") from None
    finally:
        c.close()
    return sorted((tuple(mirror_canon(t, v) for (_, t), v in zip(cols, row)) for row in rows), key=repr)


def lines(path):
    """Whole lines of a file that may be growing. One read: the rest of a half line could come with the next one."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def records(path):
    """Of a record file. Numbers are their text."""
    return [json.loads(line, parse_int=Number, parse_float=Number) for line in lines(path)]


def log_records(path):
    """The change table of a SQLite log, in the shape of records."""
    def read(text):
        return json.loads(text, parse_int=Number, parse_float=Number) if text is not None else None
    rows = sqlite(path).execute("select op, schema_name, table_name, key, before, after from changes order by seq").fetchall()
    return [{"event_type": op, "schema_name": schema, "table_name": table, "before": read(before) or read(key),
             "record": read(after) or read(before) or read(key) or {}} for op, schema, table, key, before, after in rows]


def changes(path, table=None):
    return [r for r in records(path) if r["event_type"] in ("READ", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
            and (table is None or r["table_name"] == table)]


def fold(recs, table, key=("id",)):
    """What the events of one table add up to: {key: row}. Asserts that they fit together. A copy that was interrupted goes
    on after the stream: until its last row, changes may come of rows that it has not brought yet, and rows again. Where it
    found nothing any more, since a TRUNCATE came first, changes of rows from before the log may stand before that."""
    state, born = {}, set()
    recs = [r for r in recs if r["table_name"] == table]
    copied = max((i for i, r in enumerate(recs) if r["event_type"] == "READ"), default=-1)
    emptied = max((i for i, r in enumerate(recs) if r["event_type"] == "TRUNCATE"), default=-1) if copied < 0 else -1
    for i, r in enumerate(recs):
        what, row, copying = r["event_type"], r["record"], i < copied
        if what == "TRUNCATE":
            state.clear()
            continue
        if what not in ("READ", "INSERT", "UPDATE", "DELETE"):
            continue
        k = tuple(row.get(c) for c in key)
        if what in ("READ", "INSERT"):
            assert k not in state or i <= copied, f"{what} of {table} {k}, which is there already"
            state[k] = dict(row)
            born.add(k)
        elif what == "UPDATE":
            before = r.get("before") or {}
            old = tuple(before.get(c, row.get(c)) for c in key)
            assert old in state or copying or (i < emptied and old not in born), f"UPDATE of {table} {old}, which is not there"
            kept = state.pop(old, {})
            born.add(k)
            state[k] = {**kept, **row}
        else:
            assert k in state or copying or (i < emptied and k not in born), f"DELETE of {table} {k}, which is not there"
            state.pop(k, None)
    return state


def folded_rows(path, db, table, schema="public", key=("id",)):
    cols = columns(db, table, schema)
    recs = [r for r in (log_records(path) if path.suffix == ".db" else records(path)) if r["schema_name"] == schema]
    return sorted((tuple(canon(t, row.get(c)) for c, t in cols) for row in fold(recs, table, key).values()), key=repr)


def differ(a, b, what):
    """A readable assertion for lists of rows that may be long."""
    if a == b:
        return
    sa, sb = set(a), set(b)
    missing, extra = sorted(sa - sb, key=repr)[:5], sorted(sb - sa, key=repr)[:5]
    raise AssertionError(f"{what}: {len(a)} rows at the source, {len(b)} here; missing {missing}; not at the source {extra}")


def same_mirror(db, path, *tables, schema="public"):
    for t in tables:
        differ(source_rows(db, t, schema), mirror_rows(path, db, t, schema), f"mirror of {t}")
    return True


def same_file(db, path, *tables, schema="public", key=("id",)):
    for t in tables:
        differ(source_rows(db, t, schema), folded_rows(path, db, t, schema, key), f"folded records of {t}")
    return True


def wait_mirror(wb, *tables, timeout=30, path=None, schema="public"):
    wait_until(lambda: same_mirror(wb.db, path or wb.mirror, *tables, schema=schema), timeout, "mirror equal to source", alive=wb)


def wait_file(wb, *tables, timeout=30, path=None, key=("id",), schema="public"):
    wait_until(lambda: same_file(wb.db, path or wb.out, *tables, key=key, schema=schema), timeout, "records fold to the source", alive=wb)


def no_repeats(path, table, key="id"):
    """Each row of an insert-only table was delivered once, in order of its key. Returns how many."""
    seen = [int(r["record"][key]) for r in records(path) if r["table_name"] == table and r["event_type"] in ("INSERT", "READ")]
    twice = sorted({i for i in seen if seen.count(i) > 1})[:5] if len(set(seen)) != len(seen) else []
    assert not twice, f"delivered more than once: {twice}"
    return len(seen)
