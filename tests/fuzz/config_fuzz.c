/* Any ini text loads, or is refused with one line of reason that names a line of the file; and
 * nothing is left allocated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/config.h"
#include "lib/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int fd = -1;
static char path[64];

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* A file in memory, reachable by a path. */
static void write_file(const uint8_t *data, size_t n)
{
    if (fd < 0) {
        fd = memfd_create("fuzz.ini", 0);
        must(fd >= 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    must(ftruncate(fd, 0) == 0 && pwrite(fd, data, n, 0) == (ssize_t)n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct config *c = NULL;
    char why[256];
    struct buf b;

    write_file(data, n);
    int rc = config_load(&c, path, why, sizeof why);
    must(strlen(why) < sizeof why && !strchr(why, '\n'));
    if (rc != OK) {
        must(rc == ERR_INVALID && !c && strncmp(why, path, strlen(path)) == 0);
        return 0;
    }
    buf_init(&b, 0);
    must(config_write_effective(c, &b) == OK);
    buf_free(&b);
    config_free(c);
    return 0;
}
