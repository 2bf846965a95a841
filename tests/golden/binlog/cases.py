"""What the golden binlogs hold: a name, the servers, and SQL in the order of its lines. `make` plays it."""
from my_servers import MyServer, run

MY, M10, M118 = "my97", "m10", "m118"
MARIA = (M10, M118)
ALL = (MY, *MARIA)
CASES = []
ANYTHING = "set sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'"


class Case:
    def __init__(self, name, kinds, sql, options=(), only_log=False, more=None):
        self.name, self.kinds, self.sql, self._options, self.only_log, self.more = name, kinds, sql, options, only_log, more
        CASES.append(self)

    def options(self, kind):
        return self._options(kind) if callable(self._options) else list(self._options)

    def play(self, server, c):
        sql = self.sql(server.kind) if callable(self.sql) else self.sql
        for statement in sql if isinstance(sql, (list, tuple)) else statements(sql):
            run(c, statement)
        if self.more:
            self.more(server, c)


def statements(text):
    """A blank line, or a semicolon at the end of a line, ends a statement."""
    return [s.strip().rstrip(";") for s in text.replace(";\n", "\n\n").split("\n\n") if s.strip()]


# ---------------------------------------------------------------- types

def numbers(kind):
    bounds = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
    cols = [f"s{n} {t}, u{n} {t} unsigned" for t, n in bounds.items()]
    low = ", ".join(f"{-2 ** (n - 1)}, 0" for n in bounds.values())
    high = ", ".join(f"{2 ** (n - 1) - 1}, {2 ** n - 1}" for n in bounds.values())
    return [ANYTHING,
            f"create table ints (id int primary key, {', '.join(cols)}, b bool, z int(5) unsigned zerofill)",
            f"insert into ints values (1, {low}, 0, 0), (2, {high}, 1, 42)",
            "insert into ints (id) values (3)",
            "update ints set u64 = 9223372036854775808, s8 = -1, b = null where id = 3",
            "create table decimals (id int primary key, a decimal(65,30), b decimal(14,4), c decimal(3,3), d decimal(10,0) unsigned, "
            "e decimal(1,0), f decimal(9,9), g decimal(18,9), h decimal(30,2), i decimal(65,0))",
            "insert into decimals values (1, -12345678901234567890123456789012345.123456789012345678901234567890, -1234567890.1234, "
            "-0.5, 4294967296, -9, 0.000000001, 123456789.987654321, -0.01, "
            "99999999999999999999999999999999999999999999999999999999999999999)",
            "insert into decimals values (2, 0, 0, 0, 0, 0, 0, 0, 0, 0), (3, 0.000000000000000000000000000001, 0.0001, 0.999, 1, 9, "
            "0.999999999, -0.000000001, 9999999999999999999999999999.99, -1), (4, null, null, null, null, null, null, null, null, null)",
            "create table floats (id int primary key, f float, d double, fu float unsigned, du double unsigned, f72 float(7,2), d102 double(10,2))",
            "insert into floats values (1, 0.1, 0.1, 1.5, 1.5, 12345.67, 12345678.91), (2, -3.4028234e38, -1.7976931348623157e308, 0, 0, 0, 0), "
            "(3, 1.17549435e-38, 2.2250738585072014e-308, 16777216, 9007199254740993, -1.1, -1.1), (4, -0.0, -0.0, 1e10, 1e22, 0, 0), "
            "(5, 1e-45, 5e-324, 123456789, 1e21, 0, 0), (6, 3.14159274, 3.141592653589793, 33554432, 1e15, null, null), (7, 1e15, 1e16, 1e17, 123456789012345680, 0, 0)",
            "create table bits (id int primary key, b1 bit, b7 bit(7), b8 bit(8), b10 bit(10), b64 bit(64))",
            "insert into bits values (1, 1, 127, 255, 513, 18446744073709551615), (2, 0, 0, 0, 0, 0), (3, null, 1, 1, 1, 1)",
            "create table years (id int primary key, y year, before_it tinyint, after_it tinyint unsigned, last tinyint)",
            "insert into years values (1, 0, -1, 255, -1), (2, 1901, 1, 200, -128), (3, 2155, 0, 0, 0), (4, 2024, null, null, null)"]


