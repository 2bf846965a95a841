"""`walbrook decode`: binlog files offline. What it prints is run on the server, or compared with what PyMySQL sees."""
import gzip
import json
import shutil
import subprocess
import time

import pytest

from my_servers import KINDS, run
from my_tables import describe
from program import wait_until
from servers import ROOT

GOLDEN = ROOT / "tests" / "golden" / "binlog"
NO_SQL = {"encrypted", "statement", "xa_open", "json"}  # json: see test_json_that_text_cannot_bring_back_is_refused
# What only a schema dump tells: which columns are generated, which table is not undone by ROLLBACK.
NEED_SCHEMA = {"special", "transactions", "nometa"}


@pytest.fixture
def tool(make_wb):
    wb = make_wb()

    def decode(*args, code=0, input=None):
        done = subprocess.run([wb.binary, "decode", *map(str, args)], capture_output=True, input=input, env=wb.env, timeout=120)
        wb.said.append((done.stdout + done.stderr).decode(errors="replace"))
        assert done.returncode in (code if isinstance(code, tuple) else (code,)), done.stderr.decode()
        return done
    return decode


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def client(server, sql):
    program = server.programs() / ("mysql" if server.mysql else "mariadb")
    done = subprocess.run([program, "--no-defaults", "-uroot", "-h127.0.0.1", f"-P{server.port}", "--binary-mode",
                           "--default-character-set=utf8mb4"], input=sql, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:2000]


def state(server, schema):
    with server.connect(schema, conv={}) as c:
        return in_order(describe(c, schema))


def in_order(lines):
    """A table without key has no order of its own."""
    out, rows = [], []
    for line in lines:
        if line.startswith("row "):
            rows.append(line)
            continue
        out += sorted(rows) + [line]
        rows = []
    return out + sorted(rows)


def dump(server, folder, schema):
    program = server.programs() / ("mysqldump" if server.mysql else "mariadb-dump")
    out = folder / "schema.sql"
    with open(out, "wb") as f:
        subprocess.run([program, "--no-defaults", "-uroot", "-h127.0.0.1", f"-P{server.port}", "--no-data", "--databases", schema],
                       stdout=f, check=True, timeout=60)
    return out


class Log:
    """The server's log from here on, as a copy in a file."""

    def __init__(self, my, folder):
        self.my, self.folder = my, folder
        my.sql("flush binary logs")
        self.name, self.start = my.server.log_position()

    def copy(self):
        here = self.folder / self.name
        shutil.copy(self.my.server.data / self.name, here)
        return here


@pytest.fixture
def log(my, folder):
    return Log(my, folder)


# ---------------------------------------------------------------- SQL that repeats, SQL that takes back

def golden_cases(kind):
    return sorted(p.stem for p in (GOLDEN / kind).glob("*.binlog") if p.stem not in NO_SQL)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_redo_makes_the_same_tables(my, folder, tool, part):
    """Every golden log, printed as SQL and run on an empty server, gives what SELECT gave when the log was recorded."""
    cases = golden_cases(my.kind)
    for case in cases[part::3]:
        want = (GOLDEN / my.kind / f"{case}.rows").read_text().splitlines()
        for schema in ("g", "g2"):
            my.server.sql(f"drop database if exists {schema}")
        my.server.sql("create database g character set utf8mb4")
        extra = []
        if case in NEED_SCHEMA:
            schema_file = folder / f"{case}.sql"
            schema_file.write_text(schema_of(want))
            extra = ["--schema", schema_file]
        sql = tool("--sql", "--tables", "!*.seq", "--tables", "!*.quoted", *extra, GOLDEN / my.kind / f"{case}.binlog", code=(0, 4) if case in ("minimal", "noblob") else 0)
        if sql.returncode:  # a row whose other columns have the defaults of that time
            assert b"INSERT of table g.t" in sql.stderr and b"binlog_row_image" in sql.stderr
            continue
        client(my.server, b"USE g;\n" + sql.stdout)
        assert state(my.server, "g") == in_order(without(want, "quoted")), case
    my.server.sql("drop database if exists g")


def without(rows, table):
    """ddl makes one in ANSI_QUOTES: its text is for that sql_mode only."""
    out, on = [], True
    for line in rows:
        if line.startswith("table "):
            on = line.split(" ")[2] != table
        out += [line] if on else []
    return out


