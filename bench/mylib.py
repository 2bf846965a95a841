"""What the benchmarks of source mysql share: a private server with a filled table in its log. See lib.py."""
from lib import *

try:
    import pymysql
except ImportError:
    sys.exit("bench: needs PyMySQL: apt-get install python3-pymysql")

MY_TABLE = "create table bench (id bigint primary key, n int, txt varchar(40), amount decimal(12,2), at datetime(3), ok bool) engine=innodb"
MY_ROW = "{0} + n, ({0} + n) % 1000, lpad(hex(({0} + n) * 2654435761), 32, 'a'), (({0} + n) % 100000) / 100.0, " \
         "timestamp '2026-01-01 00:00:00.000' + interval ({0} + n) second, ({0} + n) % 2"
KINDS = {"MySQL": ("mysql", [], "mysqlbinlog"), "MariaDB": ("mariadb", [], "mariadb-binlog")}


class MyBench:
    """with MyBench("MySQL") as b: … A server of its own, removed at the end. b.log: the file that holds the rows."""

    def __init__(self, name, *options):
        script, first, tool = KINDS[name]
        self.name, self.mysql = name, name == "MySQL"
        self.dir = Path(tempfile.mkdtemp(prefix="wb-bench-", dir=os.environ.get("FOLDER")))
        self.dir.chmod(0o755)
        self.script = ROOT / "tests/servers" / script
        gtid = ["--gtid-mode=ON", "--enforce-gtid-consistency=ON"] if self.mysql else []
        out = subprocess.run([self.script, "start", self.dir / "my", "0", *first, "--binlog-row-metadata=FULL", "--max-binlog-size=1G",
                              "--innodb-buffer-pool-size=512M", *gtid, *options], check=True, capture_output=True, text=True)
        self.port = int(out.stdout)
        self.tool = Path(subprocess.run([self.script, "get"], check=True, capture_output=True, text=True).stdout.strip()) / tool
        self.conn = pymysql.connect(host="127.0.0.1", port=self.port, user="root", autocommit=True)
        self.sql("create database bench")
        self.sql("use bench")
        self.sql(MY_TABLE)

    def sql(self, text):
        with self.conn.cursor() as c:
            c.execute(text)
            return c.fetchall()

    def fill(self, rows, per_transaction):
        """In a log file of its own: b.log."""
        self.sql("set cte_max_recursion_depth = 100000000" if self.mysql else "set max_recursive_iterations = 100000000")
        self.sql("create table digits as with recursive c (n) as (select 0 union all select n + 1 from c where n + 1 < 1000) select n from c")
        self.sql("flush binary logs")
        self.log = self.dir / "my/data" / self.sql("show binary logs")[-1][0]
        for begin in range(0, rows, per_transaction):
            self.conn.begin()
            for at in range(begin, begin + per_transaction, 1000):
                self.sql(f"insert into bench select {MY_ROW.format(at)} from digits")
            self.conn.commit()
        self.sql("flush binary logs")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()
        subprocess.run([self.script, "stop", self.dir / "my", "immediate"], check=False)
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
