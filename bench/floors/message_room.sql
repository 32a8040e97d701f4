-- One message to a room so large that its members read from the room: one row, one commit, whoever many are in it.
\set room random(0, :conversations - 1)
INSERT INTO messages (conversation_id, seq, id, sender_id, sender_device, client_message_id, content)
SELECT bench_id(1, (:room)::int), nextval('message_seq'), gen_random_uuid(), bench_id(2, 1), bench_id(3, 1), gen_random_uuid(),
       convert_to(repeat('x', :bytes), 'UTF8')
  FROM generate_series(1, :batch) n;
