-- False while the files of an order are read from the catalog, or if it was paused meanwhile: until all are known,
-- nothing of it is shown or downloaded (rest.md 5.5).
create function files_known(orders) returns boolean language sql immutable
return $1.status <> 'PENDING' and ($1.status <> 'PAUSED' or $1.expires_at is not null);

-- True if a process works on a dataset of the order. The basket also has the selections that were never read.
create function has_process(orders) returns boolean language sql stable
return exists (select from dataset_task where order_id = $1.id and process_id is not null)
    or exists (
        select from basket
        join dataset_selection on basket_id = basket.id and process_id is not null
        where basket.order_id = $1.id);
