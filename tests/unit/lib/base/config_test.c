#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/config.h"
#include "lib/base/err.h"
#include "tests/unit/lib/base/alloc.h"

static char folder[64], ini[96], why[512];

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/sotto-test-XXXXXX", P_tmpdir);
    if (!mkdtemp(folder)) {
        return -1;
    }
    snprintf(ini, sizeof ini, "%s/a.ini", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(ini);
    return rmdir(folder);
}

static void write_bytes(const char *text, size_t n)
{
    FILE *out = fopen(ini, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, n, out), n);
    fclose(out);
}

static int load(struct config **c, const char *text)
{
    write_bytes(text, strlen(text));
    return config_load(c, ini, why, sizeof why);
}

/* A file of this text doesn't load, and the reason is `path:reason`. */
static void assert_refused(const char *text, const char *reason)
{
    char want[640];
    struct config *c = NULL;

    assert_int_equal(load(&c, text), ERR_INVALID);
    assert_null(c);
    snprintf(want, sizeof want, "%s:%s", ini, reason);
    assert_string_equal(why, want);
}

static void without_a_file_there_are_defaults(void **state)
{
    struct config *c = NULL;

    (void)state;
    assert_int_equal(config_load(&c, NULL, why, sizeof why), OK);
    assert_string_equal(why, "");
    assert_int_equal(config_int(c, "http.tls_port"), 8443);
    assert_true(config_duration_us(c, "auth.access_ttl") == INT64_C(900000000));
    assert_false(config_bool(c, "auth.dev_mode"));
    assert_int_equal(config_int(c, "socket.queue_bytes"), 1 << 20);
    assert_string_equal(config_str(c, "turn.secret_file"), "secrets/turn_secret");
    assert_string_equal(config_str(c, "postgres.conninfo"), "");
    assert_null(config_item(c, "http.origins", 0));
    assert_string_equal(config_item(c, "turn.urls", 1), "turn:127.0.0.1:3478?transport=tcp");
    assert_null(config_item(c, "turn.urls", 2));
    assert_string_equal(config_origin(c, "http.tls_port"), "default");
    config_free(c);
    config_free(NULL);
}

static void the_file_overrides(void **state)
{
    struct config *c = NULL;
    char want[128];

    (void)state;
    assert_int_equal(load(&c, "\xef\xbb\xbf# a comment\r\n; another\n\n[http]\r\n"
                              "tls_port=1234\r\n  plain_port =\t0   # off\n"
                              "origins = https://a.example ,https://b.example\n"
                              "[postgres]\nconninfo = \"host=x password='a #1' \" # quoted\n"
                              "[ auth ]\ndev_mode = TRUE\naccess_ttl = 90s\nkey_dir = /abs\n"
                              "[http]\ncert_file = own/c.pem\nweb_root =\n"
                              "[log]\nlevel = debug"),
                     OK);
    assert_int_equal(config_int(c, "http.tls_port"), 1234);
    assert_int_equal(config_int(c, "http.plain_port"), 0);
    assert_string_equal(config_item(c, "http.origins", 0), "https://a.example");
    assert_string_equal(config_item(c, "http.origins", 1), "https://b.example");
    assert_null(config_item(c, "http.origins", 2));
    assert_string_equal(config_str(c, "postgres.conninfo"), "host=x password='a #1' ");
    assert_true(config_bool(c, "auth.dev_mode"));
    assert_true(config_duration_us(c, "auth.access_ttl") == INT64_C(90000000));
    assert_string_equal(config_str(c, "auth.key_dir"), "/abs");
    assert_string_equal(config_str(c, "http.web_root"), "");
    assert_string_equal(config_str(c, "log.level"), "debug");
    snprintf(want, sizeof want, "%s/own/c.pem", folder);
    assert_string_equal(config_str(c, "http.cert_file"), want);
    snprintf(want, sizeof want, "%s/secrets/sfu_link", folder); /* a default is relative, too */
    assert_string_equal(config_str(c, "sfu_link.secret_file"), want);
    snprintf(want, sizeof want, "%s:5", ini);
    assert_string_equal(config_origin(c, "http.tls_port"), want);
    config_free(c);
}

