-- The table of the example, with rows that are there before Walbrook starts.
create schema inventory;
create table inventory.customers (
    id int generated always as identity primary key,
    first_name text not null,
    last_name text not null,
    email text unique,
    credit bigint not null default 0,
    vip boolean not null default false
);
insert into inventory.customers (first_name, last_name, email, credit)
select 'first ' || g, 'last ' || g, 'c' || g || '@example.org', g * 10 from generate_series(1, 1000) g;
