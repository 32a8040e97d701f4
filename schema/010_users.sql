-- Accounts: who there is. Written by the functions below only; ids are UUIDv7 made by the server.

CREATE OR REPLACE FUNCTION epoch_us(t timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS
$$ SELECT (extract(epoch FROM t) * 1000000)::bigint $$;

CREATE TABLE users (
    id              uuid PRIMARY KEY,
    email           text NOT NULL CHECK (octet_length(email) BETWEEN 3 AND 254),
    username        text NOT NULL CHECK (username ~ '^[a-z0-9_.-]{3,32}$'),
    display_name    text NOT NULL CHECK (octet_length(display_name) BETWEEN 1 AND 320),
    avatar_media_id uuid,
    status_text     text CHECK (octet_length(status_text) <= 560),
    password_hash   text NOT NULL,
    role            text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    show_last_seen  boolean NOT NULL DEFAULT true,
    suspended_at    timestamptz,
    last_seen_at    timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
-- An address is kept as typed and is the same whatever its case; usernames are lower case only.
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE UNIQUE INDEX users_username_key ON users (username);
-- For prefix search whatever the database's collation.
CREATE INDEX users_username_prefix ON users (username text_pattern_ops);
CREATE INDEX users_display_name_prefix ON users (lower(display_name) text_pattern_ops);

CREATE TABLE devices (
    id             uuid PRIMARY KEY,
    user_id        uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name           text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 320),
    platform       text NOT NULL CHECK (octet_length(platform) BETWEEN 1 AND 32),
    created_at     timestamptz NOT NULL DEFAULT now(),
    last_active_at timestamptz NOT NULL DEFAULT now(),
    -- Set while nobody is signed in on it: logged out, revoked, or made room for another. A login
    -- that names the device again clears it.
    revoked_at     timestamptz
);
CREATE INDEX devices_user ON devices (user_id);
CREATE INDEX devices_user_live ON devices (user_id, last_active_at) WHERE revoked_at IS NULL;

-- What other users may see of a user.
CREATE VIEW user_public AS
SELECT id, username, display_name, avatar_media_id, status_text,
       CASE WHEN show_last_seen THEN last_seen_at END AS last_seen_at
  FROM users
 WHERE suspended_at IS NULL;

-- Makes an account. outcome: 'created', 'username_taken', or 'email_taken' (only when the username
-- is free, so that an answer never says that an address is known).
CREATE FUNCTION account_register(p_id uuid, p_email text, p_username text, p_display_name text,
                                 p_password_hash text, p_role text DEFAULT 'user')
RETURNS TABLE (outcome text, created_at_us bigint)
LANGUAGE plpgsql AS $$
DECLARE
    v_created timestamptz;
BEGIN
    INSERT INTO users AS u (id, email, username, display_name, password_hash, role)
    VALUES (p_id, p_email, lower(p_username), p_display_name, p_password_hash, p_role)
    ON CONFLICT DO NOTHING
    RETURNING u.created_at INTO v_created;
    IF FOUND THEN
        RETURN QUERY SELECT 'created', epoch_us(v_created);
    ELSIF EXISTS (SELECT 1 FROM users u WHERE u.username = lower(p_username)) THEN
        RETURN QUERY SELECT 'username_taken', NULL::bigint;
    ELSE
        RETURN QUERY SELECT 'email_taken', NULL::bigint;
    END IF;
END $$;

-- The account a login names, by e-mail (where there is an @) or username. No row: there is none, or
-- it is suspended.
CREATE FUNCTION account_find_login(p_login text)
RETURNS TABLE (id uuid, password_hash text)
LANGUAGE sql STABLE AS $$
    SELECT u.id, u.password_hash
      FROM users u
     WHERE u.suspended_at IS NULL
       AND CASE WHEN position('@' IN p_login) > 0 THEN lower(u.email) = lower(p_login)
                ELSE u.username = lower(p_login) END
$$;

-- Changes a profile; a NULL flag or text leaves the field, p_set_… with NULL clears it.
CREATE FUNCTION account_update(p_id uuid, p_display_name text, p_set_status boolean, p_status text,
                               p_set_avatar boolean, p_avatar uuid, p_show_last_seen boolean)
RETURNS SETOF users
LANGUAGE sql AS $$
    UPDATE users
       SET display_name = coalesce(p_display_name, display_name),
           status_text = CASE WHEN p_set_status THEN p_status ELSE status_text END,
           avatar_media_id = CASE WHEN p_set_avatar THEN p_avatar ELSE avatar_media_id END,
           show_last_seen = coalesce(p_show_last_seen, show_last_seen),
           updated_at = now()
     WHERE id = p_id AND suspended_at IS NULL
    RETURNING *
$$;

-- People whose username or display name begins with p_prefix (case doesn't matter), best first,
-- without the one who asks.
CREATE FUNCTION user_search(p_prefix text, p_asker uuid, p_limit int)
RETURNS SETOF user_public
LANGUAGE sql STABLE AS $$
    SELECT p.*
      FROM (SELECT u.id FROM users u
             WHERE u.username ~>=~ lower(p_prefix) AND u.username ~<~ (lower(p_prefix) || chr(1114111))
            UNION
            SELECT u.id FROM users u
             WHERE lower(u.display_name) ~>=~ lower(p_prefix)
               AND lower(u.display_name) ~<~ (lower(p_prefix) || chr(1114111))) AS hit
      JOIN user_public p USING (id)
     WHERE p.id <> p_asker
     ORDER BY p.username <> lower(p_prefix), p.username
     LIMIT p_limit
$$;

-- The user was here just now, on that device.
CREATE FUNCTION user_seen(p_user uuid, p_device uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE users SET last_seen_at = now() WHERE id = p_user;
    UPDATE devices SET last_active_at = now() WHERE id = p_device AND user_id = p_user;
$$;
