/* sottoctl secrets init: the secrets that our programs share with each other and with coturn. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/files.h"
#include "lib/base/crypto.h"
#include "lib/base/err.h"

#define SECRET_BYTES 32

static int make_secret(const char *path)
{
    char folder[PATH_MAX], text[64];
    const char *slash = strrchr(path, '/');

    if (slash && slash != path) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        if (!files_make_folder(folder)) {
            return ctl_fail("%s: %s", folder, strerror(errno));
        }
    }
    random_token(text, SECRET_BYTES);
    size_t n = strlen(text);
    text[n++] = '\n';
    if (files_write_new(path, text, n)) {
        printf("made %s\n", path);
        return CTL_OK;
    }
    if (errno == EEXIST) {
        printf("%s is there\n", path);
        return CTL_OK;
    }
    return ctl_fail("%s: %s", path, strerror(errno));
}

int cmd_secrets_init(struct ctl *c)
{
    static const char *const keys[] = {"http.internal_key_file", "turn.secret_file",
                                       "sfu_link.secret_file"};
    static const struct ctl_option none[] = {{0}};
    int rc = ctl_options(c, none);

    for (size_t i = 0; rc == CTL_OK && i < sizeof keys / sizeof keys[0]; i++) {
        const char *path = config_str(c->config, keys[i]);
        if (*path) {
            rc = make_secret(path);
        }
    }
    return rc;
}
