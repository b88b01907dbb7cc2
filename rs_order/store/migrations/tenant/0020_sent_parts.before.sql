-- A file that is downloaded in parts is DOWNLOADED once all of it was sent. The previous version serves no parts.

alter table data_file add column sent int8multirange;
