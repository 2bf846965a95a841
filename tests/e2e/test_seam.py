"""Where the snapshot ends and the stream begins: one history, whatever happens between the two."""
import sqlite3

from program import wait_until


# proves G-06
def test_rewrite_between_snapshot_and_lock(fault_wb, db):
    """ALTER TABLE that rewrites does not obey snapshots: without care the table would have been copied empty."""
    db.sql("create table a (id int primary key, v int)")
    db.sql("insert into a select g, g from generate_series(1, 500) g")
    fault_wb.write([fault_wb.sqlite_target()], backoff_min="10ms", backoff_max="100ms")
    fault_wb.start("--until", "now", env={"WB_FAULT": "postgres.snapshot_exported:sleep=1500"})
    wait_until(lambda: "made the replication slot" in fault_wb.last_log(), 20, "a slot", alive=fault_wb)
    db.sql("alter table a alter column v type bigint using v * 2")
    db.sql("update a set v = v + 1 where id = 1")
    fault_wb.wait_exit(0)
    assert "rewritten while the snapshot began" in fault_wb.last_log()
    with sqlite3.connect(fault_wb.mirror) as mirror:
        assert mirror.execute("select count(*), sum(v) from a").fetchone() == (500, 500 * 501 + 1)


# proves G-06
def test_changes_during_the_copy(fault_wb, db):
    """What is committed between the slot's snapshot and the copy comes once, from the stream."""
    db.sql("create table a (id int primary key, v int)")
    db.sql("insert into a select g, 0 from generate_series(1, 500) g")
    fault_wb.write([fault_wb.sqlite_target(), fault_wb.file_target(format="row", format_options={"op_key": "_op"})])
    fault_wb.start(env={"WB_FAULT": "postgres.snapshot_exported:sleep=1000"})
    wait_until(lambda: "made the replication slot" in fault_wb.last_log(), 20, "a slot", alive=fault_wb)
    db.sql("update a set v = 1 where id = 7")
    db.sql("insert into a values (1000, 5)")
    db.sql("delete from a where id = 8")

    def arrived():
        try:
            with sqlite3.connect(f"file:{fault_wb.mirror}?mode=ro", uri=True) as mirror:
                return mirror.execute("select count(*), sum(v) from a").fetchone() == (500, 6)
        except sqlite3.OperationalError:  # no file, no table
            return False
    wait_until(arrived, 20, "the mirror", alive=fault_wb)
    fault_wb.term()
    lines = fault_wb.out.read_text().splitlines()
    assert len(lines) == 503, "500 rows read, then three changes"
