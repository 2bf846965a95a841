"""Fixtures. `db` is a fresh database on the distribution's PostgreSQL (@both: and on 18), `wb` a pipeline over it.
`kafka` is a broker that all tests share.
`my` is a fresh database on each of the three servers of my_servers.KINDS (@servers("m10"): on those), `my_wb` a pipeline over it.

A server that cannot be had is a skip with its reason, and a failure when CI=true. Environment: WB_BUILD and
WB_BUILD_FAULT (folders of the builds), WB_SLOW (patience, for sanitizer builds), WB_PG (15, 18, both, or numbers
with commas from 12 on: for all tests), WB_MY (kinds of
MySQL and MariaDB with commas: those at the most).
"""
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from kafka_server import Kafka, shared, stop_shared  # noqa: E402
from my_servers import KINDS, MyDatabase, MyServer  # noqa: E402
from program import Walbrook, program  # noqa: E402
from servers import KINDS as PG_KINDS, Database, Server, Standby, open_folder, pg_kinds  # noqa: E402


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # the run's own folder, for what its processes share
        os.environ["WB_SHARED"] = tempfile.mkdtemp(prefix="wb-shared-", dir=os.environ.get("WB_TEST_TMP"))
    config.addinivalue_line("markers", "both: run on the installed PostgreSQL and on 18")
    config.addinivalue_line("markers", "older: in the share that runs on PostgreSQL 12, 13, 14, 16 and 17 too")
    config.addinivalue_line("markers", "xdist_group(name): xdist's own; tests on one server stay in one process")
    config.addinivalue_line("markers", "servers(kind, ...): run on these MySQL and MariaDB servers instead of all three")
    config.addinivalue_line("markers", "slow: left out of ./test --quick")
    config.addinivalue_line("markers", "sanitize: in the share that runs with the sanitizer builds too")
    config.addinivalue_line("markers", "asan: the same, of ASan's alone: ThreadSanitizer crashes in threads of librdkafka, made by thrd_create")


def pytest_generate_tests(metafunc):
    if "pg" in metafunc.fixturenames:
        if any("pg" in m.args[0] for m in metafunc.definition.iter_markers("parametrize")):
            return  # the test says itself which
        both = metafunc.definition.get_closest_marker("both")
        versions = pg_kinds("pg15", *(["pg18"] if both else []))
        metafunc.parametrize("pg", versions, indirect=True, scope="session")
    if "my_server" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("servers")
        allowed = os.environ.get("WB_MY", ",".join(KINDS)).split(",")
        kinds = [k for k in (only.args if only else KINDS) if k in allowed]
        metafunc.parametrize("my_server", kinds, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items):
    """With --dist loadgroup each version's server is started by one worker alone."""
    for item in items:
        if hasattr(item, "callspec") and "pg" in item.callspec.params:
            item.add_marker(pytest.mark.xdist_group(str(item.callspec.params["pg"])))


def missing(reason):
    """Not to be had here: counted as skipped, but never silently in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def needs(server, version, what):
    """For what an older server does not have at all; what our program refuses there is a test of its own."""
    if server.version < version:
        pytest.skip(f"PostgreSQL {server.version} has no {what}: {version} brought it")


_servers = {}


def server(kind):
    if kind not in _servers:
        try:
            _servers[kind] = MyServer(kind) if kind in KINDS else Server(*PG_KINDS[kind])
        except (RuntimeError, subprocess.TimeoutExpired) as e:
            _servers[kind] = str(e)
    if isinstance(_servers[kind], str):
        missing(_servers[kind])
    return _servers[kind]


def pytest_sessionfinish(session):
    for s in _servers.values():
        if not isinstance(s, str):
            s.remove()
    if not hasattr(session.config, "workerinput"):
        stop_shared()
        shutil.rmtree(os.environ["WB_SHARED"], ignore_errors=True)


@pytest.fixture(scope="session")
def pg(request):
    return server(request.param)


@pytest.fixture
def db(pg):
    d = Database(pg)
    yield d
    d.remove()


@pytest.fixture(scope="session")
def my_server(request):
    return server(request.param)


@pytest.fixture
def my(my_server):
    d = MyDatabase(my_server)
    yield d
    d.remove()


@pytest.fixture(params=["FULL", "without names"])
def metadata(request, my):
    """The server's binlog_row_metadata for this test."""
    before = my.one("select @@global.binlog_row_metadata")
    want = "FULL" if request.param == "FULL" else "MINIMAL" if my.mysql else "NO_LOG"
    my.sql(f"set global binlog_row_metadata = '{want}'")
    yield request.param
    my.sql(f"set global binlog_row_metadata = '{before}'")


