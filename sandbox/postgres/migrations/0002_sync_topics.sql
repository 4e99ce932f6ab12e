CREATE TABLE runtime.sync_topic_sequences (topic text PRIMARY KEY, last_sequence bigint NOT NULL);
CREATE TABLE runtime.spacetime_projection_checkpoints (projection text PRIMARY KEY, position bigint NOT NULL);
CREATE FUNCTION runtime.next_sequence(wanted text) RETURNS bigint LANGUAGE sql AS
  'UPDATE runtime.sync_topic_sequences SET last_sequence = last_sequence + 1 WHERE topic = wanted RETURNING last_sequence';
GRANT EXECUTE ON FUNCTION runtime.next_sequence(text) TO oa_runtime_rw;
GRANT SELECT ON runtime.sync_topic_sequences, runtime.spacetime_projection_checkpoints TO oa_spacetime_ro;
