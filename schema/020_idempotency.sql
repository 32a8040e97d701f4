-- Answers kept by Idempotency-Key: 24 hours, for whoever asked (a user's id, or an address before
-- there is one). Bodies may hold passwords and their plain hash would be a way around bcrypt: so the
-- fingerprint is kept only hashed together with the key, and of the key only its own hash is kept.

CREATE TABLE idempotency_keys (
    scope       text NOT NULL CHECK (octet_length(scope) <= 128),
    key_hash    bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    status      int,      -- NULL while the first request is in flight
    body        text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key_hash)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE FUNCTION idempotency_hash(p_key text) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$ SELECT sha256(convert_to(p_key, 'UTF8')) $$;

-- Claims a key; p_fingerprint is the SHA-256 of route and body. outcome: 'new' (do the work, then idempotency_finish or idempotency_abort), 'replay'
-- (answer with status and body), 'in_flight' (409), 'reused' (422: other fingerprint). A claim that
-- a crashed node left in flight for a minute, and one older than a day, is claimed anew.
CREATE FUNCTION idempotency_begin(p_scope text, p_key text, p_fingerprint bytea)
RETURNS TABLE (outcome text, status int, body text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v       idempotency_keys;
    v_key   bytea := idempotency_hash(p_key);
    v_print bytea := sha256(convert_to(p_key, 'UTF8') || p_fingerprint);
BEGIN
    INSERT INTO idempotency_keys AS k (scope, key_hash, fingerprint)
    VALUES (p_scope, v_key, v_print)
    ON CONFLICT (scope, key_hash) DO UPDATE
       SET fingerprint = excluded.fingerprint, status = NULL, body = NULL, created_at = now()
     WHERE k.created_at < now() - interval '24 hours'
        OR (k.status IS NULL AND k.created_at < now() - interval '1 minute');
    IF FOUND THEN
        RETURN QUERY SELECT 'new', NULL::int, NULL;
        RETURN;
    END IF;
    SELECT * INTO v FROM idempotency_keys k WHERE k.scope = p_scope AND k.key_hash = v_key;
    RETURN QUERY SELECT CASE WHEN v.fingerprint IS DISTINCT FROM v_print THEN 'reused'
                             WHEN v.status IS NULL THEN 'in_flight' ELSE 'replay' END,
                        v.status, v.body;
END $$;

-- Keeps the answer of a claimed key.
CREATE FUNCTION idempotency_finish(p_scope text, p_key text, p_status int, p_body text) RETURNS void
LANGUAGE sql AS $$
    UPDATE idempotency_keys SET status = p_status, body = p_body
     WHERE scope = p_scope AND key_hash = idempotency_hash(p_key) AND status IS NULL
$$;

-- Gives a claimed key back, where the work failed in a way that may be tried again (5xx, 429).
CREATE FUNCTION idempotency_abort(p_scope text, p_key text) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM idempotency_keys WHERE scope = p_scope AND key_hash = idempotency_hash(p_key) AND status IS NULL
$$;

-- Forgets what is older than a day.
CREATE FUNCTION idempotency_sweep() RETURNS void
LANGUAGE sql AS $$ DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours' $$;
