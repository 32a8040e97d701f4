/* sottoctl turn config: coturn's configuration from ours, on stdout. It holds the shared secret, so
 * whoever keeps it keeps it private. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/base/err.h"
#include "turn/coturn_conf.h"

static int print_conf(const struct config *c)
{
    char why[512] = "out of memory";
    struct buf b;

    buf_init(&b, 0);
    int rc = turn_write_coturn_conf(&b, c, why, sizeof why);
    if (rc == OK) {
        fwrite(b.data, 1, b.len, stdout);
    }
    if (b.data) {
        explicit_bzero(b.data, b.cap);
    }
    buf_free(&b);
    return rc == OK
               ? CTL_OK
               : ctl_fail("%s (sottoctl secrets init makes it, sottoctl doctor says more)", why);
}

int cmd_turn_config(struct ctl *c)
{
    static const struct ctl_option none[] = {{0}};
    struct config *absolute = NULL;
    char why[512];
    int rc = ctl_options(c, none);

    if (rc != CTL_OK) {
        return rc;
    }
    /* coturn starts in another folder, so the paths in its file have to be absolute; they are
     * relative to the ini file's folder, and absolute when its path is. */
    char *path = realpath(c->config_path, NULL);
    if (!path) {
        return ctl_fail("%s: %s", c->config_path, strerror(errno));
    }
    if (config_load(&absolute, path, why, sizeof why) == OK) {
        rc = print_conf(absolute);
    } else {
        rc = ctl_fail("%s", why);
    }
    config_free(absolute);
    free(path);
    return rc;
}
