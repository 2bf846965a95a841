"""What must be true in the end: the record file, the mirror and the log against the source and its ledger.

Reads with json, sqlite3 and the servers' own Python clients only. Values are compared as the text that the server prints.
"""
import base64
import collections
import gzip
import json
import re
import sqlite3
from decimal import Decimal

from kinds import listed, parse
from load import ALL, BANK_TOTAL, BY_NAME, short

KEYS = {"t_bank": ["id"], "t_order": ["id"], "ledger": ["seq"], **{t.name: t.key for t in BY_NAME.values()}}
EVENTS = {"I": "INSERT", "U": "UPDATE", "D": "DELETE", "T": "TRUNCATE"}


class Wrong(Exception):
    """A promise is broken; the text says which one and where."""


def want(ok, text):
    if not ok:
        raise Wrong(text)


def source_text(kind, sqltype, text):
    return None if text is None else kind.text(sqltype, text)


def plain(kind, sqltype, v):
    """A value of a record or of the mirror as the server's text."""
    if v is None:
        return None
    if kind.binary(sqltype):
        return "\\x" + (v if isinstance(v, bytes) else base64.b64decode(v, validate=True)).hex()
    return kind.plain(sqltype, v)


def source_rows(kind, db, table):
    cols = kind.columns(db, table)
    return sorted((tuple(source_text(kind, t, v) for (_, t), v in zip(cols, row)) for row in kind.rows(db, table, cols)), key=repr)


def sqlite(path):
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)


class Fold:
    """What the events of one table add up to."""

    def __init__(self, kind, table, types):
        self.kind, self.table, self.types, self.key = kind, table, types, KEYS[table]
        self.rows = {} if self.key else collections.Counter()

    def text(self, row, name):
        return plain(self.kind, self.types[name], row.get(name))

    def whole(self, row):
        return tuple(self.text(row, c) for c in self.types)

    def apply(self, event, row, before, where, copying):
        """copying: a copy that was interrupted is not at its last row: changes may come of rows that it has not brought
        yet, and it may bring rows again."""
        if event == "TRUNCATE":
            self.rows.clear()
        elif not self.key:
            if event in ("UPDATE", "DELETE"):
                old = self.whole(before if event == "UPDATE" else row)
                want(self.rows[old] > 0 or copying, f"{where}: {event} of a row that is not there: {old}")
                self.rows[old] -= self.rows[old] > 0
            if event != "DELETE":
                self.rows[self.whole(row)] += 1
        else:
            key = tuple(self.text(row, c) for c in self.key)
            old = tuple(self.text(before if before and c in before else row, c) for c in self.key) if event == "UPDATE" else key
            if event in ("READ", "INSERT"):
                want(key not in self.rows or copying, f"{where}: {event} of {self.table} {key}, which is there already")
                self.rows[key] = {}
            else:
                want(old in self.rows or copying, f"{where}: {event} of {self.table} {old}, which is not there")
            kept = self.rows.pop(old, {})
            if event != "DELETE":
                kept.update({c: self.text(row, c) for c in self.types if c in row})
                self.rows[key] = kept

    def sorted(self):
        if not self.key:
            return sorted(self.rows.elements(), key=repr)
        return sorted((tuple(r.get(c) for c in self.types) for r in self.rows.values()), key=repr)


