"""Another server takes over: positions that are GTIDs go on there, and what it lacks or never had is named."""
import pytest

from my_compare import events, same
from my_servers import MyDatabase
from program import wait_until
from servers import PASSWORD

TABLE = "create table t (id int primary key, v varchar(60))"


@pytest.fixture
def pair(own_my_server, my_server):
    """(first, second): second replicates from first and writes what it applies into its own log."""
    kind = my_server.kind
    first = own_my_server(kind, "--server-id=11")
    second = own_my_server(kind, "--server-id=12", "--log-slave-updates=ON" if kind.startswith("m1") else "--log-replica-updates=ON")
    if first.mysql:
        second.sql("reset binary logs and gtids")
        second.sql(f"change replication source to source_host='127.0.0.1', source_port={first.port}, source_user='walbrook', "
                   f"source_password='{PASSWORD}', source_auto_position=1, source_ssl=1; start replica")
    else:
        second.sql("reset master")
        second.sql(f"change master to master_host='127.0.0.1', master_port={first.port}, master_user='walbrook', "
                   f"master_password='{PASSWORD}', master_use_gtid=slave_pos; start slave")
    return first, second


def stop_replication(server):
    server.sql("stop replica; reset replica all" if server.mysql else "stop slave; reset slave all")


@pytest.mark.servers("my97", "m118")
def test_d44_goes_on_at_the_server_that_was_promoted(pair, make_wb):
    first, second = pair
    my = MyDatabase(first)
    my.sql(TABLE)
    my.sql("insert into t values (1, 'copied')")
    wb = make_wb(my)
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    my.sql("insert into t values (2, 'of the first')")
    wb.until_now()
    my.sql("insert into t values (3, 'of the first, not read there')")
    there = MyDatabase.__new__(MyDatabase)
    there.__dict__.update(my.__dict__, server=second, _conn=None)
    wait_until(lambda: second.gtid() and there.one("select count(*) from t") == 3, 30, "the replica to have it")
    stop_replication(second)
    there.sql("insert into t values (4, 'of the second')")
    wb.db = there
    wb.write([wb.file_target(), wb.sqlite_target()]).until_now()
    assert same(there, wb, "t")
    assert [e["record"]["id"] for e in events(wb, "t")] == ["1", "2", "3", "4"]
    assert "failover" in wb.log()
    # back at the first, which never saw the fourth
    wb.db = my
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wb.wait_exit((2, 3), 30)
    assert "never" in wb.last_log()


@pytest.mark.servers("m10")
def test_d43_a_promoted_replica_without_log_slave_updates(own_my_server, make_wb):
    """gtid_slave_pos is ahead of what its log holds: a start from now takes gtid_binlog_pos."""
    first, second = own_my_server("m10", "--server-id=11"), own_my_server("m10", "--server-id=12", "--log-slave-updates=OFF")
    second.sql("reset master")
    my = MyDatabase(first)
    second.sql(f"change master to master_host='127.0.0.1', master_port={first.port}, master_user='walbrook', "
               f"master_password='{PASSWORD}', master_use_gtid=slave_pos; start slave")
    my.sql(TABLE)
    my.sql("insert into t values (1, 'replicated')")
    there = MyDatabase.__new__(MyDatabase)
    there.__dict__.update(my.__dict__, server=second, _conn=None)
    wait_until(lambda: second.sql(f"select count(*) from information_schema.tables where table_schema = '{my.name}'")[0][0] == 1 and
               there.one("select count(*) from t") == 1, 30, "the replica to have it")
    stop_replication(second)
    wb = make_wb(there)
    wb.write([wb.file_target()], source={"snapshot": "never"}).start()
    wait_until(there.slot_active, 30, "a dump", alive=wb)
    there.sql("insert into t values (2, 'of the second')")
    wait_until(lambda: events(wb, "t"), 20, "the row", alive=wb)
    wb.term()
    assert [e["record"]["id"] for e in events(wb, "t")] == ["2"]
