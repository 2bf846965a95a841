"""The program under test: pipeline files, processes, waiting, and what they said."""
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from servers import PASSWORD, ROOT

SLOW = float(os.environ.get("WB_SLOW", "1"))  # sanitizer builds: more patience
ALARMS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|"
                    r"[Aa]ssertion .*failed|stack smashing|double free|malloc\(\)|free\(\):")


def program(build):
    names = {"release": ("WB_BUILD", "build"), "fault": ("WB_BUILD_FAULT", "build-fault")}
    variable, default = names[build]
    return ROOT / os.environ.get(variable, default) / "walbrook"


def wait_until(condition, timeout=20, what="", alive=None):
    """Poll until `condition` returns something true; its last assertion or value is in the message."""
    end = time.monotonic() + timeout * SLOW
    last = None
    while True:
        began = time.monotonic()
        try:
            last = condition()
            if last:
                return last
        except AssertionError as e:
            last = e
        if alive and alive.process and alive.process.poll() is not None:
            raise AssertionError(f"walbrook ended with {alive.process.returncode} while waiting for {what}\n{alive.tail()}")
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout * SLOW:.0f} s: {what}; last: {last}" + (f"\n{alive.tail()}" if alive else ""))
        time.sleep(max(0.03, 2 * (time.monotonic() - began)))  # comparing is work that the program then lacks


class Walbrook:
    """One pipeline file in a folder of its own, and the processes that run it."""

    def __init__(self, folder, db=None, name="shop", build="release"):
        self.dir = Path(folder)
        self.db = db
        self.name = name
        self.binary = program(build)
        self.file = self.dir / f"{name}.yaml"
        self.state = self.dir / f"{name}.state"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "NO_COLOR"}
        self.env.update(HOME=str(self.dir), ASAN_OPTIONS="abort_on_error=0:exitcode=99:detect_leaks=1",
                        UBSAN_OPTIONS="halt_on_error=1:exitcode=99:print_stacktrace=1",
                        TSAN_OPTIONS="halt_on_error=0:exitcode=99")
        self.process = None
        self.runs = 0
        self.said = []  # everything that short commands printed

    # ------------------------------------------------------------ the file
    def write(self, targets, source=None, **top):
        """The pipeline file, as JSON, which is YAML. source: more keys for it, or changes."""
        src = self.db.source() if self.db else {}
        src.update(source or {})
        doc = {"name": self.name, "source": src, **top, "targets": targets}
        doc["source"] = {k: v for k, v in doc["source"].items() if v is not None}
        self.file.write_text(json.dumps(doc, indent=2, ensure_ascii=False) + "\n")  # YAML has no surrogates
        return self

    def file_target(self, **more):
        return {"type": "file", "path": "out.jsonl", **more}

    def sqlite_target(self, **more):
        return {"type": "sqlite", "path": "shop.db", **more}

    @property
    def out(self):
        return self.dir / "out.jsonl"

    @property
    def mirror(self):
        return self.dir / "shop.db"

    # ------------------------------------------------------------ long runs
    @property
    def stderr(self):
        return self.dir / f"run{self.runs}.err"

    def start(self, *args, env=None, stdout=None, file=None):
        """`walbrook run` in the background."""
        assert self.process is None or self.process.poll() is not None, "still running"
        self.runs += 1
        with open(self.stderr, "wb") as err:
            self.process = subprocess.Popen([self.binary, "run", file or self.file, *args], cwd=self.dir, stderr=err,
                                            stdout=stdout or subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                            env={**self.env, **(env or {})})
        return self

    def streaming(self, timeout=30):
        """Wait until the slot is in use, or the binlog read."""
        wait_until(self.db.slot_active, timeout, "a reader of the log", alive=self)
        return self

    def wait_exit(self, code=0, timeout=30):
        try:
            got = self.process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout * SLOW:.0f} s\n{self.tail()}") from None
        if code is not None:
            codes = code if isinstance(code, tuple) else (code,)
            assert got in codes, f"exit code {got}, not {code}\n{self.tail()}"
        return got

    def term(self, code=0, timeout=20):
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(code, timeout)

    def freeze(self):
        """SIGSTOP, until every thread stands: on a busy machine others go on until the one that got the signal has run."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        wait_until(lambda: all((t / "stat").read_text().rpartition(")")[2].split()[0] == "T" for t in tasks.iterdir()), 10, "all threads to stand")

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def run(self, *args, code=0, timeout=60, env=None, **more):
        """`walbrook run` to its end."""
        self.start(*args, env=env, **more)
        try:
            self.wait_exit(code, timeout)
        finally:
            if self.running():
                self.kill9()
        return self

    def until_now(self, *args, **more):
        return self.run("--until", "now", *args, **more)

    def peak_rss(self):
        """VmHWM in MB, of the running process."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text).group(1)) / 1024

    # ------------------------------------------------------------ short commands
    def command(self, *args, code=None, timeout=60, env=None, input=None):
        done = subprocess.run([self.binary, *args], cwd=self.dir, env={**self.env, **(env or {})}, capture_output=True,
                              text=True, timeout=timeout * SLOW, input=input)
        self.said.append(done.stdout + done.stderr)
        if code is not None:
            assert done.returncode == code, f"walbrook {args} gave {done.returncode}, not {code}:\n{done.stdout}\n{done.stderr}"
        return done

    def check(self, code=None):
        return self.command("check", self.file, code=code)

    def status(self):
        return json.loads(self.command("status", self.file, "--json", code=0).stdout)

    def target_status(self, name):
        s = self.status()
        return next(t for t in s["targets"] if t["name"] == name)

    # ------------------------------------------------------------ what it said
    def log(self):
        """Everything that `run` printed on stderr, over all runs."""
        return "".join(p.read_text(errors="replace") for p in sorted(self.dir.glob("run*.err")))

    def last_log(self):
        return self.stderr.read_text(errors="replace") if self.stderr.exists() else ""

    def tail(self, lines=25):
        return "\n".join(self.last_log().splitlines()[-lines:])

    def finish(self):
        """Teardown: stop, then look at everything it left for what must never be there. Returns complaints."""
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill9()
        complaints = []
        texts = {p.name: p.read_text(errors="replace") for p in self.dir.glob("run*.err")}
        texts.update({f"command {i}": t for i, t in enumerate(self.said)})
        for where, text in texts.items():
            m = ALARMS.search(text)
            if m:
                complaints.append(f"{where}: {text[max(0, m.start() - 200):m.end() + 3000]}")
        secret = PASSWORD.encode()
        for where, text in texts.items():
            if PASSWORD in text:
                complaints.append(f"{where}: the password was printed")
        for path in self.dir.glob("*.state/**/*"):
            if path.is_file() and secret in path.read_bytes():
                complaints.append(f"{path.name}: the password was kept")
        return complaints
