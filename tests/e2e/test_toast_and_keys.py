"""Old rows: what the server sends of them by REPLICA IDENTITY, values it does not send, keys that change."""
import pytest

from compare import records, same_file, same_mirror, sqlite, wait_file, wait_mirror
from program import wait_until

pytestmark = pytest.mark.both
LONG = "(select string_agg(md5(g::text || {0}), '') from generate_series(1, 400) g)"


def identities(db):
    for name, identity in (("d", "default"), ("i", "using index i_u"), ("f", "full")):
        db.sql(f"create table {name} (id int primary key, u int not null, small text, big text, arr text[], n numeric)")
        if name == "i":
            db.sql("create unique index i_u on i (u)")
        db.sql(f"alter table {name} replica identity {identity}")
        db.sql(f"insert into {name} select g, g * 10, 'small', {LONG.format('g.g')}, array[{LONG.format('g.g')}], 1.5 "
               f"from generate_series(1, 6) g".replace("g.g", "0"))


@pytest.mark.sanitize
def test_d12_unchanged_toast_keeps_its_value(wb, db):  # proves G-08
    identities(db)
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_mirror(wb, "d", "i", "f")
    for t in "dif":
        db.sql(f"update {t} set small = 'changed' where id = 1")        # big not sent
        db.sql(f"update {t} set big = 'now short', u = u + 1 where id = 2")
        db.sql(f"update {t} set id = 100, small = 'moved' where id = 3")  # key changed, big not sent
        db.sql(f"update {t} set big = null where id = 4")
        db.sql(f"update {t} set n = null, small = null where id = 5")
        db.sql(f"delete from {t} where id = 6")
    wait_mirror(wb, "d", "i", "f")
    wait_file(wb, "d", "f")
    wb.term()
    updates = [r for r in records(wb.out) if r["event_type"] == "UPDATE"]
    first = {r["table_name"]: r["record"] for r in updates if r["record"].get("id") == "1"}
    assert "big" not in first["d"], "a value that was not sent must be absent, not null"
    assert len(first["f"]["big"]) == 400 * 32, "with the whole old row sent, the value is known"
    nulled = {r["table_name"]: r["record"] for r in updates if r["record"].get("id") == "5"}
    for t in "df":
        assert nulled[t]["small"] is None and nulled[t]["n"] is None


def test_toasted_key(wb, db):
    """The new row has its key marked as unchanged: it is in the old one (A7)."""
    db.sql("create table k (key text primary key, v text)")
    db.sql("alter table k alter column key set storage external")
    db.sql(f"insert into k select {LONG.format(0)} , 'x'".replace("400", "70"))
    db.sql("insert into k values ('short', 'y')")
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_mirror(wb, "k")
    db.sql("update k set v = 'new'")
    wait_mirror(wb, "k")
    wb.term()
    assert all(r["record"].get("key") or r.get("before", {}).get("key") for r in records(wb.out))


@pytest.mark.parametrize("identity", ["default", "index", "full"])
def test_a7_what_is_sent_of_long_values_and_long_keys(wb, db, identity):
    """Identity unchanged, changed, and long itself, by each identity: what the record says, and that the mirror holds all of it."""
    db.sql("create table m (k text, u text not null, small int, big text, primary key (k)); create unique index m_u on m (u)")
    db.sql("alter table m alter column k set storage external, alter column u set storage external, alter column big set storage external")
    db.sql("alter table m replica identity " + {"default": "default", "index": "using index m_u", "full": "full"}[identity])
    db.sql("insert into m select 'short' || g, 'u' || g, 0, repeat('b', 3000) || g from generate_series(1, 4) g")
    db.sql("insert into m select repeat('k', 2200) || g, repeat('u', 2300) || g, 0, repeat('b', 3000) || g from generate_series(5, 6) g")
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_mirror(wb, "m")
    for statement in ("update m set small = 1 where k = 'short1'", "update m set u = 'moved' where k = 'short2'",
                      "update m set k = 'moved' where k = 'short3'", "update m set big = null where k = 'short4'",
                      "update m set small = 1 where k like 'kkk%5'", "update m set k = 'moved too', u = 'moved too' where k like 'kkk%6'"):
        db.sql(statement)
    wait_mirror(wb, "m")
    wait_file(wb, "m", key=("u",) if identity == "index" else ("k",))
    wb.term()
    got = [r for r in records(wb.out) if r["event_type"] == "UPDATE"]
    sent = [set(r["record"]) for r in got]
    whole = {"k", "u", "small", "big"}
    key = "u" if identity == "index" else "k"
    if identity == "full":
        assert sent == [whole] * 6, "what is marked unchanged is in the old row"
    else:
        assert sent == [whole - {"big"}] * 3 + [whole, {key, "small"}, whole - {"big"}]
    assert got[3]["record"]["big"] is None
    moved = {"index": (1, 5), "default": (2, 5), "full": (2, 5)}[identity]
    assert [i for i, r in enumerate(got) if "before" in r] == list(moved), "the old key is there when it changed"
    assert all(got[i]["before"][key] != got[i]["record"][key] for i in moved)


def test_d22_key_updates(wb, db):
    """Changed, swapped, shifted by one, back and forth in one transaction; the mirror never refuses."""
    db.sql("create table t (id int primary key deferrable initially deferred, v text); alter table t replica identity full")
    db.sql("create table p (a int, b int, v text, primary key (a, b))")
    db.sql("insert into t select g, 'row ' || g from generate_series(1, 50) g; insert into p select g, g % 3, 'p' || g from generate_series(1, 50) g")
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_mirror(wb, "t", "p")
    db.sql("update t set id = id + 1")
    db.sql("update t set id = id - 1")
    db.transaction("update t set id = 1001 where id = 1", "update t set id = 1 where id = 2", "update t set id = 2 where id = 1001")
    db.sql("update t set id = case id when 3 then 4 when 4 then 3 else id end where id in (3, 4)")
    db.sql("update p set b = b + 10, a = a + 1 where a = 50; update p set v = 'x' where a = 51")
    db.sql("update t set id = 51 - id")
    wait_mirror(wb, "t", "p")
    wb.term()
    moved = [r for r in records(wb.out) if r["event_type"] == "UPDATE" and r["table_name"] == "p" and r["record"]["a"] == "51"]
    assert moved[0]["before"]["a"] == "50" and "before" not in moved[1]


