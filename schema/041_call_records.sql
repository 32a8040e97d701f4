-- What users see of past and running calls: the record of the wire contract, and the history.

CREATE FUNCTION call_record_json(c calls) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
               'callId', c.id, 'conversationId', c.conversation_id, 'initiatorId', c.initiator_id,
               'media', c.media, 'mode', c.mode, 'status', c.status, 'reason', c.reason,
               'path', c.path, 'startedAt', call_time(c.started_at),
               'durationSeconds',
               coalesce(extract(epoch FROM coalesce(c.ended_at, now()) - c.answered_at), 0)::bigint,
               'participants',
               (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                           'participantId', p.participant_id, 'number', p.number,
                           'userId', p.user_id, 'username', u.username,
                           'displayName', u.display_name, 'deviceId', p.device_id,
                           'joinedAt', call_time(p.joined_at), 'leftAt', call_time(p.left_at),
                           'state', p.state)) ORDER BY p.number NULLS LAST, p.participant_id)
                  FROM call_participants p JOIN users u ON u.id = p.user_id
                 WHERE p.call_id = c.id))
        || jsonb_strip_nulls(jsonb_build_object(
               'answeredAt', call_time(c.answered_at), 'endedAt', call_time(c.ended_at),
               'quality', c.quality))
$$;

-- The calls of a user, newest first, from before the cursor (a call's id; NULL: from the newest).
CREATE FUNCTION call_history(p_user uuid, p_before uuid, p_limit int) RETURNS SETOF jsonb
LANGUAGE sql STABLE AS $$
    SELECT call_record_json(c)
      FROM call_participants p JOIN calls c ON c.id = p.call_id
     WHERE p.user_id = p_user AND (p_before IS NULL OR p.call_id < p_before)
     ORDER BY p.call_id DESC
     LIMIT p_limit
$$;

-- One record, for those who took part; nobody else gets to know that it exists.
CREATE FUNCTION call_get(p_call uuid, p_user uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_record jsonb;
BEGIN
    SELECT call_record_json(c) INTO v_record
      FROM call_participants p JOIN calls c ON c.id = p.call_id
     WHERE p.call_id = p_call AND p.user_id = p_user;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'ST404', MESSAGE = 'call_not_found';
    END IF;
    RETURN v_record;
END $$;

-- The tombstone: whether this user's call is over. No row: there is no such call for him.
CREATE FUNCTION call_tombstone(p_call uuid, p_user uuid) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT c.status FROM call_participants p JOIN calls c ON c.id = p.call_id
     WHERE p.call_id = p_call AND p.user_id = p_user
$$;
