"""Columns that are added, and many tables at once. Needs MySQL 9.7 and both MariaDBs (tests/servers/mysql, mariadb)."""
import pytest

from my_compare import events, mirror_rows
from program import wait_until

ADDED = ["n int", "five int not null default 5", "big bigint unsigned default 18446744073709551615", "zilch int not null",
         "price decimal(12,3) default '1.10'", "nil decimal(10,2) not null", "word varchar(20) default 'it''s \\\\ \u00e4\u20ac'",
         "blank varchar(20) not null", "latin varchar(9) character set latin1 default '\u00e9t\u00e9'", "at datetime(3) default '2024-02-29 01:02:03.4'",
         "stamp timestamp(2) null default '2024-03-01 00:00:00'", "day date default '1999-12-31'", "hour time default '-01:02:03'",
         "label enum('a','b') not null", "labels set('x','y') default 'x,y'", "body text"]


@pytest.fixture(params=["FULL", "without names"])
def metadata(request, my):
    before = my.one("select @@global.binlog_row_metadata")
    want = "FULL" if request.param == "FULL" else "MINIMAL" if my.mysql else "NO_LOG"
    my.sql(f"set global binlog_row_metadata = '{want}'")
    my.conn.close()
    my._conn = None
    yield request.param
    my.sql(f"set global binlog_row_metadata = '{before}'")


@pytest.mark.servers("my97", "m118")
def test_rows_that_were_there_have_the_default_of_an_added_column(my_wb, my, metadata):
    """Rows of the mirror that nothing touches afterwards: each new column shows in them what it shows at the source."""
    my.sql("set sql_mode = ''; create table t (id int primary key, v int) character set utf8mb4; insert into t values (1, 1), (2, 2)")
    wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target()])
    wb.until_now()
    wb.start()
    wait_until(my.slot_active, 30, "a dump", alive=wb)
    for n, column in enumerate(ADDED):
        my.sql(f"alter table t add column {column}")
        my.sql(f"insert into t (id, v) values ({10 + n}, 0)")
        wait_until(lambda: len(mirror_rows(wb.mirror, f"{my.name}_t", "id")) == 3 + n, 30, column, alive=wb)
    wb.term()
    odd = {"hour"}  # a negative time: text that no SQLite type has; left unknown rather than guessed
    names = [c.split()[0] for c in ADDED if c.split()[0] not in odd]
    columns = ", ".join(["id", "v"] + [f"cast({c} as char) {c}" if c in ("at", "stamp", "day") else c for c in names])
    with my.connect(conv={}) as c, c.cursor() as cur:
        cur.execute(f"select {columns} from t order by id")
        want = [tuple(None if v is None else str(v) for v in row) for row in cur.fetchall()]
    got = [tuple(None if v is None else str(v) for v in row)
           for row in sorted(mirror_rows(wb.mirror, f"{my.name}_t", ", ".join(["id", "v"] + names)), key=lambda r: int(r[0]))]
    stamp = 2 + names.index("stamp")
    got = [tuple(v.removesuffix("+00:00") if i == stamp and v else v for i, v in enumerate(row)) for row in got]
    assert got == want
    assert "hour" in wb.log() and "five" not in wb.log().split("stale", 1)[-1].split("hour")[0]


@pytest.mark.servers("my97", "m118")
def test_what_cannot_be_known_of_an_added_column_is_said(my_wb, my, metadata):
    """Computed defaults, and a column that is really a renamed one: never a guess, but a stale table."""
    for t in ("a", "b", "c"):
        my.sql(f"create table {t} (id int primary key, v int); insert into {t} values (1, 1)")
    wb = my_wb.write([my_wb.sqlite_target()])
    wb.until_now()
    my.sql("alter table a add column made int as (v + 1) stored")
    my.sql("alter table b change v w int, add column v int default 3" if my.mariadb else "alter table b rename column v to w, add column v int default 3")
    my.sql("alter table c add column x int default 7; alter table c alter column x set default 8")
    wb.until_now()
    wb.run("--until", "now")
    for t, column in (("a", "made"), ("b", "w"), ("c", "x")):
        assert f"{my.name}_{t} is stale" in wb.log(), t
        assert dict(mirror_rows(wb.mirror, f"{my.name}_{t}", f"id, {column}"))["1"] is None, t


@pytest.mark.servers("m10", "my97")
def test_many_tables_at_the_start_are_one_question(my_wb, my):
    """The schema history begins with two statements however many tables there are, and knows each of them."""
    tables = 300
    with my.connect() as c, c.cursor() as cur:
        for i in range(tables):
            cur.execute(f"create table `t{i}` (id int primary key, a int, `b{i}` varchar(10))")
    name = "binlog_row_metadata"
    before = my.one(f"select @@global.{name}")
    my.sql(f"set global {name} = '{'MINIMAL' if my.mysql else 'NO_LOG'}'")
    try:
        wb = my_wb.write([my_wb.file_target()], source={"snapshot": "never"})
        asked = int(my.sql("show global status like 'Questions'")[0][1])
        wb.until_now()
        assert int(my.sql("show global status like 'Questions'")[0][1]) - asked < tables
        my.conn.close()
        my._conn = None
        my.sql("insert into t7 values (1, 2, 'x'); insert into t299 values (1, 2, 'y')")
        wb.until_now()
        assert [e["record"] for e in events(wb)] == [{"id": "1", "a": "2", "b7": "x"}, {"id": "1", "a": "2", "b299": "y"}]
    finally:
        my.sql(f"set global {name} = '{before}'")


@pytest.mark.servers("my97", "m10")
def test_init_survives_any_name(my_wb, my):
    """Names of schemas and tables with quotes, line ends and words of YAML: the file can be read, and finds the tables."""
    odd = [f'{my.name}_a"b', f"{my.name}_x\ny: z", f"{my.name}_d.e", f"{my.name}_${{f}}\\"]
    for schema in odd:
        my.sql(f"create database `{schema}`")
        my.sql(f"create table `{schema}`.`t\n  - type: exec` (id int primary key)")
    text = my_wb.command("init", my.url().rsplit("/", 1)[0] + "/", code=0).stdout
    assert "\n  - type: exec" not in text and "t?  - type: exec" in text
    my_wb.file.write_text(text.replace("walbrook@", f"walbrook:{my.url().split(':')[2].split('@')[0]}@"))
    said = my_wb.check().stdout
    assert "matches no table" not in said and "table(s) match" in said, said
