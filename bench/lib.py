"""What the scripts of bench/ share: a private server, runs of a program with its CPU and memory, medians, one line a figure.

Settings from the environment: RUNS (5), ROWS (2000000), BUILD (folder of the build, default build: a release one, see
meson.build), FOLDER (where data goes, default a temporary folder; not a tmpfs, or syncs cost nothing).
"""
import json
import os
import re
import select
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True
try:
    import psycopg
except ImportError:
    if sys.executable != "/usr/bin/python3":
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
    sys.exit("bench: needs psycopg 3: apt-get install python3-psycopg")

RUNS = int(os.environ.get("RUNS", "5"))
ROWS = int(os.environ.get("ROWS", "2000000"))
BUILD = Path(os.environ.get("BUILD", ROOT / "build")).resolve()
WALBROOK = BUILD / "walbrook"
TABLE = """create table bench (id bigint primary key, n int, txt text, amount numeric(12,2), at timestamptz, ok bool);
create publication bench for table bench;"""
ROW = "g, g % 1000, md5(g::text), (g % 100000) / 100.0, timestamptz '2026-01-01' + g * interval '1 second', g % 2 = 0"


class Bench:
    """with Bench() as b: … A folder and a server of its own, removed at the end."""

    def __init__(self, *settings, folder=None):
        self.dir = Path(tempfile.mkdtemp(prefix="wb-bench-", dir=folder or os.environ.get("FOLDER")))
        self.dir.chmod(0o755)
        self.script = ROOT / "tests/servers/postgres"
        self.bin = Path(subprocess.run([self.script, "get"], check=True, capture_output=True, text=True).stdout.strip())
        out = subprocess.run([self.script, "start", self.dir / "pg", "0", "shared_buffers=512MB", "max_wal_size=16GB",
                              "wal_buffers=16MB", "checkpoint_timeout=1h", "autovacuum=off", *settings],
                             check=True, capture_output=True, text=True)
        self.port = int(out.stdout)
        self.conn = self.connect()

    def connect(self, **more):
        return psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", autocommit=True, **more)

    def sql(self, text):
        cur = self.conn.execute(text)
        return cur.fetchall() if cur.description else []

    def one(self, text):
        return self.sql(text)[0][0]

    def cpu(self):
        """CPU seconds of the server's processes that have ended."""
        pid = int((self.dir / "pg/data/postmaster.pid").read_text().split()[0])
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    def served(self, command):
        """run, and what its connections cost the server."""
        before = self.cpu()
        ran = run(command)
        time.sleep(0.3)  # they end after their clients
        ran.server = self.cpu() - before
        return ran

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()
        subprocess.run([self.script, "stop", self.dir / "pg", "immediate"], check=False)
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    # ------------------------------------------------------------ load
    def slot(self, name):
        self.sql(f"select pg_create_logical_replication_slot('{name}', 'pgoutput')")

    def copy_slot(self, name, new):
        self.sql(f"select pg_copy_logical_replication_slot('{name}', '{new}')")
        return new

    def drop_slot(self, name):
        for _ in range(100):
            try:
                self.sql(f"select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{name}'")
                return
            except psycopg.errors.ObjectInUse:
                time.sleep(0.1)

    def fill(self, rows, per_transaction):
        self.sql(f"""do $$ begin for i in 0 .. {rows // per_transaction - 1} loop
            insert into bench select {ROW} from generate_series(i * {per_transaction}::bigint + 1, (i + 1) * {per_transaction}::bigint) g;
            commit; end loop; end $$""")
        return self.one("select pg_current_wal_flush_lsn()")

    # ------------------------------------------------------------ programs
    def pipeline(self, name, targets, clean=True, source=None, **top):
        """A folder with a pipeline file; its path."""
        folder = self.dir / name
        if clean:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        file = folder / f"{name}.yaml"
        file.write_text(json.dumps({"name": name, **top, "targets": targets, "source": {
            "type": "postgres", "url": f"postgres://postgres@127.0.0.1:{self.port}/postgres", "tables": ["public.bench"], **(source or {})}}))
        return file

    def existing(self, slot, **more):
        """Source options: the stream of a slot that is there, from where it stands."""
        return {"snapshot": "never", "slot": slot, "publication": "bench", **more}

    def recvlogical(self, slot, end, *options):
        opts = [w for o in ("publication_names=bench", *options) for w in ("-o", o)]
        return self.served([self.bin / "pg_recvlogical", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", "postgres", "-S", slot,
                    "--start", *opts, f"--endpos={end}", "-f", "/dev/null", "--no-loop"])


class Ran:
    def __init__(self, wall, usage, rss):
        self.wall, self.cpu, self.rss = wall, usage.ru_utime + usage.ru_stime, rss

    @property
    def share(self):
        return self.cpu / self.wall


def run(command, env=None, **more):
    """To its end: wall seconds, CPU seconds, RSS high-water in MB."""
    os.sync()  # what was written, or deleted, before is not to be paid for now
    began = time.monotonic()
    with tempfile.TemporaryFile() as err:
        p = subprocess.Popen([str(w) for w in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
                             env={**os.environ, **(env or {})}, **more)
        rss, done = 0, 0
        end = os.pidfd_open(p.pid)
        while not done:  # ru_maxrss would count ours, from before the exec
            rss = high_water(p.pid) or rss
            over = select.select([end], [], [], 0.03)[0]
            done, status, usage = os.wait4(p.pid, 0 if over else os.WNOHANG)
        os.close(end)
        p.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        if p.returncode:
            err.seek(0)
            sys.exit(f"bench: {' '.join(str(w) for w in command)} ended with {p.returncode}:\n{err.read().decode()[-3000:]}")
    return Ran(wall, usage, rss)


def high_water(pid):
    """VmHWM in MB; None: it has ended."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) / 1024 if found else None


def synclog(folder):
    """A library to preload, which notes every sync of ours, see preload/synclog.c."""
    shim = folder / "synclog.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", shim, ROOT / "bench/preload/synclog.c"], check=True)
    return shim


def syncs(path):
    """(begin ns, end ns, inode, size) of each."""
    with open(path, "rb") as f:
        while True:
            r = struct.unpack("4q", f.read(32))
            if not r[0]:
                return
            yield r


def median(values):
    return statistics.median(values)


def spread(values, digits=2):
    """Median and all runs: '9.8 (9.1 9.8 12.4)'."""
    return f"{median(values):.{digits}f} ({' '.join(f'{v:.{digits}f}' for v in sorted(values))})"


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]


HEAD = "| work | ours | peer or ceiling | ratio | goal | ours, beside |\n|---|---|---|---|---|---|"


def report(work, ours, peer, ratio, goal, beside=""):
    """One line of the table; bench/run collects the lines that begin with a bar."""
    print(f"| {work} | {ours} | {peer} | {ratio} | {goal} | {beside} |", flush=True)


def lines(path):
    with open(path, "rb") as f:
        return sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))


def need(*programs):
    for p in programs:
        if not Path(p).exists():
            sys.exit(f"bench: {p} is missing: build it (ninja -C {BUILD}), or set BUILD")
