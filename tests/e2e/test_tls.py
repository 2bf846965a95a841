"""TLS against a private CA, and SCRAM logins."""
import subprocess

import pytest

from compare import same_mirror
from servers import Database


@pytest.fixture
def secure(own_server):
    server = own_server("--tls")
    with server.connect("postgres") as c:
        c.execute("create role locked login superuser replication password 'open-sesame' in role scram_users, tls_users")
    db = Database(server)
    db.sql("create table t (id int primary key); insert into t values (1)")
    return db


def test_verify_full_and_scram(make_wb, secure):  # proves G-12
    db = secure
    ca = f"{db.server.dir}/ca.crt"
    wb = make_wb(db)
    url = db.url(host="localhost", user="locked", password="open-sesame", sslmode="verify-full", sslrootcert=ca)
    wb.write([wb.sqlite_target()], source={"url": url})
    wb.check(code=0)
    wb.start().streaming()
    tls = db.sql("select distinct s.ssl from pg_stat_replication r join pg_stat_ssl s using (pid)")
    assert tls == [(True,)]
    wb.term()
    assert same_mirror(db, wb.mirror, "t")
    assert "open-sesame" not in wb.log()


@pytest.mark.parametrize("what", ["no TLS", "unknown CA", "wrong host name", "wrong password"])
def test_what_must_be_refused(make_wb, secure, what):
    db = secure
    params = {"sslmode": "verify-full", "sslrootcert": f"{db.server.dir}/ca.crt"}
    host, password = "localhost", "open-sesame"
    if what == "no TLS":
        params = {"sslmode": "disable"}
    elif what == "unknown CA":
        other = db.server.dir / "other.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                        "/CN=other", "-keyout", db.server.dir / "other.key", "-out", other], check=True, capture_output=True)
        params["sslrootcert"] = str(other)
    elif what == "wrong host name":
        host = "localhost.localdomain"
        params["hostaddr"] = "127.0.0.1"
    else:
        password = "wrong-sesame"
    wb = make_wb(db).write([{"type": "file", "path": "out.jsonl"}],
                           source={"url": db.url(host=host, user="locked", password=password, **params)})
    found = wb.check(code=1)
    assert "sesame" not in found.stdout + found.stderr
    wb.run(code=3, timeout=20)
    assert "sesame" not in wb.last_log()
