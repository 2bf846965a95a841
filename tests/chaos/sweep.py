"""Every fault point of the sources, crashed at on purpose: kill -9, power cuts that drop or tear, and a failing system call.

One case is one fault point and one way to die: a fresh database and pipeline, a death in the snapshot, one in the stream,
one more in the recovery after it; then a run to the end, and everything is compared.
"""
import collections
import random
import shutil
import subprocess

import check
import load
from kinds import kind_of
from pipeline import HERE, VARIANTS, Pipeline, build_shim, fault_names, has_faults
from servers import open_folder

WAYS = {"kill": (None, "crash"), "drop": ("drop", "crash"), "tear": ("tear", "crash"), "eio": (None, "eio"), "enospc": (None, "enospc")}


class Sweep:
    def __init__(self, args):
        self.args, self.kind = args, kind_of(args.server)
        self.folder = open_folder("wb-sweep-")
        self.faults = [f for f in fault_names() if args.only in f] if has_faults(args.binary) else []
        self.counts = collections.Counter()
        self.reached = collections.Counter()
        self.wrong, self.cases = [], 0
        self.writers, self.server = [], None

    def run(self):
        check.want(self.faults, "no fault points: the program needs -Dfault=true")
        shim = subprocess.run([HERE / "powercut_test.sh"], capture_output=True, text=True, check=False)  # does it bite?
        check.want(shim.returncode == 0, f"the power-cut shim does not do what it should\n{shim.stderr}")
        self.server = self.kind.start(*self.args.setting)
        self.shim = build_shim(self.folder)
        cases = [(f, w) for f in self.faults for w in self.args.ways.split(",")]
        if self.args.cases:
            cases = random.Random(self.args.seed).sample(cases, min(self.args.cases, len(cases)))
        for fault, way in cases:
            self.cases += 1
            try:
                self.case(fault, way)
            except check.Wrong as e:
                self.wrong.append(f"{fault} {way}: {e}")
                print(f"sweep: WRONG: {self.wrong[-1]}", flush=True)
                shutil.copytree(self.folder / "case", self.folder / f"wrong-{len(self.wrong)}", dirs_exist_ok=True)
        never = [f for f in self.faults if not self.reached[f]]
        if never and not self.args.cases:
            print(f"sweep: never reached: {', '.join(never)}")
            self.counts["fault points never reached"] = len(never)
        check.want(not self.wrong, f"{len(self.wrong)} of {self.cases} cases:\n" + "\n".join(self.wrong))
        self.counts["cases"] = self.cases

    def case(self, fault, way):
        r = random.Random(f"{self.args.seed}/{fault}/{way}")
        db = self.kind.database(self.server, 300)
        try:
            p = Pipeline(self.folder / "case", self.args.binary, self.kind.source(db), self.args.targets.split(","), shim=self.shim,
                         checkpoint_interval="20ms", variant="rotate" if "rename" in fault or "rotate" in fault else r.choice(list(VARIANTS)))
            writer = load.Writer(0, f"{self.args.seed}/{fault}", self.kind, db, 0, 0.1)
            with self.kind.connect(db) as c:
                self.die(p, r, fault, way, r.choice([1, r.randint(2, 6)]))
                self.clean(p, fault, way)
                self.work(writer, c, 30)
                self.die(p, r, fault, way, r.choice([1, r.randint(2, 40)]))
                self.work(writer, c, 5)
                p.until_now(20, fault=f"file.after_write@1:crash")  # something to cut off at the next start
                self.die(p, r, fault, way, 1)
                writer.last(c)
                self.clean(p, fault, way)
            self.compare(db, p)
        finally:
            db.remove()

    def work(self, writer, c, n):
        for _ in range(n):
            try:
                writer.transaction(c)
            except Exception as e:
                if not isinstance(e, load.Rolled) and not self.kind.rolled_back(e):
                    raise
                c.rollback()

    def die(self, p, r, fault, way, n):
        cut, action = WAYS[way]
        code = p.until_now(20, fault=f"{fault}@{n}:{action}", cut=cut, seed=r.randrange(10**6))
        if action == "crash":
            check.want(code in (0, 137), f"exit code {code} at passage {n}\n{p.tail()}")
            if code == 137:
                self.reached[fault] += 1
                self.counts[way] += 1
        else:  # refused, tried again, or (None) waiting for better times: anything but a crash
            check.want(code is None or 0 <= code <= 5, f"exit code {code} after {action}\n{p.tail()}")
            self.counts[way] += 1

    def clean(self, p, fault, way):
        code = p.until_now(60)
        check.want(code == 0, f"run --until now after it: exit code {code}\n{p.tail()}")

    def compare(self, db, p):
        if "file" in p.targets:
            check.check_file(self.kind, db, p.path("file"))
        if "mirror" in p.targets:
            check.check_mirror(self.kind, db, p.path("mirror"))
        if "log" in p.targets:
            check.check_log(self.kind, db, p.path("log"))

    def end(self):
        if self.server:
            self.server.remove()