Case("numbers", ALL, numbers)


def temporal(kind):
    fsp = range(7)
    cols = ", ".join(f"t{i} time({i}), d{i} datetime({i}), s{i} timestamp({i}) null" for i in fsp)
    def row(i, t, d, s):
        return f"({i}, " + ", ".join(f"'{t}', '{d}', '{s}'" for _ in fsp) + ")"
    return [ANYTHING, "set time_zone = '+00:00'",
            f"create table moments (id int primary key, {cols}, dd date)",
            "insert into moments values " + row(1, "12:34:56.789123", "2024-02-29 12:34:56.123456", "2024-02-29 12:34:56.780000")[:-1] + ", '2024-02-29')",
            "insert into moments values " + row(2, "-00:00:00.100000", "1000-01-01 00:00:00", "1970-01-01 00:00:01")[:-1] + ", '1000-01-01')",
            "insert into moments values " + row(3, "-838:59:59", "9999-12-31 23:59:59", "2038-01-19 03:14:07")[:-1] + ", '9999-12-31')",
            "insert into moments values " + row(4, "838:59:59", "1969-12-31 23:59:59.999999", "2024-01-01 00:00:00.000010")[:-1] + ", '1969-12-31')",
            "insert into moments values " + row(5, "-00:00:00.000001", "0000-00-00 00:00:00", "0000-00-00 00:00:00")[:-1] + ", '0000-00-00')",
            "insert into moments values " + row(6, "-00:00:01.100000", "2024-00-15 10:20:30", "2001-09-09 01:46:40.5")[:-1] + ", '2024-01-00')",
            "insert into moments values " + row(7, "100:00:00", "2024-02-31 00:00:00.5", "1999-12-31 23:59:59.999")[:-1] + ", '2024-02-31')",
            "insert into moments values " + row(8, "00:00:00", "0001-01-01 00:00:00", "2000-02-29 00:00:00")[:-1] + ", '0000-12-31')",
            "insert into moments (id) values (9)",
            "update moments set t0 = '-00:00:01', t3 = '-12:34:56.789', d1 = '2024-01-01 00:00:00.5', dd = null where id = 9",
            "set time_zone = '-08:00'",
            "create table zoned (id int primary key, s timestamp(6) null, d datetime(6))",
            "insert into zoned values (1, '2024-06-30 20:00:00.123456', '2024-06-30 20:00:00.123456')",
            "delete from moments where id = 8"]


Case("temporal", ALL, temporal)


def strings(kind):
    sql = [ANYTHING, "set names utf8mb4",
           "create table lengths (id int primary key, c5 char(5), c100 char(100), v63 varchar(63), v64 varchar(64), v300 varchar(300), "
           "b5 binary(5), b255 binary(255), vb varbinary(10), vb300 varbinary(300))",
           "insert into lengths values (1, 'héé', 'long', 'n', 'o', 'varé', x'0102', x'ff', x'00ff00', x'80')",
           "insert into lengths values (2, '', '', '', '', '', '', '', '', '')",
           "insert into lengths values (3, ' x  ', 'trailing   ', 'kept  ', ' kept ', '  ', x'0000000000', x'00', x'2000', x'')",
           "insert into lengths (id) values (4)",
           "insert into lengths values (5, '😀😀😀😀😀', repeat('ÿ', 100), repeat('z', 63), repeat('€', 64), repeat('x', 300), "
           "x'ffffffffff', repeat(x'fe', 255), repeat(x'0a', 10), repeat(x'0d', 300))",
           "create table blobs (id int primary key, tb tinyblob, b blob, mb mediumblob, lb longblob, tt tinytext, t text, mt mediumtext, lt longtext)",
           "insert into blobs values (1, x'00', x'0001', x'000102', x'00010203', 'tiny', 'text', 'medium', 'long'), "
           "(2, '', '', '', '', '', '', '', ''), (3, null, null, null, null, null, null, null, null)",
           "insert into blobs (id, b, t) values (4, repeat(x'ab', 300), repeat('ab\\n\\t\"\\\\\\'', 60))",
           "update blobs set lt = concat('quote \" backslash \\\\ nul ', char(0), ' tab \\t ctrl ', char(1), ' del ', char(127), ' ', '\u2028') where id = 4",
           "create table labels (id int primary key, e enum('a','b','ü','','x,y'), s set('a','b','c','d','e','f','g','h','i'), "
           f"big enum({','.join(repr('label' + str(i)) for i in range(300))}), s64 set({','.join(repr('m' + str(i)) for i in range(64))}))",
           "insert into labels values (1, 'ü', 'a,i', 'label299', 'm0,m63'), (2, '', '', 'label0', ''), (3, null, null, null, null)",
           "insert into labels values (4, 'x,y', 'a,b,c,d,e,f,g,h,i', 'label255', (select 18446744073709551615)), (5, 0, 0, 0, 0)"]
    sql += ["create table `odd ``name``-\u00fc` (`id \"x\"` int primary key, `sel,ect` varchar(20), `ключ` text)",
            "insert into `odd ``name``-\u00fc` values (1, 'a', 'б')", "update `odd ``name``-\u00fc` set `ключ` = 'в'"]
    return sql


