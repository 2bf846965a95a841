"""Lines of the bug list of MySQL and MariaDB (tests/README.md) that need a server and have no better place."""
import json
import re
from contextlib import contextmanager

import pytest

from compare import Number, plain, records, sqlite
from copies import FAST, SMALL
from my_servers import MyDatabase, MyServer
from program import wait_until


def rows(wb, table):
    out = []
    for r in records(wb.out):
        if r["table_name"] == table and r["event_type"] in ("READ", "INSERT", "UPDATE"):
            out.append(r["record"])
    return out


@pytest.mark.parametrize("metadata", ["without names"], indirect=True)
def test_d33_columns_in_their_order(my_wb, my, metadata):
    """information_schema gives columns in any order unless told: names that sort otherwise, types that are all the same, and a log that
    does not name them. Many tables are described at once, one that comes later by itself."""
    names = [f"{c}{i}" for i in range(9, 0, -1) for c in "zaQm"]
    columns = f"({', '.join(n + ' int' for n in names)}, primary key (a1))"
    values = [", ".join(str(base + i) for i in range(len(names))) for base in (0, 100)]
    my.sql("; ".join(f"create table {t} {columns}" for t in ["t", *(f"other_{i}" for i in range(9))]))
    my.sql(f"insert into t values ({values[0]})")
    my_wb.write([my_wb.file_target()]).until_now()
    my.sql(f"insert into t values ({values[1]}); create table late {columns}; insert into late values ({values[1]})")
    my_wb.until_now()
    want = [{n: str(base + i) for i, n in enumerate(names)} for base in (0, 100)]
    assert rows(my_wb, "t") == want and rows(my_wb, "late") == want[1:]
    assert [list(r) for r in rows(my_wb, "t") + rows(my_wb, "late")] == 3 * [names]


@pytest.mark.servers("my97")
def test_d36_partial_json_set_by_a_session(my_wb, my):
    """A session may log differences of a document at any time, whatever was checked at the start."""
    long = "x" * 300
    my.sql(f"create table t (id int primary key, j json); insert into t values (1, '{{\"a\": 1, \"b\": [1, 2], \"pad\": \"{long}\"}}')")
    my_wb.write([my_wb.file_target(), my_wb.sqlite_target()]).until_now()
    with my.connect() as c, c.cursor() as cur:
        cur.execute("set binlog_row_value_options = 'PARTIAL_JSON'")
        cur.execute("update t set j = json_set(j, '$.a', 'changed', '$.b[1]', 3)")
        cur.execute("update t set j = json_remove(j, '$.b[0]')")
    my_wb.until_now()
    assert [plain(r["j"]) for r in rows(my_wb, "t")][1:] == [
        plain(json.loads(t, parse_int=Number)) for t in (f'{{"a": "changed", "b": [1, 3], "pad": "{long}"}}', f'{{"a": "changed", "b": [3], "pad": "{long}"}}')]


@pytest.mark.servers("my97", "m10")
def test_d40_the_millionth_log_file(own_my_server, make_wb, my_server):
    """binlog.999999 is followed by binlog.1000000: the stream's place, a table that changes, a start from there."""
    server = own_my_server(my_server.kind, *([MyServer.WITHOUT_GTID] if my_server.mysql else []))
    server.sql(f"reset {'binary logs and gtids' if server.mysql else 'master'} to 999999")
    db = MyDatabase(server)
    db.sql("create table t (id int primary key); insert into t values (1)")
    wb = make_wb(db)
    wb.write([wb.file_target()]).until_now()
    assert server.logs()[-1].endswith(".999999")
    db.sql("insert into t values (2); flush binary logs")
    assert server.logs()[-1].endswith(".1000000")
    wb.until_now()  # there is nothing in the new file, and the log ends there
    assert ".1000000:" in wb.target_status("file")["position"]
    wb.start().streaming()
    db.sql("insert into t values (3); alter table t add column v int; insert into t values (4, 40)")
    wait_until(lambda: len(rows(wb, "t")) == 4, 20, "the row of another form", alive=wb)
    wb.term()
    db.sql("insert into t values (5, 50)")
    wb.until_now()
    assert [r["id"] for r in rows(wb, "t")] == ["1", "2", "3", "4", "5"]


