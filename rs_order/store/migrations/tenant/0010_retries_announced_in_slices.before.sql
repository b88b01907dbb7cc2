-- The slices of new sub-orders that a retry has announced. The previous version announces all that are left at once.

alter table retry add column announced_slices integer not null default 0;
