-- A fresh UUIDv7 (RFC 9562 section 5.7) for rows that are made inside SQL functions.
CREATE FUNCTION uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- Conversations and members. `pair` makes a direct conversation unique: the two user ids, ascending.
CREATE TABLE conversations (
    id          uuid PRIMARY KEY,
    type        text NOT NULL CHECK (type IN ('direct', 'group', 'room')),
    name        text CHECK (char_length(name) BETWEEN 1 AND 80),
    encryption  text NOT NULL DEFAULT 'e2ee' CHECK (encryption IN ('e2ee', 'none')),
    pair        uuid[],
    created_by  uuid REFERENCES users (id) ON DELETE SET NULL,
    last_seq    bigint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (type = 'room' OR encryption = 'e2ee'),
    CHECK ((type = 'direct') = (pair IS NOT NULL)),
    CHECK (pair IS NULL OR (array_length(pair, 1) = 2 AND pair[1] < pair[2]))
);
CREATE UNIQUE INDEX conversations_pair ON conversations (pair) WHERE pair IS NOT NULL;

CREATE TABLE conversation_members (
    conversation_id uuid NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    user_id         uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role            text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member')),
    joined_at       timestamptz NOT NULL DEFAULT now(),
    read_seq        bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id)
);
CREATE INDEX conversation_members_user ON conversation_members (user_id, conversation_id);