Case("strings", ALL, strings)


def charsets(kind):
    text = {"latin1": "héllo €", "latin2": "łódź", "cp1251": "привет", "koi8r": "привет", "gbk": "中文", "gb2312": "中文", "big5": "中文", "sjis": "日本ソ",
            "cp932": "日本", "ujis": "日本", "eucjpms": "日本", "euckr": "한국", "utf8mb3": "é€中", "utf8mb4": "😀é", "ucs2": "é€中", "utf16": "😀é",
            "utf16le": "😀é", "utf32": "😀é", "greek": "λόγος", "hebrew": "שלום", "latin5": "ığ", "latin7": "ąž", "cp1250": "žluť", "cp1256": "سلام",
            "cp1257": "ąž", "cp850": "é", "cp852": "ž", "cp866": "привет", "macroman": "é", "macce": "ž", "tis620": "ไทย", "ascii": "plain",
            "dec8": "é", "hp8": "é", "swe7": "plain", "armscii8": "Հայ", "geostd8": "გამ", "koi8u": "їжак", "keybcs2": "plain", "cp1257": "ąž"}
    if kind == MY:
        text["gb18030"] = "中文😀"
    sql = ["set names utf8mb4"]
    for charset, value in text.items():
        sql.append(f"create table {charset} (id int primary key, c char(20) character set {charset}, v varchar(100) character set {charset}, "
                   f"t text character set {charset}, e enum('{value}','.') character set {charset}, "
                   f"s set('{value}','.') character set {charset})")
        sql.append(f"insert into {charset} values (1, '{value}', '{value}{value}', '{value}', '{value}', '{value},.'), "
                   f"(2, '', '', '', null, '')")
    collation = {MY: "utf8mb4_0900_ai_ci", M10: "utf8mb4_uca1400_ai_ci", M118: "utf8mb4_uca1400_ai_ci"}[kind]
    sql += [f"create table collated (id int primary key, a varchar(10) collate {collation}, b varchar(10) character set latin1 collate latin1_bin, "
            "c varchar(10) collate utf8mb4_bin, d varbinary(10))",
            "insert into collated values (1, 'ä', 'ä', 'ä', x'e4')",
            "set names latin1", "insert into collated values (2, _latin1 x'e4', _latin1 x'e4', _latin1 x'e4', x'e4')"]
    return sql


Case("charsets", ALL, charsets)

Case("wide", ALL, lambda kind: [
    f"create table wide (id int primary key, {', '.join(f'c{i} int, v{i} varchar(10)' for i in range(70))})",
    f"insert into wide (id, {', '.join(f'c{i}' for i in range(0, 70, 3))}) values (1, {', '.join(str(i) for i in range(0, 70, 3))})",
    f"insert into wide values (2, {', '.join(f'{i}, {i}' for i in range(70))})",
    "update wide set c69 = null, v0 = 'x' where id = 2", "insert into wide (id) values (3)", "delete from wide where id = 1"])

