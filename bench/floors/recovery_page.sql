-- A page of what a user missed: inbox rows after a cursor, with their messages. Any page of any user, at random.
\set user random(0, :users - 1)
\set after random(0, :messages / :page - 1) * :page
SELECT i.cursor, i.type, m.id, m.seq, m.sender_id, m.content, m.created_at
  FROM inbox i JOIN messages m ON m.conversation_id = (i.data ->> 'c')::uuid AND m.seq = (i.data ->> 's')::bigint
 WHERE i.user_id = bench_id(2, (:user)::int) AND i.cursor > :after
 ORDER BY i.cursor LIMIT :page;
