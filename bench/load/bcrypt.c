/* The floor of a login: nothing but the password hash, over and over, on one thread.
 *   sotto-load-bcrypt [--cost N] [--seconds S]
 * prints {"hashes":…,"seconds":…,"cpu_s_per_hash":…}. */
#include <crypt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/client/args.h"
#include "lib/base/err.h"

static const char password[] = "correct horse battery staple";

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Hashes until the time is over, at least once; false when libcrypt refuses. */
static bool run(const char *setting, double seconds, struct crypt_data *work)
{
    double wall = seconds_of(CLOCK_MONOTONIC), cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), now;
    int64_t hashes = 0;
    do {
        const char *hash = crypt_r(password, setting, work);
        if (!hash || hash[0] != '$')
            return false;
        hashes++;
        now = seconds_of(CLOCK_MONOTONIC);
    } while (now - wall < seconds);
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"hashes\":%" PRId64 ",\"seconds\":%.6f,\"cpu_s_per_hash\":%.9f}\n", hashes,
           now - wall, cpu / (double)hashes);
    return true;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"--cost", "--seconds", NULL};
    static const char seed[16] = "fixed: no secret";
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    int64_t cost, seconds;
    if (args_check(argc, argv, names) != OK ||
        args_int(&cost, argc, argv, "--cost", 12, 4, 20) != OK ||
        args_int(&seconds, argc, argv, "--seconds", 3, 0, 3600) != OK)
        return 2;
    struct crypt_data *work = calloc(1, sizeof(*work));
    bool ok = work &&
              crypt_gensalt_rn("$2b$", (unsigned long)cost, seed, sizeof(seed), setting,
                               sizeof(setting)) &&
              run(setting, (double)seconds, work);
    free(work);
    if (!ok)
        fprintf(stderr, "%s: libcrypt doesn't make bcrypt hashes here\n", argv[0]);
    return ok ? 0 : 1;
}
