"""A MySQL or MariaDB table and its SQLite mirror side by side, through PyMySQL and sqlite3 alone."""
import sqlite3
from decimal import Decimal

from compare import records, sqlite
from program import wait_until


def plain(value):
    if value is None:
        return None
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value)


def source_rows(my, table, columns="*"):
    return sorted((tuple(plain(v) for v in row) for row in my.sql(f"select {columns} from `{table}`")), key=repr)


def mirror_rows(path, table, columns="*"):
    if not path.exists():
        raise AssertionError(f"no {path.name} yet")
    c = sqlite(path)
    try:
        return sorted((tuple(plain(v) for v in row) for row in c.execute(f'select {columns} from "{table}"')), key=repr)
    except sqlite3.OperationalError as e:
        raise AssertionError(f"mirror: {e}") from None
    finally:
        c.close()


def same(my, wb, *tables, columns="*"):
    for t in tables:
        want, got = source_rows(my, t, columns), mirror_rows(wb.mirror, f"{my.name}_{t}", columns)
        assert len(want) == len(got), f"{t}: {len(want)} rows at the source, {len(got)} in the mirror"
        for w, g in zip(want, got):
            assert w == g, f"{t}: {w} at the source, {g} in the mirror"
    return True


def wait_same(my, wb, *tables, timeout=30, **more):
    wait_until(lambda: same(my, wb, *tables, **more), timeout, f"{', '.join(tables)} equal in the mirror", alive=wb)


def events(wb, table=None):
    return [r for r in records(wb.out) if table is None or r["table_name"] == table]