Case("special", ALL, lambda kind: [
    "create table shapes (id int primary key, g geometry, p point, pg polygon)",
    "insert into shapes values (1, ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('POINT(-1.5 2.5)'), "
    "ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 10,0 0))')), (2, null, null, null), "
    f"(3, ST_GeomFromText('LINESTRING(0 0,1 1,2 2)', 4326), null, null)",
    "create table computed (id int primary key, a int, v int as (a + 1) virtual, s int as (a * 2) stored, hidden int invisible default 7, z varchar(10))",
    "insert into computed (id, a, z) values (1, 10, 'z'), (2, null, null)", "update computed set a = 20, hidden = 8 where id = 1",
    "create table keyless (a int, b varchar(10))", "insert into keyless values (1, 'x'), (1, 'x'), (2, null)",
    "delete from keyless where a = 1 limit 1", "update keyless set b = 'y' where a = 2",
    "create table uniq (a int not null, b int not null, c int, unique (b))", "insert into uniq values (1, 2, 3)", "update uniq set c = 4",
    "create table pairs (a int, b varchar(20), c int, primary key (b, a))", "insert into pairs values (1, 'x', 1), (2, 'x', 2)",
    "update pairs set a = 3 where a = 2", "create table prefixed (t text, n int, primary key (t(10)))", "insert into prefixed values ('a long text that goes on', 1)",
    "create table parted (id int primary key, v int) partition by hash (id) partitions 3", "insert into parted values (1, 1), (2, 2), (3, 3)",
    "update parted set id = id + 10 order by id desc"] + ([
        "set sql_generate_invisible_primary_key = on", "create table gipk (a int, b text)", "set sql_generate_invisible_primary_key = off",
        "insert into gipk values (1, 'one'), (2, 'two')", "update gipk set b = 'three' where a = 2",
        "create table vectors (id int primary key, v vector(3))", "insert into vectors values (1, to_vector('[1,-2.5,3e10]')), (2, null)",
        "create table functional (id int primary key, j json, a int, index ((cast(j->'$.tags' as unsigned array))), index ((a + 1)))",
        "insert into functional values (1, '{\"tags\": [1, 2, 3]}', 5), (2, '{\"tags\": []}', null)"] if kind == MY else [
        "create table addresses (id int primary key, u uuid, i6 inet6, i4 inet4)",
        "insert into addresses values (1, '3d57c2e0-8f3a-11ee-b9d1-0242ac120002', '2001:db8::1', '1.2.3.4'), (2, null, null, null), "
        "(3, '00000000-0000-0000-0000-000000000000', '::', '0.0.0.0'), (4, 'ffffffff-ffff-ffff-ffff-ffffffffffff', '::ffff:1.2.3.4', '255.255.255.255')",
        "create table squeezed (id int primary key, v varchar(1000) compressed, t text compressed, b blob compressed)",
        "set global column_compression_threshold = 50",
        "set column_compression_threshold = 50", "insert into squeezed values (1, repeat('c', 100), repeat('d', 1000), repeat(x'00', 200)), (2, 'ab', '', x'01'), (3, null, null, null)",
        "create table documents (id int primary key, j json)", "insert into documents values (1, '{\"a\": [1, 2.50, \"x\"]}')",
        "create table versions (id int primary key, v int) with system versioning", "set @@system_versioning_alter_history = keep",
        "create sequence seq start with 5", "select nextval(seq)"] + ([
            "create table vectors (id int primary key, v vector(3) not null)", "insert into vectors values (1, vec_fromtext('[1,-2.5,3e10]'))"]
            if kind == M118 else [])))

