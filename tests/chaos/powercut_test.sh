#!/usr/bin/env bash
# powercut_test.sh: proves that tests/chaos/powercut.c takes back what was not synced and nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc=${CC:-cc}
$cc -shared -fPIC -O2 -pthread -o "$work/powercut.so" "$here/powercut.c" "$here/powercut_calls.c"
$cc -O1 -D_GNU_SOURCE -o "$work/probe" "$here/powercut_probe.c"
bad=0 ran=0

# Contents of the folder as "name=bytes name=bytes", sorted.
look() { (cd "$work/d" && for f in $(find . -type f | sort); do printf '%s=%s ' "${f#./}" "$(tr '\0' 0 <"$f")"; done); }
# cut MODE OPERATION SETUP… -- ACTION…: SETUP without the shim, ACTION with it; OPERATION 0: only exit:137 cuts
cut() {
    local mode=$1 at=$2 setup=()
    shift 2
    while [ "$1" != -- ]; do setup+=("$1"); shift; done
    shift
    rm -rf "$work/d" "$work/d.cut"
    mkdir "$work/d"
    (cd "$work/d" && "$work/probe" "${setup[@]}")
    set +e
    (cd "$work/d" && WB_POWERCUT_ROOT=$work/d WB_POWERCUT=$mode WB_POWERCUT_AT=$at WB_POWERCUT_SEED=${seed:-1} \
        WB_POWERCUT_LOG=$work/log LD_PRELOAD=$work/powercut.so exec "$work/probe" "$@")
    status=$?
    set -e
}
want() {
    ran=$((ran + 1))
    local got
    got="$(look)status=$status"
    [ "$got" = "$2" ] && return
    echo "powercut_test: $1: got '$got', want '$2'" >&2
    bad=1
}

cut drop 0 write:a:0:old -- write:a:0:NEW+ exit:137
want "an unsynced overwrite is taken back" "a=old status=137"
cut keep 0 write:a:0:old -- write:a:0:NEW+ exit:137
want "keep takes nothing back" "a=NEW+ status=137"
cut drop 0 write:a:0:old -- write:a:0:NEW+ sync:a write:a:1:xx exit:137
want "a synced one stays" "a=NEW+ status=137"
cut drop 0 write:a:0:old -- write:a:0:NEW+ exit:3
want "another exit is no cut" "a=NEW+ status=3"
cut drop 0 write:a:0:old write:b:0:b -- write:a:0:NEW write:b:0:B sync:b exit:137
want "a sync is one file's" "a=old b=B status=137"
cut drop 0 write:a:0:0123456789 -- trunc:a:3 append:a:xyz exit:137
want "a truncate is taken back" "a=0123456789 status=137"
cut drop 0 write:a:0:0123456789 -- trunc:a:3 sync:a append:a:xyz exit:137
want "a synced truncate stays" "a=012 status=137"
cut drop 0 write:a:0:0123456789 -- truncopen:a exit:137
want "O_TRUNC is a truncate" "a=0123456789 status=137"
cut drop 0 write:a:0:0123456789 -- dwrite:a:2:xx write:a:0:yyyyyy exit:137
want "O_DSYNC needs no sync" "a=01xx456789 status=137"
cut drop 0 write:a:0:old -- write:new:0:data sync:new exit:137
want "a name needs its folder synced" "a=old status=137"
cut drop 0 write:a:0:old -- write:new:0:data sync:new syncdir:. write:new:0:DATA exit:137
want "and stays when it was" "a=old new=data status=137"
cut drop 0 write:a:0:old write:t:0:new -- rename:t:a exit:137
want "a rename over another file is taken back" "a=old t=new status=137"
cut drop 0 write:a:0:old write:t:0:new -- rename:t:a syncdir:. exit:137
want "a synced one stays" "a=new status=137"
cut drop 0 write:a:0:old -- write:t:0:new rename:t:a syncdir:. exit:137
want "a rename does not sync the data: the classic empty file" "a= status=137"
cut drop 0 write:a:0:old -- unlink:a exit:137
want "a removed file is back" "a=old status=137"
cut drop 0 write:a:0:old -- unlink:a syncdir:. exit:137
want "but not after a sync" "status=137"
cut drop 0 create:a -- mkdir:sub write:sub/x:0:x sync:sub/x syncdir:sub exit:137
want "a folder whose parent was not synced goes with all in it" "a= status=137"
cut drop 0 create:a -- mkdir:sub syncdir:. write:sub/x:0:x sync:sub/x syncdir:sub exit:137
want "and stays when it was" "a= sub/x=x status=137"
cut drop 3 create:a -- append:a:1 append:a:2 append:a:3 sync:a
want "a cut at the third operation" "a= status=137"
cut drop 4 create:a -- append:a:1 append:a:2 append:a:3 sync:a
want "a cut at the sync loses what it was for" "a= status=137"
cut drop 5 create:a -- append:a:1 append:a:2 append:a:3 sync:a
want "and there is no fifth" "a=123 status=0"
grep -q 'ended by itself after 4 operations' "$work/log" || { echo "powercut_test: operations are not counted" >&2; bad=1; }

# tear: over some seeds every mix of three unsynced sectors must be seen, a later one without an earlier one too.
line() { printf "%0512d" "$1"; }
cut keep 0 write:z:0:z -- exit:0
declare -A seen=()
for seed in $(seq 120); do
    cut tear 0 create:a -- "append:a:$(line 1)" "append:a:$(line 2)" exit:137
    size=$(stat -c %s "$work/d/a")
    first=$(head -c 512 "$work/d/a" 2>/dev/null | tail -c 1 | tr '\0' 0) second=$(head -c 1024 "$work/d/a" | tail -c +513 | tail -c 1 | tr '\0' 0)
    seen["$first$second/$size"]=1
done
unset seed
for mix in /0 1/512 12/1024 02/1024 00/1024 10/1024; do
    ran=$((ran + 1))
    [ -n "${seen[$mix]:-}" ] || { echo "powercut_test: tear never gave $mix; seen: ${!seen[*]}" >&2; bad=1; }
done

/usr/bin/env python3 "$here/powercut_sqlite.py" "$work" || bad=1
[ $bad = 0 ] && echo "powercut_test: $ran cases and SQLite: ok"
exit $bad