def schema_of(rows):
    """A schema dump from the lines of a .rows file."""
    out, table = [], None
    for line in rows:
        words = line.split(" ")
        if words[0] == "table":
            if table:
                out.append(table)
            table = {"name": words[2], "engine": words[3], "cols": [], "key": [], "schema": words[1]}
        elif words[0] == "col":
            name = unescape(words[1])
            quoted = "`" + name.replace("`", "``") + "`"
            if "k" in words[2]:
                table["key"].append(quoted)
            table["cols"].append(f"  {quoted} {unescape(words[4])}" + (f" CHARACTER SET {words[3]}" if words[3] != "-" else "")
                                 + (" GENERATED ALWAYS AS (1)" if "g" in words[2] else "") + (" NOT NULL" if "n" in words[2] else ""))
    if table:
        out.append(table)
    text = ""
    for t in out:
        parts = t["cols"] + ([f"  PRIMARY KEY ({','.join(t['key'])})"] if t["key"] else [])
        text += f"USE `{t['schema']}`;\nCREATE TABLE `{t['name']}` (\n" + ",\n".join(parts) + f"\n) ENGINE={t['engine']} DEFAULT CHARSET=utf8mb4;\n"
    return text


def unescape(cell):
    out = bytearray()
    i = 0
    while i < len(cell):
        if cell[i] == "%" and len(cell) > i + 2:
            out.append(int(cell[i + 1:i + 3], 16))
            i += 3
        elif cell[i] == "%":
            i += 1
        else:
            out += cell[i].encode()
            i += 1
    return out.decode(errors="replace")


MATRIX = """
create table m (id bigint unsigned primary key, i int, u bigint unsigned, d decimal(30,10), f float, g double, c char(10), v varchar(50),
  l varchar(50) character set latin1, b varbinary(20), n binary(4), t text, e enum('a','b'), s set('x','y','z'), dt datetime(6), ts timestamp(6) null,
  ti time(6), da date, y year, bi bit(10), j json, ge geometry);
create table k (a int, b varchar(20), f float, g double, bl blob, ts timestamp(3) null, j json);
create table touched (id int primary key, v int, at timestamp(6) default current_timestamp(6) on update current_timestamp(6));
create table ci (name varchar(20) collate utf8mb4_general_ci primary key, n int)
"""
ROWS = """
insert into m values (1, -1, 18446744073709551615, -12345678901234567890.0123456789, 0.1, 0.1, 'a', 'v''\\\\"\\n', 'é€', x'00ff', x'01', 'text😀',
  'b', 'x,z', '2024-02-29 12:34:56.123456', '2024-02-29 12:34:56.123456', '-838:59:59', '2024-02-29', 2024, 513, '{"a": [1, 2.5, null, "ü"]}',
  st_geomfromtext('point(1 2)'));
insert into m (id) values (2), (3), (18446744073709551615);
insert into m (id, f, g, e, dt, y, v) values (4, -3.4e38, 5e-324, '', '0000-00-00', 0, ''), (5, 16777216, 1e22, 'a', '2024-00-10', 1901, ' x ');
insert into k values (1, 'x', 0.1, 0.1, x'00', '2024-01-01', '[1]'), (1, 'X', 0.1, 0.1, x'00', '2024-01-01', '[1]'),
  (1, 'x ', 0.1, 0.1, x'00', null, '[1]'), (1, 'x', 0.1, 0.1, x'00', '2024-01-01', '[1]'), (null, null, null, null, null, null, null);
insert into touched (id, v) values (1, 1), (2, 2);
insert into ci values ('abc', 1), ('Äpfel', 2);
"""
CHANGES = """
update m set i = 7, t = null, v = concat(v, char(0), char(26), '\\r\\t'), j = '{"b": {"c": true}}' where id = 1;
update m set id = id + 10, e = '' where id in (2, 3);
delete from m where id in (4, 18446744073709551615);
insert into m (id, v) values (100, 'new'), (0, 'zero');
update k set b = 'y' where b = 'X' and binary b = 'X';
update k set f = 3.14159274, g = 1/3, j = '{"k": 1.5}' where a is null;
delete from k where b = 'x' limit 1;
update touched set v = 10 where id = 1;
update touched set v = 20, at = '2001-01-01' where id = 2;
update ci set name = 'ABC', n = 5 where name = 'abc';
insert into ci values ('zoë', 3);
"""
LENIENT = "set sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'"


def play(my, text, *setup):
    with my.connect() as c:
        run(c, LENIENT)
        for s in setup:
            run(c, s)
        for s in text.split(";\n"):
            if s.strip():
                run(c, s)


