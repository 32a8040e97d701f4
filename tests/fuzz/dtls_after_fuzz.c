/* Records that come to a settled DTLS association. The input is a script of records: how, type or
 * length, bytes. Raw ones can't be authentic, others are encrypted with the peer's key first. Only
 * what is authentic may end the association or have the last flight repeated, and that so many
 * times and no more. */
#include <stdlib.h>

#include "sfu/shell/dtls_after.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AUTHENTIC 1
#define LAST      2 /* of its datagram */
#define DATAGRAM  1500

static const uint8_t flight_bytes[] = "flight";

struct script {
    struct dtls_after *after;
    uint8_t datagram[DATAGRAM];
    size_t len;
    bool end, finished; /* what its authentic records may do */
    unsigned number, repeats;
};

static void expect(bool ok)
{
    if (!ok) {
        abort();
    }
}

static struct dtls_after *association(void)
{
    struct dtls_after *a = calloc(1, sizeof *a + sizeof flight_bytes);
    expect(a != NULL);
    a->n_parts = 2;
    a->part[0] = 2;
    a->part[1] = sizeof flight_bytes - 2;
    memcpy(a->flight, flight_bytes, sizeof flight_bytes);
    return a;
}

/* As decrypt wants it. Returns the record's length. */
static size_t encrypt(struct script *s, uint8_t *out, uint8_t type, const uint8_t *plain,
                      size_t len)
{
    uint8_t nonce[FIXED_IV + EXPLICIT_IV] = {0}, aad[SEQUENCE + 5];
    const uint8_t header[HEADER_LEN] = {type, 0xfe, 0xfd, 0, 1};
    uint8_t *body = out + HEADER_LEN;
    size_t n = EXPLICIT_IV + len + TAG_LEN;
    int ignored;
    memcpy(out, header, sizeof header);
    out[10] = (uint8_t)s->number++;
    out[11] = (uint8_t)(n >> 8);
    out[12] = (uint8_t)n;
    memcpy(body, out + EPOCH_AT, EXPLICIT_IV);
    memcpy(nonce + FIXED_IV, body, EXPLICIT_IV);
    memcpy(aad, out + EPOCH_AT, SEQUENCE);
    memcpy(aad + SEQUENCE, out, 3);
    aad[SEQUENCE + 3] = (uint8_t)(len >> 8);
    aad[SEQUENCE + 4] = (uint8_t)len;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    expect(EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, s->after->key, nonce) == 1 &&
           EVP_EncryptUpdate(c, NULL, &ignored, aad, sizeof aad) == 1 &&
           EVP_EncryptUpdate(c, body + EXPLICIT_IV, &ignored, plain, (int)len) == 1 &&
           EVP_EncryptFinal_ex(c, body + EXPLICIT_IV + len, &ignored) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, body + EXPLICIT_IV + len) == 1);
    EVP_CIPHER_CTX_free(c);
    return HEADER_LEN + n;
}

static void add(struct script *s, uint8_t how, uint8_t type, const uint8_t *bytes, size_t len)
{
    if (s->len + HEADER_LEN + EXPLICIT_IV + len + TAG_LEN > DATAGRAM) {
        return;
    }
    if (!(how & AUTHENTIC)) {
        memcpy(s->datagram + s->len, bytes, len);
        s->len += len;
        return;
    }
    s->len += encrypt(s, s->datagram + s->len, type, bytes, len);
    s->end |= type == RECORD_ALERT && len == 2 && (bytes[0] == ALERT_FATAL || bytes[1] == 0);
    s->finished |= type == RECORD_HANDSHAKE && len > 0 && bytes[0] == MESSAGE_FINISHED;
}

/* False at the end. A buffer of the exact size shows a read behind it. */
static bool input(struct script *s)
{
    uint8_t *exact = malloc(s->len ? s->len : 1);
    expect(exact != NULL);
    memcpy(exact, s->datagram, s->len);
    enum dtls_after_event e = dtls_after_input(s->after, exact, s->len);
    free(exact);
    expect(e != DTLS_AFTER_CLOSED || s->end);
    expect(e != DTLS_AFTER_REPEAT || s->finished);
    s->repeats += e == DTLS_AFTER_REPEAT;
    expect(s->repeats <= DTLS_AFTER_REPEATS);
    s->len = 0;
    s->end = s->finished = false;
    return e != DTLS_AFTER_CLOSED;
}

static void expect_flight(const struct dtls_after *a)
{
    const uint8_t *part;
    size_t sum = 0, n;
    for (size_t i = 0; (n = dtls_after_flight(a, i, &part)) > 0; i++) {
        expect(memcmp(part, flight_bytes + sum, n) == 0);
        sum += n;
    }
    expect(sum == sizeof flight_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script s = {.after = association()};
    bool on = true;
    while (on && size >= 3) {
        uint8_t how = data[0], type = data[1];
        size_t len = data[2] < size - 3 ? data[2] : size - 3;
        add(&s, how, type, data + 3, len);
        data += 3 + len;
        size -= 3 + len;
        on = !(how & LAST) || input(&s);
    }
    if (on) {
        (void)input(&s);
    }
    expect_flight(s.after);
    dtls_after_free(s.after);
    return 0;
}
