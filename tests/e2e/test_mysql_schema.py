"""Schema that belongs to the row, with and without names in the log; schema changes as events, in their place."""
import sqlite3

import pytest

from my_compare import events, same, wait_same
from my_servers import MyDatabase
from program import wait_until


def fresh(my):
    """A new session: it takes the global settings of now."""
    my.conn.close()
    my._conn = None


@pytest.mark.servers("my97", "m10")
def test_d31_d32_columns_added_and_dropped_while_nobody_reads(my_wb, my, metadata):
    fresh(my)
    my.sql("create table a (id int primary key, first_name varchar(20), last_name varchar(20))")
    my.sql("create table b (id int primary key, x int, y int)")
    my.sql("insert into a values (0, 'Ann', 'Arbor'); insert into b values (0, 1, 2)")
    wb = my_wb.write([my_wb.file_target()])
    wb.until_now()
    my.sql("insert into a values (1, 'Bea', 'Brown')")
    my.sql("alter table a add column middle_name varchar(20) after first_name")
    my.sql("insert into a values (2, 'Cid', 'M.', 'Cole')")
    my.sql("insert into b values (1, 10, 20); alter table b drop column x; insert into b values (2, 30)")
    wb.until_now()
    got = {(e["table_name"], e["record"]["id"]): e["record"] for e in events(wb) if e["event_type"] in ("READ", "INSERT")}
    assert got["a", "1"] == {"id": "1", "first_name": "Bea", "last_name": "Brown"}
    assert got["a", "2"] == {"id": "2", "first_name": "Cid", "middle_name": "M.", "last_name": "Cole"}
    assert got["b", "1"] == {"id": "1", "x": "10", "y": "20"}
    assert got["b", "2"] == {"id": "2", "y": "30"}
    order = [(e["event_type"], e["table_name"]) for e in events(wb)]
    assert order[2:] == [("INSERT", "a"), ("ALTER", "a"), ("INSERT", "a"), ("INSERT", "b"), ("ALTER", "b"), ("INSERT", "b")]


@pytest.mark.servers("my97", "m118")
def test_d34_changes_while_it_streams(my_wb, my, metadata):
    fresh(my)
    my.sql("create table t (id int primary key, a int, b int)")
    my.sql("insert into t values (1, 10, 100)")
    wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target()]).start()
    wait_until(my.slot_active, 30, "a dump", alive=wb)
    for n, change in enumerate(["add column c varchar(10) default 'new'", "drop column a", "rename column b to bb",
                                "add column first int first", "modify column c varchar(60)"]):
        my.sql(f"alter table t {change}")
        names = [r[0] for r in my.sql("select column_name from information_schema.columns where table_schema = database() "
                                      "and table_name = 't' order by ordinal_position")]
        values = ",".join(str(1000 + n) if c == "id" else "'7'" for c in names)
        my.sql(f"insert into t values ({values})")
        wait_until(lambda: [e for e in events(wb, "t") if e["event_type"] == "INSERT" and
                            e["record"]["id"] == str(1000 + n)], 20, change, alive=wb)
        last = [e for e in events(wb, "t") if e["event_type"] == "INSERT"][-1]
        assert list(last["record"]) == names, change
    wb.term()


@pytest.mark.servers("my97", "m10")
def test_swap_of_columns_and_of_tables(my_wb, my, metadata):
    """Same types before and after: only the order of things in the log tells."""
    fresh(my)
    my.sql("create table t (id int primary key, a int, b int)")
    my.sql("create table _t_gho (id int primary key, b int, a int, c int)")
    wb = my_wb.write([my_wb.file_target()])
    wb.until_now()
    my.sql("insert into t values (1, 10, 20)")
    my.sql("rename table t to _t_del, _t_gho to t")
    my.sql("insert into t values (2, 200, 100, 300)")
    wb.until_now()
    got = {e["record"]["id"]: e["record"] for e in events(wb, "t") if e["event_type"] == "INSERT"}
    assert got["1"] == {"id": "1", "a": "10", "b": "20"}
    assert got["2"] == {"id": "2", "b": "200", "a": "100", "c": "300"}


