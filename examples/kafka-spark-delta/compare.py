"""The Delta table, read without Spark, against the table at the source: compare.py TABLE < rows.csv (psql's --csv)."""
import csv
import os
import sys

from deltalake import DeltaTable

found = {tuple("" if v is None else {True: "t", False: "f"}.get(v, str(v)) if isinstance(v, bool) else str(v) for v in row.values())
         for row in DeltaTable(sys.argv[1]).to_pyarrow_table().to_pylist()}
wanted = {tuple(row) for row in csv.reader(sys.stdin)}
for name, rows in (("missing in Delta", wanted - found), ("only in Delta", found - wanted)):
    for row in sorted(rows)[:5]:
        print(f"{name}: {row}")
print(f"source {len(wanted)} rows, Delta {len(found)} rows, {'equal' if wanted == found else 'DIFFERENT'}")
sys.stdout.flush()
os._exit(wanted != found)  # the libraries' threads may live still, and end a process that cleans up with "terminate called"
