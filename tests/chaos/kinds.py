"""The servers that the chaos runs on: what is SQL of one of them, and how its values are written as text."""
import json

import psycopg
import pymysql

from my_servers import MyDatabase, MyServer
from my_servers import KINDS as MY_KINDS
from servers import Database, Server


class Num(str):
    """A number of a JSON text, as it was written."""


def parse(text):
    return json.loads(text, parse_int=Num, parse_float=Num, parse_constant=Num)


def document(v):
    """JSON as both servers print it, keys in their order."""
    if isinstance(v, dict):
        return "{" + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {document(x)}" for k, x in v.items()) + "}"
    if isinstance(v, list):
        return "[" + ", ".join(map(document, v)) + "]"
    return v if isinstance(v, Num) else json.dumps(v, ensure_ascii=False)


def listed(cols, cast=""):
    return ", ".join(f't."{c}"{cast}' for c, _ in cols)  # SQLite takes "c" alone for a text when there is no such column


class Postgres:
    ddl_in_transactions = True
    sees_ahead = False
    truncate_in_copies = False  # it is not MVCC, and here nothing keeps it out of a copy: see snapshot_done
    schema = """
create table t_int (id bigint primary key, a int, b text, c numeric(38,9), d timestamptz, e boolean, f double precision,
    g jsonb, u uuid, h date, seq bigint not null);
create table t_text (k text primary key, v text, n numeric, seq bigint not null);
create table t_comp (a int, b text, c date, v bytea, arr int[], seq bigint not null, primary key (b, a, c));
create table t_toast (id int primary key, small text, big text, raw bytea, seq bigint not null);
alter table t_toast alter big set storage external, alter raw set storage external;
create table t_full (a int, b text, v text, seq bigint not null);
alter table t_full replica identity full;
create table t_code (id int primary key, code text not null unique, v text, seq bigint not null);
alter table t_code replica identity using index t_code_code_key;
create table t_insert (a int, b text, seq bigint not null);
create table "T odd" ("Id" smallint primary key, "Select" text, "a,'b" time, seq bigint not null);
create table t_bank (id int primary key, balance numeric not null, seq bigint not null);
create table t_order (id int primary key, n bigint not null, seq bigint not null);
create table ledger (seq bigint primary key, writer int not null, tbl text, op text not null, n int not null, keys text,
    vals text);
insert into t_bank select g, 1000, 0 from generate_series(1, 40) g;
insert into t_order values (1, 0, 0);
insert into t_int select -g, g, 'snapshot ' || g, g / 7.0, now(), g % 2 = 0, g / 3.0, json_build_object('g', g)::jsonb,
    md5(g::text)::uuid, date '2024-01-01' + g, 0 from generate_series(1, {rows}) g;
insert into t_toast select -g, 's' || g, repeat(md5(g::text), 100), decode(repeat(md5(g::text), 90), 'hex'), 0
    from generate_series(1, {rows} / 10) g;
insert into t_full select g % 5, 'b', 'v', 0 from generate_series(1, {rows} / 10) g;
insert into t_insert select g, 'b', 0 from generate_series(1, {rows} / 10) g;
"""
    generate = {}
    incidents = {"backend": 1}
    extra_types = ["int", "text", "numeric(9,2)"]

    def __init__(self, name):
        self.options = ["--pg18"] if name == "pg18" else []

    def start(self, *settings):
        return Server(*self.options, "logical_decoding_work_mem=64kB", "deadlock_timeout=100ms", "synchronous_commit=on",
                      "max_connections=40", "wal_sender_timeout=10s", *settings)

    def database(self, server, rows):
        db = Database(server)
        db.sql(self.schema.format(rows=rows))
        return db

    def source(self, db, port=None):
        return {**db.source(), "url": db.url(port=port)}

    def connect(self, db):
        c = db.connect()
        c.autocommit = False
        return c

    def incident(self, what, db):
        assert what == "backend"
        db.sql("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'walsender'")

    # ------------------------------------------------------------ for the writers
    def rolled_back(self, e):
        return isinstance(e, (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation))

    def gone(self, e):
        return isinstance(e, (psycopg.OperationalError, psycopg.InterfaceError))

    def change(self, cur, op, table, sql, params, names, where):
        """Runs one statement: how many rows, and their values after it (of a DELETE: before it) as text."""
        cur.execute(sql + (f" returning {', '.join(n + '::text' for n in names)}" if names else ""), params)
        return cur.rowcount, cur.fetchall() if names else []

    def insert(self, table, columns, rows):
        return f"insert into {table} ({columns}) {rows} on conflict do nothing"

    def rekey(self, table, news, where, free):
        return f"update {table} set {news} where {where} and not exists (select from {table} where {free})"

    def newest(self, cur, table, skip):
        """One row of a table without a key, behind so many newer ones."""
        return f"ctid = (select ctid from {table} order by seq desc, ctid offset {skip} limit 1)"

    def all_newest(self, cur, table):
        return f"seq = (select max(seq) from {table})"

    def series(self, low, high):
        return f"generate_series({low}, {high}) as x(g)"

    def ddl(self, c, cur, sql):
        cur.execute(sql)

    def extra_columns(self, cur):
        cur.execute("select attname from pg_attribute where attrelid = 't_text'::regclass and attname ~ '^x[0-9]' and not attisdropped")
        return [n for n, in cur.fetchall()]

    # ------------------------------------------------------------ for the checks
    def mirror(self, db, table):
        return table

    def columns(self, db, table):
        return db.sql("""select attname, format_type(atttypid, atttypmod) from pg_attribute
            where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum""", f'"{table}"')

    def rows(self, db, table, cols):
        return db.sql(f'select {listed(cols, "::text")} from "{table}" t')

    def plain(self, kind, v):
        """A value of a record or of the mirror as that text."""
        if kind == "jsonb" and not isinstance(v, str):
            return document(v)
        if kind == "boolean":
            return "true" if v in (True, 1, "1") else "false" if v in (False, 0, "0") else v
        if kind == "timestamp with time zone" and v[:1].isdigit() and not v.endswith("BC"):
            v = v.replace("T", " ")
            return v[:-1] + "+00" if v.endswith("Z") else v[:-3] if v.endswith("+00:00") else v
        return self.text(kind, v)

    def binary(self, kind):
        return kind == "bytea"

    def text(self, kind, v):
        return str(float(v)) if kind == "double precision" else str(v)


