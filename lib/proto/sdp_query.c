/* Questions to a parsed SDP. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

const struct sdp_codec *sdp_codec_by_pt(const struct sdp_media *m, uint8_t pt)
{
    for (size_t i = 0; i < m->n_codecs; i++) {
        if (m->codec[i].pt == pt) {
            return &m->codec[i];
        }
    }
    return NULL;
}

const struct sdp_codec *sdp_codec_by_name(const struct sdp_media *m, const char *name,
                                          uint32_t clock_rate)
{
    for (size_t i = 0; i < m->n_codecs; i++) {
        if (strcasecmp(m->codec[i].name, name) == 0 && m->codec[i].clock_rate == clock_rate) {
            return &m->codec[i];
        }
    }
    return NULL;
}

const struct sdp_codec *sdp_rtx_for(const struct sdp_media *m, uint8_t pt)
{
    for (size_t i = 0; i < m->n_codecs; i++) {
        const struct sdp_codec *c = &m->codec[i];
        if (strcasecmp(c->name, "rtx") == 0 && sdp_fmtp_int(c->fmtp, "apt", -1) == pt) {
            return c;
        }
    }
    return NULL;
}

bool sdp_has_feedback(const struct sdp_codec *c, const char *feedback)
{
    for (size_t i = 0; i < c->n_feedback; i++) {
        if (strcmp(c->feedback[i], feedback) == 0) {
            return true;
        }
    }
    return false;
}

/* The value of `name=…`, *len bytes of it, or NULL. */
static const char *fmtp_value(const char *fmtp, const char *name, size_t *len)
{
    size_t name_len = strlen(name);

    for (const char *p = fmtp; p && *p;) {
        size_t n = strcspn(p, "; ");
        if (n > name_len && strncasecmp(p, name, name_len) == 0 && p[name_len] == '=') {
            *len = n - name_len - 1;
            return p + name_len + 1;
        }
        p += n;
        p += strspn(p, "; ");
    }
    return NULL;
}

int sdp_fmtp_text(const char *fmtp, const char *name, char *out, size_t cap)
{
    size_t len = 0;
    const char *value = fmtp_value(fmtp, name, &len);

    out[0] = 0;
    if (!value) {
        return ERR_NOT_FOUND;
    }
    if (len >= cap) {
        return ERR_TOO_LARGE;
    }
    memcpy(out, value, len);
    out[len] = 0;
    return OK;
}

int64_t sdp_fmtp_int(const char *fmtp, const char *name, int64_t dflt)
{
    char text[20];
    uint64_t v;

    if (sdp_fmtp_text(fmtp, name, text, sizeof text) < 0 || !sdp_number(text, INT64_MAX, &v)) {
        return dflt;
    }
    return (int64_t)v;
}

void sdp_ext_map(struct rtp_ext_map *out, const struct sdp_media *m)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < m->n_ext; i++) {
        int kind = rtp_ext_kind_of(m->ext[i].uri);
        if (kind >= 0 && out->id[kind] == 0 && m->ext[i].direction != SDP_INACTIVE) {
            out->id[kind] = m->ext[i].id;
        }
    }
}

const struct sdp_media *sdp_first_used(const struct sdp *s)
{
    for (size_t i = 0; i < s->n_media; i++) {
        if (s->media[i].port != 0) {
            return &s->media[i];
        }
    }
    return NULL;
}

const struct sdp_media *sdp_media_by_mid(const struct sdp *s, const char *mid)
{
    for (size_t i = 0; i < s->n_media; i++) {
        if (strcmp(s->media[i].mid, mid) == 0) {
            return &s->media[i];
        }
    }
    return NULL;
}

const char *sdp_ice_ufrag(const struct sdp *s, const struct sdp_media *m)
{
    return m->transport.ice_ufrag ? m->transport.ice_ufrag : s->transport.ice_ufrag;
}

const char *sdp_ice_pwd(const struct sdp *s, const struct sdp_media *m)
{
    return m->transport.ice_pwd ? m->transport.ice_pwd : s->transport.ice_pwd;
}

enum sdp_setup sdp_setup_of(const struct sdp *s, const struct sdp_media *m)
{
    return m->transport.setup != SDP_SETUP_NONE ? m->transport.setup : s->transport.setup;
}

static int hex_digit(char ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }
    if (ch >= 'a' && ch <= 'f') {
        return ch - 'a' + 10;
    }
    return ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
}

/* "AB:CD:…", exactly SDP_FINGERPRINT_LEN bytes (RFC 8122 section 5). */
static int read_hex(uint8_t out[SDP_FINGERPRINT_LEN], const char *text)
{
    if (strlen(text) != 3 * SDP_FINGERPRINT_LEN - 1) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < SDP_FINGERPRINT_LEN; i++) {
        int hi = hex_digit(text[3 * i]), lo = hex_digit(text[3 * i + 1]);
        char after = text[3 * i + 2];
        if (hi < 0 || lo < 0 || after != (i + 1 < SDP_FINGERPRINT_LEN ? ':' : 0)) {
            return ERR_INVALID;
        }
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return OK;
}

int sdp_fingerprint_sha256(uint8_t out[SDP_FINGERPRINT_LEN], const struct sdp *s,
                           const struct sdp_media *m)
{
    const struct sdp_transport *t = m->transport.n_fingerprints ? &m->transport : &s->transport;

    for (size_t i = 0; i < t->n_fingerprints; i++) {
        if (strcmp(t->fingerprint[i].hash, "sha-256") == 0) {
            return read_hex(out, t->fingerprint[i].value);
        }
    }
    return ERR_NOT_FOUND;
}
