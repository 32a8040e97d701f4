-- Sessions: a sign-in of a user on a device, with its family of refresh tokens. Tokens are kept as
-- SHA-256 only. Locks are always taken in the order users, devices, sessions, refresh_tokens.

CREATE TABLE sessions (
    id             uuid PRIMARY KEY,
    user_id        uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_id      uuid NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    created_at     timestamptz NOT NULL DEFAULT now(),
    revoked_at     timestamptz,
    revoked_reason text CHECK (revoked_reason IN ('logout', 'logout_all', 'device_revoked',
                                                  'device_limit', 'replaced', 'token_reused',
                                                  'expired', 'suspended', 'password_changed'))
);
CREATE INDEX sessions_user_live ON sessions (user_id) WHERE revoked_at IS NULL;
CREATE INDEX sessions_device_live ON sessions (device_id) WHERE revoked_at IS NULL;
-- A server that starts asks which sessions ended while their access tokens are still good.
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_device ON sessions (device_id);

CREATE TABLE refresh_tokens (
    hash       bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    issued_at  timestamptz NOT NULL DEFAULT now(),
    spent_at   timestamptz,
    expires_at timestamptz NOT NULL
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- Ends sessions that are still live; a device that is left without any is marked revoked. Returns
-- [{"sessionId", "deviceId", "userId", "reason"}] of those that ended now. The caller holds the lock on the devices.
CREATE FUNCTION sessions_end(p_sessions uuid[], p_reason text) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    v_gone json;
BEGIN
    WITH gone AS (
        UPDATE sessions SET revoked_at = now(), revoked_reason = p_reason
         WHERE id = ANY (p_sessions) AND revoked_at IS NULL
        RETURNING id, device_id, user_id)
    SELECT coalesce(json_agg(json_build_object('sessionId', id, 'deviceId', device_id,
                                               'userId', user_id, 'reason', p_reason)), '[]')
      INTO v_gone FROM gone;
    UPDATE devices d SET revoked_at = now()
     WHERE d.id IN (SELECT s.device_id FROM sessions s WHERE s.id = ANY (p_sessions))
       AND d.revoked_at IS NULL
       AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.device_id = d.id AND s.revoked_at IS NULL);
    RETURN v_gone;
END $$;

-- Signs a user in whose password was just verified against p_password_hash. p_device names a device
-- of his to use again, or NULL; p_new_device is the id of the one made otherwise. Earlier sessions
-- of the device end ('replaced'); past p_max_devices the least recently active ones are signed out.
-- No row: the account went, was suspended, or its password changed in between.
CREATE FUNCTION account_login_finish(p_user uuid, p_password_hash text, p_device uuid,
                                     p_new_device uuid, p_name text, p_platform text,
                                     p_session uuid, p_token_hash bytea, p_ttl_seconds bigint,
                                     p_max_devices int)
