"""Real PostgreSQL servers and fresh databases for the tests; started by tests/servers/postgres."""
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "servers" / "postgres"
sys.path.insert(0, str(ROOT / "tests" / "servers"))

# In every URL that our program gets, whether the server asks for it or not: the teardown looks for it in all output.
PASSWORD = "hunter2-sesame"

# What tests/servers/postgres is told for each; pg15 is the distribution's, whatever its number.
KINDS = {"pg15": [], "pg18": ["--pg18"]} | {f"pg{v}": ["--version", str(v)] for v in (12, 13, 14, 16, 17)}


def pg_kinds(*default):
    """Which servers the environment asks for; else these."""
    said = os.environ.get("WB_PG")
    if not said:
        return list(default)
    return ["pg15", "pg18"] if said == "both" else ["pg" + version for version in said.split(",")]


def open_folder(prefix):
    """A folder that the user postgres can pass through, unlike pytest's own."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=os.environ.get("WB_TEST_TMP")))
    path.chmod(0o755)
    return path


class Server:
    def __init__(self, *options):
        self.dir = open_folder("wb-pg-")
        self.options = list(options)
        self.port = None
        self.start()
        with self.connect("postgres") as c:
            self.version = c.info.server_version // 10000
            c.execute("create role scram_users")
            c.execute("create role tls_users")
            c.execute(f"create role walbrook login superuser replication password '{PASSWORD}'")

    def start(self, *settings):
        out = subprocess.run([SCRIPT, "start", self.dir, str(self.port or 0), *self.options, *settings],
                             capture_output=True, text=True, timeout=180)
        if out.returncode:
            raise RuntimeError(f"no server: {out.stderr}")
        self.port = int(out.stdout)

    def stop(self, mode="fast"):
        subprocess.run([SCRIPT, "stop", self.dir, mode], check=True, timeout=90)

    def restart(self, mode="immediate", *settings):
        self.stop(mode)
        self.start(*settings)

    def connect(self, dbname, **more):
        c = psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname=dbname, autocommit=True,
                            options="-c TimeZone=UTC", **more)
        return c

    def remove(self):
        self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)


class Standby(Server):
    """A physical copy that follows a running server; 17 and newer: its logical slots too."""

    def __init__(self, primary, *settings):
        self.dir = open_folder("wb-pg-")
        self.options = list(settings)
        self.version = primary.version
        out = subprocess.run([SCRIPT, "standby", self.dir, "0", primary.dir, *settings], capture_output=True, text=True, timeout=180)
        if out.returncode:
            raise RuntimeError(f"no standby: {out.stderr}")
        self.port = int(out.stdout)

    def promote(self):
        subprocess.run([SCRIPT, "promote", self.dir], check=True, timeout=90)


class Database:
    """One database of its own for one test, with a connection in autocommit that the test may use at will."""
    _number = itertools.count(1)

    def __init__(self, server):
        self.server = server
        self.name = f"t{os.getpid()}_{next(self._number)}"
        with server.connect("postgres") as c:
            c.execute(f"create database {self.name}")
        self._conn = None

    @property
    def conn(self):
        if self._conn is None or self._conn.closed or self._conn.broken:
            self._conn = self.server.connect(self.name)
        return self._conn

    def connect(self):
        return self.server.connect(self.name)

    def moved_to(self, server):
        """The same database on the server that took over."""
        self.server, self._conn = server, None

    def sql(self, text, *args):
        """Run one or many statements; the rows of a single query."""
        try:
            cur = self.conn.execute(text, args or None)
        except psycopg.OperationalError:
            if not self._conn.closed and not self._conn.broken:
                raise
            cur = self.conn.execute(text, args or None)  # the server was restarted by the test
        return cur.fetchall() if cur.description else []

    def one(self, text, *args):
        rows = self.sql(text, *args)
        return rows[0][0] if rows else None

    def transaction(self, *statements):
        with self.connect() as c:
            c.autocommit = False
            for s in statements:
                c.execute(s)
            c.commit()

    def decode_in_little_memory(self):
        """The server streams everything larger than 64 kB, or writes it to its disk. 12 has no such setting, and never streams."""
        if self.server.version > 12:
            self.sql(f"alter role walbrook in database {self.name} set logical_decoding_work_mem = '64kB'")

    def url(self, host="127.0.0.1", port=None, user="walbrook", password=PASSWORD, **params):
        query = "&".join(f"{k}={v}" for k, v in params.items())
        return f"postgres://{user}:{password}@{host}:{port or self.server.port}/{self.name}" + (f"?{query}" if query else "")

    def source(self):
        """What a pipeline file says of it."""
        return {"type": "postgres", "url": self.url(), "tables": ["public.*"]}

    def slots(self):
        return [r[0] for r in self.sql("select slot_name from pg_replication_slots where database = current_database() order by 1")]

    def slot_active(self):
        """Somebody streams from a slot of ours, and is not just making it."""
        return bool(self.one("select bool_or(r.state = 'streaming' or r.state = 'catchup') from pg_replication_slots s "
                             "join pg_stat_replication r on r.pid = s.active_pid where s.database = current_database()"))

    def publications(self):
        return [r[0] for r in self.sql("select pubname from pg_publication order by 1")]

    def confirmed(self):
        return self.one("select confirmed_flush_lsn from pg_replication_slots where database = current_database() order by 1 limit 1")

    def remove(self):
        try:
            if self._conn:
                self._conn.close()
            with self.server.connect("postgres") as c:
                c.execute("select pg_terminate_backend(active_pid) from pg_replication_slots "
                          "where database = %s and active", (self.name,))
                for (slot,) in c.execute("select slot_name from pg_replication_slots where database = %s", (self.name,)).fetchall():
                    for attempt in range(50):
                        try:
                            c.execute("select pg_drop_replication_slot(%s)", (slot,))
                            break
                        except psycopg.errors.ObjectInUse:
                            c.execute("select pg_sleep(0.1)")
                        except psycopg.errors.UndefinedObject:
                            break
                # WITH (FORCE) came with 13
                c.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (self.name,))
                c.execute(f"drop database if exists {self.name}" + (" with (force)" if self.server.version > 12 else ""))
        except psycopg.OperationalError:
            pass  # the test took the server down
