CREATE TABLE runtime.runs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text NOT NULL, started_at timestamptz);
CREATE TABLE runtime.run_events (run_id bigint NOT NULL REFERENCES runtime.runs, position bigint NOT NULL, body jsonb NOT NULL);
CREATE SEQUENCE runtime.lease_numbers;
