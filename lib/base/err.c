#include "lib/base/err.h"

const char *err_name(int code)
{
    switch (code) {
    case OK:
        return "ok";
    case ERR_NOMEM:
        return "nomem";
    case ERR_INVALID:
        return "invalid";
    case ERR_TRUNCATED:
        return "truncated";
    case ERR_TOO_LARGE:
        return "too_large";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_AUTH:
        return "auth";
    case ERR_FORBIDDEN:
        return "forbidden";
    case ERR_AGAIN:
        return "again";
    case ERR_IO:
        return "io";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_CLOSED:
        return "closed";
    case ERR_LIMIT:
        return "limit";
    case ERR_UNSUPPORTED:
        return "unsupported";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_WRONG_STATE:
        return "state";
    default:
        return "unknown";
    }
}
