"""The program under test and the machine around it: a folder, a pipeline file, processes, the power-cut shim."""
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from servers import ROOT

HERE = Path(__file__).resolve().parent
TARGETS = {"file": {"type": "file", "name": "file", "path": "out.jsonl", "format": "record",
                    "format_options": {"before": True, "event_id": True}},
           "mirror": {"type": "sqlite", "name": "mirror", "path": "mirror.db", "mode": "mirror"},
           "log": {"type": "sqlite", "name": "log", "path": "log.db", "mode": "log"}}

VARIANTS = {"plain": {}, "rotate": {"rotate_size": "200kB"}, "gzip": {"compress": "gzip", "rotate_size": "100kB", "fsync": "each"}}


def fault_names():
    """Every fault point in the sources."""
    names = set()
    for path in (ROOT / "src").rglob("*.c"):
        names.update(re.findall(r'WB_FAULT\("([^"]+)"\)', path.read_text()))
    return sorted(names)


def has_faults(binary):
    """Was it built with -Dfault=true? Only then does it read this variable."""
    return b"WB_FAULT: " in Path(binary).read_bytes()


def build_shim(folder):
    out = folder / "powercut.so"
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O2", "-pthread", "-o", out, HERE / "powercut.c",
                    HERE / "powercut_calls.c"], check=True)
    return out


class Pipeline:
    """Folder/data has all that the program writes; the logs lie beside it, where no power cut reaches them."""

    def __init__(self, folder, binary, source, targets=tuple(TARGETS), shim=None, variant="plain", **top):
        self.folder, self.binary, self.shim, self.variant = Path(folder), binary, shim, variant
        self.data, self.logs = self.folder / "data", self.folder / "logs"
        for d in (self.data, self.logs):
            shutil.rmtree(d, ignore_errors=True)
            d.mkdir(parents=True)
        self.file = self.folder / "chaos.yaml"
        doc = {"name": "chaos", "state": str(self.data / "state"), "backoff_max": "1s", "checkpoint_interval": "200ms", **top,
               "source": source,
               "targets": [t if isinstance(t, dict) else {**TARGETS[t], "path": f"data/{TARGETS[t]['path']}",
                                                          **(VARIANTS[variant] if t == "file" else {})} for t in targets]}
        self.file.write_text(json.dumps(doc, indent=1))
        self.targets = targets
        self.process, self.runs = None, 0

    def path(self, target):
        return self.data / TARGETS[target]["path"]

    def start(self, *args, fault=None, cut=None, seed=1, at=0):
        """cut: keep, drop or tear, at the at-th operation or (0) where the fault crashes."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "WB_FAULT", "WB_POWERCUT"))}
        if fault:
            env["WB_FAULT"] = fault
        if cut:
            env.update(WB_POWERCUT_ROOT=str(self.data), WB_POWERCUT=cut, WB_POWERCUT_SEED=str(seed), LD_PRELOAD=str(self.shim),
                       WB_POWERCUT_LOG=str(self.logs / "cuts"), **({"WB_POWERCUT_AT": str(at)} if at else {}))
        shutil.rmtree(f"{self.data}.cut", ignore_errors=True)
        self.runs += 1
        with open(self.stderr, "wb") as err:
            self.process = subprocess.Popen([self.binary, "run", self.file, *args], cwd=self.folder, env=env, stderr=err,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    @property
    def stderr(self):
        return self.logs / f"run{self.runs}.err"

    def tail(self, lines=30):
        cuts = self.logs / "cuts"
        cut = cuts.read_text().splitlines()[-3:] if cuts.exists() else []
        return "\n".join(cut + self.stderr.read_text(errors="replace").splitlines()[-lines:])

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def wait(self, seconds):
        """Exit code, or None when it is still running."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        if self.process and self.alive():
            self.process.kill()
            self.process.wait()

    def until_now(self, seconds, **more):
        """`run --until now` to its end; its exit code, None: it did not end."""
        self.start("--until", "now", **more)
        code = self.wait(seconds)
        if code is None:
            self.stacks()
        self.kill()
        return code

    def stacks(self):
        """Where its threads are, for the one who looks at the failure."""
        if shutil.which("gdb"):
            with open(self.logs / "stacks", "wb") as out:
                subprocess.run(["gdb", "-p", str(self.process.pid), "-batch", "-ex", "thread apply all bt 12"], stdout=out,
                               stderr=subprocess.DEVNULL, timeout=60, check=False)

    def pause(self, seconds):
        self.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.signal(signal.SIGCONT)