@pytest.mark.servers("my97", "m10")
def test_changed_twice_while_nobody_reads(my_wb, my, metadata):  # proves G-07
    fresh(my)
    my.sql("create table t (id int primary key, a int, b int)")
    wb = my_wb.write([my_wb.file_target()])
    wb.until_now()
    my.sql("alter table t rename column a to x" if my.mysql else "alter table t change a x int")
    my.sql("insert into t values (1, 10, 20)")
    my.sql("alter table t rename column x to y" if my.mysql else "alter table t change x y int")
    my.sql("insert into t values (2, 30, 40)")
    if metadata == "FULL":
        wb.until_now()
        assert [list(e["record"]) for e in events(wb, "t") if e["event_type"] == "INSERT"] == [["id", "x", "b"], ["id", "y", "b"]]
        return
    wb.run("--until", "now", code=3)
    assert f"{my.name}.t" in wb.last_log() and "binlog_row_metadata" in wb.last_log() and "--resnapshot" in wb.last_log()
    assert not [e for e in events(wb, "t") if e["event_type"] == "INSERT"]


def test_statements_as_events(my_wb, my):
    my.sql("create table old (id int primary key)")
    wb = my_wb.write([my_wb.file_target()], source={"snapshot": "never"}).start()
    wait_until(my.slot_active, 30, "a dump", alive=wb)
    my.sql("create table n (id int primary key, v varchar(9) /* a comment; with a word: begin */)")
    my.sql("insert into n values (1, 'a')")
    my.sql("alter table n add column w int,\n add column begin_at int")
    my.sql("create temporary table tmp (id int); drop temporary table tmp")
    my.sql("truncate table n")
    my.sql("rename table n to m")
    my.sql("create table filled (primary key (id)) select 5 as id, 'x' as v")
    my.sql("drop table m, old")
    wait_until(lambda: [e for e in events(wb) if e["event_type"] == "DROP" and e["table_name"] == "old"], 20, "the last", alive=wb)
    wb.term()
    got = [(e["event_type"], e["table_name"]) for e in events(wb)]
    assert got == [("CREATE", "n"), ("INSERT", "n"), ("ALTER", "n"), ("TRUNCATE", "n"), ("ALTER", "m"), ("CREATE", "filled"),
                   ("INSERT", "filled"), ("DROP", "m"), ("DROP", "old")], got
    assert "add column w int" in str(events(wb)[2])


@pytest.mark.servers("my97", "m118")
def test_mirror_follows(my_wb, my):
    my.sql("create table t (id int primary key, v varchar(20))")
    wb = my_wb.write([my_wb.sqlite_target(), my_wb.file_target()]).start()
    wait_until(my.slot_active, 30, "a dump", alive=wb)
    my.sql("insert into t values (1,'a'); alter table t add column n int not null default 5; insert into t values (2,'b',6)")
    my.sql("create table u (id bigint unsigned primary key); insert into u values (18446744073709551615)")
    my.sql("truncate table t; insert into t values (9, 'z', 1)")
    wait_same(my, wb, "t", "u")
    wb.term()


