-- The rows that a stored message is made of, and nothing around them: what pgbench puts into these tables is the least that
-- a durable message costs in PostgreSQL. The shape is that of schema/031_inbox.sql and of what messages will be (gapless
-- number in the conversation, hash-partitioned by conversation, deduplicated by the client's id), without foreign keys,
-- without functions, and with sequences where the real ones lock a counter row: a floor may be lower than what is possible.
CREATE TABLE messages (
    conversation_id   uuid NOT NULL,
    seq               bigint NOT NULL,
    id                uuid NOT NULL,
    sender_id         uuid NOT NULL,
    sender_device     uuid NOT NULL,
    client_message_id uuid NOT NULL,
    content           bytea NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (conversation_id, seq),
    UNIQUE (conversation_id, client_message_id)
) PARTITION BY HASH (conversation_id);
DO $$ BEGIN
    FOR i IN 0 .. 15 LOOP
        EXECUTE format('CREATE TABLE messages_%s PARTITION OF messages FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
    END LOOP;
END $$;

CREATE TABLE inbox (
    user_id    uuid NOT NULL,
    cursor     bigint NOT NULL,
    device_id  uuid,
    type       text NOT NULL,
    data       jsonb NOT NULL, -- which message: the content is in its own row, once
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT 'infinity',
    PRIMARY KEY (user_id, cursor)
);
CREATE INDEX inbox_created ON inbox (created_at);

CREATE SEQUENCE message_seq CACHE 100;
CREATE SEQUENCE inbox_cursor CACHE 100;

-- Conversation and user number n, always the same.
CREATE FUNCTION bench_id(kind int, n int) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(kind), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
$$;