def _sources():
    """Servers of every source, as the environment allows."""
    return pg_kinds("pg15", "pg18") + [k for k in KINDS if k in os.environ.get("WB_MY", ",".join(KINDS)).split(",")]


@pytest.fixture(params=_sources())
def any_db(request):
    """A fresh database on each server of each source."""
    d = (MyDatabase if request.param in KINDS else Database)(server(request.param))
    yield d
    d.remove()


@pytest.fixture
def any_wb(any_db, make_wb):
    return make_wb(any_db)


@pytest.fixture
def my_wb(my, make_wb):
    return make_wb(my)


@pytest.fixture
def own_my_server():
    """A factory of servers that a test may break: own_my_server("my97", "--binlog-format=STATEMENT")."""
    made = []

    def make(kind, *options):
        try:
            made.append(MyServer(kind, *options))
        except RuntimeError as e:
            missing(str(e))
        return made[-1]
    yield make
    for s in made:
        s.remove()


@pytest.fixture(scope="session")
def kafka():
    """One broker for the whole run: name topics after the database."""
    try:
        return shared()
    except (RuntimeError, subprocess.TimeoutExpired) as e:
        missing(str(e))


@pytest.fixture
def own_kafka():
    """A factory of brokers that a test may break: own_kafka("num.partitions=3")."""
    made = []

    def make(*options, where=None):
        try:
            made.append(Kafka(*options, where=where))
        except (RuntimeError, subprocess.TimeoutExpired) as e:
            missing(str(e))
        return made[-1]
    yield make
    for k in made:
        k.remove()


@pytest.fixture
def own_server():
    """A factory of servers that a test may break: own_server("--pg18", "wal_level=replica"), own_server(standby_of=other)."""
    made = []

    def make(*options, standby_of=None):
        try:
            made.append(Standby(standby_of, *options) if standby_of else Server(*options))
        except RuntimeError as e:
            missing(str(e))
        return made[-1]
    yield make
    for s in made:
        s.remove()


@pytest.fixture
def folder():
    path = open_folder("wb-e2e-")
    yield path
    if os.environ.get("WB_KEEP"):
        print("kept", path)
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_wb(folder):
    """A factory of pipelines; all are stopped and looked through at the end of the test."""
    made = []

    def make(db=None, name="shop", build="release", where=None):
        if not program(build).exists():
            missing(f"no {build} build: {program(build)}")
        made.append(Walbrook(where or folder, db, name, build))
        return made[-1]
    yield make
    complaints = [c for w in made for c in w.finish()]
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def wb(db, make_wb):
    return make_wb(db)


@pytest.fixture
def fault_wb(db, make_wb):
    return make_wb(db, build="fault")


@pytest.fixture
def tmpfs(folder):
    """A factory of small file systems: tmpfs(1_000_000) is a folder with so many bytes."""
    mounted = []

    def make(size):
        path = folder / f"small{len(mounted)}"
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], capture_output=True, text=True)
        if done.returncode:
            pytest.skip("no right to mount a small tmpfs: " + done.stderr.strip())
        mounted.append(path)
        return path
    yield make
    for path in mounted:
        subprocess.run(["umount", "-l", path])


class Load(threading.Thread):
    """Transactions in the background until stopped. work(conn, i) does the i-th one."""

    def __init__(self, db, work, pause=0.0):
        super().__init__(daemon=True)
        self.db, self.work, self.pause = db, work, pause
        self.halt = threading.Event()
        self.done = 0
        self.error = None

    def run(self):
        try:
            with self.db.connect() as c:
                c.autocommit = False
                while not self.halt.is_set():
                    self.work(c, self.done)
                    c.commit()
                    self.done += 1
                    self.halt.wait(self.pause)
        except Exception as e:  # noqa: BLE001: shown by stop()
            self.error = e

    def stop(self):
        self.halt.set()
        self.join(30)
        if self.error:
            raise self.error
        return self.done


@pytest.fixture
def load():
    running = []

    def start(db, work, pause=0.0):
        running.append(Load(db, work, pause))
        running[-1].start()
        return running[-1]
    yield start
    for l in running:
        l.halt.set()
        l.join(30)
