/* sottoctl: finds the command, loads the configuration, runs it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/base/err.h"

struct command {
    const char *words[2];
    int (*run)(struct ctl *c);
    bool bare; /* runs without a configuration */
    const char *help;
};

static const struct command commands[] = {
    {{"config", "init"}, cmd_config_init, true, "print the documented configuration file"},
    {{"config", "check"}, cmd_config_check, false, "say whether the configuration is good"},
    {{"config", "print"}, cmd_config_print, false, "every value in force and where it comes from"},
    {{"config", "get"}, cmd_config_get, false, "SECTION.KEY: one value"},
    {{"secrets", "init"}, cmd_secrets_init, false, "make the secret files that are missing"},
    {{"keys", "init"},
     cmd_keys_init,
     false,
     "[--new]: make a signing key if there is none (or in any case)"},
    {{"keys", "rotate"},
     cmd_keys_rotate,
     false,
     "the same as keys init --new: the new key signs from now on"},
    {{"keys", "list"}, cmd_keys_list, false, "the signing keys, and which is active"},
    {{"turn", "config"}, cmd_turn_config, false, "print coturn's turnserver.conf"},
    {{"migrate", NULL}, cmd_migrate, false, "[--dir schema]: bring the database up to date"},
    {{"user", "add"},
     cmd_user_add,
     false,
     "--username U --email E --display-name N [--admin] [--password-stdin]"},
    {{"sfu", "rooms"}, cmd_sfu_rooms, false, "the rooms that sfud has"},
    {{"sfu", "room"}, cmd_sfu_room, false, "ID: who is in it, and how their media goes"},
    {{"doctor", NULL}, cmd_doctor, false, "[--dir schema]: check everything and say what to do"},
};

static int usage(FILE *to)
{
    fprintf(to, "usage: sottoctl [--config FILE] COMMAND\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct command *k = &commands[i];
        fprintf(to, "  %-8s%-8s%s\n", k->words[0], k->words[1] ? k->words[1] : "", k->help);
    }
    fprintf(to, "\nWithout --config the file is $SOTTO_CONFIG, or var/sotto.ini.\n"
                "Exit codes: 0 done, 1 failed, 2 wrong usage.\n");
    return to == stdout ? CTL_OK : CTL_USAGE;
}

static void say(const char *fmt, va_list ap)
{
    fputs("sottoctl: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

int ctl_fail(const char *fmt, ...)
{
    va_list ap;

    fflush(stdout); /* the steps before stand before */
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
    return CTL_FAILURE;
}

int ctl_usage(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
    fputs("See sottoctl --help.\n", stderr);
    return CTL_USAGE;
}

static const struct ctl_option *find_option(const struct ctl_option *o, const char *arg, size_t n)
{
    for (; o->name; o++) {
        if (strlen(o->name) == n && strncmp(o->name, arg, n) == 0) {
            return o;
        }
    }
    return NULL;
}

/* Takes the option at *a; gives the next argument, or NULL when this one is wrong. */
static char **take_option(char **a, const struct ctl_option *options)
{
    size_t n = strcspn(*a, "=");
    const struct ctl_option *o = find_option(options, *a, n);

    if (o && o->on && !(*a)[n]) {
        *o->on = true;
        return a + 1;
    }
    if (o && o->value && (*a)[n]) {
        *o->value = *a + n + 1;
        return a + 1;
    }
    if (o && o->value && a[1]) {
        *o->value = a[1];
        return a + 2;
    }
    (void)ctl_usage(o ? "%s wants a value (a switch wants none)" : "unknown argument %s", *a);
    return NULL;
}

int ctl_options(struct ctl *c, const struct ctl_option *options)
{
    for (char **a = c->args; *a;) {
        a = take_option(a, options);
        if (!a) {
            return CTL_USAGE;
        }
    }
    return CTL_OK;
}

static int run(const struct command *k, struct ctl *c)
{
    char why[512];

    if (!k->bare && config_load(&c->config, c->config_path, why, sizeof why) != OK) {
        return ctl_fail("%s", why);
    }
    int rc = k->run(c);
    config_free(c->config);
    if (fflush(stdout) != 0) {
        rc = ctl_fail("could not write the output: disk full or pipe closed?");
    }
    return rc;
}

/* Takes --config, --help and --version from before the command. */
static char **global_options(struct ctl *c, char **a)
{
    while (*a && strncmp(*a, "--config", 8) == 0) {
        if ((*a)[8] == '=') {
            c->config_path = *a++ + 9;
        } else if (!(*a)[8] && a[1]) {
            c->config_path = a[1];
            a += 2;
        } else {
            break;
        }
    }
    return a;
}

int main(int argc, char **argv)
{
    const char *from_env = getenv("SOTTO_CONFIG");
    struct ctl c = {.config_path = from_env && *from_env ? from_env : "var/sotto.ini"};

    (void)argc;
    char **a = global_options(&c, argv + 1);
    if (!*a) {
        return usage(stderr);
    }
    if (strcmp(*a, "--help") == 0 || strcmp(*a, "-h") == 0 || strcmp(*a, "help") == 0) {
        return usage(stdout);
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const struct command *k = &commands[i];
        if (strcmp(k->words[0], a[0]) != 0) {
            continue;
        }
        if (!k->words[1] || (a[1] && strcmp(k->words[1], a[1]) == 0)) {
            c.args = a + (k->words[1] ? 2 : 1);
            return run(k, &c);
        }
    }
    return ctl_usage("unknown command: %s%s%s", a[0], a[1] ? " " : "", a[1] ? a[1] : "");
}
