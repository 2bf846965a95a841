"""The examples that are programs of their own. Needs Java 17, Maven, python3-venv; Kafka and Spark come from the registries at the first run."""
import os
import subprocess

import pytest

from program import program
from servers import ROOT


@pytest.mark.slow
def test_kafka_spark_delta():
    """PostgreSQL to Kafka to Spark to Delta, killed in the midst of it; the script compares both ends by an independent reader."""
    done = subprocess.run([ROOT / "examples/kafka-spark-delta/run"], capture_output=True, text=True, timeout=1200,
                          env={**os.environ, "WALBROOK": str(program("release"))})
    assert done.returncode == 0, done.stdout + done.stderr
    equal = [line for line in done.stdout.splitlines() if line.endswith(", equal")]
    assert len(equal) == 2 and equal[0].startswith("source 1000 rows"), done.stdout
