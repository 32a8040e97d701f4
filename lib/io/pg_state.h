/* What an SQLSTATE means to us. Pure. */
#ifndef SOTTO_IO_PG_STATE_H
#define SOTTO_IO_PG_STATE_H

/* The house's error for a five-character SQLSTATE. Our own ones ('ST404', …) as schema/000_base.sql
 * lists them; unique, foreign-key and check violations and serialization failures are ERR_CONFLICT;
 * a cancelled statement is ERR_TIMEOUT; a server that goes away or has no room is ERR_UNAVAILABLE;
 * anything else, NULL too, ERR_IO. */
int pg_err_of_state(const char *sqlstate);

#endif
