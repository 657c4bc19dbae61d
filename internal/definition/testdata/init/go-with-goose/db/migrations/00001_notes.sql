-- +goose Up
create table notes (id int primary key);
-- +goose Down
drop table notes;
