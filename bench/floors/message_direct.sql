-- :batch messages in one commit, each in some conversation of two: the message and the receiver's inbox row.
\set first random(0, :conversations - 1)
WITH fresh AS (
    INSERT INTO messages (conversation_id, seq, id, sender_id, sender_device, client_message_id, content)
    SELECT bench_id(1, ((:first + n * 7919) % :conversations)::int), nextval('message_seq'), gen_random_uuid(),
           bench_id(2, ((:first + n * 7919) % :conversations)::int), bench_id(3, n), gen_random_uuid(),
           convert_to(repeat('x', :bytes), 'UTF8')
      FROM generate_series(1, :batch) n
    RETURNING conversation_id, seq
)
INSERT INTO inbox (user_id, cursor, type, data)
SELECT conversation_id, nextval('inbox_cursor'), 'message', jsonb_build_object('c', conversation_id, 's', seq) FROM fresh;
