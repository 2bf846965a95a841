"""Real MySQL and MariaDB servers and fresh databases for the tests; started by tests/servers/mysql and mariadb."""
import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pymysql
from pymysql.constants import CLIENT

from servers import PASSWORD, ROOT, open_folder

# my97: MySQL of Debian unstable; m10: the distribution's MariaDB; m118: MariaDB of Debian unstable.
KINDS = {"my97": ("mysql", []), "m10": ("mariadb", []), "m118": ("mariadb", ["--newest"])}
# A zone of its own: whoever takes the server's zone for UTC is caught.
COMMON = ["--binlog-row-metadata=FULL", "--max-allowed-packet=256M", "--default-time-zone=+05:30", "--tls"]
GTID = ["--gtid-mode=ON", "--enforce-gtid-consistency=ON"]
RIGHTS = "select, reload, lock tables, replication slave, replication client"


class MyServer:
    """MyServer("m10", "--option=value", ...); options come after the common ones. WITHOUT_GTID: MySQL with file positions."""
    WITHOUT_GTID = "--gtid-mode=OFF"

    def __init__(self, kind, *options):
        self.kind = kind
        self.mysql = kind.startswith("my")
        self.mariadb = not self.mysql
        script, first = KINDS[kind]
        self.script = ROOT / "tests" / "servers" / script
        gtid = GTID if self.mysql and self.WITHOUT_GTID not in options else []
        self.options = [*first, *COMMON, *gtid, *options]
        self.dir = open_folder(f"wb-{kind}-")
        self.port = None
        self.start()
        with self.connect() as c, c.cursor() as cur:
            cur.execute("select version()")
            self.version = cur.fetchone()[0]
            cur.execute(f"create user if not exists walbrook identified by '{PASSWORD}'")
            cur.execute(f"grant {RIGHTS}{', backup_admin' if self.mysql else ''} on *.* to walbrook")

    def start(self, *options):
        out = subprocess.run([self.script, "start", self.dir, str(self.port or 0), *self.options, *options],
                             capture_output=True, text=True, timeout=240)
        if out.returncode:
            raise RuntimeError(f"no server: {out.stderr}")
        self.port = int(out.stdout)

    def stop(self, mode="fast"):
        subprocess.run([self.script, "stop", self.dir, mode], check=True, timeout=120)

    def restart(self, mode="immediate", *options):
        self.stop(mode)
        self.start(*options)

    def connect(self, dbname=None, user="root", password="", **more):
        """A connection in autocommit, in UTC. conv={}: values as the text protocol writes them."""
        return pymysql.connect(**{"host": "127.0.0.1", "port": self.port, "user": user, "password": password, "database": dbname,
                                  "charset": "utf8mb4", "autocommit": True, "client_flag": CLIENT.MULTI_STATEMENTS,
                                  "init_command": "set time_zone = '+00:00'", "max_allowed_packet": 1 << 28, **more})

    def sql(self, text):
        with self.connect() as c:
            return run(c, text)

    def programs(self):
        """The folder of mysqlbinlog or mariadb-binlog."""
        verb = "getnewest" if self.kind == "m118" else "get"
        return Path(subprocess.run([self.script, verb], check=True, capture_output=True, text=True).stdout.strip())

    @property
    def data(self):
        return self.dir / "data"

    @property
    def ca(self):
        return self.dir / "ca.crt"

    def logs(self):
        """Names of the binlog files, oldest first."""
        return [r[0] for r in self.sql("show binary logs")]

    def log_position(self):
        """(file, offset) where the binlog ends."""
        row = self.sql("show binary log status" if self.mysql else "show master status")[0]
        return row[0], int(row[1])

    def gtid(self):
        """The server's GTID set."""
        return self.sql("select @@gtid_executed" if self.mysql else "select @@gtid_binlog_pos")[0][0].replace("\n", "")

    def sessions(self, user="%", command="%"):
        """Connections of a user that do something. MySQL's information_schema.processlist fails while anybody runs a statement with
        characters of four bytes."""
        columns = "processlist_id, processlist_user, processlist_command, performance_schema.threads" if self.mysql else \
            "id, user, command, information_schema.processlist"
        number, who, what, table = columns.split(", ")
        return [r[0] for r in self.sql(f"select {number} from {table} where {who} like '{user}' and {what} like '{command}'")]

    def dumps(self):
        """Connections that read the binlog now."""
        return self.sessions(command="Binlog Dump%")

    def remove(self):
        self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)


def run(conn, text, args=None):
    """One statement or many; the rows of the last that gave any."""
    with conn.cursor() as cur:
        cur.execute(text, args or None)
        rows = cur.fetchall() if cur.description else ()
        while cur.nextset():
            rows = cur.fetchall() if cur.description else rows
        return list(rows)


class MyDatabase:
    """One database of its own for one test, with a connection in autocommit that the test may use at will."""
    _number = itertools.count(1)

    def __init__(self, server):
        self.server = server
        self.mysql, self.mariadb, self.kind = server.mysql, server.mariadb, server.kind
        # not a name that a database of PostgreSQL has: brokers keep topics and positions by it
        self.name = f"m{os.getpid()}_{next(self._number)}"
        server.sql(f"create database {self.name} character set utf8mb4")
        self._conn = None

    @property
    def conn(self):
        if self._conn is None or not self._conn.open:
            self._conn = self.server.connect(self.name)
        return self._conn

    def connect(self, **more):
        return self.server.connect(self.name, **more)

    def sql(self, text, *args):
        """Run one or many statements; the rows of the last query."""
        try:
            return run(self.conn, text, args)
        except (pymysql.OperationalError, pymysql.InterfaceError) as e:
            if e.args and e.args[0] not in (0, 2006, 2013):
                raise
            self._conn = None  # the server was restarted by the test
            return run(self.conn, text, args)

    def one(self, text, *args):
        rows = self.sql(text, *args)
        return rows[0][0] if rows else None

    def text(self, query):
        """Rows as the text protocol writes them: str, bytes for binary columns, None."""
        with self.connect(conv={}) as c:
            return run(c, query)

    def transaction(self, *statements):
        with self.connect() as c:
            c.begin()
            for s in statements:
                run(c, s)
            c.commit()

    def url(self, host="127.0.0.1", port=None, user="walbrook", password=PASSWORD, **params):
        query = "&".join(f"{k}={v}" for k, v in params.items())
        return f"mysql://{user}:{password}@{host}:{port or self.server.port}/{self.name}" + (f"?{query}" if query else "")

    def source(self):
        """What a pipeline file says of it."""
        return {"type": "mysql", "url": self.url(), "tables": [f"{self.name}.*"]}

    def slot_active(self):
        """Somebody reads the server's binlog."""
        return bool(self.server.dumps())

    def remove(self):
        try:
            if self._conn:
                self._conn.close()
            for dump in self.server.dumps():  # those whose reader is gone go by themselves only with the next heartbeat
                try:
                    self.server.sql(f"kill {dump}")
                except pymysql.Error:
                    pass
            for schema in (self.name, *self.more_schemas()):
                self.server.sql(f"drop database if exists `{schema}`")
        except pymysql.OperationalError:
            pass  # the test took the server down

    def more_schemas(self):
        """Databases that a test made beside its own: those whose names begin with its name."""
        return [r[0] for r in self.server.sql("select schema_name from information_schema.schemata "
                                              f"where left(schema_name, {len(self.name) + 1}) = '{self.name}_'")]
