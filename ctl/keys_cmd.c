/* sottoctl keys init, rotate, list: the ES256 keys that sign tokens. A key's name (kid) begins with
 * its day, and the last by name signs, so a new one takes over as soon as signald reads the folder
 * again (SIGHUP); older ones stay to verify the tokens they signed. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accounts/keys.h"
#include "ctl/ctl.h"
#include "ctl/files.h"
#include "lib/base/crypto.h"
#include "lib/base/err.h"

struct kid {
    char s[KEY_ID_MAX + 1];
};

static int is_key(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return d->d_name[0] != '.' && n > 4 && n <= KEY_ID_MAX + 4 &&
           strcmp(d->d_name + n - 4, ".pem") == 0;
}

/* By byte, whatever the locale: the order that signald goes by. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* A new name that sorts after `last` ("" for none): today's day and four hex digits; where today's
 * names are used up, or the last is of a day to come, that day's next. */
static struct kid next_kid(const char *last)
{
    struct kid kid;
    struct tm tm;
    time_t now = time(NULL);
    uint16_t number;

    for (int tries = 0; tries < 100000; tries++) {
        gmtime_r(&now, &tm);
        random_bytes(&number, sizeof number);
        snprintf(kid.s, sizeof kid.s, "%04d%02d%02d-%04x", tm.tm_year + 1900, tm.tm_mon + 1,
                 tm.tm_mday, number);
        if (strcmp(kid.s, last) > 0) {
            return kid;
        }
        if (tries % 64 == 63) {
            now += 86400;
        }
    }
    kid.s[0] = 0;
    return kid;
}

static int write_key(const char *folder, const struct kid *kid)
{
    int rc = keys_generate(folder, kid->s);

    if (rc != OK) {
        return ctl_fail("%s/%s.pem could not be made: %s", folder, kid->s, err_name(rc));
    }
    printf("made %s/%s.pem; it signs from now on (running: kill -HUP signald)\n", folder, kid->s);
    return CTL_OK;
}

/* The last key's name, "" when there is none. False when the folder can't be read. */
static bool last_key(const char *folder, struct kid *kid)
{
    struct dirent **found;
    int n = scandir(folder, &found, is_key, by_name);

    kid->s[0] = 0;
    if (n < 0) {
        return false;
    }
    for (int i = 0; i < n; i++) {
        snprintf(kid->s, sizeof kid->s, "%.*s", (int)strlen(found[i]->d_name) - 4,
                 found[i]->d_name);
        free(found[i]);
    }
    free(found);
    return true;
}

static int make(struct ctl *c, bool even_if_there)
{
    const struct ctl_option options[] = {{.name = "--new", .on = &even_if_there}, {0}};
    const char *folder = config_str(c->config, "auth.key_dir");
    struct kid last, kid;
    int rc = ctl_options(c, options);

    if (rc != CTL_OK) {
        return rc;
    }
    if (!files_make_folder(folder) || !last_key(folder, &last)) {
        return ctl_fail("%s: %s", folder, strerror(errno));
    }
    if (last.s[0] && !even_if_there) {
        printf("%s/%s.pem is there and signs\n", folder, last.s);
        return CTL_OK;
    }
    kid = next_kid(last.s);
    if (!kid.s[0]) {
        return ctl_fail("no name sorts after %s/%s.pem: rename that key to YYYYMMDD-xxxx.pem",
                        folder, last.s);
    }
    return write_key(folder, &kid);
}

int cmd_keys_init(struct ctl *c)
{
    return make(c, false);
}

int cmd_keys_rotate(struct ctl *c)
{
    return make(c, true);
}

int cmd_keys_list(struct ctl *c)
{
    static const struct ctl_option none[] = {{0}};
    const char *folder = config_str(c->config, "auth.key_dir");
    struct dirent **found;
    int rc = ctl_options(c, none);

    if (rc != CTL_OK) {
        return rc;
    }
    int n = scandir(folder, &found, is_key, by_name);
    if (n < 0) {
        return ctl_fail("%s: %s (make it: sottoctl keys init)", folder, strerror(errno));
    }
    for (int i = 0; i < n; i++) {
        printf("%.*s%s\n", (int)strlen(found[i]->d_name) - 4, found[i]->d_name,
               i == n - 1 ? "  signs" : "  verifies");
        free(found[i]);
    }
    free(found);
    return n > 0 ? CTL_OK : ctl_fail("%s: no key (make one: sottoctl keys init)", folder);
}
