-- A pass over a selection keeps the size of its pages when the setting changes. The previous version reads each page in
-- the size that it is configured with.

alter table completion add column pass_page_size integer;
