"""What the benchmarks of target kafka share: a private broker, an independent count of what arrived, Debezium as the peer. See lib.py."""
from lib import *

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

TUNED = {"max.batch.size": 16384, "max.queue.size": 65536, "worker.producer.linger.ms": 20, "worker.producer.batch.size": 1000000,
         "worker.producer.buffer.memory": 134217728, "worker.producer.compression.type": "lz4"}


class Broker:
    def __init__(self, folder):
        self.dir = folder / "kafka"
        self.script = ROOT / "tests/servers/kafka"
        java = "-Xms512m -Xmx512m -XX:+UseG1GC"
        out = subprocess.run([self.script, "start", self.dir, "0", "log.segment.bytes=268435456"], check=True, capture_output=True, text=True,
                             env={**os.environ, "WALBROOK_KAFKA_JAVA": java})
        self.address = f"127.0.0.1:{int(out.stdout)}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([self.script, "stop", self.dir, "immediate"], check=False)

    def target(self, topic, **more):
        return {"type": "kafka", "brokers": self.address, "topic": topic, "format": "debezium", "compression": "lz4", **more}

    def count(self, topic):
        """Committed messages in the topic, through an independent consumer."""
        c = self.consumer()
        c.assign([confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)])
        n = 0
        while True:
            for m in c.consume(10000, 20):
                if m.error():
                    c.close()
                    return n
                n += 1

    def make(self, topic):
        admin = AdminClient({"bootstrap.servers": self.address})  # must live until the answer is there
        for f in admin.create_topics([NewTopic(topic, 1, 1)]).values():
            f.result(30)

    def consumer(self, **more):
        return confluent_kafka.Consumer({"bootstrap.servers": self.address, "group.id": "bench", "enable.partition.eof": True,
                                         "isolation.level": "read_committed", "enable.auto.commit": False, **more})

    def cpu(self):
        return cpu_of((self.dir / "pid").read_text().strip())

    # ------------------------------------------------------------ Debezium
    def debezium(self, kind, folder, topic, rows, settings, offsets=None):
        """(events/s from its first to its last, CPU seconds, peak RSS in MB) with its tuned settings and lz4. None: it cannot be had here."""
        script = ROOT / "tests/servers/debezium"
        jars = subprocess.run([script, "get", kind], capture_output=True, text=True, check=False)
        if jars.returncode:
            print(f"Debezium itself is not measured: {jars.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
        folder.mkdir()
        config = folder / "connector.properties"
        everything = {"name": "peer", "tasks.max": 1, "topic.prefix": "peer", **TUNED, **settings}
        config.write_text("".join(f"{k}={v}\n" for k, v in everything.items()))
        if offsets:
            write_offsets(folder, Path(f"{config}.offsets"), offsets)
        for t in (topic, "peer"):  # its schema changes go there, and it waits for the topic: our broker makes none by itself
            self.make(t)
        c = self.consumer()
        with open(folder / "log", "wb") as log:
            p = subprocess.Popen([script, "run", kind, config, self.address], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            first, n, until = None, 0, time.monotonic() + 300
            while n < rows:
                if time.monotonic() > until:
                    sys.exit(f"bench: Debezium sent {n} of {rows} events in 5 minutes:\n{(folder / 'log').read_text()[-2000:]}")
                n = c.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), timeout=10)[1]
                now = time.monotonic()
                first = first or (n and (n, now))
                if p.poll() is not None:
                    sys.exit(f"bench: Debezium ended: {(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.02)
            return (rows - first[0]) / (now - first[1]), cpu_of(p.pid), high_water(p.pid)
        finally:
            p.kill()
            p.wait()
            c.close()


def write_offsets(folder, path, offsets):
    """Connect's offset file is a serialized java.util.HashMap of byte arrays: the JDK writes it."""
    source = folder / "Offsets.java"
    source.write_text("""import java.io.*; import java.util.*;
class Offsets { public static void main(String[] a) throws Exception { HashMap<byte[], byte[]> m = new HashMap<>();
 for (int i = 1; i < a.length; i += 2) m.put(a[i].getBytes("UTF-8"), a[i + 1].getBytes("UTF-8"));
 try (ObjectOutputStream o = new ObjectOutputStream(new FileOutputStream(a[0]))) { o.writeObject(m); } } }""")
    words = [json.dumps(w, separators=(",", ":")) for kv in offsets for w in kv]
    subprocess.run(["java", source, path, *words], check=True)


def cpu_of(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tell(what, ran, broker, rows, peer, known, least, beside):
    """The lines of both deliveries. ran, broker: {way: [Ran]}, {way: [CPU seconds]}; peer: what debezium() gave; known: its best elsewhere."""
    rate = {w: [rows / r.wall for r in rs] for w, rs in ran.items()}
    against, words = (peer[0], f"Debezium, same run: {peer[0] / 1000:.1f} k events/s, {peer[1] * 1e6 / rows:.0f} CPU s a million, {peer[2]:.0f} MB") if peer \
        else (known, f"Debezium's best elsewhere: {known / 1000:.0f} k events/s")
    for way, rs in ran.items():
        first = way == "at least once"
        ratio = median(rate[way]) / (against if first else median(rate["at least once"]))
        report(f"{what} → Kafka, {way}, {rows} rows, 1,000 a transaction", f"{spread([x / 1000 for x in rate[way]], 0)} k events/s",
               words if first else "at least once", f"{ratio:.2f} ×",
               "≥ 6 ×, ≤ 3 CPU s a million, ≤ 64 MB" if first else least,
               f"{median([r.cpu for r in rs]) * 1e6 / rows:.2f} CPU s a million (broker {median(broker[way]) * 1e6 / rows:.2f}); "
               f"RSS {max(r.rss for r in rs):.0f} MB; {beside}")
