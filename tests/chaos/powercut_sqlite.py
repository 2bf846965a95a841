#!/usr/bin/env python3
"""powercut_sqlite.py FOLDER: SQLite under FOLDER/powercut.so, cut at many operations. With synchronous=FULL every
acknowledged commit must be there and the file whole; with OFF the same cuts must do harm, or the shim proves nothing."""
import os
import random
import sqlite3
import subprocess
import sys

WRITER = """
import os, sqlite3, sys
path, sync = sys.argv[1:]
db = sqlite3.connect(path, isolation_level=None)
db.execute('pragma journal_mode=wal'); db.execute('pragma synchronous=' + sync); db.execute('pragma wal_autocheckpoint=20')
db.execute('create table if not exists t(k integer primary key, v text)')
for k in range(60):
    db.execute('begin'); db.execute('insert into t values(?, ?)', (k, 'x' * 700))
    db.execute("update t set v = v || 'y' where k = ?", (k // 2,)); db.execute('commit')
    os.write(1, b'%d\\n' % k)
"""


def run(folder, mode, at, sync):
    root = os.path.join(folder, "q")
    subprocess.run(["rm", "-rf", root, root + ".cut"], check=True)
    os.mkdir(root)
    path = os.path.join(root, "t.db")
    env = dict(os.environ, WB_POWERCUT_ROOT=root, WB_POWERCUT=mode, WB_POWERCUT_AT=str(at), WB_POWERCUT_SEED=str(at),
               LD_PRELOAD=os.path.join(folder, "powercut.so"), WB_POWERCUT_LOG=os.path.join(folder, "qlog"))
    out = subprocess.run([sys.executable, "-c", WRITER, path, sync], env=env, stdout=subprocess.PIPE, check=False)
    acknowledged = [int(x) for x in out.stdout.split()]
    if out.returncode not in (0, 137):
        raise SystemExit(f"powercut_sqlite: the writer ended with {out.returncode}")
    try:
        db = sqlite3.connect(path)
        if db.execute("pragma integrity_check").fetchone()[0] != "ok":
            return out.returncode, "not whole"
        found = {k for k, in db.execute("select k from t")} if acknowledged else set(acknowledged)
    except sqlite3.DatabaseError as e:
        return out.returncode, str(e)
    finally:
        db.close()
    missing = [k for k in acknowledged if k not in found]
    return out.returncode, f"lost {len(missing)} commits" if missing else None


def main():
    folder = sys.argv[1]
    rng = random.Random(7)
    cuts, harm = 0, 0
    for i in range(24):
        at, mode = rng.randrange(5, 420), ("drop", "tear")[i % 2]
        code, wrong = run(folder, mode, at, "full")
        cuts += code == 137
        if wrong:
            raise SystemExit(f"powercut_sqlite: synchronous=FULL, {mode} at {at}: {wrong}")
        if i < 12:
            harm += run(folder, mode, at, "off")[1] is not None
    if cuts < 12 or harm < 3:
        raise SystemExit(f"powercut_sqlite: {cuts} cuts, {harm} times harm with synchronous=OFF: the shim does not bite")
    print(f"powercut_sqlite: {cuts} cuts with FULL harmless; with OFF {harm} of 12 did harm")


main()