JSON = """
create table docs (id int primary key, j json, note varchar(20));

insert into docs values (1, '{}', 'empty'), (2, '[]', null), (3, 'null', null), (4, 'true', null), (5, '"text"', null), (6, null, null);

insert into docs values (7, '{"b": 1, "a": 2, "aa": [true, false, null, -1, 1.0, 1e100, 9007199254740993, 18446744073709551615, -9223372036854775808]}', '');

insert into docs values (8, json_object('key "quoted" \\\\ back', 'nul \\0 tab \\t', '', 'empty key', 'ключ', '😀', 'ctl', char(1)), '');

insert into docs values (9, json_object('d', cast(1.10 as decimal(5,2)), 'big', cast('12345678901234567890.123456789' as decimal(40,9)), 'date', cast('2024-02-29' as date),
 'dt', cast('2024-02-29 12:34:56.123456' as datetime(6)), 'time', cast('-12:34:56.5' as time(1)), 'bin', x'00ff', 'bit', b'101', 'year', cast(2024 as year)), '');

insert into docs values (10, json_array(0.1, 1.5e-10, 123456789012345678, 1e15, 1e16, 1e17, -0.0, 3.0), '');

insert into docs values (11, json_object('small', repeat('x', 10), 'large', repeat('long text ', 200)), 'two-byte length');

insert into docs select 12, json_arrayagg(json_object('n', n, 'v', concat('value ', n))), 'many' from (with recursive c (n) as (select 1 union all select n + 1 from c where n < 40) select n from c) x;

insert into docs select 13, cast(concat('[', group_concat(concat('"', repeat('y', 100), n, '"') order by n), ']') as json), 'large' from (with recursive c (n) as (select 1 union all select n + 1 from c where n < 630) select n from c) x;

insert into docs values (14, '{"point": {"x": [[[[[1]]]]]}}', '');

update docs set j = json_set(j, '$.b', 3, '$.new', 'x') where id = 7;

update docs set note = 'changed' where id = 9;
"""
Case("json", (MY,), "set session group_concat_max_len = 1000000;\n" + JSON)
Case("json_partial", (MY,), """
create table docs (id int primary key, j json, note varchar(20), k json);

insert into docs values (1, '{"a": 1, "b": {"c": [1, 2, 3]}, "text": "a long enough text to be worth a partial update, and more of it, and even more"}', '', '{"x": 1}');

insert into docs values (2, '[1, 2, {"z": "a long enough text to be worth a partial update, and more of it, and even more"}]', '', '[]'), (3, null, '', null), (4, '{"pad": "a long enough text to be worth a partial update, and more of it, and even more", "n": 1}', 'x', null);

set binlog_row_value_options = 'PARTIAL_JSON';

update docs set j = json_set(j, '$.a', 100) where id = 1;

update docs set j = json_set(j, '$.b.c[1]', 'twenty', '$.new', json_object('deep', true)), k = json_replace(k, '$.x', 2) where id = 1;

update docs set j = json_remove(j, '$.b.c[0]', '$.new') where id = 1;

update docs set j = json_insert(j, '$[3]', 4), note = 'n' where id = 2;

update docs set j = json_remove(j, '$[0]') where id in (2, 4);

update docs set j = json_set(j, '$.n', 2.5), note = null where id = 4;

update docs set j = '{"whole": "new"}' where id = 3;

update docs set note = 'only' where id = 1;

update docs set j = null where id = 3;
""")

# ---------------------------------------------------------------- images, metadata, compression, checksums, ids

IMAGES = """
create table t (id int primary key, a int, b varchar(20), t text, d timestamp(3) null default null);

create table n (a int, b text);

insert into t values (1, 1, 'one', 'text one', '2024-01-01 00:00:00'), (2, 2, 'two', 'text two', null), (3, null, null, null, null);

insert into t (id, b) values (4, 'four');

insert into n values (1, 'x'), (2, 'y');

update t set b = 'min' where id = 1;

update t set a = null, t = 'new text' where id = 2;

update t set id = 30 where id = 3;

update n set b = 'z' where a = 2;

delete from t where id = 4;

delete from n where a = 1;
"""
Case("minimal", ALL, "set binlog_row_image = minimal;\n" + IMAGES)
Case("noblob", ALL, "set binlog_row_image = noblob;\n" + IMAGES)
Case("nodup", (M118,), "set binlog_row_image = full_nodup;\n" + IMAGES)
Case("nometa", ALL, IMAGES, lambda kind: ["--binlog-row-metadata=" + ("MINIMAL" if kind == MY else "NO_LOG")])
Case("nochecksum", ALL, IMAGES, ["--binlog-checksum=NONE"])
Case("anonymous", (MY,), IMAGES, [MyServer.WITHOUT_GTID, "--enforce-gtid-consistency=OFF"])
Case("queries", ALL, lambda kind: ("set binlog_rows_query_log_events = on;\n" if kind == MY else "set binlog_annotate_row_events = on;\n") + IMAGES
     + f"\nupdate t set b = 'long' where b <> '{'x' * 300}';\n")