static void unknown_names_are_refused_with_a_guess(void **state)
{
    (void)state;
    assert_refused("\n[http]\n\nprot = 1\n",
                   "4: unknown key \"prot\" in [http] (did you mean \"tls_port\"?)");
    assert_refused("[http]\ntls_prot = 1\n",
                   "2: unknown key \"tls_prot\" in [http] (did you mean \"tls_port\"?)");
    assert_refused("[sfu]\ntls_port = 1\n",
                   "2: unknown key \"tls_port\" in [sfu] (it belongs to [http])");
    assert_refused("[http]\nzzzzzzzzzzzz = 1\n", "2: unknown key \"zzzzzzzzzzzz\" in [http]");
    assert_refused("[htpp]\n", "1: unknown section [htpp] (did you mean [http]?)");
    assert_refused("[quantum]\n", "1: unknown section [quantum]");
}

static void wrong_values_are_refused_with_the_reason(void **state)
{
    (void)state;
    assert_refused("[http]\ntls_port = abc\n",
                   "2: [http] tls_port = abc: must be a whole number from 0 to 65535");
    assert_refused("[http]\ntls_port = 65536\n",
                   "2: [http] tls_port = 65536: must be a whole number from 0 to 65535");
    assert_refused("[http]\ntls_port = -1\n",
                   "2: [http] tls_port = -1: must be a whole number from 0 to 65535");
    assert_refused("[http]\ntls_port =\n",
                   "2: [http] tls_port = : must be a whole number from 0 to 65535");
    assert_refused("[http]\ntls_port = 1KiB\n",
                   "2: [http] tls_port = 1KiB: must be a whole number from 0 to 65535");
    assert_refused("[auth]\naccess_ttl = 15\n",
                   "2: [auth] access_ttl = 15: must be a time such as 500ms, 60s, 15m, 24h or 30d, "
                   "from 1s to 1d");
    assert_refused("[auth]\naccess_ttl = 2d\n",
                   "2: [auth] access_ttl = 2d: must be a time such as 500ms, 60s, 15m, 24h or 30d, "
                   "from 1s to 1d");
    assert_refused("[auth]\ndev_mode = maybe\n", "2: [auth] dev_mode = maybe: must be yes or no");
    assert_refused("[log]\nlevel = inf\n",
                   "2: [log] level = inf: must be one of debug|info|warn|error");
    assert_refused("[log]\nlevel = info|warn\n",
                   "2: [log] level = info|warn: must be one of debug|info|warn|error");
    assert_refused("[http]\npublic_address = localhost\n",
                   "2: [http] public_address = localhost: must be an IP address");
    assert_refused("[sfu]\npublic_addresses = 1.2.3.4, 1.2.3\n",
                   "2: [sfu] public_addresses = 1.2.3.4, 1.2.3: must hold IP addresses, and "
                   "\"1.2.3\" is none");
    assert_refused("[http]\norigins = a,,b\n", "2: [http] origins = a,,b: has an empty item");
    assert_refused("[auth]\nissuer =\n", "2: [auth] issuer = : must be 1 to 128 characters long");
}

static void numbers_that_overflow_are_refused(void **state)
{
    struct config *c = NULL;

    (void)state;
    assert_int_equal(load(&c, "[http]\ntls_port = 18446744073709559999\n"), ERR_INVALID);
    assert_int_equal(load(&c, "[socket]\ninbox_retention = 106751992d\n"), ERR_INVALID);
    assert_int_equal(load(&c, "[socket]\nqueue_bytes = 9223372036854775807GiB\n"), ERR_INVALID);
    assert_int_equal(load(&c, "[socket]\nqueue_bytes = 2MiB\n"), OK);
    assert_int_equal(config_int(c, "socket.queue_bytes"), 2 << 20);
    config_free(c);
}