@pytest.mark.servers("m10", "m118")
def test_d43_start_behind_a_promoted_replica(own_my_server, make_wb, my_server):
    """gtid_current_pos holds what a replica applied and never wrote to its own log: the stream must not ask for that."""
    server = own_my_server(my_server.kind)
    server.sql("set global gtid_slave_pos = '5-99-100'")
    assert "5-99-100" in server.sql("select @@gtid_current_pos")[0][0] and "5-99-100" not in server.gtid()
    db = MyDatabase(server)
    db.sql("create table t (id int primary key); insert into t values (1)")
    wb = make_wb(db)
    wb.write([wb.file_target()]).until_now()
    db.sql("insert into t values (2)")
    wb.until_now()
    assert [r["id"] for r in rows(wb, "t")] == ["1", "2"]


@pytest.mark.servers("my97")
def test_d47_d48_documents_with_gaps_and_odd_strings(my_wb, my):
    """A document that was changed in place has gaps and keys in any order; strings hold NUL, quotes and backslashes, keys too."""
    my.sql("create table t (id int primary key, j json, n int)")
    my_wb.write([my_wb.file_target()]).until_now()
    my.sql("insert into t values (1, json_object('first', repeat('a', 200), 'second', json_array(1, 2, 3), 'third', repeat('c', 100)), 0)")
    for path, value in (("$.first", "'short'"), ("$.second[1]", "'in place'"), ("$.third", "json_array(9)"), ("$.first", "'longer'")):
        my.sql(f"update t set j = json_replace(j, '{path}', {value}) where id = 1")
    my.sql("update t set j = json_remove(j, '$.second[0]') where id = 1; update t set n = 1 where id = 1")
    my.sql(r"""insert into t values (2, json_object('k"\\e\ny', concat('nul ', char(0 using utf8mb4), ' quote " back \\ end')), 0)""")
    my_wb.until_now()
    got = rows(my_wb, "t")
    want = [json.loads(r[0], parse_int=Number) for r in my.text("select j from t order by id")]
    assert plain(got[-2]["j"]) == plain(want[0]) and plain(got[-1]["j"]) == plain(want[1])
    assert "\0" in next(iter(want[1].values())) and '"' in next(iter(want[1]))


@pytest.mark.parametrize("more", [0, 9])
def test_d49_invisible_columns_are_in_the_copy_too(my_wb, my, more):
    """A few tables are described one by one, many at once."""
    hidden = "set sql_generate_invisible_primary_key = on; create table g (v int); insert into g values (1)" if my.mysql else "select 1"
    my.sql("create table t (id int primary key invisible default 5, v int, w int invisible default 7); insert into t (v) values (1); " + hidden)
    my.sql("; ".join(["select 1", *(f"create table other_{i} (id int primary key)" for i in range(more))]))
    my_wb.write([my_wb.file_target()]).until_now()
    my.sql("insert into t (id, v) values (6, 2)" + ("; insert into g values (2)" if my.mysql else ""))
    my_wb.until_now()
    assert rows(my_wb, "t") == [{"id": "5", "v": "1", "w": "7"}, {"id": "6", "v": "2", "w": "7"}]
    if my.mysql:
        assert rows(my_wb, "g") == [{"my_row_id": "1", "v": "1"}, {"my_row_id": "2", "v": "2"}]


@pytest.mark.servers("my97", "m10")
@pytest.mark.parametrize("metadata", ["without names"], indirect=True)
def test_d51_labels_where_the_log_has_none(my_wb, my, metadata):
    """The log has numbers then. What did not fit is the empty label, which is number 0."""
    my.sql("create table t (id int primary key, e enum('no', 'a,b', 'it''s', 'é'), s set('x', 'y y', 'ü'))")
    more = "insert into t values ({0}, 'it''s', 'x,ü'), ({0} + 1, 'é', ''), ({0} + 2, null, null), ({0} + 3, 'a,b', 'y y')"
    wrong = "set sql_mode = ''; insert into t values ({0} + 4, 'none', 'none')"
    for i in (0, 10):
        with my.connect() as c, c.cursor() as cur:
            cur.execute((more + "; " + wrong).format(i))
            while cur.nextset():
                pass
        my_wb.write([my_wb.file_target()]).until_now()
    want = [dict(zip(("id", "e", "s"), r)) for r in my.text("select id, e, s from t order by id")]
    assert sorted(rows(my_wb, "t"), key=lambda r: int(r["id"])) == want
    assert want[4] == {"id": "4", "e": "", "s": ""}


