/* sottoctl: what an operator does by hand or a script does at set-up. Plain and blocking; every
 * command prints one calm line a step, and an error says what to do. */
#ifndef SOTTO_CTL_CTL_H
#define SOTTO_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/config.h"

enum ctl_exit { CTL_OK = 0, CTL_FAILURE = 1, CTL_USAGE = 2 };

/* What was given on the command line, behind the command's words. */
struct ctl {
    const char *config_path; /* --config, $SOTTO_CONFIG or var/sotto.ini */
    char **args;             /* NULL-ended */
    struct config *config;   /* loaded before the command runs, unless it is `config init` */
};

/* Each command gives an enum ctl_exit. */
int cmd_config_init(struct ctl *c);
int cmd_config_check(struct ctl *c);
int cmd_config_print(struct ctl *c);
int cmd_config_get(struct ctl *c);
int cmd_migrate(struct ctl *c);
int cmd_keys_init(struct ctl *c);
int cmd_keys_rotate(struct ctl *c);
int cmd_keys_list(struct ctl *c);
int cmd_secrets_init(struct ctl *c);
int cmd_turn_config(struct ctl *c);
int cmd_user_add(struct ctl *c);
int cmd_doctor(struct ctl *c);
int cmd_sfu_rooms(struct ctl *c);
int cmd_sfu_room(struct ctl *c);

/* An option of a command: "--name" with a value, or a switch. The last of a list has a NULL name.
 */
struct ctl_option {
    const char *name;
    const char **value; /* set to the argument, or */
    bool *on;           /* set to true */
};
/* Takes options out of c->args ("--name value", "--name=value"). CTL_OK, or CTL_USAGE and says
 * which argument was wrong. */
int ctl_options(struct ctl *c, const struct ctl_option *options);

/* "sottoctl: …" on stderr; gives CTL_FAILURE. */
int ctl_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Like it, for a command line that was wrong; gives CTL_USAGE. */
int ctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
