-- +goose Up

CREATE TABLE products (
    id    text    PRIMARY KEY, -- also the name of its picture, in pages/pictures.html
    name  text    NOT NULL,
    blurb text    NOT NULL,
    price bigint  NOT NULL CHECK (price > 0), -- in cents
    stock integer NOT NULL CHECK (stock >= 0),
    place integer NOT NULL -- in the catalogue
);

CREATE TABLE orders (
    id      text        PRIMARY KEY, -- random: who knows an order's address may see it
    key     text        NOT NULL UNIQUE, -- the cart page's idempotency key: one click or five, one order
    email   text        NOT NULL,
    status  text        NOT NULL CHECK (status IN ('pending', 'paid', 'declined', 'cancelled')),
    reason  text        NOT NULL DEFAULT '', -- why the payment was declined
    payment text        NOT NULL DEFAULT '', -- the provider's reference
    total   bigint      NOT NULL CHECK (total > 0), -- in cents
    charge  jsonb       NOT NULL, -- what the provider is asked for: who asks again, asks for the same
    placed  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE order_lines (
    order_id text    NOT NULL REFERENCES orders (id),
    product  text    NOT NULL REFERENCES products (id),
    name     text    NOT NULL, -- as it was called when it was bought
    quantity integer NOT NULL CHECK (quantity > 0),
    price    bigint  NOT NULL, -- of one, in cents, when it was bought
    PRIMARY KEY (order_id, product)
);

-- The book of the payment provider's stand-in (provider.go). A real provider keeps its own; this one is here so that
-- the shop needs nothing but one database.
CREATE TABLE provider_charges (
    key       text    PRIMARY KEY,
    reference text    NOT NULL UNIQUE,
    amount    bigint  NOT NULL,
    status    text    NOT NULL CHECK (status IN ('approved', 'declined')),
    reason    text    NOT NULL,
    refunded  boolean NOT NULL DEFAULT false
);

INSERT INTO products (id, name, blurb, price, stock, place) VALUES
    ('teapot',   'Teapot',       'Stoneware, for four cups. Pours without a drip.',       2450, 500000, 1),
    ('cup',      'Cup',          'Goes with the teapot. Also goes without it.',            890, 500000, 2),
    ('assam',    'Assam',        'Black, malty, wide awake. 250 grams of leaves.',         990, 500000, 3),
    ('sencha',   'Sencha',       'Green, from the first harvest. 100 grams of leaves.',   1290, 500000, 4),
    ('honey',    'Lime honey',   'From the trees along the avenue. A jar of 500 grams.',   750, 500000, 5),
    ('biscuits', 'Oat biscuits', 'Twenty of them, in a tin that you will keep.',           620, 500000, 6),
    ('kettle',   'Kettle',       'Enamel, whistles when it is done. Two litres.',         3900, 500000, 7),
    ('cosy',     'Tea cosy',     'Felt. Keeps a pot warm through a long conversation.',   1650, 500000, 8);
