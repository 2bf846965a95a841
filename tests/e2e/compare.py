"""Source, mirror and record file side by side, through psycopg, sqlite3 and json alone: never through our own code.

Everything is compared as canonical text: what PostgreSQL's own `::text` gives in UTC. `canon` brings what a SQLite column
or a record's JSON holds to that text, and knows nothing else of our formats.
"""
import base64
import json
import sqlite3

from program import wait_until


def canon(pgtype, value):
    """The text that `::text` would give, from a SQLite value or a JSON value of the record format."""
    if value is None:
        return None
    base = pgtype.split("(")[0]
    if base == "boolean":
        return {True: "true", False: "false", 1: "true", 0: "false", "1": "true", "0": "false", "t": "true", "f": "false"}.get(value, value)
    if base == "bytea":
        if isinstance(value, bytes):
            return "\\x" + value.hex()
        return "\\x" + base64.b64decode(value, validate=True).hex()
    if base in ("real", "double precision"):
        return str(float(value))
    if base in ("json", "jsonb"):
        return value if isinstance(value, str) else json.dumps(value)
    if base.startswith("timestamp") and isinstance(value, str):
        value = value.replace("T", " ") if value[:1].isdigit() else value
        return value[:-1] + "+00" if value.endswith("Z") else value
    return str(value)


def source_canon(pgtype, text):
    if text is not None and pgtype in ("real", "double precision"):
        return str(float(text))
    return text


def columns(db, table, schema="public"):
    return db.sql("""select attname, format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum""", f'"{schema}"."{table}"')


def source_rows(db, table, schema="public", order=None):
    """Sorted rows as tuples of canonical text."""
    cols = columns(db, table, schema)
    listed = ", ".join(f'"{c}"::text' for c, _ in cols)
    rows = db.sql(f'select {listed} from "{schema}"."{table}"')
    return sorted((tuple(source_canon(t, v) for (_, t), v in zip(cols, row)) for row in rows), key=repr)


def sqlite(path):
    c = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    c.text_factory = lambda b: b.decode("utf-8", "surrogateescape")
    return c


def mirror_rows(path, db, table, schema="public", name=None):
    """The same from the mirror: the source's columns, in the source's order."""
    cols = columns(db, table, schema)
    listed = ", ".join(f'"{c}"' for c, _ in cols)
    c = sqlite(path)
    try:
        rows = c.execute(f'select {listed} from "{name or table}"').fetchall()
    except sqlite3.OperationalError as e:
        raise AssertionError(f"mirror: {e}") from None
    finally:
        c.close()
    return sorted((tuple(canon(t, v) for (_, t), v in zip(cols, row)) for row in rows), key=repr)


def records(path):
    """Whole lines of a record file. Numbers keep their text."""
    if not path.exists():
        return []
    out = []
    with open(path, "rb") as f:
        for line in f:
            if line.endswith(b"\n"):
                out.append(json.loads(line, parse_int=str, parse_float=str))
    return out


def changes(path, table=None):
    return [r for r in records(path) if r["event_type"] in ("READ", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
            and (table is None or r["table_name"] == table)]


def fold(recs, table, key=("id",)):
    """What the events of one table add up to: {key: row}. Asserts that they fit together."""
    state = {}
    for r in recs:
        if r["table_name"] != table:
            continue
        what, row = r["event_type"], r["record"]
        if what == "TRUNCATE":
            state.clear()
            continue
        if what not in ("READ", "INSERT", "UPDATE", "DELETE"):
            continue
        k = tuple(row.get(c) for c in key)
        if what in ("READ", "INSERT"):
            assert k not in state, f"{what} of {table} {k}, which is there already"
            state[k] = dict(row)
        elif what == "UPDATE":
            before = r.get("before") or {}
            old = tuple(before.get(c, row.get(c)) for c in key)
            assert old in state, f"UPDATE of {table} {old}, which is not there"
            kept = state.pop(old)
            state[k] = {**kept, **row}
        else:
            assert k in state, f"DELETE of {table} {k}, which is not there"
            del state[k]
    return state


def folded_rows(path, db, table, schema="public", key=("id",)):
    cols = columns(db, table, schema)
    recs = [r for r in records(path) if r["schema_name"] == schema]
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
