-- What users do with their orders: sub-orders that obey a state machine, files in error that a retry finds,
-- and orders that can be removed at once.

create table sub_order_move (
    before text not null,
    after text not null,
    primary key (before, after)
);
insert into sub_order_move (before, after) values
    ('BUILDING', 'READY'), ('BUILDING', 'WAITING'), ('BUILDING', 'ENDED'),
    ('READY', 'RUNNING'), ('READY', 'WAITING'), ('READY', 'ENDED'),
    ('RUNNING', 'READY'), ('RUNNING', 'WAITING'), ('RUNNING', 'ENDED'),
    ('WAITING', 'ENDED'),
    ('ENDED', 'WAITING');

create function refuse_forbidden_sub_order_move() returns trigger language plpgsql as $$
begin
    if not exists (select from sub_order_move where before = old.state and after = new.state) then
        raise check_violation using
            message = format('sub-order %s can''t go from %s to %s', old.id, old.state, new.state),
            constraint = 'sub_order_moves';
    end if;
    return new;
end $$;
create trigger sub_order_moves before update of state on sub_order
    for each row when (old.state is distinct from new.state)
    execute function refuse_forbidden_sub_order_move();

create index data_file_in_error on data_file (order_id, dataset_task_id, id)
    where state in ('ERROR', 'DOWNLOAD_ERROR', 'PROCESSING_ERROR');

-- A removed order leaves its sub-orders to steps, as it always left its files.
alter table sub_order drop constraint sub_order_order_id_fkey;
alter table sub_order drop constraint sub_order_dataset_task_id_fkey;
