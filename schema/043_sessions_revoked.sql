-- A server that starts asks which sessions ended while their access tokens are still good.
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;
