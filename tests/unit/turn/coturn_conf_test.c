#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "turn/coturn_conf.h"
#include "turn/turn.h"

#define SECRET "a secret of some length"

static struct config *load(void)
{
    struct config *c = NULL;
    char why[512] = "";
    setenv("SOTTO_POSTGRES_CONNINFO", "dbname=sotto", 1);
    if (config_load(&c, NULL, why, sizeof(why)) != OK)
        fail_msg("%s", why);
    return c;
}

/* The file's text for the environment as it is; free it. */
static char *text_now(void)
{
    struct buf b;
    struct config *c = load();
    buf_init(&b, 0);
    assert_int_equal(coturn_conf_write(&b, c, SECRET), OK);
    char *text = strdup(buf_cstr(&b));
    buf_free(&b);
    config_free(c);
    return text;
}

static bool has_line(const char *text, const char *line)
{
    size_t n = strlen(line);
    for (const char *p = text; (p = strstr(p, line)); p += n) {
        if ((p == text || p[-1] == '\n') && p[n] == '\n')
            return true;
    }
    return false;
}

static void safe_by_default(void **state)
{
    (void)state;
    char *text = text_now();
    const char *const wanted[] = {"use-auth-secret",
                                  "static-auth-secret=" SECRET,
                                  "realm=sotto",
                                  "fingerprint",
                                  "stale-nonce=600",
                                  "no-cli",
                                  "no-multicast-peers",
                                  "no-software-attribute",
                                  "user-quota=16",
                                  "total-quota=4000",
                                  "listening-port=3478",
                                  "tls-listening-port=5349",
                                  "min-port=49152",
                                  "max-port=65535",
                                  "denied-peer-ip=127.0.0.0-127.255.255.255",
                                  "denied-peer-ip=10.0.0.0-10.255.255.255",
                                  "denied-peer-ip=169.254.0.0-169.254.255.255",
                                  "denied-peer-ip=192.168.0.0-192.168.255.255",
                                  "denied-peer-ip=172.16.0.0-172.31.255.255",
                                  "denied-peer-ip=100.64.0.0-100.127.255.255",
                                  "denied-peer-ip=0.0.0.0-0.255.255.255",
                                  "denied-peer-ip=::ffff:0.0.0.0-::ffff:255.255.255.255",
                                  "denied-peer-ip=64:ff9b::-64:ff9b::ffff:ffff",
                                  "denied-peer-ip=2002::-2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                                  "denied-peer-ip=fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                                  "denied-peer-ip=::1",
                                  "denied-peer-ip=fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (!has_line(text, wanted[i]))
            fail_msg("missing: %s", wanted[i]);
    }
    assert_false(has_line(text, "allow-loopback-peers"));
    assert_null(strstr(text, "\nno-auth"));
    free(text);
}

static void private_peers_and_no_tls_when_asked(void **state)
{
    (void)state;
    setenv("SOTTO_AUTH_DEV_MODE", "yes", 1);
    setenv("SOTTO_TURN_ALLOW_PRIVATE_PEERS", "yes", 1);
    setenv("SOTTO_TURN_TLS_PORT", "0", 1);
    setenv("SOTTO_TURN_LISTEN_ADDRESS", "192.0.2.7", 1);
    setenv("SOTTO_TURN_EXTERNAL_ADDRESS", "198.51.100.9", 1);
    char *text = text_now();
    unsetenv("SOTTO_AUTH_DEV_MODE");
    unsetenv("SOTTO_TURN_ALLOW_PRIVATE_PEERS");
    unsetenv("SOTTO_TURN_TLS_PORT");
    unsetenv("SOTTO_TURN_LISTEN_ADDRESS");
    unsetenv("SOTTO_TURN_EXTERNAL_ADDRESS");
    assert_true(has_line(text, "allow-loopback-peers"));
    assert_null(strstr(text, "denied-peer-ip"));
    assert_true(has_line(text, "no-multicast-peers"));
    assert_true(has_line(text, "no-tls"));
    assert_null(strstr(text, "cert="));
    assert_true(has_line(text, "listening-ip=192.0.2.7"));
    assert_true(has_line(text, "relay-ip=192.0.2.7"));
    assert_true(has_line(text, "external-ip=198.51.100.9"));
    free(text);
}

