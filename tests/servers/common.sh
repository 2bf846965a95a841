#!/usr/bin/env bash
# shellcheck shell=bash
# What the scripts of this folder share: where fetched servers are kept, free ports, certificates. Sourced, never run.
# They set `name` (for messages) and `here` (this folder).

die() { echo "$name: $*" >&2; exit 1; }

# The cache: WALBROOK_TEST_CACHE, else XDG_CACHE_HOME/walbrook-test, else ~/.cache/walbrook-test (for root
# /var/cache/walbrook-test, because the user postgres cannot look into root's home).
cache_folder() {
    if [ -n "${WALBROOK_TEST_CACHE:-}" ]; then
        echo "$WALBROOK_TEST_CACHE"
    elif [ -z "${XDG_CACHE_HOME:-}" ] && [ "$(id -u)" = 0 ]; then
        echo /var/cache/walbrook-test
    else
        echo "${XDG_CACHE_HOME:-$HOME/.cache}/walbrook-test"
    fi
}

# Packages of Debian unstable, unpacked into the cache at first use; prints the root of their tree.
unpacked() { # WORD PACKAGE...
    local home
    home=$(cache_folder)/$1
    shift
    mkdir -p "$(dirname "$home")"
    (
        flock 9 # two test runs at once fetch it once
        if [ ! -f "$home/complete" ]; then
            rm -rf "$home"
            # unpacked in place: the programs carry the path of their libraries
            mkdir -p "$home"
            "$here/unstable" "$home" "$@" >&2 || { rm -rf "$home"; exit 1; }
            touch "$home/complete"
        fi
    ) 9>"$home.lock" || die "$* could not be fetched from Debian unstable"
    echo "$home/root"
}

free_port() {
    local port i
    for i in $(seq 200); do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
    die "no free port found"
}

# DIR/ca.crt signs OUT/server.crt (with OUT/server.key), which is good for localhost and 127.0.0.1.
make_certificates() { # DIR OUT
    local days=3650
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days $days -subj '/CN=walbrook test CA' \
        -keyout "$1/ca.key" -out "$1/ca.crt" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
        -keyout "$2/server.key" -out "$1/server.csr" 2>/dev/null
    openssl x509 -req -in "$1/server.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days $days \
        -extfile <(echo 'subjectAltName=DNS:localhost,IP:127.0.0.1') -out "$2/server.crt" 2>/dev/null
    chmod 600 "$2/server.key"
    chmod 644 "$1/ca.crt"
}

# ---- MySQL and MariaDB. DIR: data, log, port, pid, sock.

my_usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

# Starts "$@" with its data in DIR and waits until it answers; prints the port.
my_start() { # DIR PORT|0 SERVER...
    local dir=$1 port=$2 attempt chosen i pid
    shift 2
    [ ! -s "$dir/pid" ] || ! kill -0 "$(cat "$dir/pid")" 2>/dev/null || die "already running in $dir"
    [ "$(id -u)" != 0 ] || set -- "$@" --user=root
    mkdir -p "$dir/tmp"
    for attempt in 1 2 3; do
        [ "$port" != 0 ] && chosen=$port || chosen=$(free_port)
        rm -f "$dir/pid"
        [ ! -f "$dir/log" ] || mv -f "$dir/log" "$dir/log.before"
        "$@" "--port=$chosen" --bind-address=127.0.0.1 "--socket=$dir/sock" "--pid-file=$dir/pid" \
            "--tmpdir=$dir/tmp" \
            >"$dir/log" 2>&1 </dev/null 9>&- &
        pid=$!
        for i in $(seq 900); do
            if [ -s "$dir/pid" ] && grep -q 'ready for connections' "$dir/log"; then
                echo "$chosen" | tee "$dir/port"
                return
            fi
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
        # another program may have taken the port since we looked; anything else fails again
        [ "$port" = 0 ] && grep -qi 'address already in use' "$dir/log" || break
    done
    tail -n 20 "$dir/log" >&2
    die "the server did not start: $dir/log"
}

my_stop() { # DIR [fast|immediate]
    local pid
    [ -s "$1/pid" ] || return 0
    pid=$(cat "$1/pid")
    if [ "${2:-fast}" = immediate ]; then kill -9 "$pid" 2>/dev/null || true; else kill "$pid" 2>/dev/null || true; fi
    for _ in $(seq 900); do
        kill -0 "$pid" 2>/dev/null || { rm -f "$1/pid"; return; }
        sleep 0.1
    done
    die "process $pid does not end"
}