@contextmanager
def parts_read(my, of):
    """Adds to `of` what the SELECTs of a copy are bounded by, table by table, as the server heard them."""
    my.sql("set global log_output = 'TABLE', general_log = 1")
    try:
        yield
    finally:
        my.sql("set global general_log = 0")
    for (text,) in my.sql(f"select argument from mysql.general_log where argument like '%{my.name}%FORCE INDEX%'"):
        text = text.decode() if isinstance(text, bytes) else text
        part = re.fullmatch(r"SELECT `k`, .* FROM `\w+`.`(\w+)` FORCE INDEX .*? WHERE (.*)", text, re.S)
        if part:
            of.setdefault(part[1], set()).update(re.findall(r"`k` >= (-?\d+|X?'.*?')", part[2]))


def test_d56_d57_keys_that_sort_as_the_server_says(my_wb, my, load):
    """Parts of a copy are bounded by the server's order of keys, not by bytes: accents, case, trailing blanks; and by numbers with and
    without a sign to their ends. Rows change while they are copied."""
    my.sql("create table s (k varchar(30) collate utf8mb4_general_ci primary key, n int, pad varchar(300)); create table u (k bigint unsigned "
           "primary key, n int); create table b (k varbinary(20) primary key, n int); create table i (k bigint primary key, n int)")
    letters = "aÄbBcÇdeÉfgGzZß"
    keys = sorted({f"{a}{b}{i}" for i in range(12) for a in letters for b in "xYé_"})
    ends = (-2 ** 63, -2 ** 63 + 1, -1, 0, 2 ** 63 - 1)
    with my.connect() as c, c.cursor() as cur:
        cur.executemany("insert ignore into s values (%s, 0, repeat('p', 250))", [(k,) for k in keys])
        cur.executemany("insert into u values (%s, 0)", [(k,) for k in (0, 1, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 1, *range(10, 2000), *range(2 ** 64 - 2000, 2 ** 64 - 9))])
        cur.executemany("insert into b values (%s, 0)", [(bytes([i % 256, 255 - i % 256, i // 256]),) for i in range(1500)])
        cur.executemany("insert into i values (%s, 0)", [(k,) for k in (*ends, *range(-2000, -1), *range(1, 2000))])
    my.sql("analyze table s, u, b, i")

    def change(c, i):  # not all rows: an update brings a row that the copy has missed
        with c.cursor() as cur:
            cur.execute("update s set n = n + 1 where k like %s and right(k, 1) < '5'", (letters[i % len(letters)] + "%",))
            cur.execute("update u set n = n + 1 where k between 10 and 1000 and k %% 50 = %s", (i % 50,))
            cur.execute("update i set n = n + 1 where k between -500 and 500 and k %% 50 = %s", (i % 50,))
    bounds = {}
    with parts_read(my, bounds):
        traffic = load(my, change, 0.01)
        my_wb.write([my_wb.sqlite_target(), my_wb.file_target()], source={**SMALL, "snapshot_chunk": "8kB"}, **FAST).start().streaming()
        wait_until(lambda: traffic.done > 20, 20, "traffic", alive=my_wb)
        traffic.stop()
    my_wb.term()
    my_wb.until_now()
    mirror = sqlite(my_wb.mirror)
    for table in "subi":
        want = sorted((str(k) if not isinstance(k, bytes) else k.hex(), n) for k, n in my.sql(f"select k, n from {table}"))
        got = sorted((str(k) if not isinstance(k, bytes) else k.hex(), n) for k, n in mirror.execute(f'select k, n from "{my.name}_{table}"'))
        assert got == want, table
    read = [(e["table_name"], str(e["record"]["k"])) for e in records(my_wb.out) if e["event_type"] == "READ"]
    assert len(read) == len(set(read)), "rows that two parts have"
    assert len(bounds["s"]) > 1 and len(bounds["b"]) > 1 and len(bounds["i"]) > 0 and any(int(b) >= 2 ** 63 for b in bounds["u"]), bounds
