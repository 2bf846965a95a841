"""A private pgbouncer (Debian's package) in front of a PostgreSQL on 127.0.0.1, as the user postgres when we are root."""
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Pgbouncer:
    def __init__(self, folder, server_port, **settings):
        program = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        if not program:
            raise RuntimeError("no pgbouncer: apt-get install pgbouncer")
        self.port = free_port()
        ini = Path(folder) / "pgbouncer.ini"
        lines = {"listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "", "auth_type": "any", **settings}
        ini.write_text(f"[databases]\n* = host=127.0.0.1 port={server_port} user=postgres\n[pgbouncer]\n"
                       + "".join(f"{k} = {v}\n" for k, v in lines.items()))
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen([*as_user, program, "-q", ini], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.close()
        raise RuntimeError("pgbouncer did not start")

    def close(self):
        self.process.terminate()
        self.process.wait()
