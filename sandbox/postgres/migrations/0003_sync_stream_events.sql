CREATE TABLE runtime.sync_stream_events (topic text NOT NULL, sequence bigint NOT NULL, body jsonb NOT NULL, PRIMARY KEY (topic, sequence));
GRANT SELECT ON runtime.sync_stream_events TO oa_spacetime_ro;
