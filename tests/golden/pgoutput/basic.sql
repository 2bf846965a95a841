insert into kinds values (1, true, 12345.60, 1e301, E'a\tb\\c', 'é', 'ab', '2024-02-29', '04:05:06.789', '2024-02-29 10:00:00.5',
  '2024-02-29 10:00:00.123456+00', '1 year 2 mons -3 days 04:05:06.789', '3D57C2E0-8F3A-11EE-B9D1-0242AC120002', '{"b": 1, "a": [null]}',
  '\x00ff', '{1,NULL,3}', '[1,5)', 1234.56, '10101', '192.168.0.1/24', 'NaN');
insert into kinds (id) values (2);
insert into kinds (id, f, d, tm, ts, tz, a, r, m, w) values (3, '-Infinity', 'infinity', '24:00:00', '-infinity', '0044-03-15 10:00:00 BC',
  '[0:1]={7,8}', 'empty', '-92233720368547758.08', 'Infinity');
insert into kinds (id, f, d, ts, tz, w) values (-9223372036854775808, 'NaN', '10000-01-01', '10000-01-01', '10000-01-01 00:00+00', '-Infinity');
begin;
update kinds set t = 'changed' where id = 2;
update kinds set id = 5 where id = 2;
delete from kinds where id = 5;
commit;
insert into toasted values (1, 1, repeat('x', 2100));
update toasted set n = 2;
update toasted set id = 3;
insert into toasted_full values (1, 1, repeat('y', 2100));
update toasted_full set n = null;
delete from toasted_full;
insert into toasted_key values (repeat('k', 2100), 1);
update toasted_key set n = 2;
insert into "büro" values (1, '東京');
insert into nokey values (1, null);
update nokey set b = 'x';
delete from nokey;
begin;
insert into small values (1);
select pg_logical_emit_message(true, 'walbrook', 'inside');
alter table small add b text default 'old';
insert into small values (2, 'new');
rollback;
begin;
select pg_logical_emit_message(true, 'walbrook', 'inside');
insert into small values (1);
alter table small add b text default 'old';
insert into small values (2, 'new');
commit;
select pg_logical_emit_message(false, 'walbrook', 'outside');
truncate small, nokey;
