-- Corrections to functions of earlier files: locks in the one order that everybody takes them in
-- (users, devices, sessions, refresh_tokens; inbox counters ascending by user), and left_at of those
-- who left, were invited again and didn't come.

-- 010: the user first.
CREATE OR REPLACE FUNCTION user_seen(p_user uuid, p_device uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE users SET last_seen_at = now() WHERE id = p_user;
    UPDATE devices SET last_active_at = now() WHERE id = p_device AND user_id = p_user;
$$;

-- 012: the tokens last.
CREATE OR REPLACE FUNCTION account_sweep() RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    v_dead  uuid[];
    v_ended json;
BEGIN
    DELETE FROM ws_tickets WHERE expires_at < now() - interval '1 minute';
    SELECT coalesce(array_agg(s.id), '{}') INTO v_dead
      FROM sessions s
     WHERE s.revoked_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM refresh_tokens t
                        WHERE t.session_id = s.id AND t.spent_at IS NULL AND t.expires_at >= now());
    PERFORM 1 FROM devices d
      WHERE d.id IN (SELECT s.device_id FROM sessions s WHERE s.id = ANY (v_dead))
      ORDER BY d.id FOR NO KEY UPDATE;
    v_ended := sessions_end(v_dead, 'expired');
    DELETE FROM refresh_tokens WHERE expires_at < now();
    RETURN v_ended;
END $$;

-- 031: the counters are locked in order before their marks are set.
CREATE OR REPLACE FUNCTION inbox_purge(older_than interval, at_most int)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n     bigint;
    aged  uuid[];
    upto  bigint[];
    i     int;
BEGIN
    WITH doomed AS (
        SELECT i.user_id, i.cursor FROM inbox i
         WHERE i.created_at < now() - older_than OR i.expires_at < now()
         LIMIT at_most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM inbox i USING doomed d
         WHERE i.user_id = d.user_id AND i.cursor = d.cursor
        RETURNING i.user_id, i.cursor, i.created_at < now() - older_than AS aged
    ), marks AS (
        SELECT g.user_id, max(g.cursor) FILTER (WHERE g.aged) AS upto, count(*) AS rows
          FROM gone g GROUP BY g.user_id
    )
    SELECT coalesce(sum(m.rows), 0),
           coalesce(array_agg(m.user_id ORDER BY m.user_id) FILTER (WHERE m.upto IS NOT NULL), '{}'),
           coalesce(array_agg(m.upto ORDER BY m.user_id) FILTER (WHERE m.upto IS NOT NULL), '{}')
      INTO n, aged, upto FROM marks m;
    FOR i IN 1 .. cardinality(aged) LOOP
        UPDATE inbox_counters c SET purged = GREATEST(c.purged, upto[i]) WHERE c.user_id = aged[i];
    END LOOP;
    RETURN n;
END $$;

-- 040: who rings again hasn't left anew.
CREATE OR REPLACE FUNCTION call_party_set(p_call uuid, p_user uuid, p_device uuid, p_state text,
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

CREATE OR REPLACE FUNCTION call_end(p_call uuid, p_reason text, p_path text, p_quality jsonb,
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
