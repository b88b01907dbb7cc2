-- Lists of orders: a page, and how many there are, come from an index alone.

drop index orders_of_owner;
create index orders_of_owner on orders (owner, created_at, id) where status <> 'DELETED';

drop index orders_by_creation;
create index orders_by_creation on orders (created_at, id) include (owner, status);
