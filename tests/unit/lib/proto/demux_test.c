#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/proto/demux.h"

static void kinds_by_first_bytes(void **state)
{
    uint8_t stun[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    uint8_t dtls[13] = {22, 0xfe, 0xfd}, rtp[12] = {0x80, 96}, rtcp[8] = {0x80, 200};

    (void)state;
    assert_int_equal(demux_packet(stun, 20), PACKET_STUN);
    assert_int_equal(demux_packet(dtls, 13), PACKET_DTLS);
    assert_int_equal(demux_packet(rtp, 12), PACKET_RTP);
    assert_int_equal(demux_packet(rtcp, 8), PACKET_RTCP);
    rtp[1] = 0x80 | 96; /* the marker is not part of the type: 224 */
    assert_int_equal(demux_packet(rtp, 12), PACKET_RTP);
    rtcp[1] = 223;
    assert_int_equal(demux_packet(rtcp, 8), PACKET_RTCP);
}

static void too_short_or_strange_is_unknown(void **state)
{
    uint8_t stun[24] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    uint8_t rtp[12] = {0x80, 96}, dtls[13] = {22}, other[20] = {70};

    (void)state;
    for (size_t n = 0; n < 20; n++) {
        assert_int_equal(demux_packet(stun, n), PACKET_UNKNOWN);
    }
    assert_int_equal(demux_packet(stun, 24), PACKET_UNKNOWN); /* length says 0 */
    stun[3] = 4;
    assert_int_equal(demux_packet(stun, 24), PACKET_STUN);
    stun[4] = 0x20; /* no cookie */
    assert_int_equal(demux_packet(stun, 24), PACKET_UNKNOWN);
    assert_int_equal(demux_packet(rtp, 11), PACKET_UNKNOWN);
    assert_int_equal(demux_packet(dtls, 12), PACKET_UNKNOWN);
    assert_int_equal(demux_packet(other, 20), PACKET_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_by_first_bytes),
        cmocka_unit_test(too_short_or_strange_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
