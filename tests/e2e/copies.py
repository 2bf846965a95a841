"""What tests of copies share: settings that make many small parts, deaths amid a copy, and record files as a mirror would apply them."""
import time

from compare import differ, records

# Small parts and short turns, so that a table of some thousand rows has many of each.
SMALL = {"snapshot_chunk": "64kB", "snapshot_turn": "20ms", "snapshot_workers": 3}
FAST = {"backoff_min": "10ms", "backoff_max": "200ms", "checkpoint_interval": "50ms"}


def reads(path, table, key="id"):
    """How often each row of a table was read, by key."""
    seen = {}
    for r in records(path):
        if r["table_name"] == table and r["event_type"] == "READ":
            k = str(r["record"][key])
            seen[k] = seen.get(k, 0) + 1
    return seen


def tolerant_fold(path, table, key):
    """As a mirror applies: a READ replaces, an UPDATE of what is not there yet waits for its READ."""
    state = {}
    for r in records(path):
        if r["table_name"] != table:
            continue
        row, what = r["record"], r["event_type"]
        if what == "TRUNCATE":
            state.clear()
            continue
        k = tuple(str(row[c]) for c in key)
        if what in ("READ", "INSERT"):
            state[k] = row
        elif what == "DELETE":
            state.pop(k, None)
        elif what == "UPDATE":
            old = tuple(str((r.get("before") or row).get(c, row[c])) for c in key)
            kept = state.pop(old, None)
            if kept is not None or "big" in row:
                state[k] = {**(kept or {}), **row}
    return state


def kill_some(wb, rng, times, low, high, after=lambda: None):
    for _ in range(times):
        wb.start()
        time.sleep(rng.uniform(low, high))
        if wb.running():
            wb.kill9()
        after()


def each_read_once(path, table, rows):
    seen = reads(path, table)
    assert len(seen) == rows and set(seen.values()) == {1}


def folded(db, path, table):
    """A table (id, v, pad, big) of PostgreSQL against the record file."""
    same = {k: (str(r["v"]), r["pad"], r["big"]) for k, r in tolerant_fold(path, table, ["id"]).items()}
    differ([(str(k), str(v), pad, big) for k, v, pad, big in db.sql(f"select id, v, pad, big from {table} order by id")],
           sorted(((k[0], *v) for k, v in same.items()), key=lambda x: int(x[0])), f"folded {table}")
