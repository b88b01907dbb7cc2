-- An order may be removed before its archives, as before its files: a step deletes them.

alter table archive drop constraint archive_order_id_fkey;
