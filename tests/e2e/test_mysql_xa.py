"""XA transactions over restarts of ours, and generated columns of MariaDB. Needs MySQL 9.7 and both MariaDBs (tests/servers)."""
import pytest

from my_compare import events, mirror_rows
from my_servers import MyServer, MyDatabase
from program import wait_until


def clean(server):
    """Nothing stays prepared: its locks would keep the next one waiting for ever."""
    for row in server.sql("xa recover"):
        server.sql(f"xa rollback '{row[3]}'")


@pytest.fixture(autouse=True)
def nothing_prepared(request):
    my = request.getfixturevalue("my") if "my" in request.fixturenames else None
    yield
    if my:
        clean(my.server)


def ids(wb):
    return [e["record"]["id"] for e in events(wb, "t") if e["event_type"] == "INSERT"]


def prepare(my, name, row):
    """Prepared by a session that is gone."""
    with my.connect() as c, c.cursor() as cur:
        for text in (f"xa start '{name}'", f"insert into t values ({row})", f"xa end '{name}'", f"xa prepare '{name}'"):
            cur.execute(text)


def decide(my, text):
    """As a new session: a server may need a moment until the prepared one is nobody's."""
    def done():
        with my.connect() as c, c.cursor() as cur:
            try:
                cur.execute(text)
            except Exception as e:
                if e.args[0] in (1397, 1440):  # unknown, or still somebody's
                    return False
                raise
        return True
    wait_until(done, 20, text)


def test_xa_is_delivered_where_it_is_committed(my_wb, my):
    my.sql("create table t (id int primary key)")
    wb = my_wb.write([my_wb.file_target()], source={"snapshot": "never"}).start()
    wait_until(my.slot_active, 30, "a dump", alive=wb)
    prepare(my, "kept", 1)
    prepare(my, "dropped", 2)
    my.sql("insert into t values (3)")
    wait_until(lambda: ids(wb) == ["3"], 20, "the row beside", alive=wb)
    decide(my, "xa rollback 'dropped'")
    decide(my, "xa commit 'kept'")
    my.sql("insert into t values (4)")
    wait_until(lambda: ids(wb) == ["3", "1", "4"], 20, "the committed row in its place", alive=wb)
    wb.term()
    wb.until_now()
    assert ids(wb) == ["3", "1", "4"]


def over_a_restart(my, wb):
    my.sql("create table t (id int primary key)")
    wb.write([wb.file_target()], source={"snapshot": "never"})
    wb.until_now()
    prepare(my, "open", 1)
    my.sql("insert into t values (2)")
    wb.until_now()
    assert ids(wb) == ["2"]
    wb.until_now()  # nothing new: still open
    decide(my, "xa commit 'open'")
    my.sql("insert into t values (3)")


def must_stop(wb):
    wb.run("--until", "now", code=3)
    assert "XA transaction" in wb.last_log() and "prepared before" in wb.last_log() and "new snapshot" in wb.last_log()
    assert ids(wb) == ["2"]


def test_a_prepared_transaction_over_a_restart_of_ours(my_wb, my):
    """MySQL's GTIDs say what is not done yet: it is read again. Without them its rows are behind us: a sentence, no gap."""
    over_a_restart(my, my_wb)
    if not my.mysql:
        must_stop(my_wb)
        return
    my_wb.until_now()
    assert ids(my_wb) == ["2", "1", "3"]


def test_a_prepared_transaction_over_a_restart_by_file_positions(make_wb, own_my_server):
    server = own_my_server("my97", MyServer.WITHOUT_GTID)
    my = MyDatabase(server)
    wb = make_wb(my)
    try:
        over_a_restart(my, wb)
        must_stop(wb)
    finally:
        clean(server)


def test_generated_columns_that_updates_do_not_bring(my_wb, my):
    """MariaDB 11.8 has them in no UPDATE: never the old value as if it were the new one."""
    my.sql("create table t (id int primary key, a int, v int as (a + 1) virtual, p int as (a * 2) stored)")
    my.sql("insert into t (id, a) values (1, 1)")
    wb = my_wb.write([my_wb.file_target(), my_wb.sqlite_target()])
    wb.until_now()
    my.sql("insert into t (id, a) values (2, 2); update t set a = 10")
    wb.until_now()
    updates = [e["record"] for e in events(wb, "t") if e["event_type"] == "UPDATE"]
    rows = {r[0]: r[1:] for r in mirror_rows(wb.mirror, f"{my.name}_t", "id, a, v, p")}
    if my.kind == "m118":
        assert updates == [{"id": "1", "a": "10"}, {"id": "2", "a": "10"}]
        assert f"{my.name}_t is stale" in wb.log() and "generated column v" in wb.log()
        assert "stale" in wb.check().stdout
        assert rows["1"][0] == rows["2"][0] == "10"
    else:
        assert updates == [{"id": i, "a": "10", "v": "11", "p": "20"} for i in ("1", "2")]
        assert rows == {"1": ("10", "11", "20"), "2": ("10", "11", "20")} and "stale" not in wb.log()


@pytest.mark.servers("m10", "m118")
def test_sequences_are_nobodys_table(my_wb, my):
    my.sql("create sequence numbers; create table t (id int primary key default nextval(numbers), v int)")
    wb = my_wb.write([my_wb.file_target()]).start()
    wait_until(my.slot_active, 30, "a dump", alive=wb)
    my.sql("insert into t (v) values (7); alter sequence numbers restart 50; insert into t (v) values (8); drop sequence if exists gone")
    wait_until(lambda: len(ids(wb)) == 2, 20, "two rows", alive=wb)
    wb.term()
    assert {e["table_name"] for e in events(wb)} == {"t"} and ids(wb) == ["1", "50"]
