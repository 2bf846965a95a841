"""The load: tables of several shapes, and writers that change them in random transactions and keep a ledger.

Every statement that changes something is followed, in the same transaction, by a row in `ledger` that says what it did:
the table, the operation, how many rows, their keys and the values it set, as the server printed them. So the stream
describes itself: before each INSERT into ledger come exactly the changes that it lists (check.py). The tables and the SQL
of each server are in kinds.py.
"""
import hashlib
import itertools
import json
import random
import threading
import time

BANK_TOTAL = 40 * 1000
WORDS = ["", "a", "O'Hara", 'quo"te', "back\\slash", "line\nbreak", "tab\tand\r", "näïve", "日本語", "🦉🌊", "\x01\x1f", "null", "NaN", "é", " "]


def _text(r):
    return None if r.random() < 0.1 else " ".join(r.choice(WORDS) for _ in range(r.randint(1, 4))) + str(r.randint(0, 99))


def _number(r):
    if r.random() < 0.03:
        return "NaN"
    return f"{r.choice(['', '-'])}{r.randrange(10 ** r.randint(1, 27))}.{r.randrange(10 ** 9):09d}"


def _bytes(r, low, high):
    return r.randbytes(r.randint(low, high))


def _when(r):
    if r.random() < 0.03:
        return r.choice(["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "20000-01-01 00:00:00+00"])
    return f"{r.randint(1900, 2100)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d} {r.randint(0, 23):02d}:00:00.{r.randrange(10**6):06d}+02"


GENERATE = {
    "int": lambda r: r.choice([None, 0, -1, 2**31 - 1, -2**31, r.randint(-9999, 9999)]),
    "text": _text,
    "numeric": _number,
    "timestamptz": _when,
    "bool": lambda r: r.choice([None, True, False]),
    "float": lambda r: r.choice(["NaN", "Infinity", "-Infinity", "1e-300", repr(r.random() * 10 ** r.randint(-20, 20))]),
    "jsonb": lambda r: json.dumps({"k": _text(r), "n": r.choice([1, 1.50, None, [1, {}]])}),
    "uuid": lambda r: f"{r.getrandbits(128):032x}",
    "date": lambda r: r.choice([None, "infinity", "2024-02-29", f"{r.randint(1, 9999):04d}-01-01"]),
    "time": lambda r: r.choice([None, "24:00:00", "23:59:59.999999", "00:00:00"]),
    "bytea": lambda r: r.choice([None, b"", _bytes(r, 0, 40)]),
    "int[]": lambda r: r.choice([None, [], [1, None, -3]]),
    "big text": lambda r: None if r.random() < 0.05 else _bytes(r, 1200, 9000).hex(),
    "big bytea": lambda r: None if r.random() < 0.05 else _bytes(r, 2500, 9000),
}


class Table:
    """key: the columns that the replica identity has (none: whole rows). make_key(n): the key values of number n."""

    def __init__(self, name, key, columns, make_key=None, ops="iukd"):
        self.name, self.key, self.columns, self.make_key, self.ops = name, key, columns, make_key, ops
        self.sql = f'"{name}"'

    def where(self):
        return " and ".join(f'"{c.replace(chr(34), chr(34) * 2)}" = %s' for c in self.key)


def quoted(c):
    return '"' + c.replace('"', '""') + '"'


TABLES = [
    Table("t_int", ["id"], {"a": "int", "b": "text", "c": "numeric", "d": "timestamptz", "e": "bool", "f": "float", "g": "jsonb",
                            "u": "uuid", "h": "date"}, lambda n: [n * 10**12 if n % 7 == 0 else n]),
    Table("t_text", ["k"], {"v": "text", "n": "numeric"}, lambda n: [f"{WORDS[n % len(WORDS)]}{n}"]),
    Table("t_comp", ["b", "a", "c"], {"v": "bytea", "arr": "int[]"}, lambda n: [WORDS[n % 4], n, f"20{n % 100:02d}-01-01"]),
    Table("t_toast", ["id"], {"small": "text", "big": "big text", "raw": "big bytea"}, lambda n: [n]),
    Table("t_full", [], {"a": "int", "b": "text", "v": "text"}, ops="iud"),
    Table("t_code", ["code"], {"id": None, "v": "text"}, lambda n: [f"code {n}"]),
    Table("t_insert", [], {"a": "int", "b": "text"}, ops="i"),
    Table("T odd", ["Id"], {"Select": "text", "a,'b": "time"}, lambda n: [n]),
]
BY_NAME = {t.name: t for t in TABLES}
ALL = [t.name for t in TABLES] + ["t_bank", "t_order", "ledger"]


def short(text):
    """Long values are kept in the ledger as their hash."""
    return "md5:" + hashlib.md5(text.encode()).hexdigest() if text is not None and len(text) > 200 else text


class Rolled(Exception):
    """This transaction is to be rolled back."""


class Writer(threading.Thread):
    """Random transactions, one after another, until stopped; connects again when the server went away."""
    seqs = itertools.count(1)

    def __init__(self, number, seed, kind, db, pace, wide):
        super().__init__(daemon=True)
        self.number, self.kind, self.db, self.pace, self.wide = number, kind, db, pace, wide
        self.generate = {**GENERATE, **kind.generate}
        self.rng = random.Random(f"{seed}/{number}")
        self.done = threading.Event()
        self.committed = self.rolled = self.lost = 0
        self.fatal = None
        self.no_truncate = False
        self.extra, self.altered = [], False  # columns that alter() added; a look is due

    def run(self):
        c = None
        while not self.done.is_set():
            try:
                if c is None:
                    c = self.kind.connect(self.db)
                self.transaction(c)
            except Exception as e:
                if isinstance(e, Rolled) or self.kind.rolled_back(e):
                    c = self.roll_back(c)
                elif self.kind.gone(e):
                    c = self.gone()
                else:  # a bug of this file: the run must not pass for an idle one
                    self.fatal = e
                    return
            if self.pace:
                time.sleep(self.rng.expovariate(1 / self.pace))
        if c is not None:
            c.close()

    def roll_back(self, c):
        try:
            c.rollback()
        except Exception as e:
            if self.kind.gone(e):
                return self.gone()
            raise
        self.rolled += 1
        return c

    def gone(self):
        self.lost += 1
        time.sleep(0.1)

    # ------------------------------------------------------------ one transaction
    def transaction(self, c):
        r = self.rng
        with c.cursor() as cur:
            if self.altered:  # whether that was committed, only the server knows
                self.extra = self.kind.extra_columns(cur)
                self.altered = False
            if r.random() < 0.6:
                self.note(cur, "t_order", "U", "update t_order set n = n + 1, seq = %(seq)s where id = 1", {}, ["n"])
            if r.random() < self.wide:
                self.large(cur)
            for _ in range(r.choice([1, 1, 2, 3, 5, 8, 20])):
                what = r.random()
                if what < 0.08:
                    self.transfer(cur)
                elif what < 0.18:
                    self.in_savepoint(cur, 1)
                elif what < 0.183:
                    self.truncate(c, cur)
                elif what < 0.186 and self.number == 0:
                    self.alter(c, cur)
                else:
                    self.change(cur)
            if r.random() < 0.05:
                raise Rolled
        c.commit()
        self.committed += 1

    def in_savepoint(self, cur, depth):
        r, name = self.rng, f"s{depth}"
        cur.execute(f"savepoint {name}")
        for _ in range(r.randint(1, 4)):
            if depth < 3 and r.random() < 0.2:
                self.in_savepoint(cur, depth + 1)
            elif r.random() < 0.03:
                self.large(cur)
            else:
                self.change(cur)
        cur.execute(f"{'rollback to' if r.random() < 0.5 else 'release savepoint'} {name}")

    def note(self, cur, table, op, sql, params, names, keys=None, where=""):
        """Run one statement and enter it in the ledger, when it did something. where: that of a DELETE."""
        seq = next(self.seqs)
        n, rows = self.kind.change(cur, op, quoted(table), sql, {**params, "seq": seq}, [quoted(c) for c in names], where)
        if n == 0:
            return
        vals = json.dumps([{c: short(v) for c, v in zip(names, row)} for row in rows]) if 0 < len(rows) <= 20 else None
        self.enter(cur, seq, table, op, n, keys, vals)

    def enter(self, cur, seq, table, op, n, keys=None, vals=None):
        cur.execute("insert into ledger values (%s, %s, %s, %s, %s, %s, %s)",
                    (seq, self.number, table, op, n, json.dumps(keys) if keys else None, vals))

    def alter(self, c, cur):
        """One more column, which this transaction uses already; a table version in the midst of a transaction."""
        if self.no_truncate or len(self.extra) >= 20:
            return
        self.altered, name = True, f"x{next(self.seqs)}"
        self.kind.ddl(c, cur, f"alter table t_text add column {name} {self.rng.choice(self.kind.extra_types)}")
        self.extra = [*self.extra, name]
        self.widen(cur)

    def widen(self, cur):
        n = self.rng.randint(1, 150)
        self.note(cur, "t_text", "U", f"update t_text set {self.extra[-1]} = %(x)s, seq = %(seq)s where k = %(k)s",
                  {"x": str(n), "k": BY_NAME["t_text"].make_key(n)[0]}, ["k", self.extra[-1]])

    def change(self, cur):
        if self.extra and self.rng.random() < 0.05:
            self.widen(cur)
            return
        t = self.rng.choice(TABLES)
        {"i": self.insert, "u": self.update, "k": self.rekey, "d": self.delete}[self.rng.choice(t.ops)](cur, t)

    def key(self, t):
        return t.make_key(self.rng.randint(1, 150))

    def values(self, t, columns):
        return {f"v{i}": (self.rng.randint(1, 10**9) if t.columns[c] is None else self.generate[t.columns[c]](self.rng))
                for i, c in enumerate(columns)}

    def insert(self, cur, t):
        cols = list(t.columns)
        params = self.values(t, cols)
        params.update({f"k{i}": v for i, v in enumerate(self.key(t))} if t.key else {})
        names = t.key + cols
        row = "(" + ", ".join([f"%(k{i})s" for i in range(len(t.key))] + [f"%(v{i})s" for i in range(len(cols))] + ["%(seq)s"]) + ")"
        times = self.rng.choice([1, 1, 2, 3]) if not t.key else 1  # rows that are equal in everything
        self.note(cur, t.name, "I", self.kind.insert(t.sql, ", ".join(map(quoted, [*names, "seq"])), f"values {', '.join([row] * times)}"),
                  params, names)

    def matching(self, cur, t):
        """A WHERE clause and its parameters."""
        if t.key:
            return " and ".join(f"{quoted(c)} = %(w{i})s" for i, c in enumerate(t.key)), {f"w{i}": v for i, v in enumerate(self.key(t))}
        if self.rng.random() < 0.7:
            return self.kind.newest(cur, t.sql, self.rng.randint(0, 5)), {}
        return self.kind.all_newest(cur, t.sql), {}

    def update(self, cur, t):
        cols = self.rng.sample(list(t.columns), self.rng.randint(1, len(t.columns)))
        where, params = self.matching(cur, t)
        params.update(self.values(t, cols))
        names = cols if not t.key else t.key + cols
        self.note(cur, t.name, "U", f"update {t.sql} set {', '.join(f'{quoted(c)} = %(v{i})s' for i, c in enumerate(cols))}, seq = %(seq)s "
                  f"where {where}", params, names)

    def rekey(self, cur, t):
        where, params = self.matching(cur, t)
        params.update({f"n{i}": v for i, v in enumerate(self.key(t))})
        free = " and ".join(f"{quoted(c)} = %(n{i})s" for i, c in enumerate(t.key))
        news = ", ".join([*(f"{quoted(c)} = %(n{i})s" for i, c in enumerate(t.key)), "seq = %(seq)s"])
        self.note(cur, t.name, "U", self.kind.rekey(t.sql, news, where, free), params, t.key, [str(params[f"w{i}"]) for i in range(len(t.key))])

    def delete(self, cur, t):
        where, params = self.matching(cur, t)
        names = t.key or list(t.columns)
        self.note(cur, t.name, "D", f"delete from {t.sql} where {where}", params, names, where=where)

    def truncate(self, c, cur):
        if self.no_truncate:
            return
        for t in self.rng.sample([t for t in TABLES if t.name not in ("t_int",)], self.rng.choice([1, 1, 2])):
            self.kind.ddl(c, cur, f"truncate table {t.sql}")
            if self.kind.ddl_in_transactions:
                self.enter(cur, next(self.seqs), t.name, "T", 1)

    def transfer(self, cur):
        a, b = sorted(self.rng.sample(range(1, 41), 2))
        self.note(cur, "t_bank", "U", "update t_bank set balance = balance + case id when %(a)s then cast(%(x)s as decimal(9,3)) else -cast(%(x)s as decimal(9,3)) end, "
                  "seq = %(seq)s where id in (%(a)s, %(b)s)",
                  {"a": a, "b": b, "x": self.rng.choice(["1.10", "0.005", "73"])}, ["id", "balance"])

    def large(self, cur):
        """More than logical_decoding_work_mem: the server streams it before its end is known."""
        r = self.rng
        low, n = r.choice([1000, 3000, 5000]), r.randint(300, 4000)
        pick = r.random()
        if pick < 0.5:
            self.note(cur, "t_int", "I", self.kind.insert("t_int", "id, a, b, c, seq", "select g, g, repeat('large ', 5), g / 3.0, %(seq)s "
                      f"from {self.kind.series(low, low + n)}"), {}, [])
        elif pick < 0.75:
            self.note(cur, "t_int", "U", f"update t_int set c = c + 1, seq = %(seq)s where id between {low} and {low + n}", {}, [])
        else:
            self.note(cur, "t_int", "D", f"delete from t_int where id between {low} and {low + n}", {}, [])

    def last(self, c):
        """A row in its newest shape, so that every target has heard of that."""
        with c.cursor() as cur:
            key = f"last {next(self.seqs)}"
            self.note(cur, "t_text", "I", "insert into t_text (k, v, seq) values (%(k)s, 'last', %(seq)s)", {"k": key}, ["k", "v"])
        c.commit()

    def stop(self):
        self.done.set()
        self.join(60)
        if self.is_alive():
            raise RuntimeError(f"writer {self.number} does not stop")
        if self.fatal:
            raise self.fatal
