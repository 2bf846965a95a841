"""What the MySQL source refuses, with a sentence: logins, TLS, rights, settings, clashing numbers; and the logins that it can."""
import pytest

from my_compare import same, wait_same
from my_servers import MyDatabase
from program import wait_until

TABLE = "create table t (id int primary key, v varchar(60))"


@pytest.fixture
def made(my, my_wb):
    my.sql(TABLE)
    my.sql("insert into t values (1, 'a')")
    return my_wb


def refused(wb, *words, code=(2, 3), **source):
    wb.write([wb.sqlite_target()], source=source)
    wb.run("--until", "now", code=code)
    for word in words:
        assert word in wb.last_log(), wb.last_log()
    return wb.last_log()


def test_wrong_password_and_unknown_host(made, my):  # proves G-10 G-12
    refused(made, "Access denied", "MYSQL_PWD", url=my.url(password="not-the-one"))
    assert "not-the-one" not in made.log()
    refused(made, "Cannot connect", "port 1", url=my.url(port=1))
    refused(made, "ssl-mode", url=my.url() + "?ssl-moed=required")


def test_password_from_the_environment(made, my):
    made.write([made.sqlite_target()], source={"url": f"mysql://walbrook@127.0.0.1:{my.server.port}/{my.name}"})
    made.run("--until", "now", env={"MYSQL_PWD": __import__("servers").PASSWORD})
    assert same(my, made, "t")


def test_no_rights_and_the_grant_that_mends_it(made, my):
    my.sql("drop user if exists poor; create user poor identified by 'poor-sesame'")
    my.sql(f"grant select on {my.name}.* to poor")
    url = my.url(user="poor", password="poor-sesame")
    made.write([made.sqlite_target()], source={"url": url})
    out = made.check(code=1).stdout
    assert "REPLICATION SLAVE" in out and "TO 'poor'@'%';" in out
    refused(made, "walbrook check", url=url)
    for line in out.splitlines():
        if line.strip().startswith("GRANT"):
            my.sql(line.strip())
    made.check(code=0)
    made.until_now()
    assert same(my, made, "t")
    my.sql("drop user poor")


PLUGINS = {"my97": ["caching_sha2_password"], "m10": ["mysql_native_password", "ed25519"],
           "m118": ["mysql_native_password", "ed25519"]}


def test_authentication_plugins(made, my):
    for plugin in PLUGINS[my.kind]:
        if plugin == "ed25519":
            if not any(r[0] == "ed25519" for r in my.sql("show plugins")):
                try:
                    my.sql("install soname 'auth_ed25519'")
                except Exception as e:  # noqa: BLE001: not installed beside this server
                    print("left out:", e)
                    continue
        how = f"with {plugin} by" if my.mysql else f"via {plugin} using password"
        secret = "'plugin-sesame'" if my.mysql else "('plugin-sesame')"
        my.sql(f"drop user if exists someone; create user someone identified {how} {secret}")
        my.sql("grant select, reload, replication slave, replication client on *.* to someone")
        for mode in ("required", "disabled"):
            if my.mysql:
                my.sql("flush privileges")  # empties the cache of caching_sha2_password: the long way each time
            url = my.url(user="someone", password="plugin-sesame") + f"?ssl-mode={mode}"
            made.write([made.sqlite_target()], source={"url": url}).until_now()
        my.sql("insert into t values (2, 'b')")
        made.until_now()
        assert same(my, made, "t")
        my.sql("delete from t where id = 2; drop user someone")


@pytest.mark.servers("my97", "m118")
def test_tls(made, my):
    ca = str(my.server.ca)
    good = my.url(host="localhost") + f"?ssl-mode=verify-full&ssl-ca={ca}"
    made.write([made.sqlite_target()], source={"url": good})
    assert "encrypted with" in made.check(code=0).stdout
    made.start()
    wait_until(my.slot_active, 30, "a dump", alive=made)
    my.sql("insert into t values (2, 'b')")
    wait_same(my, made, "t")
    made.term()
    refused(made, "certificate", url=my.url(host="localhost") + "?ssl-mode=verify-full")  # the system's authorities
    refused(made, "ssl-mode", url=my.url(host="127.1") + f"?ssl-mode=verify-full&ssl-ca={ca}")
    made.write([made.sqlite_target()], source={"url": my.url(host="127.1") + f"?ssl-mode=verify-ca&ssl-ca={ca}"}).until_now()
    refused(made, "cannot be read", url=my.url() + "?ssl-mode=required&ssl-ca=/no/such/file")


@pytest.mark.servers("my97", "m10")
def test_settings(own_my_server, make_wb, my_server):
    server = own_my_server(my_server.kind, "--binlog-format=STATEMENT")
    my = MyDatabase(server)
    my.sql(TABLE)
    wb = make_wb(my)
    refused(wb, "binlog_format is STATEMENT", "SET GLOBAL binlog_format")
    assert "SET GLOBAL binlog_format = 'ROW'" in wb.check(code=1).stdout
    server.restart("fast", "--skip-log-bin")
    refused(wb, "log_bin")
    assert "log_bin" in wb.check(code=1).stdout
    my.sql("insert into t values (7, 'still')")
    wb.write([wb.sqlite_target()], source={"snapshot": "only"}).run()
    assert same(my, wb, "t")


def test_server_id(made, my):
    server_id = my.one("select @@server_id")
    refused(made, "server_id", "itself", server_id=server_id)
    made.write([made.sqlite_target()], source={"server_id": 77001}).start()
    wait_until(my.slot_active, 30, "a dump", alive=made)
    other = made.__class__(made.dir / "other", my, "other")
    other.dir.mkdir()
    other.write([other.sqlite_target()], source={"server_id": 77001})
    if my.mysql:
        other.run("--until", "now", code=(2, 3))
        assert "77001" in other.last_log() and "another replica" in other.last_log()
        made.term()
        return
    other.start()  # MariaDB lists its replicas only for REPLICATION MASTER ADMIN: the older one is thrown out and says why
    made.wait_exit((2, 3), 30)
    assert "77001" in made.last_log() and "Something else connected" in made.last_log()
    other.term()


@pytest.mark.servers("my97", "m118")
def test_statement_format_on_a_captured_table_stops(made, my):  # D54
    made.write([made.sqlite_target()], source={"snapshot": "never"}).start()
    wait_until(my.slot_active, 30, "a dump", alive=made)
    with my.connect() as c, c.cursor() as cur:
        cur.execute("set session binlog_format = 'STATEMENT'")
        cur.execute("insert into t values (9, 'by statement')")
    made.wait_exit(3, 30)
    assert "by statement" in made.last_log() or "INSERT" in made.last_log()
    assert "binlog_format" in made.last_log()
