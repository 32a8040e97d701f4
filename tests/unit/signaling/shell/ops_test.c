#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "signaling/shell/ops.h"

static void addresses_of_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
        int port;
    } good[] = {
        {"stun:example.org", "example.org", 3478},
        {"stun:example.org:99", "example.org", 99},
        {"turn:127.0.0.1:3478?transport=udp", "127.0.0.1", 3478},
        {"turns:example.org?transport=tcp", "example.org", 5349},
        {"stuns:example.org", "example.org", 5349},
        {"turn:[2001:db8::1]:5000?transport=udp", "2001:db8::1", 5000},
        {"turn:[::1]", "::1", 3478},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char host[256];
        int port = 0;
        assert_int_equal(ops_stun_address(good[i].url, host, &port), OK);
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
}

static void no_addresses(void **state)
{
    (void)state;
    char host[256], huge[400] = "stun:";
    int port;
    memset(huge + 5, 'a', sizeof(huge) - 6);
    static const char *const bad[] = {
        "",         "stun",    "stun:",     "stun::1", "stun:a:0",   "stun:a:65536",
        "stun:a:x", "stun:a:", "stun:[::1", "stun:[]", "stun:a:1x?y"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (ops_stun_address(bad[i], host, &port) != ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
    }
    assert_int_equal(ops_stun_address(huge, host, &port), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_urls),
        cmocka_unit_test(no_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
