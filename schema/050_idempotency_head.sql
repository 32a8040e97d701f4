-- An answer's head is kept with its body: a repeat of a POST that names what it made (Location, ETag)
-- has to say so again, and not every answer is JSON. "name: value" lines; NULL for those kept before.

ALTER TABLE idempotency_keys ADD COLUMN head text;

DROP FUNCTION idempotency_begin(text, text, bytea);
DROP FUNCTION idempotency_finish(text, text, int, text);

-- As before (020), with the head of the answer that is given again.
CREATE FUNCTION idempotency_begin(p_scope text, p_key text, p_fingerprint bytea)
RETURNS TABLE (outcome text, status int, body text, head text)
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
       SET fingerprint = excluded.fingerprint, status = NULL, body = NULL, head = NULL,
           created_at = now()
     WHERE k.created_at < now() - interval '24 hours'
        OR (k.status IS NULL AND k.created_at < now() - interval '1 minute');
    IF FOUND THEN
        RETURN QUERY SELECT 'new', NULL::int, NULL, NULL;
        RETURN;
    END IF;
    SELECT * INTO v FROM idempotency_keys k WHERE k.scope = p_scope AND k.key_hash = v_key;
    RETURN QUERY SELECT CASE WHEN v.fingerprint IS DISTINCT FROM v_print THEN 'reused'
                             WHEN v.status IS NULL THEN 'in_flight' ELSE 'replay' END,
                        v.status, v.body,
                        coalesce(v.head, CASE WHEN v.status >= 400
                                              THEN 'content-type: application/problem+json'
                                              ELSE 'content-type: application/json' END);
END $$;

-- Keeps the answer of a claimed key.
CREATE FUNCTION idempotency_finish(p_scope text, p_key text, p_status int, p_body text, p_head text)
RETURNS void LANGUAGE sql AS $$
    UPDATE idempotency_keys SET status = p_status, body = p_body, head = p_head
     WHERE scope = p_scope AND key_hash = idempotency_hash(p_key) AND status IS NULL
$$;