def test_undo_and_redo_on_the_server(my, log, tool):
    """Undo brings every row back as it was, redo makes it again: all types, keys and none, equal rows, collations, own timestamps."""
    play(my, MATRIX + ";\n" + ROWS)
    before = state(my.server, my.name)
    at = my.server.log_position()
    with my.connect() as c:
        run(c, LENIENT)
        c.begin()
        for s in CHANGES.split(";\n"):
            if s.strip():
                run(c, s)
        c.commit()
    play(my, "update m set v = 'again' where id = 1;\nupdate m set i = i + 1")
    after = state(my.server, my.name)
    end = my.server.log_position()
    assert before != after
    path = log.copy()
    only = ["--start", f"{at[0]}:{at[1]}", "--stop", f"{end[0]}:{end[1]}", "--tables", f"{my.name}.*"]
    undo = tool("--undo", *only, path).stdout
    redo = tool("--sql", *only, path).stdout
    client(my.server, undo)
    assert state(my.server, my.name) == before
    client(my.server, redo)
    assert state(my.server, my.name) == after
    client(my.server, undo)
    assert state(my.server, my.name) == before


@pytest.mark.parametrize("image", ["minimal", "noblob"])
def test_redo_of_small_images_and_refusal_of_undo(my, log, tool, image):
    """D35: what was not sent is not NULL. Redo needs no more than the key; undo of a row that is not in the log is refused by name."""
    my.sql("create table t (id int primary key, a int, b text, at timestamp(3) default current_timestamp(3) on update current_timestamp(3))")
    my.sql("insert into t values (1, 1, 'one', '2001-01-01'), (2, 2, 'two', '2001-01-01'), (3, 3, 'three', '2001-01-01')")
    before = state(my.server, my.name)
    at = my.server.log_position()
    play(my, "update t set a = 10 where id = 1;\nupdate t set a = null, at = '2002-02-02' where id = 2;\nupdate t set id = 30 where id = 3",
         f"set binlog_row_image = {image}")
    after = state(my.server, my.name)
    end = my.server.log_position()
    only = ["--start", at[1], "--stop", end[1], log.copy()]
    redo = tool("--sql", *only)
    my.sql("delete from t; insert into t values (1, 1, 'one', '2001-01-01'), (2, 2, 'two', '2001-01-01'), (3, 3, 'three', '2001-01-01')")
    assert state(my.server, my.name) == before
    client(my.server, redo.stdout)
    assert state(my.server, my.name) == after
    if image == "minimal":
        refused = tool("--undo", *only, code=4)
        assert b"UPDATE of table" in refused.stderr and b"binlog_row_image" in refused.stderr and log.name.encode() in refused.stderr
        assert not refused.stdout


def test_undo_refuses_schema_changes(my, log, tool):
    my.sql("create table t (id int primary key); insert into t values (1); truncate table t; alter table t add b int")
    done = tool("--undo", log.copy(), code=4)
    assert b"CREATE of table" in done.stderr and b"--tables" in done.stderr


@pytest.mark.servers("my97")
def test_json_that_text_cannot_bring_back_is_refused(my, log, tool):
    my.sql("create table t (id int primary key, j json)")
    at = my.server.log_position()
    my.sql("insert into t values (1, json_object('d', cast(1.10 as decimal(5,2))))")
    done = tool("--sql", "--start", at[1], log.copy(), code=4)
    assert b"DECIMAL 1.10" in done.stderr


# ---------------------------------------------------------------- what to read, and how much of it

def ids(done):
    return [r["record"]["id"] for r in lines(done) if r["event_type"] == "INSERT"]


def test_start_and_stop(my, log, tool):
    my.sql("create table t (id int primary key)")
    places, gtids, times = [], [], []
    for i in range(5):
        places.append(my.server.log_position()[1])
        if i in (2, 4):
            time.sleep(1.1)
            times.append(my.one("select date_format(now(6), '%%Y-%%m-%%d %%H:%%i:%%s')".replace("%%", "%")))
        my.sql(f"insert into t values ({i})")
        last = [r for r in my.server.gtid().split(",")][-1]
        gtids.append(last.rsplit(":", 1)[0] + ":" + last.rsplit("-", 1)[-1].rsplit(":", 1)[-1] if my.mysql else last)
    path = log.copy()
    assert ids(tool(path)) == [0, 1, 2, 3, 4]
    assert ids(tool("--start", places[2], path)) == [2, 3, 4]
    assert ids(tool("--start", f"{log.name}:{places[2]}", "--stop", f"{log.name}:{places[4]}", path)) == [2, 3]
    assert ids(tool("--start", gtids[1], "--stop", gtids[3], path)) == [1, 2, 3]
    assert ids(tool("--start", times[0], path)) == [2, 3, 4]
    assert ids(tool("--start", times[0].replace(" ", "T") + "Z", "--stop", times[1], path)) == [2, 3]
    assert ids(tool("--stop", times[0], path)) == [0, 1]
    assert b"no transaction with the GTID" in tool("--start", gtids[0][:-1] + "9999", path, code=3).stderr
    assert b"is no place" in tool("--start", "yesterday", path, code=3).stderr
    assert b"none of the files" in tool("--start", "other.000001:4", path, code=3).stderr
    assert tool("--start", places[2] + 1, path, code=3).stderr
    assert b"cannot be read from byte" in tool("--start", 10 ** 9, path, code=3).stderr


