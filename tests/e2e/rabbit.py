"""A real RabbitMQ for the tests, started by tests/servers/rabbitmq, and pika, which reads what the program sent."""
import json
import shutil
import socket
import subprocess

import pika
from servers import PASSWORD, ROOT, open_folder

SCRIPT = ROOT / "tests" / "servers" / "rabbitmq"


class Broker:
    def __init__(self):
        self.dir = open_folder("wb-mq-")
        self.port = self.tls_port = None
        self.start()
        self.ctl("add_user", "walbrook", PASSWORD)
        self.ctl("set_permissions", "walbrook", ".*", ".*", ".*")

    def start(self):
        out = subprocess.run([SCRIPT, "start", self.dir, str(self.port or 0), "--tls"], capture_output=True, text=True, timeout=180)
        if out.returncode:
            raise RuntimeError(f"no RabbitMQ: {out.stderr}")
        self.port, self.tls_port = map(int, out.stdout.split())

    def stop(self, mode="fast"):
        subprocess.run([SCRIPT, "stop", self.dir, mode], check=True, timeout=90)

    def kill(self):
        """Not before it has written down which queues there are: killed right after, it forgets a durable queue that it has just
        declared, and the messages in it that it has confirmed."""
        self.ctl("eval", "mnesia:sync_log().")
        self.stop("immediate")

    @property
    def pid(self):
        return int((self.dir / "pid").read_text())

    def remove(self):
        self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)

    def ctl(self, *args):
        done = subprocess.run([SCRIPT, "ctl", self.dir, *args], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"rabbitmqctl {args}: {done.stdout}{done.stderr}"
        return done.stdout

    def listen_for_certificates(self):
        """One more TLS port, which takes only those who show a certificate that DIR/ca.crt signed. Returns it."""
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        files = ", ".join(f'{{{option}, "{self.dir}/{name}"}}' for option, name in (("cacertfile", "ca.crt"), ("certfile", "server.crt"),
                                                                                     ("keyfile", "server.key")))
        said = self.ctl("eval", f'rabbit_networking:start_ssl_listener({{"127.0.0.1", {port}}}, [{files}, {{verify, verify_peer}}, '
                        '{fail_if_no_peer_cert, true}], 1).')
        assert "ok" in said, said
        return port

    def url(self, host="127.0.0.1", port=None, user="walbrook", password=PASSWORD, vhost=""):
        return f"amqp://{user}:{password}@{host}:{port or self.port}/{vhost}"

    def connect(self):
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.port, credentials=pika.PlainCredentials("guest", "guest"), heartbeat=600))

    def channel(self):
        return self.connect().channel()

    def take(self, queue, most=100000):
        """All messages that are in a queue now: (method, properties, body)."""
        with self.connect() as c:
            ch = c.channel()
            found = []
            while len(found) < most:
                method, properties, body = ch.basic_get(queue, auto_ack=True)
                if method is None:
                    break
                found.append((method, properties, body))
            return found

    def length(self, queue):
        """None: there is no such queue."""
        with self.connect() as c:
            try:
                return c.channel().queue_declare(queue, passive=True).method.message_count
            except pika.exceptions.ChannelClosedByBroker:
                return None


def records(messages):
    return [json.loads(body) for _, _, body in messages]


def first_arrivals(values):
    """Without repeats. Of a stream at least once, in which a repeat repeats everything after it."""
    seen, out = set(), []
    for v in values:
        if v not in seen:
            seen.add(v)
            out.append(v)
    return out