static void broken_lines_are_refused(void **state)
{
    (void)state;
    assert_refused("[http]\ntls_port\n", "2: a line is \"key = value\", not \"tls_port\"");
    assert_refused("[http]\n= 5\n", "2: a line is \"key = value\", not \"= 5\"");
    assert_refused("[http\n", "1: a section is written [name], not \"[http\"");
    assert_refused("[http] x\n", "1: a section is written [name], not \"[http] x\"");
    assert_refused("tls_port = 1\n", "1: \"tls_port\" stands before any [section]");
    assert_refused("[postgres]\nconninfo = \"a\n",
                   "2: the quotes around conninfo aren't closed, or something follows them");
    assert_refused("[postgres]\nconninfo = \"a\" b\n",
                   "2: the quotes around conninfo aren't closed, or something follows them");
    assert_refused("[http]\n\xff\xfe = 1\n", "2: not a line of UTF-8 text");
}

static void a_key_stands_once(void **state)
{
    char reason[256];

    (void)state;
    snprintf(reason, sizeof reason, "4: [http] tls_port stands twice (first at %s:2)", ini);
    assert_refused("[http]\ntls_port = 1\n\ntls_port = 1\n", reason);
}

static void zero_bytes_and_huge_files_are_refused(void **state)
{
    static const char zero[] = "[http]\ntls_port = 1\0\n[htp]\n";
    struct config *c = NULL;

    (void)state;
    write_bytes(zero, sizeof zero - 1);
    assert_int_equal(config_load(&c, ini, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "not a line of UTF-8 text"));
    size_t n = 300000;
    char *big = malloc(n);
    memset(big, '#', n);
    write_bytes(big, n);
    assert_int_equal(config_load(&c, ini, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "larger than 256 KiB"));
    free(big);
    assert_null(c);
}

static void secrets_are_not_in_reasons(void **state)
{
    char text[1200];
    struct config *c = NULL;

    (void)state;
    snprintf(text, sizeof text, "[postgres]\nconninfo = password=hunter2%01100d\n", 0);
    assert_int_equal(load(&c, text), ERR_INVALID);
    assert_null(strstr(why, "hunter2"));
    assert_non_null(strstr(why, "[postgres] conninfo must be 0 to 1024 characters long"));
}

static void a_missing_file_says_how_to_make_one(void **state)
{
    struct config *c = NULL;

    (void)state;
    assert_int_equal(config_load(&c, ini, why, sizeof why), ERR_NOT_FOUND);
    assert_non_null(strstr(why, "no such file (make one: sottoctl config init"));
    assert_int_equal(config_load(&c, folder, why, sizeof why), ERR_IO);
    assert_null(c);
}

static void the_environment_overrides_the_file(void **state)
{
    struct config *c = NULL;

    (void)state;
    setenv("SOTTO_HTTP_TLS_PORT", "4321", 1);
    setenv("SOTTO_SFU_LINK_PORT", "17", 1); /* [sfu_link] port, not [sfu] link_port */
    setenv("SOTTO_CONFIG", "elsewhere.ini", 1);
    setenv("SOTTO_TEST_ANYTHING", "x", 1);
    int rc = load(&c, "[http]\ntls_port = 1234\n");
    unsetenv("SOTTO_HTTP_TLS_PORT");
    unsetenv("SOTTO_SFU_LINK_PORT");
    unsetenv("SOTTO_CONFIG");
    unsetenv("SOTTO_TEST_ANYTHING");
    assert_int_equal(rc, OK);
    assert_int_equal(config_int(c, "http.tls_port"), 4321);
    assert_int_equal(config_int(c, "sfu_link.port"), 17);
    assert_string_equal(config_origin(c, "http.tls_port"), "environment SOTTO_HTTP_TLS_PORT");
    config_free(c);
}

