-- The inbox: every durable event of a user in one growing sequence. The counter row's lock is held
-- until commit, so cursor order is commit order and readers never miss a late lower cursor.
CREATE TABLE inbox_counters (
    user_id     uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    last_cursor bigint NOT NULL DEFAULT 0,
    purged      bigint NOT NULL DEFAULT 0 -- rows up to here were deleted by age
);

CREATE TABLE inbox (
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    cursor     bigint NOT NULL,
    device_id  uuid, -- NULL: for all devices of the user
    type       text NOT NULL,
    data       jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT 'infinity',
    PRIMARY KEY (user_id, cursor)
);
CREATE INDEX inbox_created ON inbox (created_at);
CREATE INDEX inbox_expires ON inbox (expires_at) WHERE expires_at < 'infinity';

CREATE TABLE inbox_devices (
    device_id  uuid PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    acked      bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION inbox_append(recipient uuid, device uuid, event text, body jsonb,
                             ttl interval DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    drawn bigint;
BEGIN
    INSERT INTO inbox_counters AS c (user_id, last_cursor) VALUES (recipient, 1)
    ON CONFLICT (user_id) DO UPDATE SET last_cursor = c.last_cursor + 1
    RETURNING c.last_cursor INTO drawn;
    INSERT INTO inbox (user_id, cursor, device_id, type, data, expires_at)
    VALUES (recipient, drawn, device, event, body, coalesce(now() + ttl, 'infinity'));
    RETURN drawn;
END $$;

-- The same event to several users. Counters are locked in ascending order, so two such writers never
-- wait for each other in a circle.
CREATE FUNCTION inbox_append_users(recipients uuid[], event text, body jsonb,
                                   ttl interval DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    recipient uuid;
BEGIN
    FOR recipient IN SELECT DISTINCT u FROM unnest(recipients) u WHERE u IS NOT NULL ORDER BY u LOOP
        PERFORM inbox_append(recipient, NULL, event, body, ttl);
    END LOOP;
END $$;

-- Where a device starts reading; see messaging/inbox.h. asked < 0: nothing asked.
CREATE FUNCTION inbox_start(owner uuid, device uuid, asked bigint,
                            OUT start bigint, OUT last bigint, OUT lost boolean)
LANGUAGE plpgsql AS $$
DECLARE
    gone  bigint;
    since timestamptz;
BEGIN
    SELECT c.last_cursor, c.purged INTO last, gone FROM inbox_counters c WHERE c.user_id = owner;
    last := coalesce(last, 0);
    gone := coalesce(gone, 0);
    IF asked >= 0 THEN
        start := LEAST(asked, last);
    ELSE
        SELECT d.acked INTO start FROM inbox_devices d WHERE d.device_id = device;
        IF start IS NULL THEN
            SELECT d.created_at INTO since FROM devices d WHERE d.id = device;
            SELECT coalesce(min(i.cursor) - 1, last) INTO start
              FROM inbox i WHERE i.user_id = owner AND i.created_at >= since;
        END IF;
    END IF;
    lost := start < gone;
END $$;

CREATE FUNCTION inbox_ack(owner uuid, device uuid, upto bigint)
RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO inbox_devices AS d (device_id, user_id, acked)
    SELECT device, owner,
           LEAST(upto, coalesce((SELECT c.last_cursor FROM inbox_counters c WHERE c.user_id = owner), 0))
    ON CONFLICT (device_id) DO UPDATE
       SET acked = GREATEST(d.acked, EXCLUDED.acked), updated_at = now()
    RETURNING acked
$$;

-- One bounded step of the purge; returns how many rows went.
CREATE FUNCTION inbox_purge(older_than interval, at_most int)
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