-- A conversation as its member sees it (the wire contract's shape).
CREATE FUNCTION conversation_json(conversation uuid, viewer uuid)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'id', c.id, 'type', c.type, 'name', c.name, 'encryption', c.encryption,
        'members', (SELECT jsonb_agg(jsonb_build_object('userId', m.user_id, 'username', u.username,
                                                        'displayName', u.display_name, 'role', m.role)
                                     ORDER BY m.joined_at, m.user_id)
                      FROM conversation_members m JOIN users u ON u.id = m.user_id
                     WHERE m.conversation_id = c.id),
        'lastSeq', c.last_seq,
        'unread', GREATEST(c.last_seq - me.read_seq, 0),
        'createdAt', to_char(c.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'updatedAt', to_char(c.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))
      FROM conversations c
      JOIN conversation_members me ON me.conversation_id = c.id AND me.user_id = viewer
     WHERE c.id = conversation
$$;

-- Tells every member's devices that the conversation is new or has changed. Ascending by user, as
-- every writer to several inboxes must.
CREATE FUNCTION conversation_tell(conversation uuid)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    recipient uuid;
BEGIN
    FOR recipient IN SELECT m.user_id FROM conversation_members m
                      WHERE m.conversation_id = conversation ORDER BY m.user_id LOOP
        PERFORM inbox_append(recipient, NULL, 'conversation_updated',
            jsonb_build_object('conversation', conversation_json(conversation, recipient)));
    END LOOP;
END $$;

-- The direct conversation of two users, made on first use; one per pair whoever asks at the same
-- time. `fresh` is its id if it must be made.
CREATE FUNCTION conversation_direct(a uuid, b uuid, fresh uuid DEFAULT uuid_v7())
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    found_id uuid;
    the_pair uuid[] := ARRAY[LEAST(a, b), GREATEST(a, b)];
BEGIN
    IF a = b THEN
        RAISE EXCEPTION USING ERRCODE = 'ST400', MESSAGE = 'self_conversation';
    END IF;
    SELECT c.id INTO found_id FROM conversations c WHERE c.pair = the_pair;
    IF found_id IS NOT NULL THEN
        RETURN found_id;
    END IF;
    PERFORM 1 FROM user_public u WHERE u.id = b;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'ST404', MESSAGE = 'user_not_found';
    END IF;
    INSERT INTO conversations (id, type, pair, created_by)
    VALUES (fresh, 'direct', the_pair, a)
    ON CONFLICT (pair) WHERE pair IS NOT NULL DO NOTHING
    RETURNING id INTO found_id;
    IF found_id IS NULL THEN -- the other side was faster: its row is committed now
        SELECT c.id INTO found_id FROM conversations c WHERE c.pair = the_pair;
        RETURN found_id;
    END IF;
    INSERT INTO conversation_members (conversation_id, user_id) VALUES (found_id, a), (found_id, b);
    PERFORM conversation_tell(found_id);
    RETURN found_id;
END $$;

-- Says nothing about conversations the user isn't in.
CREATE FUNCTION conversation_require_member(conversation uuid, member uuid)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM 1 FROM conversation_members m
     WHERE m.conversation_id = conversation AND m.user_id = member;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'ST404', MESSAGE = 'conversation_not_found';
    END IF;
END $$;

CREATE FUNCTION conversation_member_ids(conversation uuid)
RETURNS uuid[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(m.user_id ORDER BY m.user_id), '{}')
      FROM conversation_members m WHERE m.conversation_id = conversation
$$;

-- A new group: the creator is its owner. Unknown members fail the whole.
CREATE FUNCTION conversation_create_group(fresh uuid, creator uuid, title text, members uuid[])
RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    everyone uuid[];
    known    int;
BEGIN
    SELECT array_agg(DISTINCT u ORDER BY u) INTO everyone FROM unnest(members || creator) u;
    IF array_length(everyone, 1) > 64 THEN
        RAISE EXCEPTION USING ERRCODE = 'ST400', MESSAGE = 'too_many_members';
    END IF;
    SELECT count(*) INTO known FROM user_public u WHERE u.id = ANY (everyone);
    IF known <> array_length(everyone, 1) THEN
        RAISE EXCEPTION USING ERRCODE = 'ST404', MESSAGE = 'user_not_found';
    END IF;
    INSERT INTO conversations (id, type, name, created_by) VALUES (fresh, 'group', title, creator);
    INSERT INTO conversation_members (conversation_id, user_id, role)
    SELECT fresh, u, CASE WHEN u = creator THEN 'owner' ELSE 'member' END FROM unnest(everyone) u;
    PERFORM conversation_tell(fresh);
    RETURN fresh;
END $$;

-- POST /v1/conversations in one statement. members: of a direct one the other user alone. told: whose
-- inbox got a row ('{}' where it existed already).
CREATE FUNCTION conversation_post(fresh uuid, me uuid, kind text, title text, members uuid[],
                                  OUT body jsonb, OUT created boolean, OUT told uuid[])
LANGUAGE plpgsql AS $$
DECLARE
    conversation uuid;
BEGIN
    IF kind = 'direct' THEN
        conversation := conversation_direct(me, members[1], fresh);
    ELSE
        conversation := conversation_create_group(fresh, me, title, members);
    END IF;
    created := conversation = fresh;
    body := conversation_json(conversation, me);
    told := CASE WHEN created THEN conversation_member_ids(conversation) ELSE '{}' END;
END $$;

-- A user's conversations, the last active first, after the one a page ended with (or NULL, NULL).
CREATE FUNCTION conversation_list(me uuid, before_us bigint, before_id uuid, page int)
RETURNS TABLE (body jsonb, at_us bigint, id uuid) LANGUAGE sql STABLE AS $$
    SELECT conversation_json(c.id, me), epoch_us(c.updated_at), c.id
      FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id
     WHERE m.user_id = me
       AND (before_us IS NULL OR (epoch_us(c.updated_at), c.id) < (before_us, before_id))
     ORDER BY epoch_us(c.updated_at) DESC, c.id DESC
     LIMIT page
$$;

-- conversation_direct with its members, for the C of messaging/ (what it just made is visible here).
CREATE FUNCTION conversation_direct_members(a uuid, b uuid)
RETURNS TABLE (id uuid, type text, name text, user_id uuid, username text, display_name text,
               role text) LANGUAGE plpgsql AS $$
DECLARE
    conversation uuid := conversation_direct(a, b);
BEGIN
    RETURN QUERY SELECT c.id, c.type, c.name, m.user_id, u.username, u.display_name, m.role
      FROM conversations c JOIN conversation_members m ON m.conversation_id = c.id
      JOIN users u ON u.id = m.user_id
     WHERE c.id = conversation ORDER BY m.user_id;
END $$;
