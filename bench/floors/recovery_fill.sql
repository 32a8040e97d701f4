-- :users users with :messages messages each, as message_direct.sql would have stored them; set by bench/peers/pgbench.mjs.
INSERT INTO messages (conversation_id, seq, id, sender_id, sender_device, client_message_id, content)
SELECT bench_id(1, u), n, gen_random_uuid(), bench_id(2, u), bench_id(3, u), gen_random_uuid(), convert_to(repeat('x', :bytes), 'UTF8')
  FROM generate_series(0, :users - 1) u, generate_series(1, :messages) n;
INSERT INTO inbox (user_id, cursor, type, data)
SELECT bench_id(2, u), n, 'message', jsonb_build_object('c', bench_id(1, u), 's', n)
  FROM generate_series(0, :users - 1) u, generate_series(1, :messages) n;
VACUUM ANALYZE;
