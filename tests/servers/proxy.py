#!/usr/bin/env python3
"""A TCP proxy that misbehaves on request, between a program under test and a server.

In a test:            proxy = Proxy("127.0.0.1", port); ... proxy.port ... proxy.cut_after(10_000); proxy.close()
From a shell script:  proxy.py HOST PORT CONTROL_SOCKET     prints its port, then obeys one line a connection on the
                      socket: cut | cut-after BYTES [up] | stall | resume | delay SECONDS | refuse on|off | count | stop

`down` is server to client, `up` the other way. A cut is a reset (RST), as when a machine in between dies: the bytes
counted so far are delivered, the next ones are not, so cut_after(n) with an odd n ends in the middle of a message.
"""
import os
import selectors
import socket
import struct
import sys
import threading
import time


class _Pair:
    def __init__(self, client, server):
        self.client, self.server = client, server

    def reset(self):
        for s in (self.client, self.server):
            try:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.close()
            except OSError:
                pass


class Proxy:
    """One thread, any number of connections. Every method may be called from any thread."""

    def __init__(self, host, port, listen_port=0):
        self._upstream = (host, port)
        self._listener = socket.create_server(("127.0.0.1", listen_port), backlog=32)
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs = []
        self._budget = {"up": None, "down": None}
        self._stalled = False
        self._refuse = False
        self._delay = 0.0
        self._stop = False
        self.connections = 0  # ever accepted
        self.cuts = 0
        self.bytes = {"up": 0, "down": 0}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self):
        """Reset every connection now."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
            self.cuts += len(pairs)
        for p in pairs:
            p.reset()

    def cut_after(self, count, direction="down"):
        """Reset every connection when `count` more bytes went that way (over all connections); once."""
        with self._lock:
            self._budget[direction] = count

    def stall(self):
        """Deliver nothing more, close nothing: a network that went away without a word."""
        self._stalled = True

    def resume(self):
        self._stalled = False

    def delay(self, seconds):
        """Wait that long before each piece is handed on."""
        self._delay = seconds

    def refuse(self, on=True):
        """Drop new connections as soon as they come, and the old ones now."""
        self._refuse = on
        if on:
            self.cut()

    def close(self):
        self._stop = True
        self._thread.join(5)
        self._listener.close()
        self.cut()

    def _accept(self):
        client, _ = self._listener.accept()
        self.connections += 1
        if self._refuse:
            client.close()
            return
        try:
            server = socket.create_connection(self._upstream, timeout=5)
        except OSError:
            client.close()
            return
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(10)
        with self._lock:
            self._pairs.append(_Pair(client, server))

    def _forward(self, pair, source):
        direction = "up" if source is pair.client else "down"
        other = pair.server if source is pair.client else pair.client
        data = source.recv(65536)
        if not data:
            self._drop(pair)
            return
        if self._delay:
            time.sleep(self._delay)
        with self._lock:
            budget = self._budget[direction]
            cut = budget is not None and len(data) >= budget
            if cut:
                data = data[:budget]
                self._budget[direction] = None
            elif budget is not None:
                self._budget[direction] = budget - len(data)
        other.sendall(data)
        self.bytes[direction] += len(data)
        if cut:
            self.cut()

    def _drop(self, pair):
        with self._lock:
            if pair in self._pairs:
                self._pairs.remove(pair)
        for s in (pair.client, pair.server):
            s.close()

    def _run(self):
        while not self._stop:
            with self._lock:
                pairs = list(self._pairs)
            with selectors.DefaultSelector() as sel:
                sel.register(self._listener, selectors.EVENT_READ, None)
                if not self._stalled:
                    for p in pairs:
                        try:
                            sel.register(p.client, selectors.EVENT_READ, p)
                            sel.register(p.server, selectors.EVENT_READ, p)
                        except (ValueError, KeyError, OSError):
                            pass  # cut meanwhile
                for key, _ in sel.select(0.02):
                    if key.data is None:
                        self._accept()
                        continue
                    try:
                        self._forward(key.data, key.fileobj)
                    except OSError:
                        self._drop(key.data)


def _obey(proxy, words):
    verb, args = words[0], words[1:]
    if verb == "cut":
        proxy.cut()
    elif verb == "cut-after":
        proxy.cut_after(int(args[0]), args[1] if len(args) > 1 else "down")
    elif verb == "stall":
        proxy.stall()
    elif verb == "resume":
        proxy.resume()
    elif verb == "delay":
        proxy.delay(float(args[0]))
    elif verb == "refuse":
        proxy.refuse(args[0] == "on")
    elif verb == "count":
        return f"connections {proxy.connections} cuts {proxy.cuts} up {proxy.bytes['up']} down {proxy.bytes['down']}"
    elif verb != "stop":
        return f"error: unknown word '{verb}'"
    return "ok"


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    proxy = Proxy(sys.argv[1], int(sys.argv[2]))
    path = sys.argv[3]
    if os.path.exists(path):
        os.unlink(path)
    control = socket.socket(socket.AF_UNIX)
    control.bind(path)
    control.listen(8)
    print(proxy.port, flush=True)
    words = []
    while words[:1] != ["stop"]:
        conn, _ = control.accept()
        with conn:
            words = conn.recv(4096).decode().split()
            if words:
                try:
                    answer = _obey(proxy, words)
                except (ValueError, IndexError) as e:
                    answer = f"error: {e}"
                conn.sendall(answer.encode() + b"\n")
    proxy.close()
    os.unlink(path)


if __name__ == "__main__":
    main()
