-- The tables of one project of a Java service, in their final state (domain.md 1.2 and the types of its columns).
-- {schema} stands for the schema.

create schema {schema};
set search_path to {schema};

create sequence seq_basket increment 50;
create sequence seq_ds_items_sel increment 50;
create sequence seq_order increment 50;
create sequence seq_task increment 50;
create sequence seq_data_file increment 50;
create sequence seq_template increment 50;
create sequence seq_dynamic_tenant_setting increment 50;

create table t_basket (
    id bigint primary key,
    owner varchar(100) not null constraint uk_basket_owner unique
);

create table t_basket_dataset (
    id bigint primary key,
    dataset_ip_id varchar(128) not null,
    dataset_label varchar(128) not null,
    files_count bigint,
    files_size bigint,
    objects_count integer,
    basket_id bigint constraint fk_dataset_selection references t_basket,
    file_types_sizes jsonb,
    file_types_count jsonb,
    process_dataset_desc jsonb,
    file_selection_description jsonb
);

create table t_basket_ds_item (
    basket_dataset_id bigint not null constraint fk_items_selection references t_basket_dataset,
    date timestamp not null,
    files_count bigint,
    files_size bigint,
    objects_count integer,
    selection_request jsonb,
    file_types_sizes jsonb,
    file_types_count jsonb,
    primary key (basket_dataset_id, date)
);

create table t_order (
    id bigint primary key,
    available_count integer not null,
    avail_count_update_date timestamp,
    creation_date timestamp not null,
    expiration_date timestamp,
    files_in_error integer not null,
    owner varchar(100) not null,
    percent_complete integer not null,
    status varchar(20) not null,
    status_date timestamp not null,
    waiting_for_user boolean not null,
    url text,
    label varchar(50) not null,
    message varchar(255),
    correlation_id varchar(100) not null,
    constraint uk_t_order_label_owner unique (owner, label)
);
create index idx_order_owner on t_order (owner);
create index idx_order_creation_date on t_order (creation_date);
create index idx_order_status on t_order (status);
create index idx_order_creation_date_owner on t_order (creation_date, owner);
create index idx_order_owner_status on t_order (owner, status);

create table t_task (
    id bigint primary key,
    parent_id bigint constraint fk_task_parent_task references t_task
);

create table t_dataset_task (
    dataset_ip_id varchar(128) not null,
    dataset_label varchar(128) not null,
    files_count integer,
    files_size bigint,
    objects_count integer,
    selection_requests jsonb,
    id bigint primary key constraint fk_task_id references t_task,
    order_id bigint constraint fk_order references t_order,
    process_dataset_desc jsonb,
    file_selection_description jsonb
);

create table t_files_task (
    id bigint primary key references t_task,
    ended boolean,
    order_id bigint,
    owner varchar(100) not null,
    waiting_for_user boolean
);

create table t_job_info (
    id uuid primary key,
    class_name varchar(255),
    queued_date timestamp,
    expire_date timestamp,
    owner varchar(255),
    priority integer,
    result text,
    result_class_name varchar(255),
    estimate_completion timestamp,
    percent_complete integer,
    stacktrace text,
    start_date timestamp,
    status varchar(16),
    status_date timestamp,
    stop_date timestamp,
    locked boolean not null default false,
    last_completion_update timestamp,
    last_heartbeat_date timestamp,
    trigger_after_date timestamp
);
create index idx_jobs_queued on t_job_info (id) where status = 'QUEUED';

create table t_job_parameters (
    job_id uuid not null references t_job_info on delete cascade,
    class_name varchar(255),
    name varchar(100) not null,
    value text,
    primary key (job_id, name)
);

create table ta_task_job_info (
    job_info_id uuid constraint fk_job_info references t_job_info on delete cascade,
    task_id bigint primary key constraint fk_task references t_task
);

create table t_data_file (
    id bigint primary key,
    checksum varchar(128),
    checksum_algo varchar(10),
    data_objects_ip_id varchar(128),
    mime_type varchar(64),
    name varchar(255),
    online boolean,
    order_id bigint,
    size bigint,
    state varchar(16),
    url text,
    files_task_id bigint constraint fk_files_task references t_files_task,
    download_error_reason text,
    data_type varchar(32) default 'RAWDATA',
    reference boolean default false,
    product_id varchar(255),
    version integer not null default 0
);
create index data_file_idx on t_data_file (checksum, order_id, state, data_objects_ip_id);
create index idx_data_file_task_id on t_data_file (files_task_id);
create index idx_data_file_order_id on t_data_file (order_id);

create table t_template (
    id bigint primary key,
    code varchar(100) not null constraint uk_template_code unique,
    content text
);

create table t_dynamic_tenant_setting (
    id bigint primary key,
    name varchar(255) not null unique,
    description text,
    value text,
    default_value text,
    class_name varchar(255),
    contains_sensitive_params boolean not null
);

create table shared_lock (
    region varchar(256),
    lock_key varchar(256) primary key,
    client_id varchar(256),
    created_date timestamp
);

create table shedlock (
    name varchar(64) primary key,
    lock_until timestamp,
    locked_at timestamp,
    locked_by varchar(255)
);
