#include "bench/client/args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

static bool is_listed(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

int args_check(int argc, char **argv, const char *const *names)
{
    for (int i = 1; i < argc; i += 2) {
        if (is_listed(argv[i], names) && i + 1 < argc)
            continue;
        fprintf(stderr, "%s: %s; known:", argv[0],
                is_listed(argv[i], names) ? "a value is missing" : "unknown argument");
        for (const char *const *n = names; *n; n++)
            fprintf(stderr, " %s VALUE", *n);
        fputc('\n', stderr);
        return ERR_INVALID;
    }
    return OK;
}

const char *args_text(int argc, char **argv, const char *name, const char *dflt)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return dflt;
}

int args_int(int64_t *out, int argc, char **argv, const char *name, int64_t dflt, int64_t min,
             int64_t max)
{
    const char *text = args_text(argc, argv, name, NULL);
    char *end = NULL;
    *out = dflt;
    if (!text)
        return OK;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < min || v > max) {
        fprintf(stderr, "%s: %s wants a number from %" PRId64 " to %" PRId64 ", not \"%s\"\n",
                argv[0], name, min, max, text);
        return ERR_INVALID;
    }
    *out = v;
    return OK;
}
