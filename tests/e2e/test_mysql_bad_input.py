"""Large values and broken lines: 64 MB pass, what is over the limit is refused by name, and a connection or a server that goes
within a row event costs nothing and brings nothing twice."""
import hashlib
import sqlite3

import pytest

from my_compare import events, wait_same
from my_servers import MyDatabase
from program import wait_until
from proxy import Proxy

TABLE = "create table t (id int primary key, b longblob)"
MB = 1 << 20


def blobs(wb, my):
    """Lengths and digests in the mirror."""
    c = sqlite3.connect(wb.mirror)
    rows = c.execute(f'select id, length(b), b from "{my.name}_t" order by id').fetchall()
    c.close()
    return [(i, n, hashlib.md5(b).hexdigest()) for i, n, b in rows]


def put(my, i, size):
    my.sql(f"insert into t values ({i}, repeat('{chr(96 + i)}', {size}))")
    return i, size, hashlib.md5(chr(96 + i).encode() * size).hexdigest()


@pytest.mark.servers("my97", "m118")
def test_blobs_of_64_megabytes_pass(my_wb, my):  # proves G-09
    my.sql(TABLE)
    want = [put(my, 1, 64 * MB)]
    my_wb.write([my_wb.sqlite_target()]).until_now()
    assert blobs(my_wb, my) == want
    want.append(put(my, 2, 64 * MB))
    my_wb.until_now()
    assert blobs(my_wb, my) == want


@pytest.mark.servers("my97", "m118")
def test_a_row_over_the_limit_is_refused_by_name(my_wb, my):  # proves G-09 G-10
    """The limit of this test is small, since what counts is the size beside it: 1 GB beside 256 MB is the same."""
    my.sql(TABLE)
    put(my, 1, 3 * MB)
    my_wb.write([my_wb.sqlite_target()], max_row="2MB")
    my_wb.run("--until", "now", code=3)
    assert "max_row" in my_wb.last_log() and f"{my.name}.t" in my_wb.last_log(), my_wb.last_log()
    my_wb.write([my_wb.sqlite_target()], max_row="4MB").until_now()
    want = [(1, 3 * MB, hashlib.md5(b"a" * 3 * MB).hexdigest()), put(my, 2, MB)]
    my_wb.until_now()
    want.append(put(my, 3, 9 * MB))
    my_wb.run("--until", "now", code=3)
    assert "max_row" in my_wb.last_log() and blobs(my_wb, my) == want[:2], my_wb.last_log()
    assert "ccccc" not in my_wb.last_log(), "the value was printed"
    my_wb.write([my_wb.sqlite_target()], max_row="16MB").until_now()
    assert blobs(my_wb, my) == want


@pytest.mark.servers("my97", "m118")
def test_a_line_that_is_cut_within_a_row_event(my_wb, my):  # proves G-01 G-02
    """One row of 6 MB comes in many packets; the line breaks at places within it, then the row comes whole."""
    my.sql(TABLE)
    proxy = Proxy("127.0.0.1", my.server.port)
    try:
        my_wb.write([my_wb.file_target(), my_wb.sqlite_target()],
                    source={"url": my.url(port=proxy.port), "snapshot": "never", "heartbeat": "500ms"}).start().streaming()
        for i, at in enumerate((MB + 1, 5 * MB + 7), 1):
            cuts = proxy.cuts
            proxy.cut_after(at)
            put(my, i, 6 * MB)
            wait_until(lambda cuts=cuts: proxy.cuts > cuts, 30, "a cut", alive=my_wb)
            wait_same(my, my_wb, "t", columns="id, length(b)")
        my_wb.term()
        assert [e["record"]["id"] for e in events(my_wb, "t")] == ["1", "2"]
    finally:
        proxy.close()


@pytest.mark.servers("my97", "m118")
def test_a_server_that_dies_within_a_row_event(own_my_server, make_wb, my_server):  # proves G-01 G-02
    server = own_my_server(my_server.kind, "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1")
    my = MyDatabase(server)
    my.sql(TABLE)
    wb = make_wb(my)
    proxy = Proxy("127.0.0.1", server.port)
    try:
        wb.write([wb.file_target(), wb.sqlite_target()],
                 source={"url": my.url(port=proxy.port), "snapshot": "never", "heartbeat": "500ms"}).start().streaming()
        proxy.stall()  # what the server sends now lies in the sockets' buffers, a part of the row
        put(my, 1, 24 * MB)
        server.stop("immediate")
        proxy.resume()
        server.start()
        put(my, 2, MB)
        wait_same(my, wb, "t", columns="id, length(b)")
        wb.term()
        assert [e["record"]["id"] for e in events(wb, "t")] == ["1", "2"]
    finally:
        proxy.close()