class Stream:
    """The events in their order, checked one by one: whole transactions, once, each as its ledger rows say."""

    def __init__(self, kind, types, where, last_reads):
        self.kind, self.types, self.where = kind, types, where
        self.last_reads, self.seen = last_reads, 0  # of each table, which event is the last READ
        self.folds = {t: Fold(kind, t, types[t]) for t in ALL}
        self.ledger, self.ids, self.done = set(), set(), set()
        self.transaction, self.pending, self.order = None, [], None
        self.counts = collections.Counter()
        self.schemas = {}  # what the last schema change of a table said

    def schema_change(self, where, table, r):
        """Each begins where the one before ended: none is missing, none came twice."""
        told = r["record"].get("_schema", r["record"])
        if table in self.schemas:
            want(told["before"] == self.schemas[table], f"{where}: a schema change of {table} that does not begin where the last one ended")
        want(told["before"] != told["after"] or self.kind.sees_ahead, f"{where}: a schema change of {table} that changes nothing")
        self.schemas[table] = told["after"]

    def event(self, n, r):
        where, what, table = f"{self.where}:{n}", r["event_type"], r["table_name"]
        self.counts[what] += 1
        self.seen += 1
        copying = self.seen <= self.last_reads.get(table, 0)
        if r.get("event_id"):
            want(r["event_id"] not in self.ids, f"{where}: event {r['event_id']} a second time")
            self.ids.add(r["event_id"])
        copied = not r["transaction_id"]  # a row of the copy, or a TRUNCATE before those of a table without a key
        if not copied and r["transaction_id"] != self.transaction:
            self.end(where)
            self.transaction = r["transaction_id"]
            want(self.transaction not in self.done, f"{where}: transaction {self.transaction} a second time")
            self.done.add(self.transaction)
        if what in ("CREATE", "ALTER", "DROP"):
            self.schema_change(where, table, r)
            return
        self.folds[table].apply(what, r["record"], r.get("before"), where, copying)
        if table == "t_order":
            n = int(r["record"]["n"])
            want(self.order is None or n == self.order + (what != "READ"), f"{where}: t_order goes from {self.order} to {n}: commits are missing or not in their order")
            self.order = n
        if table == "ledger":
            self.entry(where, what, r["record"], copying)
        elif not copied and (what != "TRUNCATE" or self.kind.ddl_in_transactions):
            self.pending.append((what, table, r))

    def end(self, where):
        want(not self.pending, f"{where}: {len(self.pending)} changes before here that the ledger of their transaction does not know: {self.pending[:1]}")

    def entry(self, where, what, e, copying):
        seq = int(e["seq"])
        want(what in ("READ", "INSERT"), f"{where}: the ledger is only added to, and here is {what}")
        want(seq not in self.ledger or (copying and what == "READ"), f"{where}: ledger row {seq} a second time")
        self.ledger.add(seq)
        if what == "READ":
            return
        got, self.pending = self.pending, []
        want(len(got) == int(e["n"]), f"{where}: ledger row {seq} tells of {e['n']} changes, {len(got)} came: {e}")
        vals = json.loads(e["vals"]) if e["vals"] else None
        for i, (event, table, r) in enumerate(got):
            row = r["record"] or {}
            want((event, table) == (EVENTS[e["op"]], e["tbl"]), f"{where}: ledger row {seq} tells of {e['op']} of {e['tbl']}, {event} of {table} came")
            if event in ("INSERT", "UPDATE"):
                want(int(row["seq"]) == seq, f"{where}: a change of {table} that is not that of ledger row {seq}")
            for c, v in (vals[i] if vals else {}).items():
                if event == "DELETE" and c not in row:
                    continue
                now, then = short(plain(self.kind, self.types[table][c], row.get(c))), short(source_text(self.kind, self.types[table][c], v))
                want(now == then, f"{where}: {table}.{c} is {now!r}, the ledger says {then!r}")
            if e["keys"]:
                old = [(r.get("before") or row).get(c) for c in KEYS[table]]
                want(old == json.loads(e["keys"]), f"{where}: the old key is {old}, the ledger says {e['keys']}")


def types_of(kind, db):
    return {t: dict(kind.columns(db, t)) for t in ALL}


def compare(source, here, what):
    if source == here:
        return
    a, b = collections.Counter(source), collections.Counter(here)
    missing, extra = list((a - b).elements())[:2], list((b - a).elements())[:2]
    raise Wrong(f"{what}: {len(source)} rows at the source, {len(here)} here; missing {missing}; too many {extra}")


def source_ledger(db):
    return {s for s, in db.sql("select seq from ledger")}


def check_file(kind, db, path):
    """The file and, in their order, those that rotation has moved away; compressed or not."""
    def opened(part):
        with open(part, "rb") as f:
            packed = f.read(2) == b"\x1f\x8b"
        return (gzip.open if packed else open)(part, "rb")

    moved = sorted(path.parent.glob(path.name + ".*.*[0-9]"), key=lambda p: p.name.rsplit(".", 1)[1])
    last_reads, seen = {}, 0
    for part in [*moved, path]:
        with opened(part) as f:
            for line in f:
                seen += 1
                if b'"event_type":"READ"' in line:
                    last_reads[re.search(rb'"table_name":"([^"]+)"', line).group(1).decode()] = seen
    stream = Stream(kind, types_of(kind, db), path.name, last_reads)
    for part in [*moved, path]:
        stream.where = part.name
        with opened(part) as f:
            for n, line in enumerate(f, 1):
                try:
                    record = parse(line)
                except ValueError:
                    raise Wrong(f"{part.name}:{n}: not a JSON line: {line[:200]!r}") from None
                want(line.endswith(b"\n"), f"{part.name}:{n}: not a whole line")
                stream.event(n, record)
    finish(kind, db, stream)
    return stream.counts