Case("noannotate", MARIA, "set binlog_annotate_row_events = off;\n" + IMAGES)
Case("tagged", (MY,), "set gtid_next = 'AUTOMATIC:tag_a';\n" + IMAGES + "\nset gtid_next = 'AUTOMATIC';\n\ninsert into t (id) values (9);\n")
Case("compressed", ALL, lambda kind: ("set binlog_transaction_compression = on;\n\nset binlog_transaction_compression_level_zstd = 9;\n" if kind == MY else "") + IMAGES + """
create table many (id int primary key, u binary(16), v varchar(100));

insert into many with recursive c (n) as (select 1 union all select n + 1 from c where n < 150) select n, unhex(lpad(hex(n * 2654435761), 32, '0')), concat('value ', n) from c;

update many set v = concat(v, ' changed') where id % 2 = 0;

delete from many where id > 30;
""", lambda kind: [] if kind == MY else ["--log-bin-compress=ON", "--log-bin-compress-min-len=10"])


def encrypt(kind):
    import tempfile
    from pathlib import Path
    key = Path(tempfile.mkdtemp()) / "keys"
    key.write_text("1;" + "a7addd9adea9978fda19f21e6be987880e68ac92632ca052e5bb42b1a506939a\n")
    return ["--plugin-load-add=file_key_management", f"--file-key-management-filename={key}", "--encrypt-binlog=ON"]


Case("encrypted", (M118,), IMAGES, encrypt, only_log=True)

# ---------------------------------------------------------------- transactions

Case("transactions", ALL, """
create table t (id int primary key auto_increment, v varchar(20)) engine=innodb;

create table my (id int primary key, v varchar(20)) engine=myisam;

create table log (id int primary key auto_increment, what varchar(50));

create trigger after_t after insert on t for each row insert into log (what) values (concat('inserted ', new.id));

begin;

insert into t (v) values ('a'), ('b');

update t set v = 'A' where id = 1;

delete from t where id = 2;

commit;

begin;

insert into t (v) values ('rolled back');

rollback;

insert into my values (1, 'no transaction');

begin;

insert into t (v) values ('kept');

savepoint s1;

insert into t (v) values ('undone');

insert into my values (2, 'stays');

rollback to s1;

insert into t (v) values ('after');

savepoint `S 2`;

insert into t (v) values ('released');

release savepoint `S 2`;

commit;

begin;

insert into t (v) values ('undone too');

insert into my values (3, 'stays too');

rollback;

begin;

insert into t (v) values ('gone');

create temporary table tmp (a int);

insert into tmp values (1);

drop temporary table tmp;

insert into t (v) values ('gone too');

rollback;

insert into t (id, v) values (100, 'x') on duplicate key update v = 'y';

insert into t (id, v) values (100, 'x') on duplicate key update v = 'y';

replace into t (id, v) values (100, 'replaced'), (101, 'new');

create table other (id int primary key, v varchar(20));

insert into other select id, v from t;

update t, other set t.v = concat(t.v, '+'), other.v = concat(other.v, '-') where t.id = other.id and t.id >= 100;

delete t, other from t join other on t.id = other.id where t.id = 101;

create table parent (id int primary key);

create table child (id int primary key, p int, foreign key (p) references parent (id));

insert into parent values (1), (2);

insert into child values (1, 1), (2, 2);

delete from child where p = 2;

delete from parent where id = 2;

insert into t (v) select concat('bulk ', id) from other;

insert ignore into t (id, v) values (100, 'ignored'), (200, 'taken');
""", lambda kind: [MyServer.WITHOUT_GTID, "--enforce-gtid-consistency=OFF"] if kind == MY else [])

Case("xa", ALL, """
create table t (id int primary key, v varchar(20));

insert into t values (1, 'before');

xa start 'one','b',7;

insert into t values (10, 'prepared');

update t set v = 'in xa' where id = 1;

xa end 'one','b',7;

xa prepare 'one','b',7;

xa commit 'one','b',7;

xa start 'two';

insert into t values (20, 'never');

xa end 'two';

xa prepare 'two';

xa rollback 'two';

xa start 'three';

insert into t values (30, 'one phase');

xa end 'three';

xa commit 'three' one phase;
""", more=lambda server, c: xa_between(server, c))


