/* Keys, initialisation vectors and tags against the RFCs' own numbers, which no implementation has
 * made for another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "lib/base/err.h"
#include "sfu/core/srtp_reader.h"
#include "sfu/core/srtp_session.h"

static void from_hex(uint8_t *out, const char *hex)
{
    for (; hex[0] && hex[1]; hex += 2) {
        char two[3] = {hex[0], hex[1], 0};
        *out++ = (uint8_t)strtoul(two, NULL, 16);
    }
}

#define assert_hex(p, hex)                                                                         \
    do {                                                                                           \
        uint8_t expected_[64];                                                                     \
        from_hex(expected_, hex);                                                                  \
        assert_memory_equal(p, expected_, strlen(hex) / 2);                                        \
    } while (0)

/* RFC 3711 appendix B.3. */
static void session_keys_are_the_rfcs(void **state)
{
    uint8_t key[16], salt[SRTP_SALT_LEN], out[20];

    (void)state;
    from_hex(key, "e1f97a0d3e018be0d64fa32c06de4139");
    from_hex(salt, "0ec675ad498afeebb6960b3aabe6");
    assert_int_equal(srtp_derive(out, 16, SRTP_LABEL_ENCRYPTION, key, sizeof key, salt), OK);
    assert_hex(out, "c61e7a93744f39ee10734afe3ff7a087");
    assert_int_equal(srtp_derive(out, 14, SRTP_LABEL_SALT, key, sizeof key, salt), OK);
    assert_hex(out, "30cbbc08863d8c85d49db34a9ae1");
    assert_int_equal(srtp_derive(out, 20, SRTP_LABEL_AUTHENTICATION, key, sizeof key, salt), OK);
    assert_hex(out, "cebe321f6ff7716b6fd4ab49af256a156d38baa4");
}

/* RFC 7714 section 16.1.1, whose session keys are given: AES-128-GCM of 38 bytes. */
static void gcm_is_the_rfcs(void **state)
{
    static const char text[] = "Gallia est omnis divisa in partes tres";
    uint8_t packet[12], iv[SRTP_AEAD_IV_LEN], key[16], out[64], tag[SRTP_AEAD_TAG_LEN];
    struct srtp_session s = {.cipher = EVP_CIPHER_CTX_new()};
    int n;

    (void)state;
    from_hex(packet, "8040f17b8041f8d35501a0b2");
    from_hex(key, "000102030405060708090a0b0c0d0e0f");
    from_hex(s.salt, "517569642070726f2071756f");
    srtp_session_aead_iv(&s, packet, 0, iv);
    assert_hex(iv, "51753c6580c2726f20718414");
    assert_int_equal(EVP_EncryptInit_ex(s.cipher, EVP_aes_128_gcm(), NULL, key, iv), 1);
    assert_int_equal(EVP_EncryptUpdate(s.cipher, NULL, &n, packet, sizeof packet), 1);
    assert_int_equal(EVP_EncryptUpdate(s.cipher, out, &n, (const uint8_t *)text, 38), 1);
    assert_int_equal(EVP_EncryptFinal_ex(s.cipher, out + 38, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(s.cipher, EVP_CTRL_AEAD_GET_TAG, 16, tag), 1);
    assert_hex(out, "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833");
    assert_hex(tag, "899d7f27beb16a9152cf765ee4390cce");
    srtp_session_close(&s);
    assert_null(s.cipher);
}

/* RFC 7714 section 8.1 and RFC 3711 section 4.1.1, where every byte counts. */
static void initialisation_vectors_have_all_of_the_counter(void **state)
{
    static const uint8_t packet[12] = {0x80, 96, 0xab, 0xcd, 0, 0, 0, 0, 0x11, 0x22, 0x33, 0x44};
    struct srtp_session s = {0};
    uint8_t iv[SRTP_CM_IV_LEN];

    (void)state;
    srtp_session_aead_iv(&s, packet, 0xf1e2d3c4, iv);
    assert_hex(iv, "000011223344f1e2d3c4abcd");
    srtp_session_cm_iv(&s, packet, 0xf1e2d3c4, iv);
    assert_hex(iv, "0000000011223344f1e2d3c4abcd0000");
    memset(s.salt, 0xff, sizeof s.salt);
    srtp_session_cm_iv(&s, packet, 0xf1e2d3c4, iv);
    assert_hex(iv, "ffffffffeeddccbb0e1d2c3b54320000");
}

/* RFC 3711 section 4.2: HMAC-SHA1 of the packet and the rollover counter behind it, 80 bits of it.
 */
static void the_tag_is_hmac_of_packet_and_counter(void **state)
{
    uint8_t key[16] = {1}, salt[14] = {2}, auth[20], tag[SRTP_CM_TAG_LEN], again[SRTP_CM_TAG_LEN];
    uint8_t bytes[40] = {0x80};
    struct srtp_session s = {0};
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t len;

    (void)state;
    assert_int_equal(srtp_session_open(&s, SRTP_AES128_CM_SHA1_80, false, key, salt), OK);
    assert_int_equal(srtp_derive(auth, sizeof auth, SRTP_LABEL_AUTHENTICATION, key, 16, salt), OK);
    srtp_hmac_tag(&s.hmac, bytes, 36, 0x01020304, tag);
    from_hex(bytes + 36, "01020304");
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA1", NULL, auth, sizeof auth, bytes, 40,
                              digest, sizeof digest, &len));
    assert_memory_equal(tag, digest, sizeof tag);
    srtp_hmac_tag(&s.hmac, bytes, 36, 0x01020305, again);
    assert_memory_not_equal(tag, again, sizeof tag);
    srtp_session_close(&s);
}