def finish(kind, db, stream):
    stream.end(stream.where + ": the end")
    there = source_ledger(db)
    missing, extra = sorted(there - stream.ledger), sorted(stream.ledger - there)
    want(not missing and not extra, f"{stream.where}: {len(missing)} ledger rows are missing (first {missing[:3]}), {len(extra)} were never committed")
    for t in ALL:
        compare(source_rows(kind, db, t), stream.folds[t].sorted(), f"{stream.where}, {t} folded")


def check_log(kind, db, path):
    """The log target holds the same events: the same checks, in its own order. Returns how many there are."""
    c = sqlite(path)
    try:
        n, last_reads = 0, {}
        for i, (op, table) in enumerate(c.execute("select op, table_name from changes order by seq"), 1):
            if op == "READ":
                last_reads[table] = i
        stream = Stream(kind, types_of(kind, db), path.name, last_reads)
        for n, (txn, op, table, key, before, after) in enumerate(c.execute(
                "select txn, op, table_name, key, before, after from changes order by seq"), 1):
            old, new = ({} if v is None else parse(v) for v in (before, after))
            stream.event(n, {"event_type": op, "transaction_id": txn, "table_name": table,
                             "record": old if op == "DELETE" else new, "before": old or None})
    finally:
        c.close()
    finish(kind, db, stream)
    return n


def check_mirror(kind, db, path):
    c = sqlite(path)
    try:
        for t in ALL:
            cols, name = kind.columns(db, t), kind.mirror(db, t)
            made = c.execute("select count(*) from sqlite_master where type = 'table' and name = ?", (name,)).fetchone()[0]
            rows = c.execute(f'select {listed(cols)} from "{name}" t').fetchall() if made else []  # made at its first row
            compare(source_rows(kind, db, t), sorted((tuple(plain(kind, k, v) for (_, k), v in zip(cols, row)) for row in rows), key=repr), f"mirror of {t}")
        want(c.execute("pragma integrity_check").fetchone()[0] == "ok", "the mirror's file is not whole")
    finally:
        c.close()


def check_balance(kind, db, path):
    """At any moment: no part of a transaction is to be seen (G-05), and no commit out of its order."""
    if not path.exists():
        return None
    c = sqlite(path)
    try:
        rows = [b for b, in c.execute(f'select balance from "{kind.mirror(db, "t_bank")}"')]
        order = c.execute(f'select n from "{kind.mirror(db, "t_order")}"').fetchone()
    except sqlite3.OperationalError:
        return None  # not there yet
    finally:
        c.close()
    if len(rows) < 40:
        return None  # a snapshot on its way
    total = sum(map(Decimal, rows))
    want(total == BANK_TOTAL, f"the mirror shows part of a transaction: {total} in the bank, not {BANK_TOTAL}")
    return order and order[0]


def spoil(lines, rng):
    """The file with one thing wrong in it, and what that is."""
    def one(table):
        return [i for i, text in enumerate(lines) if f'"table_name":"{table}"'.encode() in text and b'"event_type":"UPDATE"' in text]

    what, at, order = rng.randrange(4), rng.choice(one("t_int") or [0]), one("t_order")
    if what == 0:
        return "a change is missing", lines[:at] + lines[at + 1:]
    if what == 1:
        return "a change comes twice", lines[:at] + [lines[at]] + lines[at:]
    if what == 2:
        a, b = order[len(order) // 2 - 1], order[len(order) // 2]
        return "two changes are swapped", lines[:a] + [lines[b]] + lines[a + 1:b] + [lines[a]] + lines[b + 1:]
    at = rng.choice(one("t_bank"))
    return "a value is wrong", lines[:at] + [lines[at].replace(b'"balance":"', b'"balance":"9')] + lines[at + 1:]


def prove(kind, db, path, rng):
    """A spoilt copy must be found out, or the checks above are worth nothing."""
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) < 10000:
        return
    spoilt = path.with_suffix(".spoilt")
    what, text = spoil(lines, rng)
    spoilt.write_bytes(b"".join(text))
    try:
        check_file(kind, db, spoilt)
    except Wrong:
        return
    finally:
        spoilt.unlink()
    raise Wrong(f"the check does not see it when {what}")
