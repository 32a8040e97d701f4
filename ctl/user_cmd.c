/* sottoctl user add: an account without the registration form; harmless when it is there already.
 */
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "accounts/password.h"
#include "accounts/validate.h"
#include "ctl/ctl.h"
#include "ctl/db.h"
#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"

struct user {
    const char *username, *email, *display_name;
    bool admin, password_stdin;
    char password[PASSWORD_MAX + 3]; /* a line's end, a byte too many, and the 0 */
};

/* The rules of POST /v1/auth/register, so that no account comes to be that could not register. */
static int check(const struct user *u)
{
    char folded[USERNAME_MAX + 1];
    struct json_errors e = {0};
    cJSON *o = json_new();

    json_put_str(o, "--username", u->username);
    json_put_str(o, "--email", u->email);
    json_put_str(o, "--display-name", u->display_name);
    json_put_str(o, "the password", u->password);
    const char *name = validate_username(o, "--username", folded, &e);
    const char *email = validate_email(o, "--email", &e);
    (void)validate_label(o, "--display-name", JSON_OPTIONAL, DISPLAY_NAME_MAX, &e);
    if (name && email) {
        (void)validate_new_password(o, "the password", name, email, &e);
    }
    if (e.n == 0 && strcmp(folded, u->username) != 0) {
        json_error(&e, "--username", "is lower case: %s", folded);
    }
    cJSON_Delete(o);
    return e.n == 0 ? CTL_OK : ctl_usage("%s %s", e.item[0].field, e.item[0].message);
}

/* One line, without its end. */
static int read_line(struct user *u)
{
    if (!fgets(u->password, sizeof u->password, stdin)) {
        return ctl_usage("no password came on standard input");
    }
    u->password[strcspn(u->password, "\r\n")] = 0;
    return CTL_OK;
}

static int read_password(struct user *u)
{
    struct termios before, quiet;

    if (u->password_stdin) {
        return read_line(u);
    }
    if (tcgetattr(STDIN_FILENO, &before) != 0) {
        return ctl_usage("no terminal to ask for the password at: give --password-stdin");
    }
    fprintf(stderr, "password for %s: ", u->username);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    int rc = read_line(u);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return rc;
}

/* CTL_OK with *there when exactly this account exists; CTL_FAILURE when its name or address is
 * another's. */
static int look(PGconn *db, const struct user *u, bool *there)
{
    const char *const params[] = {u->username, u->email};
    PGresult *r = db_query(db,
                           "SELECT username, lower(email) = lower($2) FROM users "
                           "WHERE username = $1 OR lower(email) = lower($2)",
                           2, params);
    int rc = CTL_OK;

    if (!r) {
        return ctl_fail("is the database migrated? (sottoctl migrate)");
    }
    *there = PQntuples(r) == 1 && strcmp(PQgetvalue(r, 0, 0), u->username) == 0 &&
             strcmp(PQgetvalue(r, 0, 1), "t") == 0;
    if (PQntuples(r) > 0 && !*there) {
        bool name = strcmp(PQgetvalue(r, 0, 0), u->username) == 0;
        rc = ctl_fail(name ? "the username %s is taken, with another e-mail address"
                           : "the e-mail address of %s belongs to another account",
                      u->username);
    }
    PQclear(r);
    return rc;
}

static int insert(PGconn *db, const struct user *u, int cost)
{
    struct id id = id_new(clock_wall_us());
    char hash[64];
    int rc = bcrypt_hash(hash, u->password, cost);

    if (rc != OK) {
        return ctl_fail("the password could not be hashed: %s", err_name(rc));
    }
    const char *const params[] = {
        id.s, u->email, u->username, u->display_name, hash, u->admin ? "admin" : "user"};
    PGresult *r =
        db_query(db, "SELECT outcome FROM account_register($1, $2, $3, $4, $5, $6)", 6, params);
    if (!r) {
        return CTL_FAILURE;
    }
    bool created = PQntuples(r) == 1 && strcmp(PQgetvalue(r, 0, 0), "created") == 0;
    PQclear(r);
    if (!created) {
        return ctl_fail("%s was taken in between; run this again", u->username);
    }
    printf("added %s%s (%s)\n", u->username, u->admin ? ", an admin" : "", id.s);
    return CTL_OK;
}

static int add(struct ctl *c, struct user *u)
{
    bool there = false;
    PGconn *db = db_open(c->config);
    int rc = db ? look(db, u, &there) : CTL_FAILURE;

    if (rc == CTL_OK && there) {
        printf("%s is there already; left as it is\n", u->username);
    } else if (rc == CTL_OK) {
        rc = insert(db, u, (int)config_int(c->config, "auth.bcrypt_cost"));
    }
    PQfinish(db);
    return rc;
}

int cmd_user_add(struct ctl *c)
{
    struct user u = {0};
    const struct ctl_option options[] = {
        {.name = "--username", .value = &u.username},
        {.name = "--email", .value = &u.email},
        {.name = "--display-name", .value = &u.display_name},
        {.name = "--admin", .on = &u.admin},
        {.name = "--password-stdin", .on = &u.password_stdin},
        {0},
    };
    int rc = ctl_options(c, options);

    if (rc == CTL_OK && !u.username) {
        rc = ctl_usage("user add wants --username and --email");
    }
    if (rc == CTL_OK) {
        u.display_name = u.display_name ? u.display_name : u.username;
        rc = read_password(&u);
    }
    if (rc == CTL_OK) {
        rc = check(&u);
    }
    if (rc == CTL_OK) {
        rc = add(c, &u);
    }
    explicit_bzero(u.password, sizeof u.password);
    return rc;
}
