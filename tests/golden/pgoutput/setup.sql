create table kinds (id bigint primary key, b bool, n numeric(12,2), f float8, t text, v varchar(20), c char(4), d date,
  tm time(3), ts timestamp(3), tz timestamptz, iv interval, u uuid, j jsonb, y bytea, a int[], r int4range, m money,
  bits bit(5), ip inet, w numeric);
create table toasted (id int primary key, n int, big text);
create table toasted_full (id int primary key, n int, big text);
create table toasted_key (k text primary key, n int);
create table "büro" ("größe" int primary key, "日本" text);
create table nokey (a int, b text);
create table small (a int primary key);
alter table toasted alter big set storage external;
alter table toasted_full alter big set storage external;
alter table toasted_key alter k set storage external;
alter table toasted_full replica identity full;
alter table nokey replica identity full;
create publication walbrook_golden for all tables;
