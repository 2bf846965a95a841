-- A round of changes while the pipeline runs: new rows, several changes of one row, deletes, other keys, a rollback.
insert into inventory.customers (first_name, last_name, credit) select 'Zoë', 'late ' || g, g from generate_series(1, 20) g;
update inventory.customers set credit = credit + 1 where id % 30 = (random() * 29)::int;
update inventory.customers set credit = credit + 1, vip = not vip, email = null where id % 90 = (random() * 89)::int;
delete from inventory.customers where id % 100 = (random() * 99)::int;
update inventory.customers set id = default where id in (select id from inventory.customers order by random() limit 3);
begin;
delete from inventory.customers;
rollback;
