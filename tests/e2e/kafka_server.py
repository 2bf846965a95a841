"""A private Kafka (tests/servers/kafka) and what an independent consumer, confluent-kafka, sees in its topics."""
import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import confluent_kafka
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from servers import ROOT, open_folder

SCRIPT = ROOT / "tests" / "servers" / "kafka"


class Message:
    def __init__(self, m):
        self.topic, self.partition, self.offset = m.topic(), m.partition(), m.offset()
        self.key, self.value = m.key(), m.value()
        self.headers = [(k, v.decode() if v is not None else None) for k, v in m.headers() or []]

    def line(self):
        """As a line of the file target with `envelope`."""
        def text(b):
            return b.decode() if b is not None else "null"
        return f'{{"topic":{json.dumps(self.topic)},"key":{text(self.key)},"value":{text(self.value)},"headers":{json.dumps(self.headers)}}}'


class Kafka:
    def __init__(self, *options, where=None):
        self.dir = where or open_folder("wb-kafka-")
        self.options = options
        self.start()

    def start(self):
        out = subprocess.run([SCRIPT, "start", self.dir, "0", *self.options], capture_output=True, text=True, timeout=400)
        if out.returncode:
            raise RuntimeError(f"no Kafka: {out.stderr}")
        self.port = int(out.stdout)

    def stop(self, mode="fast"):
        subprocess.run([SCRIPT, "stop", self.dir, mode], check=True, timeout=90)

    def kill(self):
        self.stop("immediate")

    def wipe(self):
        """The same address, nothing in it."""
        self.kill()
        shutil.rmtree(self.dir / "data")
        self.start()

    @property
    def pid(self):
        return int((self.dir / "pid").read_text())

    @property
    def brokers(self):
        return f"127.0.0.1:{self.port}"

    def listener(self, name):
        return int((self.dir / f"{name}.port").read_text())

    @property
    def password(self):
        return (self.dir / "password").read_text().strip()

    # ------------------------------------------------------------ as an administrator
    def admin(self):
        return AdminClient({"bootstrap.servers": self.brokers})

    def make(self, topic, partitions=1, **config):
        admin, config = self.admin(), {k.replace("_", "."): v for k, v in config.items()}
        for f in admin.create_topics([NewTopic(topic, partitions, 1, config=config)]).values():
            f.result(30)

    def drop(self, topic):
        admin = self.admin()
        for f in admin.delete_topics([topic]).values():
            f.result(30)

    def topics(self, prefix=""):
        found = self.admin().list_topics(timeout=20).topics
        return {n: len(t.partitions) for n, t in found.items() if n.startswith(prefix)}

    def setting(self, topic, name):
        admin = self.admin()
        return [f.result(30)[name].value for f in admin.describe_configs([ConfigResource("topic", topic)]).values()][0]

    # ------------------------------------------------------------ as a consumer
    def read(self, topic, committed=True):
        """Every message there is now, by partition and offset."""
        conf = {"bootstrap.servers": self.brokers, "group.id": "reader", "enable.auto.commit": False, "auto.offset.reset": "earliest",
                "enable.partition.eof": True, "isolation.level": "read_committed" if committed else "read_uncommitted",
                "fetch.message.max.bytes": 40_000_000, "fetch.wait.max.ms": 20}
        c = confluent_kafka.Consumer(conf)
        try:
            meta = c.list_topics(topic, timeout=20).topics[topic]
            if meta.error:
                return []
            left = set(meta.partitions)
            c.assign([confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in left])
            out = []
            while left:
                m = c.poll(30)
                assert m is not None, f"nothing comes from {topic}"
                if m.error():
                    if m.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                        left.discard(m.partition())
                        continue
                    raise confluent_kafka.KafkaException(m.error())
                out.append(Message(m))
            return sorted(out, key=lambda m: (m.partition, m.offset))
        finally:
            c.close()

    def remove(self):
        self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)


def shared():
    """One broker for all processes of a test run: the first that needs it starts it. WB_SHARED is the run's folder."""
    where = Path(os.environ["WB_SHARED"]) / "kafka"
    where.mkdir(exist_ok=True)
    with open(where / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (where / "failed").exists():
            raise RuntimeError((where / "failed").read_text())
        if (where / "pid").exists():
            k = Kafka.__new__(Kafka)
            k.dir, k.options, k.port = where, (), int((where / "plain.port").read_text())
            return k
        try:
            return Kafka("--sasl", "--tls", where=where)
        except RuntimeError as e:
            (where / "failed").write_text(str(e))
            raise


def stop_shared():
    where = Path(os.environ["WB_SHARED"]) / "kafka"
    if (where / "pid").exists():
        subprocess.run([SCRIPT, "stop", where, "immediate"], check=False, timeout=90)
