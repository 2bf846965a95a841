"""A small schema and random traffic over it: every kind of change, one transaction a call, seeded."""
import random

SCHEMA = """
create table customers (id int primary key, name text not null, email text, balance numeric(12,2) not null default 0,
    vip boolean not null default false, created timestamptz not null default now());
create table orders (id bigint primary key, customer int not null, note text, total numeric, placed timestamp, data jsonb);
create table audit_log (id bigserial primary key, what text not null);
"""
TABLES = ("customers", "orders", "audit_log")


def create(db, rows=0):
    db.sql(SCHEMA)
    if rows:
        db.sql("insert into customers select g, 'customer ' || g, 'c' || g || '@example.org', g * 1.37, g % 7 = 0, "
               f"timestamptz '2024-01-01 00:00:00+00' + g * interval '1 second' from generate_series(1, {rows}) g")
        db.sql(f"insert into orders select g, 1 + g % {rows}, repeat('n', g % 50), g * 3.1415, timestamp '2024-02-29 12:00:00.000001' "
               f"+ g * interval '1 minute', json_build_object('n', g, 's', 'x' || g)::jsonb from generate_series(1, {rows * 2}) g")


class Traffic:
    """work(conn, i) for the `load` fixture; the same seed and i give the same statements."""

    def __init__(self, seed, wide=30, truncate=True):
        self.seed, self.wide, self.truncate = seed, wide, truncate

    def __call__(self, c, i):
        r = random.Random(self.seed * 1_000_003 + i)
        for _ in range(r.randint(1, 6)):
            what = r.random()
            who = r.randint(1, 400)
            if what < 0.35:
                c.execute("insert into customers (id, name, balance) values (%s, %s, %s) on conflict (id) do update "
                          "set balance = customers.balance + 1.01, name = excluded.name", (who, f"näme {i}", r.randint(0, 10**8) / 100))
            elif what < 0.55:
                c.execute("update customers set balance = balance - 0.01, vip = not vip where id between %s and %s", (who, who + r.randint(0, 20)))
            elif what < 0.65:
                c.execute("delete from customers where id = %s", (who,))
            elif what < 0.72:
                c.execute("update customers set id = id + 1000000 where id = %s and not exists "
                          "(select 1 from customers where id = %s)", (who, who + 1000000))
            elif what < 0.85:
                c.execute("insert into orders select g, %s, md5(g::text), g / 7.0, now()::timestamp, "
                          "jsonb_build_object('i', %s::int) from generate_series(%s::bigint, %s::bigint) g on conflict do nothing",
                          (who, i, who * 50, who * 50 + r.randint(0, self.wide)))
            elif what < 0.9:
                c.execute("savepoint a")
                c.execute("delete from orders where customer = %s", (who,))
                c.execute("insert into audit_log (what) values ('never')")
                c.execute("rollback to a")
            elif what < 0.97:
                c.execute("delete from orders where customer = %s", (who,))
            elif what < 0.975 and self.truncate:
                c.execute("truncate orders")
        c.execute("insert into audit_log (what) values (%s)", (f"tx {i}",))
