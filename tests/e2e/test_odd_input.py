"""What nobody designs for and somebody has: very wide tables, names of any characters, servers too old, clocks that jump."""
import copy
import json
import os
import socket
import struct
import subprocess
import threading

import pytest

from compare import records, same_mirror, sqlite, wait_mirror
from program import wait_until
from servers import ROOT, Database

both = pytest.mark.both

# ---------------------------------------------------------------- width


@both
@pytest.mark.sanitize
def test_tables_of_1600_columns(wb, db):
    """With a key; without one under REPLICA IDENTITY FULL, where a row is found by all of its columns; with one column updated."""
    cols = [f"c{i}" for i in range(1599)]
    listed = ", ".join(f"{c} {('int', 'bool', 'smallint')[i % 3]}" for i, c in enumerate(cols))
    db.sql(f"create table w (id int primary key, {listed}); create table f (id int, {listed}); alter table f replica identity full")
    row = ", ".join("null" if i % 7 == 0 else ("7", "true", "-1")[i % 3] for i in range(1599))
    fill = ";".join(f"insert into {t} values ({{0}}, {row})" for t in "wf")
    db.sql(fill.format(1) + ";" + fill.format(2))
    wb.write([wb.file_target(), wb.sqlite_target(), wb.sqlite_target(name="log", path="log.db", mode="log")]).start().streaming()
    db.sql(fill.format(3) + ";" + fill.format(4))
    for t in "wf":
        db.sql(f"update {t} set c1598 = 5 where id = 2; update {t} set id = 30, c0 = 8 where id = 3; delete from {t} where id = 1")
    wait_mirror(wb, "w", "f")
    wait_until(lambda: len(records(wb.out)) == 14, 20, "the records", alive=wb)
    wb.term()
    for r in records(wb.out):
        if r["event_type"] != "DELETE":
            assert list(r["record"]) == ["id"] + cols
            assert r["record"]["c1"] is True and r["record"]["c2"] == "-1" and r["record"]["c7"] is None
    assert sqlite(wb.dir / "log.db").execute("select count(*) from changes").fetchone() == (14,)


# ---------------------------------------------------------------- names

NAMES = ["sp ace", "do.t", 'quo"te', "apos'trophe", "new\nline", "tab\t", "cr\r", "back\\slash", "🙂 emoji", "ž" * 31 + "x", "a" * 63, "漢" * 21,
         "select", "UPPER", "%s%n", "$1", "${HOME}", "{}", "*", "?", "!neg", "-- comment", "; drop table x", "com,ma", "[b]", "\x01", "`tick`",
         "null", "_walbrook", "rowid", "oid", "\x7f\u0085", "1", " ", '"']


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


@both
@pytest.mark.sanitize
def test_d15_names_of_any_characters(wb, db):
    """As schema, table, column, key and enum label; the mirror has them too."""
    schema = 'sch.e"ma\n🙂 ${x}'
    s = quoted(schema)
    labels = ", ".join("'" + n.replace("'", "''") + "'" for n in NAMES)
    columns = ", ".join(f"{quoted(n)} text" for n in NAMES)
    db.sql(f"create schema {s}; create type {s}.{quoted('ty.pe ' + NAMES[2])} as enum ({labels})")
    tables = [n for n in NAMES if n != "_walbrook"]  # mirrors keep that one for themselves: tested elsewhere
    for n in tables:
        db.sql(f"create table {s}.{quoted(n)} ({columns}, label {s}.{quoted('ty.pe ' + NAMES[2])}, primary key ({quoted(n)}))")

    def insert(value):
        with db.connect() as c:
            for n, label in zip(tables, NAMES[1:]):
                values = [f"{value} {i}" for i in range(len(NAMES))] + [label]
                c.execute(f"insert into {s}.{quoted(n)} values (".replace("%", "%%") + ", ".join(["%s"] * len(values)) + ")", values)
    insert("snap")
    pattern = f'"{schema.replace(chr(34), chr(34) * 2)}".*'
    wb.write([wb.file_target(), wb.sqlite_target(table="$${table}")],
             source={"tables": [pattern.replace("${", "$${")], "publication": 'pu"b, 🙂.x'})
    wb.check(code=0)
    wb.start().streaming()
    insert("stream")
    with db.connect() as c:
        for n in tables:
            c.execute(f"update {s}.{quoted(n)} set {quoted(n)} = 'moved' where {quoted(n)} like 'snap%'")
            c.execute(f"alter table {s}.{quoted(n)} rename column {quoted('1')} to {quoted('renamed ' + n[:8])}")
            c.execute(f"delete from {s}.{quoted(n)} where {quoted(n if n != '1' else 'renamed 1')} like 'stream%'")
    wait_until(lambda: len(records(wb.out)) == 5 * len(tables), 40, "all records", alive=wb)
    status = wb.command("status", wb.file, code=0).stdout
    wb.term()
    assert not [c for c in status if ord(c) < 32 and c != "\n"]
    for r in records(wb.out):
        i = tables.index(r["table_name"])
        assert r["schema_name"] == schema and r["primary_key"] in (tables[i], f"renamed {tables[i][:8]}")
        if r["event_type"] in ("READ", "INSERT"):
            assert list(r["record"]) == NAMES + ["label"] and r["record"]["label"] == NAMES[1:][i]
            assert r["record"][NAMES[3]].endswith(" 3")
    m = sqlite(wb.mirror)
    for i, n in enumerate(tables):
        cur = m.execute(f"select * from {quoted(n)}")
        (held,) = cur.fetchall()
        want = [f"snap {k}" for k in range(len(NAMES))] + [NAMES[1:][i]]
        want[NAMES.index(n)] = "moved"
        names = [(f"renamed {n[:8]}" if x == "1" else x) for x in NAMES] + ["label"]
        assert list(held) == want and [d[0] for d in cur.description] == names


