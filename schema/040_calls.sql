-- Calls. The row is the truth about a call: whoever sets it first wins (every change is a
-- compare-and-set under the call's row lock), and what clients must learn of it for certain is
-- written to their inboxes in the same transaction.

CREATE TABLE calls (
    id               uuid PRIMARY KEY, -- UUIDv7: also the order of the history
    conversation_id  uuid REFERENCES conversations (id) ON DELETE SET NULL,
    initiator_id     uuid REFERENCES users (id) ON DELETE SET NULL,
    initiator_device uuid,
    media            text NOT NULL CHECK (media IN ('audio', 'video')),
    policy           text NOT NULL CHECK (policy IN ('auto', 'p2p', 'sfu')),
    mode             text NOT NULL CHECK (mode IN ('p2p', 'sfu')),
    is_group         boolean NOT NULL,
    status           text NOT NULL DEFAULT 'ringing' CHECK (status IN ('ringing', 'active', 'ended')),
    reason           text CHECK (reason IN ('missed', 'declined', 'busy', 'cancelled', 'unreachable',
                                            'failed', 'completed')),
    path             text CHECK (path IN ('p2p', 'turn', 'sfu')),
    sfu_node         text,
    quality          jsonb,
    started_at       timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL, -- of the first ring
    answered_at      timestamptz,
    ended_at         timestamptz,
    CHECK ((status = 'ended') = (ended_at IS NOT NULL)),
    CHECK ((status = 'ended') = (reason IS NOT NULL))
);
-- One open call a conversation: two who call each other at once meet in it.
CREATE UNIQUE INDEX calls_open_conversation ON calls (conversation_id) WHERE status <> 'ended';
CREATE INDEX calls_open ON calls (id) WHERE status <> 'ended';

CREATE TABLE call_participants (
    call_id         uuid NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    user_id         uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    participant_id  uuid NOT NULL UNIQUE,
    number          int CHECK (number > 0), -- since the first join
    device_id       uuid,                   -- that joined
    state           text NOT NULL CHECK (state IN ('ringing', 'joined', 'declined', 'busy', 'missed',
                                                   'unreachable', 'left', 'failed')),
    ring_expires_at timestamptz,
    joined_at       timestamptz,
    left_at         timestamptz,
    PRIMARY KEY (user_id, call_id), -- the history of a user
    UNIQUE (call_id, number)
);
CREATE INDEX call_participants_call ON call_participants (call_id);
-- A user is in one call at a time: this is what "busy" means.
CREATE UNIQUE INDEX call_participants_joined ON call_participants (user_id) WHERE state = 'joined';

-- What each device did with the ring: pushed (it was sent there), ringing (it said so), and so on.
CREATE TABLE call_devices (
    call_id    uuid NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_id  uuid NOT NULL,
    state      text NOT NULL CHECK (state IN ('pushed', 'ringing', 'accepted', 'declined',
                                              'unreachable')),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (call_id, device_id)
);

CREATE FUNCTION call_time(t timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

-- Whether and how a user can be rung for a call: 'busy' in another one, 'unreachable' without any
-- device, else 'ringing'.
CREATE FUNCTION call_ring_state(p_user uuid, p_call uuid) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN EXISTS (SELECT 1 FROM call_participants p
                      WHERE p.user_id = p_user AND p.state = 'joined' AND p.call_id <> p_call)
            THEN 'busy'
        WHEN NOT EXISTS (SELECT 1 FROM devices d WHERE d.user_id = p_user AND d.revoked_at IS NULL)
            THEN 'unreachable'
        ELSE 'ringing' END
$$;

-- A row for each device that the ring goes to.
CREATE FUNCTION call_ring_devices(p_call uuid, p_users uuid[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO call_devices (call_id, user_id, device_id, state)
    SELECT p.call_id, p.user_id, d.id, 'pushed'
      FROM call_participants p
      JOIN devices d ON d.user_id = p.user_id AND d.revoked_at IS NULL
     WHERE p.call_id = p_call AND p.user_id = ANY (p_users) AND p.state = 'ringing'
    ON CONFLICT (call_id, device_id) DO UPDATE SET state = 'pushed', updated_at = now()
$$;

-- The participants as the call machine loads them.
CREATE FUNCTION call_parties_json(p_call uuid, p_users uuid[] DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'participantId', p.participant_id, 'userId', p.user_id, 'username', u.username,
               'displayName', u.display_name, 'state', p.state, 'number', p.number,
               'deviceId', p.device_id, 'ringExpiresUs', epoch_us(p.ring_expires_at))
               ORDER BY p.number NULLS LAST, p.participant_id), '[]')
      FROM call_participants p JOIN users u ON u.id = p.user_id
     WHERE p.call_id = p_call AND (p_users IS NULL OR p.user_id = ANY (p_users))
$$;

-- Tells the user's other devices what became of the ring.
CREATE FUNCTION call_handled(p_call uuid, p_user uuid, p_device uuid, p_outcome text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_other uuid;
BEGIN
    FOR v_other IN SELECT d.id FROM devices d
                    WHERE d.user_id = p_user AND d.revoked_at IS NULL
                      AND d.id IS DISTINCT FROM p_device
                    ORDER BY d.id LOOP
        PERFORM inbox_append(p_user, v_other, 'call_handled_elsewhere',
                             jsonb_build_object('callId', p_call, 'outcome', p_outcome,
                                                'deviceId', p_device));
    END LOOP;
    INSERT INTO call_devices (call_id, user_id, device_id, state)
    VALUES (p_call, p_user, p_device, p_outcome)
    ON CONFLICT (call_id, device_id) DO UPDATE SET state = p_outcome, updated_at = now();
END $$;

-- Starts a call of p_user, in a conversation or with one other user. Returns
-- {existing: callId} when the conversation has an open call that he takes part in, else
-- {conversationId, group, startedUs, expiresUs, participants}. ST404 for a conversation he isn't in
-- or a user there isn't, ST409 when he is in another call, ST403 when the conversation has a call
-- that he was not invited to, ST400 for himself, too many members, or a group that wants p2p.
CREATE FUNCTION call_create(p_call uuid, p_user uuid, p_device uuid, p_conversation uuid,
                            p_other uuid, p_media text, p_policy text, p_ring_us bigint, p_max int)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_conversation uuid := p_conversation;
    v_type         text;
    v_members      uuid[];
    v_open         uuid;
    v_call         calls;
BEGIN
    IF v_conversation IS NULL THEN
        v_conversation := conversation_direct(p_user, p_other);
    END IF;
    PERFORM conversation_require_member(v_conversation, p_user);
    SELECT c.type INTO v_type FROM conversations c WHERE c.id = v_conversation FOR NO KEY UPDATE;
    SELECT c.id INTO v_open FROM calls c WHERE c.conversation_id = v_conversation
                                           AND c.status <> 'ended';
    IF FOUND THEN
        IF NOT EXISTS (SELECT 1 FROM call_participants p
                        WHERE p.call_id = v_open AND p.user_id = p_user) THEN
            RAISE EXCEPTION USING ERRCODE = 'ST403', MESSAGE = 'not_invited';
        END IF;
        RETURN jsonb_build_object('existing', v_open);
    END IF;
    v_members := conversation_member_ids(v_conversation);
    IF cardinality(v_members) > p_max OR (v_type <> 'direct' AND p_policy = 'p2p') THEN
        RAISE EXCEPTION USING ERRCODE = 'ST400', MESSAGE = 'call_not_possible';
    END IF;
    IF EXISTS (SELECT 1 FROM call_participants p WHERE p.user_id = p_user AND p.state = 'joined') THEN
        RAISE EXCEPTION USING ERRCODE = 'ST409', MESSAGE = 'busy';
    END IF;

    INSERT INTO calls (id, conversation_id, initiator_id, initiator_device, media, policy, mode,
                       is_group, expires_at)
    VALUES (p_call, v_conversation, p_user, p_device, p_media, p_policy,
            CASE WHEN v_type <> 'direct' OR p_policy = 'sfu' THEN 'sfu' ELSE 'p2p' END,
            v_type <> 'direct', now() + p_ring_us * interval '1 microsecond')
    RETURNING * INTO v_call;
    INSERT INTO call_participants (call_id, user_id, participant_id, state, number, device_id,
                                   joined_at, ring_expires_at)
    SELECT p_call, m, uuid_v7(),
           CASE WHEN m = p_user THEN 'joined' ELSE call_ring_state(m, p_call) END,
           CASE WHEN m = p_user THEN 1 END, CASE WHEN m = p_user THEN p_device END,
           CASE WHEN m = p_user THEN now() END, v_call.expires_at
      FROM unnest(v_members) AS m;
    PERFORM call_ring_devices(p_call, v_members);
    RETURN jsonb_build_object('conversationId', v_conversation, 'group', v_call.is_group,
                              'startedUs', epoch_us(v_call.started_at),
                              'expiresUs', epoch_us(v_call.expires_at),
                              'participants', call_parties_json(p_call));
END $$;

-- The first device to accept wins. outcome: 'joined' (with number; also for the winner's repeat),
-- 'lost' (another device of the user was faster, or he declined), 'ended', 'busy' (in another call).
CREATE FUNCTION call_accept(p_call uuid, p_user uuid, p_device uuid,
                            OUT outcome text, OUT number int)
LANGUAGE plpgsql AS $$
DECLARE
    v_call  calls;
    v_party call_participants;
BEGIN
    SELECT * INTO v_call FROM calls c WHERE c.id = p_call FOR NO KEY UPDATE;
    SELECT * INTO v_party FROM call_participants p WHERE p.call_id = p_call AND p.user_id = p_user;
    IF v_call.id IS NULL OR v_party.call_id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'ST404', MESSAGE = 'call_not_found';
    END IF;
    number := v_party.number;
    IF v_call.status = 'ended' THEN
        outcome := 'ended';
    ELSIF v_party.state = 'joined' THEN
        outcome := CASE WHEN v_party.device_id = p_device THEN 'joined' ELSE 'lost' END;
    ELSIF v_party.state <> 'ringing' AND NOT (v_call.is_group AND v_call.status = 'active') THEN
        outcome := 'lost';
    ELSIF call_ring_state(p_user, p_call) = 'busy' THEN
        outcome := 'busy';
    ELSE
        UPDATE call_participants p
           SET state = 'joined', device_id = p_device, left_at = NULL,
               joined_at = coalesce(p.joined_at, now()),
               number = coalesce(p.number, (SELECT coalesce(max(o.number), 0) + 1
                                              FROM call_participants o WHERE o.call_id = p_call))
         WHERE p.call_id = p_call AND p.user_id = p_user
        RETURNING p.number INTO number;
        UPDATE calls c SET status = 'active', answered_at = now(),
                           path = CASE WHEN c.mode = 'sfu' THEN 'sfu' ELSE c.path END
         WHERE c.id = p_call AND c.status = 'ringing';
        IF v_party.state = 'ringing' THEN
            PERFORM call_handled(p_call, p_user, p_device, 'accepted');
        END IF;
        outcome := 'joined';
    END IF;
END $$;

-- A participant declines, misses, leaves or is lost; p_at_us is when, for what is written late.
-- Returns whether it changed anything.
CREATE FUNCTION call_party_set(p_call uuid, p_user uuid, p_device uuid, p_state text,
                                          p_at_us bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM calls c WHERE c.id = p_call AND c.status <> 'ended' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE call_participants p
       SET state = p_state,
           left_at = CASE WHEN p.state = 'joined' THEN to_timestamp(p_at_us / 1000000.0)
                          ELSE p.left_at END
     WHERE p.call_id = p_call AND p.user_id = p_user
       AND CASE WHEN p_state IN ('left', 'failed') THEN p.state = 'joined' AND p.device_id = p_device
                ELSE p.state = 'ringing' END;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_state = 'declined' THEN
        PERFORM call_handled(p_call, p_user, p_device, 'declined');
    END IF;
    RETURN true;
END $$;

-- A device says that it rings.
CREATE FUNCTION call_device_rings(p_call uuid, p_user uuid, p_device uuid) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO call_devices (call_id, user_id, device_id, state)
    SELECT p.call_id, p.user_id, p_device, 'ringing'
      FROM call_participants p
     WHERE p.call_id = p_call AND p.user_id = p_user AND p.state = 'ringing'
    ON CONFLICT (call_id, device_id) DO UPDATE SET state = 'ringing', updated_at = now()
$$;

-- Rings further people (or again those who left, declined or missed it). Returns those, as
-- call_parties_json. ST404 unknown user, ST410 the call is over, ST400 too many.
CREATE FUNCTION call_invite(p_call uuid, p_users uuid[], p_ring_us bigint, p_max int) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_rung uuid[];
BEGIN
    PERFORM 1 FROM calls c WHERE c.id = p_call AND c.status <> 'ended' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'ST410', MESSAGE = 'call_ended';
    END IF;
    IF EXISTS (SELECT 1 FROM unnest(p_users) AS i
                WHERE NOT EXISTS (SELECT 1 FROM user_public u WHERE u.id = i)) THEN
        RAISE EXCEPTION USING ERRCODE = 'ST404', MESSAGE = 'user_not_found';
    END IF;
    WITH rung AS (
        INSERT INTO call_participants AS p (call_id, user_id, participant_id, state, ring_expires_at)
        SELECT p_call, i, uuid_v7(), call_ring_state(i, p_call),
               now() + p_ring_us * interval '1 microsecond'
          FROM (SELECT DISTINCT unnest(p_users) AS i) AS invited
        ON CONFLICT (user_id, call_id) DO UPDATE
           SET state = excluded.state, ring_expires_at = excluded.ring_expires_at
         WHERE p.state NOT IN ('joined', 'ringing')
        RETURNING p.user_id)
    SELECT coalesce(array_agg(user_id), '{}') INTO v_rung FROM rung;
    IF (SELECT count(*) FROM call_participants p WHERE p.call_id = p_call) > p_max THEN
        RAISE EXCEPTION USING ERRCODE = 'ST400', MESSAGE = 'too_many_participants';
    END IF;
    UPDATE calls SET is_group = true, mode = 'sfu',
                     path = CASE WHEN status = 'active' THEN 'sfu' ELSE path END
     WHERE id = p_call;
    PERFORM call_ring_devices(p_call, v_rung);
    RETURN call_parties_json(p_call, v_rung);
END $$;

-- How media goes, its farthest path, and on which node. NULL leaves a field as it is.
CREATE FUNCTION call_set_mode(p_call uuid, p_mode text, p_path text, p_node text) RETURNS void
LANGUAGE sql AS $$
    UPDATE calls SET mode = coalesce(p_mode, mode), path = coalesce(p_path, path),
                     sfu_node = coalesce(p_node, sfu_node)
     WHERE id = p_call AND status <> 'ended'
$$;

-- Ends a call, once; a repeat changes nothing and gets the same answer:
-- {reason, durationSeconds, users}. Every participant gets call_ended in his inbox.
CREATE FUNCTION call_end(p_call uuid, p_reason text, p_path text, p_quality jsonb,
                                    p_at_us bigint)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_call     calls;
    v_users    uuid[];
    v_duration bigint;
    v_answered boolean := p_reason IN ('completed', 'failed');
    v_fresh    boolean;
BEGIN
    SELECT * INTO v_call FROM calls c WHERE c.id = p_call FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(p.user_id) INTO v_users FROM call_participants p WHERE p.call_id = p_call;
    v_fresh := v_call.status <> 'ended';
    IF v_fresh THEN
        UPDATE calls c
           SET status = 'ended', reason = p_reason, path = coalesce(p_path, c.path),
               quality = p_quality,
               ended_at = greatest(to_timestamp(p_at_us / 1000000.0), c.answered_at, c.started_at),
               -- An accept that was decided in the same moment as the end didn't become a call.
               answered_at = CASE WHEN v_answered THEN c.answered_at END
         WHERE c.id = p_call
        RETURNING * INTO v_call;
        UPDATE call_participants p
           SET state = CASE p.state WHEN 'joined' THEN 'left' ELSE 'missed' END,
               left_at = CASE p.state WHEN 'joined' THEN v_call.ended_at ELSE p.left_at END
         WHERE p.call_id = p_call AND p.state IN ('joined', 'ringing');
        UPDATE call_devices d SET state = 'unreachable', updated_at = now()
         WHERE d.call_id = p_call AND d.state = 'pushed';
    END IF;
    v_duration := coalesce(extract(epoch FROM v_call.ended_at - v_call.answered_at), 0)::bigint;
    IF v_fresh THEN
        PERFORM inbox_append_users(v_users, 'call_ended', jsonb_build_object(
            'callId', p_call, 'conversationId', v_call.conversation_id, 'reason', v_call.reason,
            'durationSeconds', v_duration));
    END IF;
    RETURN jsonb_build_object('reason', v_call.reason, 'durationSeconds', v_duration,
                              'users', to_jsonb(v_users));
END $$;

-- The calls that a crash or a restart left open, each as the call machine resumes it.
CREATE FUNCTION call_sweep_open() RETURNS SETOF jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
               'callId', c.id, 'conversationId', c.conversation_id, 'initiatorId', c.initiator_id,
               'initiatorDevice', c.initiator_device, 'media', c.media, 'policy', c.policy,
               'mode', c.mode, 'group', c.is_group, 'status', c.status, 'path', c.path,
               'sfuNode', c.sfu_node, 'startedUs', epoch_us(c.started_at),
               'expiresUs', epoch_us(c.expires_at), 'answeredUs', epoch_us(c.answered_at),
               'participants', call_parties_json(c.id))
      FROM calls c WHERE c.status <> 'ended' ORDER BY c.id
$$;
