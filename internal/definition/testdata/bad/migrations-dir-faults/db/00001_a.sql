-- +goose Up
-- +goose StatementBegin
create table a (id int);
