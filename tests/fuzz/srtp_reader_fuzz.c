/* SRTP that comes in, of the three profiles. The first byte chooses the profile, and whether the
 * rest is taken as it is (nothing of it is authentic, and it must not be believed), or is a row of
 * records (3 bytes: sequence number, length and what happens to the packet) that are sent and
 * received: what opens must be what was sent, once, and nothing that was changed on its way. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "sfu/core/srtp_keys.h"
#include "sfu/core/srtp_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROTECTED 4
#define RECORD    3
#define HEADER    12
#define CAP       (HEADER + 15 + SRTP_MAX_TAG)

static const uint8_t key[32] = "one", salt[SRTP_SALT_LEN] = "a";

static void expect(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void take_raw(struct srtp_reader *r, const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1); /* a read behind it shows */
    size_t len = size;
    expect(exact != NULL);
    memcpy(exact, data, size);
    int err = srtp_reader_open(r, exact, &len);
    expect((err == ERR_AUTH || err == ERR_INVALID) && len == size);
    free(exact);
}

static size_t write_plain(uint8_t *p, const uint8_t record[RECORD])
{
    size_t n = HEADER + (record[2] & 15);
    memset(p, record[2], n);
    memcpy(p, (uint8_t[HEADER]){0x80, 96, record[0], record[1], 1, 2, 3, 4, 0, 0, 0, 7}, HEADER);
    return n;
}

static void pass(struct srtp_writer *w, struct srtp_stream *s, struct srtp_reader *r,
                 const uint8_t record[RECORD])
{
    uint8_t plain[CAP], wire[CAP], copy[CAP];
    size_t n = write_plain(plain, record);
    memcpy(wire, plain, n);
    int sent = srtp_writer_protect(w, s, wire, n, HEADER, sizeof wire);
    expect(sent > (int)n);
    size_t len = (size_t)sent;
    if (record[2] & 16) {
        memcpy(copy, wire, len);
        copy[(record[2] >> 5) * 3u % len] ^= 1;
        expect(srtp_reader_open(r, copy, &len) < 0 && len == (size_t)sent);
    }
    memcpy(copy, wire, len);
    int err = srtp_reader_open(r, copy, &len);
    expect(err || (len == n && memcmp(copy, plain, n) == 0));
    if (!err) {
        len = (size_t)sent;
        expect(srtp_reader_open(r, wire, &len) == ERR_CONFLICT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum srtp_profile profiles[] = {SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_128_GCM,
                                                 SRTP_AEAD_AES_256_GCM};
    if (size < 1) {
        return 0;
    }
    enum srtp_profile profile = profiles[data[0] % 4 % 3];
    struct srtp_reader *r = NULL;
    expect(srtp_reader_new(&r, profile, key, salt) == OK);
    if (data[0] & PROTECTED) {
        struct srtp_writer *w = NULL;
        struct srtp_stream s = {0};
        expect(srtp_writer_new(&w, profile, key, salt) == OK);
        for (size_t at = 1; at + RECORD <= size; at += RECORD) {
            pass(w, &s, r, data + at);
        }
        srtp_writer_free(w);
    } else {
        take_raw(r, data + 1, size - 1);
    }
    srtp_reader_free(r);
    return 0;
}
