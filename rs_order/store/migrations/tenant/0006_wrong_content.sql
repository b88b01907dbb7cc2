-- Files whose content was found wrong at a download stand in the history of their order.

alter table history add column data_file_id bigint;