class MySql:
    """MySQL and MariaDB. Schema changes end the transaction that they come in, and TRUNCATE is one of them: those stand in
    transactions of their own, without an entry in the ledger. Values after a change are read by its seq."""
    ddl_in_transactions = False
    sees_ahead = True  # a schema change that is read late, before the next one of its table, may not know its columns
    truncate_in_copies = True
    schema = """
create table numbers (n int primary key) as with recursive g (n) as (select 0 union all select n + 1 from g where n < 9999) select n from g;
create table t_int (id bigint primary key, a int, b text, c decimal(38,9), d timestamp(6) null, e tinyint(1), f double,
    g json, u char(32), h date, seq bigint not null, key (seq));
create table t_text (k varchar(80) primary key, v text, n decimal(38,9), seq bigint not null, key (seq)) collate utf8mb4_general_ci;
create table t_comp (a int, b varchar(60), c date, v varbinary(60), arr set('a','b','c'), seq bigint not null, primary key (b, a, c), key (seq));
create table t_toast (id int primary key, small varchar(90), big longtext, raw longblob, seq bigint not null, key (seq));
create table t_full (a int, b text, v text, seq bigint not null, key (seq));
create table t_code (id int primary key, code varchar(30) not null unique, v text, seq bigint not null, key (seq));
create table t_insert (a int unsigned, b text, seq bigint not null, key (seq));
create table "T odd" ("Id" smallint primary key, "Select" text, "a,'b" time(6), seq bigint not null, key (seq));
create table t_bank (id int primary key, balance decimal(20,3) not null, seq bigint not null, key (seq));
create table t_order (id int primary key, n bigint not null, seq bigint not null, key (seq));
create table ledger (seq bigint primary key, writer int not null, tbl text, op text not null, n int not null, "keys" text,
    vals longtext);
insert into t_bank select n, 1000, 0 from numbers where n between 1 and 40;
insert into t_order values (1, 0, 0);
insert into t_int select -n, n, concat('snapshot ', n), n / 7.0, now(), n % 2, n / 3.0, json_object('g', n), hex(n),
    date '2024-01-01' + interval n day, 0 from numbers where n between 1 and {rows};
insert into t_toast select -n, concat('s', n), repeat(sha2(n, 256), 50), unhex(repeat(sha2(n, 256), 45)), 0 from numbers where n between 1 and {rows} / 10;
insert into t_full select n % 5, 'b', 'v', 0 from numbers where n between 1 and {rows} / 10;
insert into t_insert select n, 'b', 0 from numbers where n between 1 and {rows} / 10;
"""
    generate = {
        "int": lambda r: r.choice([None, 0, 1, 2**31 - 1, r.randint(0, 9999)]),
        "numeric": lambda r: f"{r.choice(['', '-'])}{r.randrange(10 ** r.randint(1, 27))}.{r.randrange(10 ** 9):09d}",
        "timestamptz": lambda r: r.choice([None, f"{r.randint(1971, 2037)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d} "
                                           f"{r.randint(0, 23):02d}:00:00.{r.randrange(10**6):06d}"]),
        "float": lambda r: r.choice(["1e-300", "-0.5", repr(r.random() * 10 ** r.randint(-20, 20))]),
        "date": lambda r: r.choice([None, "2024-02-29", "9999-12-31", f"{r.randint(1000, 9999):04d}-01-01"]),
        "time": lambda r: r.choice([None, "24:00:00", "-838:59:59", "23:59:59.999999", "00:00:00"]),
        "int[]": lambda r: r.choice([None, "", "a", "a,c", "b,c"]),
    }
    incidents = {"dump": 1, "rotation": 2}
    extra_types = ["int", "text", "decimal(9,2)"]
    BINARY = ("blob", "longblob", "varbinary")
    INIT = ("set time_zone = '+00:00', sql_mode = 'ANSI_QUOTES,STRICT_TRANS_TABLES', transaction_isolation = 'READ-COMMITTED', "
            "innodb_lock_wait_timeout = 3, lock_wait_timeout = 3")

    def __init__(self, name):
        self.name = name

    def start(self, *settings):
        return MyServer(self.name, "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--max-binlog-size=1M", "--max-connections=60",
                        *settings)

    def database(self, server, rows):
        db = MyDatabase(server)
        c = self.connect(db)
        with c.cursor() as cur:
            cur.execute(f"set {'cte_max_recursion_depth' if db.mysql else 'max_recursive_iterations'} = 20000; " + self.schema.format(rows=rows))
            while cur.nextset():
                pass
        c.commit()
        c.close()
        return db

    def source(self, db, port=None):
        return {"type": "mysql", "url": db.url(port=port), "tables": [f"{db.name}.*", f"!{db.name}.numbers"]}

    def connect(self, db):
        """Values come as text, bytes of binary columns."""
        init = self.INIT if db.mysql or db.server.version.startswith("11") else self.INIT.replace("transaction_isolation", "tx_isolation")
        return db.connect(autocommit=False, conv={k: v for k, v in pymysql.converters.conversions.items() if not isinstance(k, int)},
                          init_command=init)

    def incident(self, what, db):
        if what == "rotation":
            db.sql("flush binary logs")
            return
        assert what == "dump"
        for dump in db.server.dumps():
            try:
                db.sql(f"kill {dump}")
            except pymysql.Error as e:
                if e.args[0] != 1094:  # gone already
                    raise

    # ------------------------------------------------------------ for the writers
    def rolled_back(self, e):
        """A duplicate, a deadlock, a lock that was waited for too long."""
        return isinstance(e, pymysql.Error) and bool(e.args) and e.args[0] in (1062, 1213, 1205, 1020, 1412)

    def gone(self, e):
        return isinstance(e, (pymysql.OperationalError, pymysql.InterfaceError, ConnectionError)) and (
            not e.args or e.args[0] in (0, 1053, 1158, 1159, 1160, 1161, 1317, 1927, 2003, 2006, 2013, 2055))

    def change(self, cur, op, table, sql, params, names, where):
        rows, look = [], f"select {', '.join(names)} from {table} where " if names else ""
        if names and op == "D":
            cur.execute(look + where + ("" if " limit " in where else " order by 1") + " for update", params)
            rows = cur.fetchall()
        n = cur.execute(sql, params)
        if names and op != "D" and n:
            cur.execute(look + "seq = %(seq)s order by 1", params)
            rows = cur.fetchall()
        return n, [["\\x" + v.hex() if isinstance(v, bytes) else v for v in row] for row in rows]

    def insert(self, table, columns, rows):
        return f"insert ignore into {table} ({columns}) {rows}"

    def rekey(self, table, news, where, free):
        return f"update ignore {table} set {news} where {where}"

    def newest(self, cur, table, skip):
        return self.all_newest(cur, table, skip) + " limit 1"

    def all_newest(self, cur, table, skip=0):
        """Looked up before: within a SELECT, an UPDATE and a DELETE it could be three different ones."""
        cur.execute(f"select seq from {table} order by seq desc limit {skip}, 1")
        return f"seq = {(cur.fetchone() or [-1])[0]}"

    def series(self, low, high):
        return f"(select n as g from numbers where n between {low} and {high}) x"

    def ddl(self, c, cur, sql):
        c.commit()
        cur.execute(sql)

    def extra_columns(self, cur):
        cur.execute("select column_name from information_schema.columns where table_schema = database() and table_name = 't_text' "
                    "and column_name regexp '^x[0-9]' order by ordinal_position")
        return [n for n, in cur.fetchall()]

    # ------------------------------------------------------------ for the checks
    def mirror(self, db, table):
        return f"{db.name}_{table}"

    def columns(self, db, table):
        return db.sql("select column_name, data_type from information_schema.columns where table_schema = database() and table_name = %s "
                      "order by ordinal_position", table)

    def rows(self, db, table, cols):
        rows = db.text(f"select {listed(cols)} from `{table}` t".replace('"', "`"))
        return [["\\x" + v.hex() if isinstance(v, bytes) else v for v in row] for row in rows]

    def plain(self, kind, v):
        if kind == "timestamp":
            return v.replace("T", " ").removesuffix("+00:00").removesuffix("Z")
        if kind == "json" and not isinstance(v, str):
            return document(v)
        return self.text(kind, v)

    def binary(self, kind):
        return kind in self.BINARY

    def text(self, kind, v):
        if kind == "double":
            return str(float(v))
        return document(parse(v)) if kind == "json" else str(v)


KINDS = {"pg15": Postgres, "pg18": Postgres, **{k: MySql for k in MY_KINDS}}


def kind_of(name):
    return KINDS[name](name)