static void out_of_room_is_told(void **state)
{
    (void)state;
    struct buf b;
    struct config *c = load();
    buf_init(&b, 200);
    assert_int_equal(coturn_conf_write(&b, c, SECRET), ERR_TOO_LARGE);
    buf_free(&b);
    config_free(c);
}

/* A secret file with this content and mode; its path. */
static const char *secret_file(const char *content, int mode)
{
    static char path[] = "coturn_conf_test.secret";
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
    assert_int_equal(chmod(path, (mode_t)mode), 0);
    return path;
}

static int conf_err(const char *content, int mode)
{
    struct buf b;
    char why[256] = "", cwd[512], path[600];
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    snprintf(path, sizeof(path), "%s/%s", cwd, secret_file(content, mode));
    setenv("SOTTO_TURN_SECRET_FILE", path, 1);
    struct config *c = load();
    buf_init(&b, 0);
    int err = turn_write_coturn_conf(&b, c, why, sizeof(why));
    if (err != OK) {
        assert_int_equal(b.len, 0);
        assert_non_null(strstr(why, "secret_file"));
        assert_true(strlen(content) < 8 || !strstr(why, content));
    }
    buf_free(&b);
    config_free(c);
    unsetenv("SOTTO_TURN_SECRET_FILE");
    unlink(path);
    return err;
}

static void bad_secrets_are_refused(void **state)
{
    (void)state;
    assert_int_equal(conf_err("0123456789abcdef0123", 0600), OK);
    assert_int_equal(conf_err("0123456789abcdef0123", 0644), ERR_FORBIDDEN);
    assert_int_equal(conf_err("short", 0600), ERR_INVALID);
    assert_int_equal(conf_err("has a space in the secret", 0600), ERR_INVALID);
    assert_int_equal(conf_err("line-one-is-long-enough\nno-auth", 0600), ERR_INVALID);
}

static void urls_must_have_their_scheme(void **state)
{
    (void)state;
    struct turn *t = NULL;
    char why[256] = "";
    setenv("SOTTO_TURN_URLS", "http://example.org", 1);
    struct config *c = load();
    assert_int_equal(turn_new(&t, c, why, sizeof(why)), ERR_INVALID);
    assert_non_null(strstr(why, "http://example.org"));
    config_free(c);
    unsetenv("SOTTO_TURN_URLS");
}

static void ice_servers_have_both_lists(void **state)
{
    (void)state;
    struct turn *t = NULL;
    char why[256] = "", cwd[512], path[600];
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    snprintf(path, sizeof(path), "%s/%s", cwd, secret_file("0123456789abcdef0123", 0600));
    setenv("SOTTO_TURN_SECRET_FILE", path, 1);
    struct config *c = load();
    assert_int_equal(turn_new(&t, c, why, sizeof(why)), OK);
    assert_int_equal(turn_ttl_us(t), INT64_C(600000000));
    cJSON *servers = turn_ice_servers(t, "u", "c", "d", INT64_C(1000000000) * 1000000);
    assert_int_equal(cJSON_GetArraySize(servers), 2);
    const cJSON *stun = cJSON_GetArrayItem(servers, 0), *turn = cJSON_GetArrayItem(servers, 1);
    assert_null(cJSON_GetObjectItem(stun, "credential"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(stun, "urls")), 1);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(turn, "urls")), 2);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(turn, "username"));
    assert_int_equal(strncmp(name, "1000000600:", 11), 0);
    cJSON_Delete(servers);
    turn_free(t);
    config_free(c);
    unsetenv("SOTTO_TURN_SECRET_FILE");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safe_by_default),
        cmocka_unit_test(private_peers_and_no_tls_when_asked),
        cmocka_unit_test(out_of_room_is_told),
        cmocka_unit_test(bad_secrets_are_refused),
        cmocka_unit_test(urls_must_have_their_scheme),
        cmocka_unit_test(ice_servers_have_both_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
