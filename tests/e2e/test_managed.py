"""Roles with few rights, as managed services give them, and what stands in front of a server."""
import re

import pytest

from compare import mirror_rows, no_repeats, records, same_mirror
from conftest import missing
from pgbouncer import Pgbouncer
from program import wait_until
from servers import PASSWORD, Database

pytestmark = pytest.mark.both


@pytest.fixture
def plain(db):
    """A role that may replicate and SELECT, owns nothing and may create nothing; the tables are another one's."""
    owner, role = f"owner_{db.name}", f"plain_{db.name}"
    db.sql(f"create role {owner} nologin; create role {role} login replication password '{PASSWORD}'")
    db.sql(f"grant create on database {db.name} to {owner}; create schema app authorization {owner}")
    db.sql(f"set role {owner}; create table app.t (id int primary key, v text); create table app.log (what text);"
           f"insert into app.t values (1, 'a'); insert into app.log values ('x');"
           f"grant usage on schema app to {role}; grant select on all tables in schema app to {role}; reset role")
    db.owner = owner
    yield role
    db.sql(f"drop owned by {role}; drop owned by {owner} cascade; drop role {role}; drop role {owner}")


def as_owner(db, sql):
    db.sql(f"set role {db.owner}; {sql}; reset role")


def test_replication_and_select_with_the_owners_publication(wb, db, plain):
    """No superuser, no CREATE, nothing owned; the publication was there beforehand."""
    as_owner(db, "create publication shop_pub for table app.t")
    wb.write([wb.file_target(), wb.sqlite_target()],
             source={"url": db.url(user=plain), "tables": ["app.t"], "publication": "shop_pub", "heartbeat": "200ms"})
    wb.check(code=0)
    wb.start().streaming()
    as_owner(db, "insert into app.t values (2, 'b')")
    wait_until(lambda: no_repeats(wb.out, "t") == 2, 20, "both rows", alive=wb)
    wait_until(lambda: mirror_rows(wb.mirror, db, "t", "app", "app_t") == [("1", "a"), ("2", "b")], 20, "the mirror", alive=wb)
    assert "WARN" not in wb.last_log() and '"level":"warn' not in wb.last_log(), wb.tail()
    wait_until(lambda: (wb.status()["source"]["server"] or {}).get("slot_state") == "active", 20, "status of the slot", alive=wb)
    wb.term()
    wb.until_now()
    dropped = wb.command("drop", wb.file, "--yes", code=0).stdout
    assert "shop_pub stays" in dropped and db.slots() == [] and db.publications() == ["shop_pub"]


def test_the_owner_runs_what_check_prints(wb, db, plain):
    """Under our own names, with the second publication for the table without a key."""
    wb.write([wb.file_target()], source={"url": db.url(user=plain), "tables": ["app.*"]})
    found = wb.check(code=1).stdout
    wb.run(code=3, timeout=20)
    assert "check" in wb.last_log() and db.slots() == []
    statements = re.findall(r"((?:CREATE|COMMENT ON) PUBLICATION [^;]+);", found)
    assert len([s for s in statements if s.startswith("CREATE")]) == 2, found
    for s in statements:
        as_owner(db, s)
    wb.check(code=0)
    wb.start().streaming()
    as_owner(db, "insert into app.t values (2, 'b'); insert into app.log values ('y'); update app.t set v = 'c' where id = 1")
    wait_until(lambda: len(records(wb.out)) == 5, 20, "five records", alive=wb)
    wb.term()
    assert no_repeats(wb.out, "t") == 2
    dropped = wb.command("drop", wb.file, "--yes", code=0).stdout
    assert dropped.count("stays: it was not made by this pipeline") == 2 and len(db.publications()) == 2 and db.slots() == []


def test_row_level_security_hides_no_row_in_silence(wb, db, plain):
    """A policy would leave rows out of the copy, and values out of `reselect`: an error, and what mends it."""
    as_owner(db, "alter table app.t alter column v set storage external; insert into app.t values (2, repeat('b', 5000));"
                 "alter table app.t enable row level security; create policy p on app.t using (id = 1); create publication shop_pub for table app.t")
    source = {"url": db.url(user=plain), "tables": ["app.t"], "publication": "shop_pub"}
    wb.write([wb.file_target()], source=source).run(code=3, timeout=20)
    assert "row-level security" in wb.last_log() and not records(wb.out)
    wb.write([wb.file_target(path="second.jsonl")], source={**source, "snapshot": "never", "reselect": True}, state="second.state", name="second")
    for _ in range(2):
        found = wb.check(code=1).stdout
        assert "row-level security hides rows of app.t" in found and f'ALTER ROLE "{plain}" BYPASSRLS;' in found, found
        assert "GRANT" not in found
        wb.write([wb.file_target()], source=source)
    wb.write([wb.file_target(path="second.jsonl")], source={**source, "snapshot": "never", "reselect": True}, state="second.state", name="second")
    wb.start().streaming()
    as_owner(db, "alter table app.t add column n int; update app.t set n = 1 where id = 2")
    wb.wait_exit(3, 30)
    assert "row-level security" in wb.last_log()
    wb.command("drop", wb.file, "--yes", code=0)
    db.sql(f'alter role "{plain}" bypassrls')
    wb.write([wb.file_target()], source=source)
    wb.check(code=0)
    wb.until_now()
    assert no_repeats(wb.out, "t") == 2