@pytest.mark.servers("my97", "m10")
@pytest.mark.parametrize("crash", [None, "sqlite.after_commit@1", "checkpoint.before_commit@2"])
def test_mirror_goes_with_the_name(make_wb, my, crash):
    """Renames, swaps and another table under a dropped one's name: rows of before the stream too, without a second copy."""
    for t in ("a", "b", "c", "d", "e", "g"):
        my.sql(f"create table {t} (id int primary key, {t} varchar(20)); insert into {t} values (1, '{t}'), (2, 'two')")
    wb = make_wb(my, build="fault" if crash else "release")
    wb.write([wb.sqlite_target(commit_rows=1), wb.file_target()], source={"tables": [f"{my.name}.*", f"!{my.name}.hidden"]})
    wb.until_now()
    my.sql("insert into a values (3, 'before'); insert into b values (3, 'before')")
    my.sql("rename table a to tmp, b to a, tmp to b")
    my.sql("insert into a values (4, 'after'); insert into b values (4, 'after'); delete from a where id = 1")
    my.sql("rename table c to c2; update c2 set c = 'moved' where id = 1; rename table c2 to c3")
    my.sql("alter table d rename to d2; insert into d2 values (3, 'after')")
    my.sql("drop table e; create table e (k int primary key); insert into e values (9)")
    my.sql("rename table g to hidden; insert into hidden values (3, 'unseen'); rename table hidden to g; insert into g values (4, 'seen')")
    if crash:
        wb.run("--until", "now", env={"WB_FAULT": f"{crash}:crash"}, code=137)
    wb.until_now()
    my.sql("insert into g values (5, 'last')")
    wb.until_now()
    assert same(my, wb, "a", "b", "c3", "d2", "e", "g")
    again = {e["table_name"] for e in events(wb)[events(wb).index([e for e in events(wb) if e["event_type"] != "READ"][0]):]
             if e["event_type"] == "READ"}
    assert again <= {"g"}, f"copied twice: {again}"


@pytest.mark.servers("my97")
def test_table_that_is_wanted_later(my_wb, my, metadata):
    fresh(my)
    my.sql("create table a (id int primary key); create table b (id int primary key, v varchar(10))")
    wb = my_wb.write([my_wb.file_target()], source={"tables": [f"{my.name}.a"]})
    wb.until_now()
    my.sql("insert into b values (1, 'x')")
    wb.write([wb.file_target()], source={"tables": [f"{my.name}.*"]})
    wb.until_now()
    assert [e["record"] for e in events(wb, "b")] == [{"id": "1", "v": "x"}]


@pytest.mark.servers("my97", "m118")
def test_altered_again_and_again_while_nobody_reads(my_wb, my):
    """The server only says what a table is now. A statement that is read late must not tell of columns that came later: a mirror that
    makes those would take them for dropped at the next row. Types stay as they were declared, too."""
    my.sql("create table t (id int primary key, v bigint, b boolean); insert into t values (1, 1, 1)")
    my_wb.write([my_wb.file_target(), my_wb.sqlite_target()]).until_now()
    for i, name in enumerate(("x", "y", "z")):
        my.sql(f"alter table t add column {name} int; insert into t values ({2 + i}, 0, 1{', 7' * (i + 1)}); update t set {name} = 8 where id = 1")
    my.sql("alter table t drop column y; insert into t values (9, 0, 0, 1, 1); alter table t add column y int; insert into t values (10, 0, 0, 1, 1, 1)")
    my_wb.until_now()
    told = [e["record"] for e in events(my_wb, "t") if e["event_type"] == "ALTER"]
    then = ["id v b x", "id v b x y", "id v b x y z", "id v b x z", "id v b x z y"]
    names = [[c["name"] for c in t["after"]["columns"]] for t in told]
    assert [" ".join(n) for n in names] == then
    mirror = sqlite3.connect(my_wb.mirror)
    columns = [c for _, c, *_ in mirror.execute(f"pragma table_info('{my.name}_t')")]
    assert sorted(columns) == sorted(["id", "v", "b", "x", "y_dropped_6", "z", "y"]), columns
    same(my, my_wb, "t", columns="id, v, b, x, z, y")
    assert "v is now" not in my_wb.log() and "b is now" not in my_wb.log() and "x is now" not in my_wb.log(), my_wb.log()


