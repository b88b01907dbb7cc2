-- Interactive baskets with processes, and retries.

alter table basket add column version integer not null default 0;

alter table dataset_selection
    add column process_id uuid,
    add column process_parameters jsonb,
    add constraint process_or_filter check (
        process_id is null or (file_kinds is null and file_name_pattern is null));

alter table dataset_task
    add column process_id uuid,
    add column process_parameters jsonb;

create index data_file_of_task on data_file (dataset_task_id, id);

create table retry (
    order_id bigint primary key references orders on delete cascade,
    status_before text not null check (status_before in ('FAILED', 'DONE_WITH_WARNING')),
    dataset_task_id bigint not null default 0,
    data_file_id bigint not null default 0,
    storage_sub_order_id bigint,
    external_sub_order_id bigint,
    first_sub_order_id bigint
);

insert into order_move (before, after) values ('PAUSED', 'PENDING');
