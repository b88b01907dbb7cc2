-- Subscriptions to events. The previous version doesn't know them.

create table subscription (
    id uuid primary key default gen_random_uuid(),
    owner text not null,
    label text,
    scope text not null check (scope in ('mine', 'order', 'tenant')),
    order_id bigint,                              -- of the scope order
    types text[],                                 -- as the client gave them; null: all
    position bigint not null,                     -- up to which the client has handled its events
    created_at timestamptz not null,
    constraint subscription_of_an_order_has_it check ((scope = 'order') = (order_id is not null))
);
