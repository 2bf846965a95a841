#!/usr/bin/python3
"""rules_test.py: a small tree that keeps every rule of tools/lint, then one broken rule at a time, which must be found."""
import os
import shutil
import subprocess
import sys
import tempfile

LINT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/lint")
SAYS = "pro" + "ves"  # in pieces, or this file itself would count as a proof
BODY = "    a++;\n"
CLEAN = {
    "GUARANTEES.md": "# Promises\n\n## G-01 Nothing lost\nSee tests/unit/a_test.c.\n",
    "tests/unit/a_test.c": f"/* {SAYS} G-01 */\n#include \"core/batch.h\"\n",
    "src/base/a.h": "int a;\n",
    "src/base/a.c": '#include "base/a.h"\n/* strcpy(a, b) in a comment */\nconst char *s = "gets(x); printf(y)";\n',
    "src/core/b.c": '#include "base/a.h"\n#include "core/b.h"\n#include "formats/f.h"\n',
    "src/targets/t.c": '#include "targets/formatter.h"\n#include "walbrook/plugin.h"\n',
    "src/targets/sql/t.c": '#include "targets/formatter.h"\n#include "targets/sql/t.h"\n#include "t.h"\n',
    "src/targets/sql/t.h": "int t;\n",
    "src/cli/main.c": '#include "walbrook/walbrook.h"\n#include "cli/c.h"\nint main(void)\n{\n    printf("x");\n    exit(1);\n}\n',
    "src/core/long.c": "int a(void)\n{\n" + BODY * 77 + "}\n",
    "src/core/data.c": "int a(void)\n{\n    static int t[] = {\n" + "        1,\n" * 200 + "    };\n" + BODY * 70 + "}\n",
    "tools/s": "#!/bin/sh\necho a\n",
    "tools/t": "#!/usr/bin/env bash\na=(1 2)\n",
    "tools/p.py": "print(1)\n",
    "tests/golden/x.txt": "blanks belong to it  \n",
    "tools/binary": "\0 \n",
}
# what is changed; what must be said
BROKEN = [
    ({"src/core/l.c": "int a;\n" * 601}, "src/core/l.c:601: The file has 601 lines"),
    ({"src/core/long.c": "int a(void)\n{\n" + BODY * 78 + "}\n"}, "src/core/long.c:1: a has 81 lines"),
    ({"src/core/long.c": "int x;\n\nint a(int b,\n      int c)\n{\n" + BODY * 79 + "}\n"}, "src/core/long.c:3: a has 83 lines"),
    ({"tools/p.py": "def f():\n" + "    a = 1\n" * 80}, "tools/p.py:1: f has 81 lines"),
    *(({"tests/x.c": f"\nint a = {f} (b);\n"}, f"tests/x.c:2: {f} is banned")
      for f in "strcpy strcat sprintf vsprintf strtok gets alloca atoi atol".split()),
    *(({"src/core/x.c": f"/* a\n */ int b = {f}(c);\n"}, f"src/core/x.c:2: The library never prints, exits or aborts, so not {f}")
      for f in "printf fprintf puts exit _exit abort assert".split()),
    ({"src/base/x.c": '#include "core/batch.h"\n'}, "src/base/x.c:1: src/base may not include core/batch.h"),
    ({"src/core/x.c": '#include "cli/c.h"\n'}, "src/core/x.c:1: src/core may not include cli/c.h"),
    ({"src/core/x.c": '#include "sources/postgres/wire.h"\n'}, "src/core may not include sources/postgres/wire.h"),
    ({"src/cli/x.c": '#include "core/batch.h"\n'}, "src/cli may not include core/batch.h"),
    ({"src/cli/x.c": '#include "base/a.h"\n'}, "src/cli may not include base/a.h"),
    ({"src/targets/x.c": '# include "core/batch.h"\n'}, "src/targets may not include core/batch.h"),
    ({"src/targets/file/x.c": '#include "targets/sql/t.h"\n'}, "src/targets/file may not include targets/sql/t.h"),
    ({"src/targets/file/x.c": '#include "../sql/t.h"\n'}, "src/targets/file may not include ../sql/t.h"),
    ({"src/sources/a/x.c": '#include "sources/b/y.h"\n'}, "src/sources/a may not include sources/b/y.h"),
    ({"src/formats/x.c": '#include "transforms/y.h"\n'}, "src/formats may not include transforms/y.h"),
    ({"include/walbrook/x.h": '#include "base/a.h"\n'}, "include/walbrook may not include base/a.h"),
    ({"tests/unit/a_test.c": "nothing\n"}, 'GUARANTEES.md:3: No file below tests/ says "pro' + 'ves G-01".'),
    ({"tests/b": f"{SAYS} G-01, G-07\n"}, "tests/b:1: GUARANTEES.md has no G-07."),
    ({"GUARANTEES.md": "- **G-01** x\n  tests/unit/gone_test.c.\n"}, "GUARANTEES.md:1: G-01 names tests/unit/gone_test.c, which does not exist."),
    ({"GUARANTEES.md": "### G-01 x\n"}, "GUARANTEES.md:1: G-01 names no test path."),
    ({"tests/README.md": "| D1 | x | `test_gone` |\n"}, "tests/README.md:1: D1 names test_gone, which does not exist."),
    ({"tests/README.md": "| D1 | x | |\n"}, "tests/README.md:1: D1 names no test."),
    ({"docs/x.md": "one\ntwo \n"}, "docs/x.md:2: The line ends in blanks."),
    ({"docs/x.md": "one\t\n"}, "docs/x.md:1: The line ends in blanks."),
    ({"tools/s": "#!/bin/sh\nif true\n"}, "tools/s:3: sh -n refuses it"),
    ({"tools/t": "#!/usr/bin/env bash\na=(1\n"}, "tools/t:2: bash -n refuses it"),
    ({"tools/p.py": "a = (\n"}, "tools/p.py:1: Python refuses it"),
    ({"tools/p": "#!/usr/bin/python3\nreturn 1\n"}, "tools/p:2: Python refuses it"),
    ({"tools/lint.allow": "blanks docs/x.md\n"}, "tools/lint.allow:1: An exception is written"),
    ({"tools/lint.allow": "blanks docs/x.md no reason any more\n"}, "tools/lint.allow:1: Nothing breaks the rule blanks at docs/x.md"),
]
ALLOWED = [
    {"tests/README.md": "| D1 | x | `test_a` |\n", "tests/e2e/test_x.py": "def test_a(db):\n    pass\n"},
    {"docs/x.md": "one \n", "tools/lint.allow": "# why\nblanks docs/x.md a line break of Markdown\n"},
    {"src/core/long.c": "int a(void)\n{\n" + BODY * 90 + "}\n", "tools/lint.allow": "function-size src/core/long.c:a one switch\n"},
    {"src/core/x.c": "puts(a);\n", "tools/lint.allow": "banned src/core/x.c:puts not that one\n"},
]


def lint(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w") as f:
                f.write(text)
        run = subprocess.run([sys.executable, LINT, root], capture_output=True, text=True)
        left = [d for d, _, _ in os.walk(root) if d.endswith("__pycache__")]
        return run.returncode, run.stdout + run.stderr, left


def main():
    bad = 0
    for extra in [{}] + ALLOWED:
        code, said, left = lint({**CLEAN, **extra})
        if code != 0 or left:
            bad += 1
            print(f"not clean with {list(extra)}:\n{said}{left}")
    if shutil.which("clang-format-14"):
        style = {".clang-format": "BasedOnStyle: LLVM\n", "src/core/x.c": "int  a ;\n"}
        BROKEN.append((style, "src/core/x.c:1: Not formatted from here on"))
    for change, want in BROKEN:
        code, said, _ = lint({**CLEAN, **change})
        if code != 1 or want not in said:
            bad += 1
            print(f"not found with {list(change)}: {want}\n{said}")
    print(f"{len(BROKEN)} broken rules, {bad} not found")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
