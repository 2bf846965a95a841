"""Debezium's change events of one Kafka topic, merged into a Delta table by payload.op.

    spark-submit merge.py BROKER TOPIC TABLE CHECKPOINT

Takes what the topic has now and ends; started again, it goes on where it stopped. For a job that never ends replace
availableNow by processingTime="5 seconds". Events of one key are in one partition, in order: the last one wins.
"""
import sys

from delta.tables import DeltaTable
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as f

ROW = "id int, first_name string, last_name string, email string, credit bigint, vip boolean"
FIELDS = ROW.replace(" ", ": ").replace(",: ", ", ")
EVENT = f"payload struct<before: struct<{FIELDS}>, after: struct<{FIELDS}>, op: string>"

broker, topic, table, checkpoint = sys.argv[1:]
spark = (SparkSession.builder.appName("merge")
         .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
         .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
         .getOrCreate())
DeltaTable.createIfNotExists(spark).location(table).addColumns(spark.createDataFrame([], ROW).schema).execute()


def merge(batch, number):
    """One micro-batch: of every key its last event, then delete, update or insert. Again the same batch: the same table."""
    last = Window.partitionBy("id").orderBy(f.desc("offset"))
    events = (batch.select(f.coalesce("payload.after.id", "payload.before.id").alias("id"), "payload.op", "payload.after", "offset")
              .withColumn("nth", f.row_number().over(last)).where("nth = 1"))
    columns = {name: f"e.after.{name}" for name in ("id", "first_name", "last_name", "email", "credit", "vip")}
    (DeltaTable.forPath(spark, table).alias("t").merge(events.alias("e"), "t.id = e.id")
     .whenMatchedDelete("e.op = 'd'")
     .whenMatchedUpdate(set=columns)
     .whenNotMatchedInsert("e.op <> 'd'", values=columns)
     .execute())


(spark.readStream.format("kafka")
 .option("kafka.bootstrap.servers", broker).option("subscribe", topic).option("startingOffsets", "earliest")
 .load()
 .where("value is not null")  # a tombstone follows every delete, for compacted topics
 .select(f.from_json(f.col("value").cast("string"), EVENT).alias("event"), "offset")
 .select("event.payload", "offset")
 .writeStream.foreachBatch(merge).option("checkpointLocation", checkpoint).trigger(availableNow=True)
 .start().awaitTermination())
