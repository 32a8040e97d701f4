/* What an SQLSTATE means to us. Pure. */
#ifndef SOTTO_IO_PG_STATE_H
#define SOTTO_IO_PG_STATE_H

/* The house's error for a five-character SQLSTATE. Our own ones, which the functions under schema/
 * raise (RAISE EXCEPTION USING ERRCODE = 'ST404', MESSAGE = 'call_not_found'): ST400 ERR_INVALID,
 * ST401 ERR_AUTH, ST403 ERR_FORBIDDEN, ST404 ERR_NOT_FOUND, ST409 ERR_CONFLICT, ST410
 * ERR_WRONG_STATE, ST429 ERR_LIMIT; unique, foreign-key and check violations and serialization
 * failures are ERR_CONFLICT; a cancelled statement is ERR_TIMEOUT; a server that goes away or has
 * no room is ERR_UNAVAILABLE; anything else, NULL too, ERR_IO. */
int pg_err_of_state(const char *sqlstate);

#endif