def test_d29_blockers_are_named_for_a_plain_role(wb, db, plain):
    """Without pg_monitor the server hides who and since when; the process is named all the same."""
    as_owner(db, "create publication shop_pub for table app.t")
    wb.write([wb.file_target()], source={"url": db.url(user=plain), "tables": ["app.t"], "publication": "shop_pub"})
    with db.connect() as c:
        c.autocommit = False
        c.execute("insert into app.t values (7, 'open')")
        wb.start()
        wait_until(lambda: f"process {c.info.backend_pid}" in wb.last_log(), 30, "the process", alive=wb)
        assert "pg_monitor" in wb.last_log()
        c.commit()
    wait_until(lambda: no_repeats(wb.out, "t") == 2, 30, "the copy", alive=wb)
    wb.term()


# ---------------------------------------------------------------- services, by the roles that they put into every database

@pytest.mark.parametrize("role,name,wal_level,replicate", [
    ("rds_superuser", "Amazon RDS", "rds.logical_replication", "GRANT rds_replication TO"),
    ("cloudsqlsuperuser", "Cloud SQL", "cloudsql.logical_decoding", "WITH REPLICATION"),
    ("azure_pg_admin", "Azure", "wal_level to LOGICAL", "WITH REPLICATION")])
def test_check_speaks_the_services_language(make_wb, replica_server, role, name, wal_level, replicate):
    server = replica_server
    db = Database(server)
    try:
        db.sql(f"create role {role}; create table t (id int primary key); create role plain login password 'x'")
        db.sql("grant select on t to plain")
        wb = make_wb(db).write([{"type": "file", "path": "out.jsonl"}], source={"url": db.url(user="plain", password="x")})
        found = wb.check(code=1).stdout
        assert name in found and wal_level in found and replicate in found, found
        assert "ALTER SYSTEM" not in found
    finally:
        db.sql("drop table t; drop role plain; drop role " + role)
        db.remove()


@pytest.fixture(scope="module")
def replica_server():
    from servers import Server
    server = Server("wal_level=replica")
    yield server
    server.remove()


def test_member_of_rds_replication_counts_as_one_who_may(wb, db):
    """Amazon's own server lets its members replicate; the attribute is not theirs to have."""
    role = f"rds_{db.name}"
    db.sql(f"create table t (id int primary key); create role rds_replication; create role {role} login password 'x' in role rds_replication")
    try:
        found = wb.write([wb.file_target()], source={"url": db.url(user=role, password="x")}).check(code=1).stdout
        assert "the user may not replicate" not in found
        assert f"The user {role} may not replicate" in found  # this server is not Amazon's: it was asked, too
    finally:
        db.sql(f"drop role {role}; drop role rds_replication")


# ---------------------------------------------------------------- poolers

@pytest.mark.parametrize("settings", [{}, {"ignore_startup_parameters": "options,extra_float_digits"},
                                      {"ignore_startup_parameters": "options,replication", "pool_mode": "transaction"}])
def test_pgbouncer_is_named(wb, db, folder, settings):
    """Also one that ignores what it does not know: it would drop the session settings that values depend on."""
    db.sql("create table t (id int primary key); insert into t values (1)")
    try:
        pooler = Pgbouncer(folder, db.server.port, **settings)
    except RuntimeError as e:
        missing(str(e))
    try:
        for mode in ("initial", "only"):
            wb.write([wb.sqlite_target()], source={"url": db.url(port=pooler.port), "snapshot": mode})
            found = wb.check(code=1)
            assert "pooler" in found.stdout and "pgbouncer" in found.stdout
            wb.run(code=3, timeout=20)
            assert "pgbouncer" in wb.last_log() and "own address" in wb.last_log()
    finally:
        pooler.close()
    wb.write([wb.sqlite_target()]).until_now()
    assert same_mirror(db, wb.mirror, "t")
