-- +goose Up
create table customers (id int primary key, email text);
-- +goose Down
drop table customers;
