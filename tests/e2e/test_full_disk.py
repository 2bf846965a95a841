"""A disk that is full, for each thing that we write: it says so, waits or stops, and loses and repeats nothing."""
import json
import os
from pathlib import Path

import pytest

from compare import no_repeats, same_file, same_mirror, wait_file, wait_mirror
from conftest import needs
from program import wait_until

ROWS = 6000  # times about 500 bytes: more than the small file systems hold


def fill(db):
    db.sql("insert into t select g, repeat('x', 400) from generate_series(1, %s) g", ROWS)


@pytest.fixture
def table(db):
    db.sql("create table t (id int primary key, v text)")


def make_room(path, size):
    import subprocess
    subprocess.run(["mount", "-o", f"remount,size={size}", path], check=True)


def test_file_target_on_a_full_disk(wb, db, table, tmpfs):  # proves G-01 G-11
    small = tmpfs("1m")
    out = small / "out.jsonl"
    wb.write([wb.file_target(path=str(out)), wb.sqlite_target()]).start().streaming()
    fill(db)
    wait_until(lambda: "space" in wb.last_log().lower() or "full" in wb.last_log().lower(), 30, "a word about the disk", alive=wb)
    wait_mirror(wb, "t")
    make_room(small, "64m")
    wait_file(wb, "t", path=out, timeout=60)
    wb.term()
    assert no_repeats(out, "t") == ROWS


def test_sqlite_target_on_a_full_disk(wb, db, table, tmpfs):  # proves G-01 G-11
    small = tmpfs("1m")
    path = small / "shop.db"
    wb.write([wb.file_target(), wb.sqlite_target(path=str(path))]).start().streaming()
    fill(db)
    wait_until(lambda: "full" in wb.last_log().lower() or "space" in wb.last_log().lower(), 30, "a word about the disk", alive=wb)
    wait_file(wb, "t")
    make_room(small, "64m")
    wait_mirror(wb, "t", path=path, timeout=60)
    wb.term()


def test_state_on_a_full_disk(wb, db, table, tmpfs):  # proves G-01
    small = tmpfs("600k")
    wb.write([wb.file_target(), wb.sqlite_target()], state=str(small / "state")).start().streaming()
    db.sql("insert into t values (0, 'before')")
    wait_mirror(wb, "t")
    ballast = os.open(small / "ballast", os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(ballast, b"x" * 4096)
    except OSError:
        os.close(ballast)
    for n in range(1, 200):
        db.sql(f"insert into t values ({n}, 'x')")
    wait_until(lambda: "space" in wb.last_log().lower() or "full" in wb.last_log().lower() or not wb.running(), 30, "a word about the disk")
    os.unlink(small / "ballast")
    if not wb.running():
        wb.start()
    wait_mirror(wb, "t", timeout=60)
    wait_file(wb, "t", timeout=60)
    wb.term(code=(0,))
    wb.until_now()
    assert same_mirror(db, wb.mirror, "t") and same_file(db, wb.out, "t")
    assert no_repeats(wb.out, "t") == 200


def test_spool_on_a_full_disk(wb, db, table, tmpfs):  # proves G-01 G-09
    """Streamed transactions do not fit: streaming is given up, said, and the server spills instead."""
    needs(db.server, 14, "streamed transactions")
    small = tmpfs("2m")
    db.decode_in_little_memory()
    wb.write([wb.file_target(), wb.sqlite_target()], state=str(small / "state")).start().streaming()
    db.sql("insert into t select g, md5(g::text) || repeat('y', 100) from generate_series(1, 60000) g")
    wait_mirror(wb, "t", timeout=60)
    wait_file(wb, "t", timeout=60)
    wb.term()
    assert "spool" in wb.log().lower() and "streaming" in wb.log().lower()
    assert no_repeats(wb.out, "t") == 60000


def test_spool_limit(wb, db, table):
    needs(db.server, 14, "streamed transactions")
    db.decode_in_little_memory()
    wb.write([wb.file_target()], source={"spool_limit": "1MB"}).start().streaming()
    db.sql("insert into t select g, md5(g::text) || repeat('y', 100) from generate_series(1, 30000) g")
    wait_file(wb, "t", timeout=60)
    wb.term()
    assert "spool" in wb.log().lower()
    assert no_repeats(wb.out, "t") == 30000


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_a_broker_on_a_full_disk(wb, db, table, tmpfs, own_kafka, folder, delivery):  # proves G-01 G-11
    """Kafka ends when its only log folder is full; when there is room and it runs again all of it arrives, in order."""
    small = tmpfs("6m")
    kafka = own_kafka(f"log.dirs={small}", f"metadata.log.dir={folder}/kafka/data", "log.index.size.max.bytes=4096", "log.segment.bytes=1048576",
                      where=folder / "kafka")
    topic = f"{db.name}.public.t"
    wb.write([{"type": "kafka", "brokers": kafka.brokers, "topic": topic, "compression": "none", "delivery": delivery}, wb.file_target()], answer_timeout="2s")
    wb.start().streaming()
    db.sql("insert into t select g, repeat('x', 1000) from generate_series(1, %s) g", ROWS)
    wait_until(lambda: not Path(f"/proc/{kafka.pid}").exists(), 60, "the broker's end", alive=wb)
    wait_until(lambda: '"level":"warn","part":"target kafka"' in wb.last_log(), 60, "a word about the broker", alive=wb)
    wait_file(wb, "t")
    make_room(small, "64m")
    kafka.start()
    wait_until(lambda: len({m.key for m in kafka.read(topic)}) == ROWS, 60, "all rows", alive=wb)
    wb.term()
    ids = [json.loads(m.key)["id"] for m in kafka.read(topic)]
    assert list(dict.fromkeys(ids)) == list(range(1, ROWS + 1))
    assert delivery == "at_least_once" or len(ids) == ROWS