@pytest.mark.servers("my97", "m10")
def test_d31_changed_before_and_after_a_connection(my_wb, my, metadata):
    """The version of a change that was followed is found again over a new connection, whose first places in the log lie before it."""
    fresh(my)
    my.sql("create table t (id int primary key, v int)")
    my_wb.write([my_wb.file_target()]).until_now()
    my.sql("insert into t values (1, 1); alter table t add column a int; insert into t values (2, 2, 20)")
    my_wb.until_now()
    my.sql("insert into t values (3, 3, 30); alter table t change a b int; insert into t values (4, 4, 40)")
    my_wb.until_now()
    assert [e["record"] for e in events(my_wb, "t") if e["event_type"] == "INSERT"] == [
        {"id": "1", "v": "1"}, {"id": "2", "v": "2", "a": "20"}, {"id": "3", "v": "3", "a": "30"}, {"id": "4", "v": "4", "b": "40"}]
    after = [[c["name"] for c in e["record"]["after"]["columns"]] for e in events(my_wb, "t") if e["event_type"] == "ALTER"]
    assert after == [["id", "v", "a"], ["id", "v", "b"]]


@pytest.mark.servers("my97", "m118")
def test_many_statements_read_late_cost_one_look(my_wb, my, metadata):
    """The log is read ahead once for all of them, not once for each: what that takes is a connection. Columns are still those of then."""
    fresh(my)
    my.sql("create table t (id int primary key, v int); insert into t values (0, 0)")
    my_wb.write([my_wb.file_target()]).until_now()
    for i in range(40):
        my.sql(f"create table c{i} (id int primary key, v varchar(20)); insert into c{i} values ({i}, 'a')")
        if i % 3 == 0:
            my.sql(f"drop table c{i}")
        elif i % 3 == 1 and metadata == "FULL":
            my.sql(f"alter table c{i} add column more int after id; insert into c{i} values (100, 7, 'b')")
        my.sql(f"insert into t values ({i + 1}, {i})")

    def connections():
        return int(my.one("select variable_value from {}.global_status where variable_name = 'Connections'".format(
            "performance_schema" if my.mysql else "information_schema")))
    before = connections()
    my_wb.until_now() if metadata == "FULL" else my_wb.run("--until", "now", code=3)
    made = connections() - before
    assert made < 30, f"{made} connections"
    got = {}
    for e in events(my_wb):
        if e["event_type"] == "INSERT":
            got.setdefault(e["table_name"], []).append(list(e["record"]))
    if metadata == "FULL":
        assert got.pop("t") == 40 * [["id", "v"]]
        assert got == {f"c{i}": [["id", "v"], ["id", "more", "v"]] if i % 3 == 1 else [["id", "v"]] for i in range(40)}
    else:  # c0 had gone before it could be read
        assert f"{my.name}.c0" in my_wb.last_log() and not got, my_wb.last_log()


@pytest.mark.servers("m10")
def test_names_that_the_server_writes_in_small_letters(own_my_server, make_wb, my_server):  # proves G-07
    """lower_case_table_names = 1: statements may write names otherwise than the log of rows does."""
    server = own_my_server(my_server.kind, "--lower-case-table-names=1")
    server.sql("set global binlog_row_metadata = 'NO_LOG'")
    my = MyDatabase(server)
    my.sql("create table Tab (id int primary key, a int, b int); create table `Ünder` (id int primary key, a int)")
    wb = make_wb(my)
    wb.write([wb.file_target()]).until_now()
    my.sql("insert into Tab values (1, 2, 3); alter table TAB change a c int; insert into tab values (2, 3, 4)")
    wb.until_now()
    my.sql("alter table `üNDER` change a d int; insert into `ünder` values (1, 2)")
    wb.until_now()
    assert [e["record"] for e in events(wb, "tab") if e["event_type"] == "INSERT"] == [{"id": "1", "a": "2", "b": "3"}, {"id": "2", "c": "3", "b": "4"}]
    assert [e["record"] for e in events(wb, "ünder") if e["event_type"] == "INSERT"] == [{"id": "1", "d": "2"}]