static void wrong_variables_are_refused(void **state)
{
    struct config *c = NULL;

    (void)state;
    setenv("SOTTO_HTTP_TLS_PROT", "1", 1);
    assert_int_equal(config_load(&c, NULL, why, sizeof why), ERR_INVALID);
    unsetenv("SOTTO_HTTP_TLS_PROT");
    assert_string_equal(why, "environment: unknown variable SOTTO_HTTP_TLS_PROT (did you mean "
                             "SOTTO_HTTP_TLS_PORT?)");
    setenv("SOTTO_WHATEVER", "1", 1);
    assert_int_equal(config_load(&c, NULL, why, sizeof why), ERR_INVALID);
    unsetenv("SOTTO_WHATEVER");
    assert_string_equal(why, "environment: unknown variable SOTTO_WHATEVER");
    setenv("SOTTO_AUTH_BCRYPT_COST", "17", 1);
    assert_int_equal(config_load(&c, NULL, why, sizeof why), ERR_INVALID);
    unsetenv("SOTTO_AUTH_BCRYPT_COST");
    assert_string_equal(why, "environment SOTTO_AUTH_BCRYPT_COST: must be a whole number from 4 to "
                             "16");
    assert_null(c);
}

static void keys_that_contradict_are_refused(void **state)
{
    struct config *c = NULL;

    (void)state;
    assert_refused("[auth]\nbcrypt_cost = 11\n",
                   "2: [auth] bcrypt_cost below 12 is for tests: raise it, or set dev_mode = yes");
    assert_int_equal(load(&c, "[auth]\nbcrypt_cost = 4\ndev_mode = yes\n"), OK);
    config_free(c);
    c = NULL;
    assert_int_equal(load(&c, "[turn]\nrelay_min_port = 2000\nrelay_max_port = 1999\n"),
                     ERR_INVALID);
    assert_non_null(strstr(why, ":2: [turn] relay_min_port is above relay_max_port"));
    assert_null(c);
}

static void every_key_is_documented_and_its_default_good(void **state)
{
    (void)state;
    for (const struct config_key *k = config_keys; k->name; k++) {
        size_t n = strlen(k->doc);
        const char *dot = strchr(k->name, '.');
        assert_non_null(dot);
        assert_null(strchr(dot + 1, '.'));
        assert_true(n > 10 && k->doc[n - 1] == '.');
        for (const struct config_key *other = k + 1; other->name; other++) {
            assert_string_not_equal(k->name, other->name);
        }
        bool has_section = false;
        for (const struct config_section *s = config_sections; s->name; s++) {
            has_section |= strlen(s->name) == (size_t)(dot - k->name) &&
                           strncmp(s->name, k->name, strlen(s->name)) == 0;
        }
        assert_true(has_section);
    }
}

static void the_template_gives_the_defaults(void **state)
{
    struct config *c = NULL, *d = NULL;
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    assert_int_equal(config_write_template(&b), OK);
    assert_int_equal(load(&c, buf_cstr(&b)), OK);
    assert_int_equal(config_load(&d, NULL, why, sizeof why), OK);
    for (const struct config_key *k = config_keys; k->name; k++) {
        assert_string_not_equal(config_origin(c, k->name), "default");
        if (k->type != CONFIG_PATH) {
            assert_string_equal(config_str(c, k->name), config_str(d, k->name));
        }
        assert_non_null(strstr(buf_cstr(&b), strchr(k->name, '.') + 1));
    }
    buf_free(&b);
    config_free(c);
    config_free(d);
}

