/* Error codes: one enum for the whole house. Functions return 0 or a negative code; a pointer
 * result is the first argument's target and is untouched on failure unless the header says so. */
#ifndef SOTTO_BASE_ERR_H
#define SOTTO_BASE_ERR_H

enum err {
    OK = 0,
    ERR_NOMEM = -1,     /* an allocation failed or a fixed pool is empty */
    ERR_INVALID = -2,   /* input breaks its grammar */
    ERR_TRUNCATED = -3, /* input ends before it should */
    ERR_TOO_LARGE = -4, /* input or output passes its bound */
    ERR_NOT_FOUND = -5,
    ERR_CONFLICT = -6,  /* lost a compare-and-set, or exists already */
    ERR_AUTH = -7,      /* not who it says it is: bad signature, token, integrity */
    ERR_FORBIDDEN = -8, /* known, but may not */
    ERR_AGAIN = -9,     /* nothing yet: try when told */
    ERR_IO = -10,       /* a system call or the network failed; errno may say more */
    ERR_TIMEOUT = -11,
    ERR_CLOSED = -12,
    ERR_LIMIT = -13, /* rate or quota */
    ERR_UNSUPPORTED = -14,
    ERR_UNAVAILABLE = -15, /* a part we need is away (database, SFU) */
    ERR_WRONG_STATE = -16, /* right request, wrong state */
};

/* OpenSSL has a type called ERR_STATE. The short name is for files without OpenSSL; those with it
 * include it before this header and write ERR_WRONG_STATE. */
#ifndef OPENSSL_TYPES_H
#define ERR_STATE ERR_WRONG_STATE
#endif

/* The code's name in lower case ("too_large"); "unknown" for anything else. Static storage. */
const char *err_name(int code);

#endif