/* A thousand strangers' SSRCs take nobody's place, and leave a stream's rollover where it was. */
static void what_is_not_authentic_changes_nothing(void **state)
{
    static const enum srtp_profile profiles[] = {SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_128_GCM,
                                                 SRTP_AEAD_AES_256_GCM};
    static const uint8_t key[32] = "key", salt[14] = "salt";

    (void)state;
    for (size_t p = 0; p < 3; p++) {
        struct srtp_reader *r;
        struct srtp_writer *w;
        assert_int_equal(srtp_reader_new(&r, profiles[p], key, salt), OK);
        assert_int_equal(srtp_writer_new(&w, profiles[p], key, salt), OK);
        for (uint32_t i = 0; i < SRTP_READER_MAX_STREAMS; i++) {
            struct srtp_stream at = {0};
            uint8_t sent[100] = {0x80, 96, 0xff, 0xff, 0, 0, 0, 0, 0, 0, (uint8_t)i, 1};
            int n = srtp_writer_protect(w, &at, sent, 60, 12, sizeof sent);
            assert_true(n > 60);
            for (uint32_t k = 0; k < 1000;
                 k++) { /* numbers from all over, strangers' and its own */
                uint8_t forged[100];
                size_t len = (size_t)n;
                memcpy(forged, sent, sizeof forged);
                forged[2] = (uint8_t)(k * 37);
                forged[3] = (uint8_t)k;
                forged[9] = (uint8_t)(k % 2);
                forged[20] ^= 1;
                assert_int_equal(srtp_reader_open(r, forged, &len), ERR_AUTH);
                assert_int_equal(len, n);
            }
            size_t len = (size_t)n;
            assert_int_equal(srtp_reader_open(r, sent, &len), OK);
            assert_int_equal(len, 60);
        }
        srtp_reader_free(r);
        srtp_writer_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_keys_are_the_rfcs),
        cmocka_unit_test(gcm_is_the_rfcs),
        cmocka_unit_test(initialisation_vectors_have_all_of_the_counter),
        cmocka_unit_test(the_tag_is_hmac_of_packet_and_counter),
        cmocka_unit_test(what_is_not_authentic_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
