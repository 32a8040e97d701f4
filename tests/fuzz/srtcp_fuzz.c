/* SRTCP of the three profiles. The first byte chooses the profile, and whether the rest is taken as
 * it is (nothing of it is authentic, and it must not be believed), or protected first: then it must
 * come out as it went in, once, and not with any bit changed. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "sfu/core/srtcp.h"
#include "sfu/core/srtp_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROTECTED 4

static void expect(bool ok)
{
    if (!ok) {
        abort();
    }
}

static struct srtcp *open_end(enum srtp_profile profile, bool other)
{
    static const uint8_t keys[2][32] = {"one", "two"}, salts[2][SRTP_SALT_LEN] = {"a", "b"};
    struct srtcp *s = NULL;
    expect(srtcp_new(&s, profile, keys[other], salts[other], keys[!other], salts[!other]) == OK);
    return s;
}

static void take_raw(struct srtcp *s, const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1); /* a read behind it shows */
    size_t len = size;
    expect(exact != NULL);
    memcpy(exact, data, size);
    expect(srtcp_unprotect(s, exact, &len) != OK && len == size);
    free(exact);
}

static void go_through(struct srtcp *from, struct srtcp *to, const uint8_t *data, size_t size)
{
    uint8_t *wire = malloc(size + SRTCP_OVERHEAD), *copy = malloc(size + SRTCP_OVERHEAD);
    size_t len = size, n;
    expect(wire && copy);
    memcpy(wire, data, size);
    if (srtcp_protect(from, wire, &len) == OK) {
        expect(len > size && len <= size + SRTCP_OVERHEAD);
        size_t at = size > 8 ? data[8] % len : 0;
        memcpy(copy, wire, len);
        copy[at] ^= 1;
        n = len;
        expect(srtcp_unprotect(to, copy, &n) != OK);
        memcpy(copy, wire, len);
        n = len;
        expect(srtcp_unprotect(to, copy, &n) == OK && n == size && memcmp(copy, data, n) == 0);
        n = len;
        expect(srtcp_unprotect(to, wire, &n) == ERR_CONFLICT);
    }
    free(wire);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum srtp_profile profiles[] = {SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_128_GCM,
                                                 SRTP_AEAD_AES_256_GCM};
    if (size < 1) {
        return 0;
    }
    enum srtp_profile profile = profiles[data[0] % 4 % 3];
    struct srtcp *one = open_end(profile, false), *two = open_end(profile, true);
    if (data[0] & PROTECTED) {
        go_through(one, two, data + 1, size - 1);
    } else {
        take_raw(two, data + 1, size - 1);
    }
    srtcp_free(one);
    srtcp_free(two);
    return 0;
}