def test_compressed_files_pipes_and_parts_of_a_file(my, log, tool, folder):
    my.sql("create table t (id int primary key, v text)")
    at = my.server.log_position()[1]
    my.sql("insert into t values " + ",".join(f"({i}, repeat('x', {i % 50}))" for i in range(1, 2001)))
    my.sql("insert into t values (0, 'last')")
    path = log.copy()
    want = list(range(1, 2001)) + [0]
    data = path.read_bytes()
    plain = tool(path)
    assert ids(plain) == want
    assert {r["source"] for r in lines(plain)} == {log.name}
    (folder / "x.gz").write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
    subprocess.run(["zstd", "-q", path, "-o", folder / f"{log.name}.zst"], check=True)
    assert ids(tool(folder / "x.gz")) == want
    zst = tool(folder / f"{log.name}.zst")
    assert zst.stdout == plain.stdout
    assert ids(tool("-", input=data)) == want
    assert ids(tool("-", input=gzip.compress(data))) == want
    assert ids(tool("-", "--start", at, input=data)) == want
    part = tool("-", input=data[at:])
    assert ids(part) == want
    assert [r["position"] for r in lines(part)][-1] == [r["position"] for r in lines(plain)][-1]
    cut = tool("-", input=data[:at + 500])
    assert ids(cut) == [] and b"left out" in cut.stderr
    damaged = bytearray(gzip.compress(data))
    damaged[len(damaged) // 2] ^= 0x55
    assert b"damaged" in tool("-", input=bytes(damaged), code=3).stderr
    assert b"damaged" in tool("-", input=gzip.compress(data)[:-40], code=3).stderr
    assert b"is no binlog" in tool(__file__, code=3).stderr
    assert b"is a folder" in tool(folder, code=3).stderr
    assert b"cannot read" in tool(folder / "none", code=3).stderr


def test_several_files_and_tables(my, log, tool):
    my.sql("create table a (id int primary key); create table b (id int primary key); insert into a values (1); insert into b values (2)")
    first = log.copy()
    my.sql("flush binary logs; insert into a values (3); insert into b values (4)")
    log.name = my.server.log_position()[0]
    second = log.copy()
    assert ids(tool("--tables", f"{my.name}.*", first, second)) == [1, 2, 3, 4]
    assert ids(tool("--tables", f"{my.name}.*", "--tables", "!*.b", first, second)) == [1, 3]
    assert ids(tool("--start", f"{second.name}:4", "--tables", f"{my.name}.*", first, second)) == [3, 4]


def test_a_file_that_was_cut_is_refused(my, log, tool, folder):
    """Not a log that is being written: then an unfinished end is normal."""
    my.sql("create table t (id int primary key); insert into t values (1)")
    at = my.server.log_position()[1]
    my.sql("insert into t values (2); flush binary logs")
    data = log.copy().read_bytes()
    cut = folder / "cut.000001"
    cut.write_bytes(data[:at + 50])
    done = tool(cut, code=3)
    assert b"ends within" in done.stderr
    assert ids(done) == [1]


def test_columns_from_a_schema_dump(my, log, tool, folder):
    """Without names in the log: refused with the way out, exact with the dump, refused when the dump does not fit."""
    kind = my.kind
    refused = tool(GOLDEN / kind / "nometa.binlog", code=3)
    assert b"binlog_row_metadata" in refused.stderr
    my.sql("create table t (id int primary key, a int, b varchar(20), t text, d timestamp(3) null default null); create table n (a int, b text)")
    schema = dump(my.server, folder, my.name)
    text = schema.read_text().replace(f"`{my.name}`", "`g`")
    schema.write_text(text)
    done = tool("--schema", schema, "--format", "row", GOLDEN / kind / "nometa.binlog")
    assert {"id": 1, "a": 1, "b": "min", "t": "text one", "d": "2024-01-01T00:00:00.000Z"} in lines(done)
    schema.write_text(text.replace("`a` int", "`a` bigint"))
    assert tool("--schema", schema, GOLDEN / kind / "nometa.binlog", code=3).stderr
    empty = folder / "empty.sql"
    empty.write_text("-- nothing\n")
    assert b"no CREATE TABLE" in tool("--schema", empty, GOLDEN / kind / "nometa.binlog", code=3).stderr


def test_columns_from_a_pipelines_state_and_from_a_server(my, folder, tool, my_wb):
    """The state has each version in its place, whichever file or offset it is decoded from; a server has what is there now."""
    before = my.one("select @@global.binlog_row_metadata")
    my.sql(f"set global binlog_row_metadata = '{'MINIMAL' if my.mysql else 'NO_LOG'}'; "
           "create table t (id int primary key, a int, b int); create table fixed (id int primary key, v varchar(9))")
    my.conn.close()
    my._conn = None
    try:
        wb = my_wb.write([my_wb.file_target()], source={"snapshot": "never"}, checkpoint_interval="1m").start()  # versions stay until then
        wait_until(my.slot_active, 30, "a dump", alive=wb)
        log = Log(my, folder)
        my.sql("insert into t values (1, 10, 20); insert into fixed values (1, 'x')")
        at = my.server.log_position()[1]
        my.sql("alter table t drop column a, add column c int")
        my.sql("insert into t values (2, 21, 30)")
        wait_until(lambda: wb.out.exists() and wb.out.read_text().count('"INSERT"') == 3, 30, "three rows", alive=wb)
        file = log.copy()
        state = wb.dir / "shop.state"  # of a pipeline that runs
        want = [{"id": 1, "a": 10, "b": 20}, {"id": 1, "v": "x"}, {"id": 2, "b": 21, "c": 30}]
        assert b"binlog_row_metadata" in tool(file, code=3).stderr
        rows = ["--tables", f"{my.name}.*", "--format", "row"]
        assert [r for r in lines(tool("--schema", state, *rows, file)) if "_schema" not in r] == want
        assert [r for r in lines(tool("--schema", state, *rows, "--start", at, file)) if "_schema" not in r] == want[2:]
        now = tool("--schema", my.url(), *rows, "--start", at, file)
        assert [r for r in lines(now) if "_schema" not in r] == want[2:]
        assert lines(tool("--schema", my.url(), "--tables", f"{my.name}.fixed", "--format", "row", file)) == want[1:2]
        my.sql("alter table fixed add column more int")
        refused = tool("--schema", my.url(), "--tables", f"{my.name}.fixed", file, code=3)
        assert b"it has 3 columns in the schema and 2 in the log" in refused.stderr
        wb.term()
        wrong = tool("--schema", my.url(password="wr0ng"), file, code=3)
        assert b"Access denied" in wrong.stderr and b"wr0ng" not in wrong.stderr
        assert b"no state.db" in tool("--schema", folder, file, code=(2, 3)).stderr
    finally:
        my.sql(f"set global binlog_row_metadata = '{before}'")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_statements_and_encryption_are_refused_by_name(tool, kind):
    done = tool(GOLDEN / kind / "statement.binlog", code=3)
    assert b"INSERT" in done.stderr.upper() and b"binlog_format" in done.stderr
    if kind == "m118":
        assert b"ncrypt" in tool(GOLDEN / kind / "encrypted.binlog", code=3).stderr
    left = tool(GOLDEN / kind / "xa_open.binlog")
    assert b"XA transaction" in left.stderr and ids(left) == [1, 2]


def test_statements_about_databases(my, log, tool):
    """Told of when one of their tables could be asked for; printed again as SQL, unless that would drop what was not asked for."""
    a = f"{my.name}_a"
    my.sql(f"create database {a} character set latin1; create table {a}.t (id int primary key, v varchar(9)); insert into {a}.t values (1, 'ä')")
    my.sql(f"alter database {a} character set utf8mb4; create table {a}.u (v varchar(9))")
    made = log.copy()
    made = made.rename(made.with_name("made"))
    my.sql(f"drop database {a}")
    dropped = log.copy()
    done = lines(tool("--tables", f"{a}.*", dropped))
    told = [(e["event_type"], e["schema_name"], e["table_name"]) for e in done]
    assert told == [("CREATE", a, None), ("CREATE", a, "t"), ("INSERT", a, "t"), ("ALTER", a, None), ("CREATE", a, "u"), ("DROP", a, None)]
    assert done[0]["record"]["sql"].startswith(f"create database {a}") and done[-1]["record"]["before"]["schema"] == a
    one = lines(tool("--tables", f"{a}.t", dropped))
    assert [(e["event_type"], e["schema_name"], e["table_name"]) for e in one] == [t for t in told if t[2] != "u"]
    row = lines(tool("--tables", f"{a}.*", "--format", "row", dropped))
    assert [v["_create"] for v in row if "_create" in v] == [a, f"{a}.t", f"{a}.u"] and row[-1]["_drop"] == a
    # the same again on the server, which has none of it now
    client(my.server, tool("--sql", "--tables", f"{a}.*", made).stdout)
    assert state(my.server, a) and run(my.server.connect(), f"select v from {a}.t") == [("ä",)]
    assert my.server.sql(f"select default_character_set_name from information_schema.schemata where schema_name = '{a}'") == [("utf8mb4",)]
    client(my.server, tool("--sql", "--tables", f"{a}.*", "--start", made.stat().st_size, dropped).stdout)
    assert not my.more_schemas()
    refused = tool("--sql", "--tables", f"{a}.t", dropped, code=4)
    assert f"The DROP of database {a} at {log.name}:".encode() in refused.stderr and b"not asked for" in refused.stderr


# ---------------------------------------------------------------- Debezium's messages, which want to know how columns are declared

def messages(done):
    return [(m["topic"], m["key"], m["value"]) for m in lines(done)]


def test_debezium_of_files(my, log, tool, folder):
    """The golden cases are replayed in test_debezium_mysql.py; here what only files have: options of the command, and what is not known."""
    my.sql("create table t (id int primary key, b tinyint(1) default 1, t tinyint, f float(7,2)); create table u (a int not null, v int, unique (a))")
    made = my.server.log_position()[1]
    my.sql("insert into t values (1, 1, 1, 0.1); delete from t; insert into u values (7, 8)")
    path, schema = log.copy(), dump(my.server, folder, my.name)
    args = ["--format", "debezium", "--envelope", "--start", made, "--tables", f"{my.name}.*"]
    done = messages(tool(*args, path))
    assert [(t, k) for t, k, _ in done] == [(f"decode.{my.name}.t", {"id": 1})] * 3 + [(f"decode.{my.name}.u", {"a": 7})]
    assert done[0][2]["after"] == {"id": 1, "b": 1, "t": 1, "f": 0.1} and done[2][2] is None
    source = done[0][2]["source"]
    assert (source["name"], source["file"], source["snapshot"], source["connector"]) == (
        "decode", log.name, "false", "mysql" if my.mysql else "mariadb")
    known = messages(tool(*args, "--schema", schema, "--format-option", "prefix=lab", "--format-option", "tombstones=false",
                          "--format-option", f"columns={{boolean.selector: {my.name}.t.b}}", path))
    assert [(t, k) for t, k, _ in known] == [(f"lab.{my.name}.t", {"id": 1})] * 2 + [(f"lab.{my.name}.u", {"a": 7})]
    assert known[0][2]["after"] == {"id": 1, "b": True, "t": 1, "f": 0.10000000149011612}
    for rule in ("boolean.selector", "column.propagate.source.type"):
        refused = tool(*args, "--format-option", f"columns={{{rule}: .*}}", path, code=4)
        assert rule.encode() in refused.stderr and b"--schema" in refused.stderr
    cloud = lines(tool("--format", "cloudevents", "--start", made, "--tables", f"{my.name}.u", "--schema", schema, path))
    assert [(e["type"].rsplit(".", 1)[-1], e["data"]["after"]) for e in cloud] == [("DataChangeEvent", {"a": 7, "v": 8})]


def test_options_of_the_format(tool):
    file = GOLDEN / "m10" / "numbers.binlog"
    assert b"NAME=VALUE" in tool("--format-option", "schemas", file, code=2).stderr
    assert b"NAME=VALUE" in tool("--format-option", "a b=1", file, code=2).stderr
    assert b"twice" in tool("--format-option", "skip=t", "--format-option", "skip=u", file, code=2).stderr
    assert b"--envelope" in tool("--sql", "--envelope", file, code=2).stderr
    nearest = tool("--format", "debezium", "--format-option", "schema=true", file, code=2)
    assert b"schemas" in nearest.stderr