@both
def test_odd_names_on_the_command_line(wb, db):
    """As the log writes them, and in quotes, as `tables` has them."""
    db.sql('create schema "s.x"; create table "s.x"."a.b\n""c" (id int primary key); insert into "s.x"."a.b\n""c" values (1)')
    wb.write([wb.file_target()], source={"tables": ["public.*", '"s.x".*']}).until_now()
    for n, name in enumerate(('s.x.a.b\n"c', '"s.x"."a.b\n""c"')):
        wb.command("resync", wb.file, name, code=0)
        wb.until_now()
        assert [r["event_type"] for r in records(wb.out)] == ["READ"] + ["TRUNCATE", "READ"] * (n + 1)
    for name in ('"s.x"."a.b"', "s.x.a", '"', ".", "s.x.a.b\n\"cc", ""):
        assert "has no table" in wb.command("resync", wb.file, name, code=2).stderr, name


@both
def test_inheritance_and_tables_without_columns(wb, db):
    """A parent's rows are not its children's, in the copy as in the stream; a row of nothing is a row; what is no table is no table."""
    db.sql("create table par (id int primary key, v text); create table chi (more int, primary key (id)) inherits (par)")
    db.sql("insert into par values (1, 'p'); insert into chi values (2, 'c', 3)")
    db.sql("create table zero (); insert into zero default values; create unlogged table unlogged (id int primary key); insert into unlogged values (1)")
    db.sql("create view looks as select 1; create materialized view frozen as select 1 as x")
    wb.write([wb.file_target(), wb.sqlite_target(tables=["public.*", "!public.zero"])]).start().streaming()
    db.sql("insert into zero default values; update par set v = 'z'; insert into chi values (4, 'd', 5); delete from only par")
    wait_until(lambda: len(records(wb.out)) == 8, 20, "all records", alive=wb)
    wait_until(lambda: sqlite(wb.mirror).execute("select * from chi order by 1").fetchall() == [(2, "z", 3), (4, "d", 5)], 20, "the mirror", alive=wb)
    wb.term()
    seen = sorted((r["table_name"], r["event_type"], len(r["record"])) for r in records(wb.out))
    assert seen == [("chi", "INSERT", 3), ("chi", "READ", 3), ("chi", "UPDATE", 3), ("par", "DELETE", 1), ("par", "READ", 2), ("par", "UPDATE", 2),
                    ("zero", "INSERT", 0), ("zero", "READ", 0)]
    assert sqlite(wb.mirror).execute("select * from par").fetchall() == []


@both
def test_names_that_differ_in_case_alone(wb, db):
    db.sql('create table t (id int primary key, "a" int, "A" int, "ID" text); insert into t values (1, 2, 3, \'x\')')
    db.sql('create table "Bc" (id int primary key); create table "bc" (id int primary key, v int); insert into "bc" values (1, 2)')
    wb.write([wb.file_target(), wb.sqlite_target(tables=["public.t"])]).start().streaming()
    db.sql('insert into t values (2, 4, 5, \'y\'); insert into "Bc" values (7); update t set "A" = 6 where id = 1')
    wait_until(lambda: len(records(wb.out)) == 5, 20, "the records", alive=wb)
    wait_until(lambda: sqlite(wb.mirror).execute("select * from t order by 1").fetchall() == [(1, 2, 6, "x"), (2, 4, 5, "y")], 20,
               "the mirror", alive=wb)
    wb.term()
    assert {(r["table_name"], len(r["record"])) for r in records(wb.out)} == {("t", 4), ("Bc", 1), ("bc", 2)}
    wb.write([wb.file_target(), wb.sqlite_target()]).start()  # both tables want one name in SQLite: said, nothing mixed
    wait_until(lambda: "upper from lower case" in wb.log() or not wb.running(), 20, "a sentence")
    assert "upper from lower case" in wb.log()