def xa_between(server, c):
    """Prepared in one session, other transactions between, committed by another session."""
    with server.connect("g") as other:
        for s in ("xa start 'late'", "insert into t values (40, 'late')", "xa end 'late'", "xa prepare 'late'"):
            run(other, s)
    for _ in range(100):
        if any(r[3] in (b"late", "late") for r in run(c, "xa recover")):
            break
    run(c, "insert into t values (50, 'between')")
    for _ in range(100):  # MySQL: the session that prepared it must have gone
        try:
            run(c, "xa commit 'late'")
            return
        except Exception:  # noqa: BLE001
            import time
            time.sleep(0.05)
    run(c, "xa commit 'late'")


Case("xa_open", ALL, """
create table t (id int primary key, v varchar(20));

insert into t values (1, 'before');
""", only_log=True, more=lambda server, c: leave(server, c))


def leave(server, c):
    """Prepared, and never decided in this log."""
    with server.connect("g") as other:
        for s in ("xa start 'open'", "insert into t values (10, 'prepared')", "xa end 'open'", "xa prepare 'open'"):
            run(other, s)
    run(c, "insert into t values (2, 'after')")


# ---------------------------------------------------------------- schema changes

Case("ddl", ALL, lambda kind: """
create table t (id int primary key, first varchar(20), last varchar(20));

insert into t values (1, 'Ann', 'Lee');

alter table t add column middle varchar(20) after first;

insert into t values (2, 'Bob', 'M', 'Ray');

update t set middle = 'X' where id = 1;

alter table t drop column first, modify last text, add n bigint unsigned first;

insert into t values (18446744073709551615, 3, null, 'Zed');

update t set n = id where id < 3;

alter table t
begin_marker int null,
rename column last to surname;
""".replace("begin_marker int null,", "add column begin_at int null,") + """
update t set begin_at = id;

create table a (id int primary key, v varchar(10));

create table b (id int primary key, v varchar(10), extra int);

insert into a values (1, 'a');

insert into b values (1, 'b', 1);

rename table a to swap, b to a, swap to b;

insert into a values (2, 'was b', 2);

insert into b values (2, 'was a');

truncate table a;

insert into a values (3, 'after', 3);

create table copy as select * from t;

create table `like it` like a;

insert into `like it` values (1, 'l', null);

/* a comment */ create /* another */ table if not exists -- to the end of the line
commented (id int primary key);

insert into commented values (1);

create database g2;

create table g2.far (id int primary key);

insert into g2.far values (1);

drop table g2.far, b;

create view v as select * from t;

create procedure p() begin insert into commented values (2); update commented set id = 3 where id = 2; end;

call p();

create function f() returns int deterministic modifies sql data begin insert into commented values (50); return 1; end;

select f();

create temporary table hidden (a int);

alter table hidden add b int;

drop temporary table hidden;

create index by_v on a (v);

alter table a drop index by_v, rename to renamed;

insert into renamed values (4, 'r', 4);

analyze table renamed;

create user someone identified by 'x';

drop user someone;

drop database g2;
""" + ("""
set sql_mode = 'ANSI_QUOTES';

create table "quoted" ("id" int primary key, "ключ" int);

insert into "quoted" values (1, 1);
""" if kind == MY else """
set statement lock_wait_timeout = 5 for alter table renamed add column statement int;

update renamed set statement = 1;

set sql_mode = 'ANSI_QUOTES';

create or replace table "quoted" ("id" int primary key, "ключ" int);

insert into "quoted" values (1, 1);

create or replace table "quoted" ("id" int primary key, "ключ" int);

insert into "quoted" values (2, 2);
"""))
Case("alter_two_phase", MARIA, """
set binlog_alter_two_phase = on;

create table t (id int primary key, v int);

insert into t values (1, 1);

alter table t add column w int after id;

insert into t values (2, 2, 2);

alter table t drop column v;

insert into t values (3, 3);
""")
Case("statement", ALL, lambda kind: ("set binlog_format = statement;\n" if kind != MY else "set session binlog_format = statement;\n") + """
create table t (id int primary key auto_increment, v double);

set @x = 5;

insert into t (v) values (rand()), (@x), (last_insert_id());

update t set v = 1;
""", only_log=True)
