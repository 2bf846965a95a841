"""Compressed transactions (MySQL) and compressed rows (MariaDB), live: more than one packet of the protocol (16 MB), over TLS, plain and
through a socket; lines that break within them; and the memory that they take."""
import base64
import gzip
import hashlib
import json
import os
import sqlite3
import subprocess

import pytest

from my_compare import events, wait_same
from my_servers import run
from program import wait_until
from proxy import Proxy

MB = 1 << 20
TABLE = "create table t (id int primary key, b longblob)"


@pytest.fixture
def compressing(my):
    """Everything that is written meanwhile is compressed in the log."""
    if my.mysql:
        yield {"init_command": "set session binlog_transaction_compression = ON"}
        return
    my.server.sql("set global log_bin_compress = ON")
    yield {}
    my.server.sql("set global log_bin_compress = OFF")


def insert(my, how, first, rows, large=0):
    """One transaction of noise: rows of 1000 bytes, and one of all of them, `large` times in a row. They are more than zlib and zstd look back."""
    with my.connect(**how) as c:
        run(c, "set session group_concat_max_len = 1000000000")
        c.begin()
        run(c, f"insert into t with recursive n (i) as (select 0 union all select i + 1 from n where i + 1 < 1000) "
               f"select {first} + a.i * 1000 + b.i, random_bytes(1000) from n a, n b where a.i < {rows // 1000}")
        if large:
            run(c, f"insert into t select {first + rows}, repeat(group_concat(b separator ''), {large}) from t where id >= {first}")
        c.commit()


def digests(rows):
    return sorted((i, hashlib.md5(b).hexdigest()) for i, b in rows)


def mirrored(wb, my):
    c = sqlite3.connect(f"file:{wb.mirror}?mode=ro", uri=True)
    try:
        return digests(c.execute(f'select id, b from "{my.name}_t"'))
    finally:
        c.close()


@pytest.mark.servers("my97", "m118")
def test_d42_d60_compressed_by_every_way(my_wb, my, compressing):  # proves G-08
    my.sql(TABLE)
    my_wb.write([my_wb.sqlite_target()], source={"snapshot": "never"}).until_now()
    for n, params in enumerate(({"ssl-mode": "required"}, {"ssl-mode": "disabled"}, {"socket": my.server.dir / "sock"})):
        insert(my, compressing, n * 10_000, 3000, 0 if n else 6)
        my_wb.write([my_wb.sqlite_target()], source={"url": my.url(**params), "snapshot": "never"}).until_now()
    assert mirrored(my_wb, my) == digests(my.sql("select id, b from t"))


@pytest.mark.servers("my97", "m118")
def test_a_line_that_is_cut_within_a_compressed_transaction(my_wb, my, compressing):  # proves G-01 G-02
    """Within its first packet and within its second one. It comes again, whole and once."""
    my.sql(TABLE)
    proxy = Proxy("127.0.0.1", my.server.port)
    try:
        my_wb.write([my_wb.file_target(), my_wb.sqlite_target()],
                    source={"url": my.url(port=proxy.port, **{"ssl-mode": "disabled"}), "snapshot": "never", "heartbeat": "500ms"}).start().streaming()
        for n, at in enumerate((3 * MB + 1, 18 * MB + 7)):
            cuts = proxy.cuts
            proxy.cut_after(at)
            insert(my, compressing, n * 10_000, 3000, 6)
            wait_until(lambda cuts=cuts: proxy.cuts > cuts, 30, "a cut", alive=my_wb)
            wait_same(my, my_wb, "t", columns="id, length(b)")
        assert mirrored(my_wb, my) == digests(my.sql("select id, b from t"))
        my_wb.term()
        ids = [e["record"]["id"] for e in events(my_wb, "t")]
        assert len(ids) == len(set(ids)) == 2 * 3001
    finally:
        proxy.close()


@pytest.mark.servers("my97")
def test_memory_of_a_compressed_transaction(my_wb, my, compressing):  # proves G-09
    my.sql(TABLE)
    my_wb.write([my_wb.file_target(path="/dev/null")], source={"snapshot": "never"}).start().streaming()
    insert(my, compressing, 0, 80_000)
    wait_until(lambda: my_wb.status()["source"]["changes"] >= 80_000, 120, "all rows", alive=my_wb)
    peak = my_wb.peak_rss()
    my_wb.term()
    assert peak < 64 or "WB_SLOW" in os.environ, f"{peak:.0f} MB"


@pytest.mark.servers("my97", "m118")
def test_a_compressed_transaction_through_a_pipe(my_wb, my, compressing):
    """Offline, of what is not mapped: large events come in parts there, too. What is cut off within one is left out and said."""
    my.sql(TABLE)
    my.server.sql("flush binary logs")
    insert(my, compressing, 0, 3000, 1)
    log = (my.server.data / my.server.log_position()[0]).read_bytes()

    def rows(data, warns):
        done = subprocess.run([my_wb.binary, "decode", "-"], input=data, capture_output=True, timeout=120, check=True)
        assert (b"ends within a transaction" in done.stderr) == warns, done.stderr
        return [json.loads(line)["record"] for line in done.stdout.splitlines()]

    want = digests(my.sql("select id, b from t"))
    assert digests((r["id"], base64.b64decode(r["b"])) for r in rows(gzip.compress(log, 1), False)) == want
    assert rows(gzip.compress(log[:-(MB // 2)], 1), True) == []


@pytest.mark.servers("my97")
def test_the_connectors_own_reader(make_wb, my, compressing):
    """As if Connector/C had been built with GnuTLS: whole events, through its own reader."""
    my.sql(TABLE)
    wb = make_wb(my, build="fault")
    wb.write([wb.sqlite_target()], source={"url": my.url(**{"ssl-mode": "required"}), "snapshot": "never"})
    wb.start(env={"WB_FAULT": "mysql.library_reads@*:eio"}).streaming()
    insert(my, compressing, 0, 3000, 6)
    insert(my, {}, 10_000, 1000)
    wait_same(my, wb, "t", columns="id, length(b)")
    wb.term()
