"""Lines of the bug list of MySQL and MariaDB (tests/README.md) that need a server and have no better place."""
import json

import pytest

from compare import Number, plain, records
from my_servers import MyDatabase
from program import wait_until


def rows(wb, table):
    out = []
    for r in records(wb.out):
        if r["table_name"] == table and r["event_type"] in ("READ", "INSERT", "UPDATE"):
            out.append(r["record"])
    return out


def test_d33_columns_in_their_order(my_wb, my):
    """information_schema gives columns in any order unless told: names that sort otherwise, types that are all the same."""
    names = [f"{c}{i}" for i in range(9, 0, -1) for c in "zaQm"]
    my.sql(f"create table t ({', '.join(n + ' int' for n in names)}, primary key (a1))")
    my.sql(f"insert into t values ({', '.join(str(i) for i in range(len(names)))})")
    my_wb.write([my_wb.file_target()]).until_now()
    my.sql(f"insert into t values ({', '.join(str(100 + i) for i in range(len(names)))})")
    my_wb.until_now()
    want = [{n: str(base + i) for i, n in enumerate(names)} for base in (0, 100)]
    assert rows(my_wb, "t") == want
    assert [list(r) for r in rows(my_wb, "t")] == [names, names]


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


def test_d49_invisible_columns_are_in_the_copy_too(my_wb, my):
    hidden = "set sql_generate_invisible_primary_key = on; create table g (v int); insert into g values (1)" if my.mysql else "select 1"
    my.sql("create table t (id int primary key invisible default 5, v int, w int invisible default 7); insert into t (v) values (1); " + hidden)
    my_wb.write([my_wb.file_target()]).until_now()
    my.sql("insert into t (id, v) values (6, 2)" + ("; insert into g values (2)" if my.mysql else ""))
    my_wb.until_now()
    assert rows(my_wb, "t") == [{"id": "5", "v": "1", "w": "7"}, {"id": "6", "v": "2", "w": "7"}]
    if my.mysql:
        assert rows(my_wb, "g") == [{"my_row_id": "1", "v": "1"}, {"my_row_id": "2", "v": "2"}]


def test_d56_d57_keys_that_sort_as_the_server_says(my_wb, my, load):
    """Parts of a copy are bounded by the server's order of keys, not by bytes: accents, case, trailing blanks; and by unsigned numbers to
    their end. Rows change while they are copied."""
    my.sql("create table s (k varchar(30) collate utf8mb4_general_ci primary key, n int); create table u (k bigint unsigned primary key, n int); "
           "create table b (k varbinary(20) primary key, n int)")
    letters = "aÄbBcÇdeÉfgGzZß"
    keys = sorted({f"{a}{b}{i}" for i in range(12) for a in letters for b in "xYé_"})
    with my.connect() as c, c.cursor() as cur:
        cur.executemany("insert ignore into s values (%s, 0)", [(k,) for k in keys])
        cur.executemany("insert into u values (%s, 0)", [(k,) for k in (0, 1, 2 ** 63 - 1, 2 ** 63, 2 ** 64 - 2, 2 ** 64 - 1, *range(10, 2000))])
        cur.executemany("insert into b values (%s, 0)", [(bytes([i % 256, 255 - i % 256, i // 256]),) for i in range(1500)])

    def change(c, i):
        with c.cursor() as cur:
            cur.execute("update s set n = n + 1 where k like %s", (letters[i % len(letters)] + "%",))
            cur.execute("update u set n = n + 1 where k > 9223372036854775806 or k %% 50 = %s", (i % 50,))
    traffic = load(my, change, 0.01)
    my_wb.write([my_wb.sqlite_target(), my_wb.file_target()]).start().streaming()
    wait_until(lambda: traffic.done > 20, 20, "traffic", alive=my_wb)
    traffic.stop()
    my_wb.term()
    my_wb.until_now()
    import sqlite3
    mirror = sqlite3.connect(my_wb.mirror)
    names = [n for (n,) in mirror.execute("select name from sqlite_schema where type = 'table'")]
    for table in "sub":
        want = sorted((str(k) if not isinstance(k, bytes) else k.hex(), n) for k, n in my.sql(f"select k, n from {table}"))
        name = next(n for n in names if n.endswith(f"_{table}"))
        got = sorted((str(k) if not isinstance(k, bytes) else k.hex(), n) for k, n in mirror.execute(f'select k, n from "{name}"'))
        assert got == want, table
