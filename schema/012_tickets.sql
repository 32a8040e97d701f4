-- WebSocket tickets that were spent, each until it would have run out anyway.

CREATE TABLE ws_tickets (
    jti        uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    spent_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ws_tickets_expiry ON ws_tickets (expires_at);

-- Spends a ticket whose signature and expiry were checked. True for exactly one caller, and only
-- while the session it was made for is live and its user isn't suspended.
CREATE FUNCTION ticket_spend(p_jti uuid, p_expires_at_us bigint, p_user uuid, p_session uuid)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    v_device uuid;
BEGIN
    SELECT s.device_id INTO v_device
      FROM sessions s JOIN users u ON u.id = s.user_id
     WHERE s.id = p_session AND s.user_id = p_user AND s.revoked_at IS NULL
       AND u.suspended_at IS NULL;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO ws_tickets (jti, expires_at)
    VALUES (p_jti, to_timestamp(p_expires_at_us / 1000000.0))
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE devices SET last_active_at = now() WHERE id = v_device;
    RETURN true;
END $$;

-- Housekeeping, to be called every few minutes by any node: forgets spent tickets and refresh tokens
-- that have run out, and ends sessions that can't be refreshed any more. Returns the ended ones.
CREATE FUNCTION account_sweep() RETURNS json
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
