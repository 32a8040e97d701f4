#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/proto/opus.h"

static uint32_t samples(uint8_t toc, uint8_t second, size_t len)
{
    uint8_t p[3] = {toc, second, 0};
    return opus_packet_samples(p, len);
}

static void durations(void **state)
{
    (void)state;
    assert_int_equal(samples(31 << 3, 0, 3), 960);      /* CELT fullband 20 ms */
    assert_int_equal(samples(28 << 3, 0, 3), 120);      /* 2.5 ms */
    assert_int_equal(samples(3 << 3, 0, 3), 2880);      /* SILK 60 ms */
    assert_int_equal(samples(13 << 3, 0, 3), 960);      /* hybrid 20 ms */
    assert_int_equal(samples(31 << 3 | 1, 0, 3), 1920); /* two frames */
    assert_int_equal(samples(31 << 3 | 3, 6, 3), 5760); /* six frames: 120 ms */
}

static void lies(void **state)
{
    (void)state;
    assert_int_equal(opus_packet_samples(NULL, 0), 0);
    assert_int_equal(samples(31 << 3 | 3, 7, 3), 0); /* over 120 ms */
    assert_int_equal(samples(31 << 3 | 3, 0, 3), 0); /* no frame */
    assert_int_equal(samples(31 << 3 | 3, 6, 1), 0); /* the count is missing */
}

static void dtx(void **state)
{
    uint8_t p[3] = {0x78};

    (void)state;
    assert_false(opus_packet_is_dtx(p, 0));
    assert_true(opus_packet_is_dtx(p, 1));
    assert_true(opus_packet_is_dtx(p, 2));
    assert_false(opus_packet_is_dtx(p, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(lies),
        cmocka_unit_test(dtx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
