#include "lib/io/pg_state.h"

#include <stddef.h>
#include <string.h>

#include "lib/base/err.h"

struct state {
    const char *prefix; /* a class of two characters or a whole state */
    int err;
};

static const struct state states[] = {
    {"ST400", ERR_INVALID},     {"ST401", ERR_AUTH},        {"ST403", ERR_FORBIDDEN},
    {"ST404", ERR_NOT_FOUND},   {"ST409", ERR_CONFLICT},    {"ST410", ERR_WRONG_STATE},
    {"ST429", ERR_LIMIT},       {"23503", ERR_CONFLICT},    {"23505", ERR_CONFLICT},
    {"23514", ERR_CONFLICT},    {"23P01", ERR_CONFLICT},    {"40001", ERR_CONFLICT},
    {"40P01", ERR_CONFLICT},    {"57014", ERR_TIMEOUT},     {"08", ERR_UNAVAILABLE},
    {"53", ERR_UNAVAILABLE},    {"57P01", ERR_UNAVAILABLE}, {"57P02", ERR_UNAVAILABLE},
    {"57P03", ERR_UNAVAILABLE}, {"57P05", ERR_UNAVAILABLE},
};

int pg_err_of_state(const char *sqlstate)
{
    if (!sqlstate || strlen(sqlstate) != 5)
        return ERR_IO;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strncmp(sqlstate, states[i].prefix, strlen(states[i].prefix)) == 0)
            return states[i].err;
    return ERR_IO;
}