def test_d20_d21_full_identity_without_a_key(wb, db):
    db.sql("create table t (a int, b text); alter table t replica identity full; insert into t values (1, null), (2, 'x'), (null, null)")
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_mirror(wb, "t")
    db.sql("update t set b = 'was null' where a = 1")
    db.sql("update t set a = a")
    db.sql("delete from t where a is null")
    db.sql("update t set a = 9 where a = 2")
    wait_mirror(wb, "t")


def test_replica_identity_nothing(wb, db):
    """Updates cannot be published: inserts are, and the application goes on."""
    db.sql("create table t (id int primary key, v text); alter table t replica identity nothing; insert into t values (1, 'x')")
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_mirror(wb, "t")
    db.sql("update t set v = 'y'")
    db.sql("insert into t values (2, 'z')")
    wait_until(lambda: len(records(wb.out)) == 2, 20, "the insert", alive=wb)
    assert "replica identity" in wb.log().lower()


def test_truncate_of_several_tables(wb, db):
    db.sql("create table a (id int primary key); create table b (id int primary key, a int references a); create table c (id int primary key)")
    fill = "insert into a select generate_series(1, 5); insert into b select g, g from generate_series(1, 5) g; insert into c select generate_series(1, 3)"
    db.sql(fill)
    wb.write([wb.file_target(), wb.sqlite_target()]).start()
    wait_mirror(wb, "a", "b", "c")
    db.transaction("insert into a values (6)", "truncate a, c cascade", "insert into a values (7)")
    wait_mirror(wb, "a", "b", "c")
    wait_file(wb, "a", "b", "c")
    wb.term()
    truncates = [r["table_name"] for r in records(wb.out) if r["event_type"] == "TRUNCATE"]
    assert sorted(truncates) == ["a", "b", "c"]
    assert all(r["record"] in (None, {}) for r in records(wb.out) if r["event_type"] == "TRUNCATE")


def test_upserts_and_deletes_of_the_same_key_in_one_transaction(wb, db):
    db.sql("create table t (id int primary key, v text)")
    wb.write([wb.file_target(), wb.sqlite_target()]).start().streaming()
    db.transaction(*[s for n in range(30) for s in ("insert into t values (1, 'a')", f"update t set v = 'b{n}' where id = 1", "delete from t where id = 1")],
                   "insert into t values (1, 'last')")
    wait_mirror(wb, "t")
    wait_file(wb, "t")


def test_unique_values_that_move_between_rows(wb, db):
    """No UNIQUE in the mirror: PostgreSQL checks it at the end of a statement, row events come one by one."""
    db.sql("create table t (id int primary key, email text unique deferrable initially deferred)")
    db.sql("insert into t values (1, 'a'), (2, 'b')")
    wb.write([wb.sqlite_target()]).start()
    wait_mirror(wb, "t")
    db.transaction("update t set email = 'b' where id = 1", "update t set email = 'a' where id = 2")
    wait_mirror(wb, "t")
    indexes = sqlite(wb.mirror).execute("select sql from sqlite_master where type = 'index' and sql is not null").fetchall()
    assert not any("unique" in s.lower() for (s,) in indexes)


def test_d23_a_unique_value_moves_from_a_deleted_row_to_a_new_one(wb, db):
    """In one statement list and one batch: the mirror goes row by row, in order, and its indexes are never UNIQUE."""
    db.sql("create table t (id int primary key, email text unique)")
    db.sql("insert into t values (1, 'a')")
    wb.write([wb.sqlite_target(indexes=["t(email)"])]).start()
    wait_mirror(wb, "t")
    db.transaction(*[s for n in range(1, 60) for s in (f"delete from t where id = {n}", f"insert into t values ({n + 1}, 'a')")])
    wait_mirror(wb, "t")
    assert sqlite(wb.mirror).execute("select * from t").fetchall() == [(60, "a")]


def test_keys_of_many_kinds(wb, db):
    """An integer key is a rowid alias for int2, int4, int8 only; others must not be."""
    kinds = {"k_int2": ("int2", "1"), "k_int8": ("int8", "-9223372036854775808"), "k_num": ("numeric", "10000000000000000000000.10"),
             "k_uuid": ("uuid", "md5(random()::text)::uuid"), "k_text": ("text", "'Ä'"), "k_ts": ("timestamptz", "now()"), "k_bool": ("bool", "true"),
             "k_bytea": ("bytea", "'\\x00ff'"), "k_oid": ("oid", "4294967295"), "k_float": ("float8", "0.1"), "k_date": ("date", "'2024-01-01'"),
             "k_inet": ("inet", "'10.0.0.1'")}
    for t, (kind, value) in kinds.items():
        db.sql(f"create table {t} (k {kind} primary key, v int); insert into {t} values ({value}, 1)")
    wb.write([wb.sqlite_target()]).start()
    wait_mirror(wb, *kinds)
    for t in kinds:
        db.sql(f"update {t} set v = 2")
    wait_mirror(wb, *kinds)
    for t in kinds:
        db.sql(f"delete from {t}")
    wait_mirror(wb, *kinds)
    assert same_mirror(db, wb.mirror, *kinds)
