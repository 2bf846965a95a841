"""The same load, delivered to brokers: a RabbitMQ queue and a Kafka topic at least once, a Kafka topic exactly once. The program,
Kafka and RabbitMQ are killed in turns. What independent clients (pika, confluent-kafka) read in the end is held against the ledger:
nothing lost, all in the order of the commits, repeats only where they may be, and each equal to what it repeats.
"""
import itertools
import time

import check
import load
from kafka_server import Kafka
from pipeline import Pipeline
from rabbit import Broker


class Stands:
    """Mixed into run's Chaos; what is in `killed` dies in turns, and counts."""
    killed = ("program", "kafka", "rabbitmq")

    def __init__(self, args):
        super().__init__(args)
        self.kafka = self.rabbit = None
        self.queued, self.arrived = [], {}

    def begin(self):
        a = self.args
        self.server = self.kind.start(*a.setting)
        self.db = self.kind.database(self.server, 0)  # rows of a table without a key that is copied have no id to know them by
        self.kafka, self.rabbit = Kafka("message.max.bytes=33554432"), Broker()
        common = {"format": "record", "format_options": {"before": True, "event_id": True}}
        kafka = {"type": "kafka", "brokers": self.kafka.brokers, "partitions": 1, "max_message": "16MB", **common}
        known = {"queue": {"type": "rabbitmq", "name": "queue", "url": self.rabbit.url(), "queue": "chaos", "window": 200, **common},
                 "topic": {**kafka, "name": "topic", "topic": "once-or-more"},
                 "exact": {**kafka, "name": "exact", "topic": "once", "delivery": "exactly_once", "commit_interval": "100ms",
                           "transaction_timeout": "10s"}}
        names = a.targets.split(",")
        self.pipeline = Pipeline(self.folder, a.binary, self.kind.source(self.db), [known[n] for n in names], backoff_min="20ms", answer_timeout="30s")
        self.names = names
        # the copy to its end before anybody writes, or a kill within it brings rows without an id; and before a broker dies it has
        # its queue: one that is declared at that moment is not kept, see Broker.kill
        code = self.pipeline.until_now(a.patience)
        check.want(code == 0, f"the copy: exit code {code}\n{self.pipeline.tail()}")
        self.pipeline.start()
        until = time.monotonic() + 60
        while "streams from" not in self.pipeline.stderr.read_text(errors="replace"):
            check.want(time.monotonic() < until and self.pipeline.alive(), f"does not stream\n{self.pipeline.tail()}")
            time.sleep(0.05)
        self.writers = [load.Writer(i, a.seed, self.kind, self.db, a.pace, a.wide) for i in range(a.writers)]
        for w in self.writers:
            w.start()
        self.turns = itertools.cycle(self.killed)

    def end(self):
        super().end()
        for broker in (self.kafka, self.rabbit):
            if broker:
                broker.remove()

    # ------------------------------------------------------------ deaths
    def life(self):
        r, who = self.rng, next(self.turns)
        time.sleep(min(r.expovariate(1 / 0.3), 1.5))
        self.say(f"kill {sum(self.counts[k] for k in self.killed) + 1}: {who}")
        if who == "program":
            self.program_dies()
        else:
            broker = self.kafka if who == "kafka" else self.rabbit
            broker.kill()
            if r.random() < 0.3:  # the program as well, while the broker is away
                self.program_dies()
                self.counts["program, broker away"] += 1
            time.sleep(r.uniform(0, 0.5))
            broker.start()
        self.counts[who] += 1
        check.want(self.pipeline.alive(), f"ended by itself ({who})\n{self.pipeline.tail()}")

    def program_dies(self):
        self.pipeline.kill()
        self.pipeline.start()
        time.sleep(0.02)

    def kills(self):
        return sum(self.counts[k] for k in self.killed)

    # ------------------------------------------------------------ what arrived
    def before_last(self):
        self.pipeline.kill()

    def compare(self):
        events = None
        for name in self.names:
            texts = self.read(name)
            lines = [check.parse(t) for t in texts]
            repeats = 0
            if name != "exact":
                lines, repeats = first_ones(name, texts, lines)
            last = {r["table_name"]: i for i, r in enumerate(lines, 1) if r["event_type"] == "READ"}
            stream = check.Stream(self.kind, check.types_of(self.kind, self.db), name, last)
            for i, r in enumerate(lines, 1):
                stream.event(i, r)
            check.finish(self.kind, self.db, stream)
            self.arrived[name] = (len(lines), repeats)
            events = stream.counts
        return events

    def read(self, name):
        if name != "queue":
            return [m.value for m in self.kafka.read("once" if name == "exact" else "once-or-more")]
        with self.rabbit.connect() as c:
            for method, _, body in c.channel().consume("chaos", auto_ack=True, inactivity_timeout=3):
                if method is None:
                    break
                self.queued.append(body)
        return self.queued

    def arrivals(self):
        return ", ".join(f"{n}: {a} changes, {again} repeats" for n, (a, again) in self.arrived.items())


def first_ones(name, texts, lines):
    """Without repeats; a repeat of the stream says the same as the first."""
    seen, out, repeats = {}, [], 0
    for text, r in zip(texts, lines):
        key = r["event_id"]
        check.want(key, f"{name}: a change without an id: {text[:200]!r}")
        if key in seen:
            # a row of the copy may be read again, at another time and place
            check.want(seen[key] == text or r["event_type"] == "READ", f"{name}: {key} came again as something else:\n{seen[key][:300]!r}\n{text[:300]!r}")
            repeats += 1
            continue
        seen[key] = text
        out.append(r)
    return out, repeats