RETURNS TABLE (device_id uuid, revoked json, email text, username text, display_name text,
               avatar_media_id uuid, status_text text, role text, show_last_seen boolean,
               last_seen_at_us bigint, created_at_us bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_user   users;
    v_device uuid;
    v_end    uuid[];
    v_over   uuid[];
    v_gone   jsonb;
BEGIN
    SELECT * INTO v_user FROM users u
     WHERE u.id = p_user AND u.password_hash = p_password_hash AND u.suspended_at IS NULL
       FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE devices d
       SET name = p_name, platform = p_platform, last_active_at = now(), revoked_at = NULL
     WHERE d.id = p_device AND d.user_id = p_user
    RETURNING d.id INTO v_device;
    IF NOT FOUND THEN
        INSERT INTO devices (id, user_id, name, platform)
        VALUES (p_new_device, p_user, p_name, p_platform);
        v_device := p_new_device;
    END IF;

    SELECT coalesce(array_agg(d.id), '{}') INTO v_over
      FROM (SELECT l.id FROM devices l
             WHERE l.user_id = p_user AND l.revoked_at IS NULL AND l.id <> v_device
             ORDER BY l.last_active_at DESC, l.id DESC
            OFFSET greatest(p_max_devices - 1, 0)) AS d;
    PERFORM 1 FROM devices d WHERE d.id = ANY (v_over) ORDER BY d.id FOR NO KEY UPDATE;
    SELECT coalesce(array_agg(s.id), '{}') INTO v_end
      FROM sessions s WHERE s.device_id = ANY (v_over) AND s.revoked_at IS NULL;
    v_gone := sessions_end(v_end, 'device_limit')::jsonb;
    UPDATE devices d SET revoked_at = now() WHERE d.id = ANY (v_over) AND d.revoked_at IS NULL;

    SELECT coalesce(array_agg(s.id), '{}') INTO v_end
      FROM sessions s WHERE s.device_id = v_device AND s.revoked_at IS NULL;
    INSERT INTO sessions (id, user_id, device_id) VALUES (p_session, p_user, v_device);
    v_gone := v_gone || sessions_end(v_end, 'replaced')::jsonb;
    INSERT INTO refresh_tokens (hash, session_id, expires_at)
    VALUES (p_token_hash, p_session, now() + make_interval(secs => p_ttl_seconds));

    RETURN QUERY SELECT v_device, v_gone::json, v_user.email, v_user.username, v_user.display_name,
        v_user.avatar_media_id, v_user.status_text, v_user.role, v_user.show_last_seen,
        epoch_us(v_user.last_seen_at), epoch_us(v_user.created_at);
END $$;

-- Spends a refresh token for the next one. outcome: 'ok'; 'reused' (the token was spent before: the
-- whole family is revoked now, see `revoked`); 'refused' (unknown, expired, revoked, suspended).
CREATE FUNCTION account_refresh(p_hash bytea, p_new_hash bytea, p_ttl_seconds bigint)
RETURNS TABLE (outcome text, user_id uuid, device_id uuid, session_id uuid, username text, role text,
               revoked json)
LANGUAGE plpgsql AS $$
DECLARE
    v_session sessions;
    v_token   refresh_tokens;
    v_user    users;
BEGIN
    SELECT s.* INTO v_session
      FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.hash = p_hash;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'refused', NULL::uuid, NULL::uuid, NULL::uuid, NULL, NULL, '[]'::json;
        RETURN;
    END IF;
    PERFORM 1 FROM devices d WHERE d.id = v_session.device_id FOR NO KEY UPDATE;
    SELECT * INTO v_session FROM sessions s WHERE s.id = v_session.id FOR NO KEY UPDATE;
    SELECT * INTO v_token FROM refresh_tokens t WHERE t.hash = p_hash FOR UPDATE;
    SELECT * INTO v_user FROM users u WHERE u.id = v_session.user_id;
    IF v_token.spent_at IS NOT NULL AND v_session.revoked_at IS NULL THEN
        RETURN QUERY SELECT 'reused', v_user.id, v_session.device_id, v_session.id, v_user.username,
            v_user.role, sessions_end(ARRAY[v_session.id], 'token_reused');
        RETURN;
    END IF;
    IF v_token.hash IS NULL OR v_session.revoked_at IS NOT NULL OR v_token.expires_at <= now()
       OR v_user.suspended_at IS NOT NULL THEN
        RETURN QUERY SELECT 'refused', NULL::uuid, NULL::uuid, NULL::uuid, NULL, NULL, '[]'::json;
        RETURN;
    END IF;
    UPDATE refresh_tokens t SET spent_at = now() WHERE t.hash = p_hash;
    INSERT INTO refresh_tokens (hash, session_id, expires_at)
    VALUES (p_new_hash, v_session.id, now() + make_interval(secs => p_ttl_seconds));
    UPDATE devices d SET last_active_at = now() WHERE d.id = v_session.device_id;
    RETURN QUERY SELECT 'ok', v_user.id, v_session.device_id, v_session.id, v_user.username,
        v_user.role, '[]'::json;
END $$;

-- Signs out one session. Returns those that ended (none when it had ended before).
CREATE FUNCTION account_logout(p_user uuid, p_session uuid) RETURNS json
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM devices d
      WHERE d.id = (SELECT s.device_id FROM sessions s WHERE s.id = p_session AND s.user_id = p_user)
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN '[]';
    END IF;
    RETURN sessions_end(ARRAY[p_session], 'logout');
END $$;

-- Signs a user out everywhere.
CREATE FUNCTION account_logout_all(p_user uuid, p_reason text DEFAULT 'logout_all') RETURNS json
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM users u WHERE u.id = p_user FOR NO KEY UPDATE;
    PERFORM 1 FROM devices d WHERE d.user_id = p_user ORDER BY d.id FOR NO KEY UPDATE;
    RETURN sessions_end(ARRAY(SELECT s.id FROM sessions s
                               WHERE s.user_id = p_user AND s.revoked_at IS NULL), p_reason);
END $$;

-- Suspends an account (and signs it out everywhere) or lets it back in. ST404 for no such user.
CREATE FUNCTION account_suspend(p_user uuid, p_suspended boolean) RETURNS json
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users SET suspended_at = CASE WHEN p_suspended THEN coalesce(suspended_at, now()) END
     WHERE id = p_user;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'ST404', MESSAGE = 'user_not_found';
    END IF;
    IF p_suspended THEN
        RETURN account_logout_all(p_user, 'suspended');
    END IF;
    RETURN '[]';
END $$;

-- Sets a new password and signs the account out everywhere. ST404 for no such user.
CREATE FUNCTION account_set_password(p_user uuid, p_password_hash text) RETURNS json
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE users SET password_hash = p_password_hash, updated_at = now() WHERE id = p_user;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'ST404', MESSAGE = 'user_not_found';
    END IF;
    RETURN account_logout_all(p_user, 'password_changed');
END $$;

-- The devices on which a user is signed in, latest used first.
CREATE FUNCTION device_list(p_user uuid)
RETURNS TABLE (id uuid, name text, platform text, created_at_us bigint, last_active_at_us bigint)
LANGUAGE sql STABLE AS $$
    SELECT d.id, d.name, d.platform, epoch_us(d.created_at), epoch_us(d.last_active_at)
      FROM devices d
     WHERE d.user_id = p_user AND d.revoked_at IS NULL
     ORDER BY d.last_active_at DESC, d.id DESC
$$;

-- Signs a device of the user out. ST404 when he has no such live device.
CREATE FUNCTION device_revoke(p_user uuid, p_device uuid) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    v_gone json;
BEGIN
    PERFORM 1 FROM devices d
      WHERE d.id = p_device AND d.user_id = p_user AND d.revoked_at IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'ST404', MESSAGE = 'device_not_found';
    END IF;
    v_gone := sessions_end(ARRAY(SELECT s.id FROM sessions s
                                  WHERE s.device_id = p_device AND s.revoked_at IS NULL),
                           'device_revoked');
    UPDATE devices d SET revoked_at = now() WHERE d.id = p_device AND d.revoked_at IS NULL;
    RETURN v_gone;
END $$;