def test_init_survives_any_name(wb, db):
    """Names are in comments and patterns of the file; a line end in one must not begin a line of YAML."""
    for n in ("new\nline: [x", "quo\"te", "do.t", "${HOME}", "back\\slash", "*", "!x"):
        db.sql(f"create schema {quoted(n)}; create table {quoted(n)}.{quoted(n)} (a int)")
    text = wb.command("init", db.url(), code=0).stdout
    wb.file.write_text(text.replace("walbrook@", f"walbrook:{db.url().split(':')[2].split('@')[0]}@"))
    done = wb.check()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "new?line: [x.new?line: [x has no replica identity" in done.stdout
    assert "matches no table" not in done.stdout and "7 table(s) match" in done.stdout, done.stdout


def test_slot_names_are_refused_with_a_sentence(wb, db):
    for bad in ("Shop", "a-b", "ž", "x" * 64, "a b", 'q"', "new\nline"):
        wb.write([wb.file_target()], source={"slot": bad})
        said = wb.run(code=3).last_log()
        assert "replication slot" in said or "bytes" in said, said
    assert db.slots() == []


# ---------------------------------------------------------------- servers that are too old

class OldServer(threading.Thread):
    """Speaks as much of the protocol as a client needs to learn the version."""

    def __init__(self, version):
        super().__init__(daemon=True)
        self.version = version
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        self.start()

    def run(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        def message(kind, body):
            return kind + struct.pack("!I", len(body) + 4) + body
        try:
            while True:
                head = conn.recv(8, socket.MSG_WAITALL)
                n, code = struct.unpack("!II", head)
                conn.recv(n - 8, socket.MSG_WAITALL)
                if code != 196608:
                    conn.sendall(b"N")  # no TLS
                    continue
                break
            status = {"server_version": self.version, "client_encoding": "UTF8", "server_encoding": "UTF8", "standard_conforming_strings": "on",
                      "integer_datetimes": "on"}
            conn.sendall(message(b"R", struct.pack("!I", 0)) +
                         b"".join(message(b"S", f"{k}\0{v}\0".encode()) for k, v in status.items()) +
                         message(b"K", struct.pack("!II", 1, 1)) + message(b"Z", b"I"))
            conn.recv(1)
        except (OSError, struct.error):
            pass
        finally:
            conn.close()


@pytest.mark.parametrize("version", ["11.22", "9.6.24", "10.23 (Debian 10.23-1)"])
def test_servers_before_12_are_refused_by_name(make_wb, version):
    wb = make_wb()
    server = OldServer(version)
    try:
        url = f"postgres://u@127.0.0.1:{server.port}/shop?sslmode=disable"
        wb.write([{"type": "file", "path": "out.jsonl"}], source={"type": "postgres", "url": url})
        wb.run(code=3, timeout=15)
        assert f"The server is PostgreSQL {version}" in wb.last_log() and "version 12" in wb.last_log()
        assert server.connections == 1, "it does not try again: the server will not grow younger"
        for command in (["check", wb.file], ["status", wb.file], ["explain", "types", url], ["init", url]):
            done = wb.command(*command)
            assert f"PostgreSQL {version}" in done.stdout + done.stderr, command
        assert wb.check().returncode == 1
    finally:
        server.socket.close()


# ---------------------------------------------------------------- clocks

@pytest.fixture
def clock(folder):
    """A shim that moves the wall clock of a program; clock(name) gives (environment, set)."""
    shim = folder / "clock.so"
    cc = os.environ.get("CC", "cc").split()
    subprocess.run([*cc, "-shared", "-fPIC", "-O1", "-o", shim, ROOT / "tests" / "servers" / "clock.c"], check=True)

    def make(name):
        file = folder / f"{name}.clock"
        file.write_text("0")

        def move(seconds):
            part = file.with_suffix(".new")
            part.write_text(str(seconds))
            part.rename(file)
        return {"LD_PRELOAD": str(shim), "WB_CLOCK": str(file)}, move
    return make


DAY = 86400


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--pg18"]], ids=["pg15", "pg18"])
def test_clocks_that_jump(make_wb, own_server, clock, monkeypatch, options):
    """The server's clock goes back a day and forward a year, ours too: commits keep their order, nothing is lost or comes twice,
    lags are never below zero, checkpoints go on, a stop is quick."""
    theirs, move_server = clock("server")
    ours, move_us = clock("ours")
    with monkeypatch.context() as m:
        for k, v in theirs.items():
            m.setenv(k, v)
        server = own_server(*options)
    db = Database(server)
    db.sql("create table t (id bigint generated always as identity primary key, at timestamptz default clock_timestamp())")
    wb = make_wb(db)
    wb.write([wb.file_target(rotate_every="1h"), wb.sqlite_target()], checkpoint_interval="100ms", source={"status_interval": "500ms"})
    wb.start(env=ours).streaming()
    lags, count = [], 0

    def some(n=20):
        nonlocal count
        for _ in range(n):
            db.sql("insert into t default values")
        count += n
        wait_mirror(wb, "t", timeout=40)
        before = db.confirmed()
        wait_until(lambda: db.one("select %s::pg_lsn <= confirmed_flush_lsn from pg_replication_slots", before), 10, "confirmed", alive=wb)
        status = wait_until(lambda: fresh(wb.status()["targets"]), 10, "a status of after these changes", alive=wb)
        lags.extend(t["lag_seconds"] for t in status)

    def fresh(targets):
        return targets if all(t["changes"] >= count and t["unanswered"] == 0 for t in targets) else None
    some()
    for server_by, us_by in ((-DAY, 0), (-DAY, -2 * DAY), (365 * DAY, -2 * DAY), (365 * DAY, 700 * DAY), (0, 700 * DAY), (-3600, -3600)):
        move_server(server_by)
        move_us(us_by)
        some()
    assert db.one("select count(*) from (select at < lag(at) over (order by id) as back from t) x where back") >= 2, "the clock did jump"
    assert all(lag is not None and lag >= 0 for lag in lags), lags
    wb.term()
    db.sql("insert into t default values")
    wb.until_now(env=ours)
    wb.until_now()
    assert same_mirror(db, wb.mirror, "t")
    ids = [int(json.loads(line)["record"]["id"]) for f in [*sorted(wb.dir.glob("out.jsonl.2*"), key=lambda p: int(p.name.split(".")[-1])), wb.out]
           for line in f.read_text().splitlines()]
    assert ids == list(range(1, count + 2)), "the order of commits, each once"


# ---------------------------------------------------------------- encodings

@both
def test_databases_in_other_encodings(make_wb, db, folder):
    """The server converts names and values alike, in the snapshot and in the stream; where nobody knows the encoding, that is said."""
    for encoding, text, name in (("LATIN1", "žádný? né: éÿ¡".replace("ž", "z"), "tablé"), ("EUC_JP", "日本語 テスト", "表"), ("WIN1251", "Привет", "имя"),
                                 ("SQL_ASCII", "plain", "plain")):
        d = copy.copy(db)
        d.name, d._conn = f"{db.name}_{encoding.lower()}", None
        with db.server.connect("postgres") as c:
            c.execute(f"create database {d.name} template template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'")
        try:
            d.sql(f"create type mood as enum ('{text}'); create table \"{name}\" (id int primary key, \"{name}\" text, m mood)")
            d.sql(f"insert into \"{name}\" values (1, '{text}', '{text}')")
            where = folder / encoding
            where.mkdir()
            wb = make_wb(d, where=where)
            wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
            d.sql(f"insert into \"{name}\" values (2, '{text}', '{text}')")
            if encoding == "SQL_ASCII":
                d.sql("insert into plain values (3, E'caf\\xe9', null)")
            wait_until(lambda: len(records(wb.out)) == 2 + (encoding == "SQL_ASCII"), 20, "both rows", alive=wb)
            wait_until(lambda: sqlite(wb.mirror).execute(f'select count(*) from "{name}"').fetchone()[0] == len(records(wb.out)), 20, "mirror")
            wb.term()
            for r in records(wb.out)[:2]:
                assert r["table_name"] == name and r["record"] == {"id": r["record"]["id"], name: text, "m": text}
            held = sqlite(wb.mirror).execute(f'select "{name}", m from "{name}" order by id').fetchall()
            assert held[:2] == [(text, text)] * 2
            told = [("SQL_ASCII" in wb.log()), ("SQL_ASCII" in wb.check().stdout)]
            assert told == [encoding == "SQL_ASCII"] * 2
            if encoding == "SQL_ASCII":
                assert records(wb.out)[2]["record"]["plain"] == "caf\ufffd" and held[2][0] == "caf\udce9"
        finally:
            d.remove()