static void effective_values_hide_passwords(void **state)
{
    static const struct {
        const char *conninfo, *shown;
    } cases[] = {
        {"host=x password=hunter2 dbname=y", "host=x password=*** dbname=y"},
        {"password = 'hun\\'ter2 b' dbname=y", "password = *** dbname=y"},
        {"postgresql://u:hunter2@h/db", "postgresql://u:***@h/db"},
        {"postgresql://u@h:5432/db", "postgresql://u@h:5432/db"},
        {"postgresql://h/db?password=hunter2&x=1", "postgresql://h/db?password=***&x=1"},
        {"host=/run dbname=y", "host=/run dbname=y"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256], want[512];
        struct config *c = NULL;
        struct buf b;
        snprintf(text, sizeof text, "[postgres]\nconninfo = %s\n", cases[i].conninfo);
        assert_int_equal(load(&c, text), OK);
        buf_init(&b, 0);
        assert_int_equal(config_write_effective(c, &b), OK);
        snprintf(want, sizeof want, "\nconninfo = %s # %s:2\n", cases[i].shown, ini);
        if (!strstr(buf_cstr(&b), want)) {
            fail_msg("case %zu: %s", i, buf_cstr(&b));
        }
        assert_non_null(strstr(buf_cstr(&b), "tls_port = 8443 # default\n"));
        buf_free(&b);
        config_free(c);
    }
}

static void reads_secrets(void **state)
{
    char out[16];

    (void)state;
    assert_int_equal(config_read_secret(out, sizeof out, ini), ERR_NOT_FOUND);
    write_bytes("s3cret\r\n\n", 9);
    assert_int_equal(chmod(ini, 0604), 0);
    assert_int_equal(config_read_secret(out, sizeof out, ini), ERR_FORBIDDEN);
    assert_int_equal(chmod(ini, 0640), 0);
    assert_int_equal(config_read_secret(out, sizeof out, ini), OK);
    assert_string_equal(out, "s3cret");
    assert_int_equal(config_read_secret(out, 6, ini), ERR_TOO_LARGE);
    assert_int_equal(config_read_secret(out, 0, ini), ERR_TOO_LARGE);
    write_bytes("\n\n", 2);
    assert_int_equal(config_read_secret(out, sizeof out, ini), ERR_INVALID);
    write_bytes("a\0b", 3);
    assert_int_equal(config_read_secret(out, sizeof out, ini), ERR_INVALID);
    assert_string_equal(out, "");
}

static void says_when_memory_is_out_and_leaks_nothing(void **state)
{
    struct config *c = NULL;
    int rc = ERR_NOMEM;
    long fail = 0;

    (void)state;
    if (!ALLOC_CAN_FAIL) {
        skip();
    }
    write_bytes("[http]\norigins = a, b\n", 22);
    long before = ALLOC_LIVE();
    for (; rc != OK && fail < 2000; fail++) {
        alloc_fail_at(fail);
        rc = config_load(&c, ini, why, sizeof why);
        alloc_fail_at(-1);
        if (rc != OK) {
            assert_int_equal(rc, ERR_NOMEM);
            assert_null(c);
            assert_int_equal(ALLOC_LIVE(), before);
        }
    }
    assert_int_equal(rc, OK);
    assert_true(fail > 100);
    config_free(c);
    assert_int_equal(ALLOC_LIVE(), before);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_file_there_are_defaults),
        TEST(the_file_overrides),
        TEST(unknown_names_are_refused_with_a_guess),
        TEST(wrong_values_are_refused_with_the_reason),
        TEST(numbers_that_overflow_are_refused),
        TEST(broken_lines_are_refused),
        TEST(a_key_stands_once),
        TEST(zero_bytes_and_huge_files_are_refused),
        TEST(secrets_are_not_in_reasons),
        TEST(a_missing_file_says_how_to_make_one),
        TEST(the_environment_overrides_the_file),
        TEST(wrong_variables_are_refused),
        TEST(keys_that_contradict_are_refused),
        TEST(every_key_is_documented_and_its_default_good),
        TEST(the_template_gives_the_defaults),
        TEST(effective_values_hide_passwords),
        TEST(reads_secrets),
        TEST(says_when_memory_is_out_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
