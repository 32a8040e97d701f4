/* What the SFU's answers and offers have in common. */
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

int sdp_put_session(struct buf *out, const struct sdp_local *local, const char *bundle,
                    bool extmap_allow_mixed)
{
    return buf_printf(out,
                      "v=0\r\no=- %llu %llu IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
                      "a=ice-lite\r\n%s%s%s%sa=msid-semantic: WMS *\r\n",
                      (unsigned long long)local->session_id,
                      (unsigned long long)local->session_version, *bundle ? "a=group:BUNDLE" : "",
                      bundle, *bundle ? "\r\n" : "",
                      extmap_allow_mixed ? "a=extmap-allow-mixed\r\n" : "");
}

/* RFC 8445 section 5.1.2: host candidates, UDP before TCP, then in the order given. */
static uint32_t priority_of(const struct sdp_local_candidate *c, size_t i)
{
    uint32_t type_preference = c->tcp ? 90 : 126;
    return type_preference << 24 | (uint32_t)(65535 - i) << 8 | 255;
}

int sdp_put_candidates(struct buf *out, const struct sdp_local *local)
{
    for (size_t i = 0; i < local->n_candidates && i < SDP_MAX_CANDIDATES; i++) {
        const struct sdp_local_candidate *c = &local->candidate[i];
        int r = buf_printf(out, "a=candidate:%zu 1 %s %u %s %u typ host%s\r\n", i + 1,
                           c->tcp ? "tcp" : "udp", priority_of(c, i), c->address, c->port,
                           c->tcp ? " tcptype passive" : "");
        if (r < 0) {
            return r;
        }
    }
    return buf_append_str(out, "a=end-of-candidates\r\n");
}

int sdp_put_transport(struct buf *out, const struct sdp_local *local, const char *setup)
{
    char hex[3 * SDP_FINGERPRINT_LEN + 1];
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < SDP_FINGERPRINT_LEN; i++) {
        hex[3 * i] = digits[local->fingerprint[i] >> 4];
        hex[3 * i + 1] = digits[local->fingerprint[i] & 15];
        hex[3 * i + 2] = ':';
    }
    hex[3 * SDP_FINGERPRINT_LEN - 1] = 0;
    return buf_printf(out,
                      "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=fingerprint:sha-256 %s\r\n"
                      "a=setup:%s\r\n",
                      local->ice_ufrag, local->ice_pwd, hex, setup);
}

int sdp_put_ext(struct buf *out, const struct rtp_ext_map *ext)
{
    int r = OK;

    for (int i = 0; i < RTP_EXT_KINDS && r >= 0; i++) {
        if (ext->id[i] != 0) {
            r = buf_printf(out, "a=extmap:%u %s\r\n", ext->id[i],
                           rtp_ext_uri((enum rtp_ext_kind)i));
        }
    }
    return r;
}

/* RFC 8839 section 5.4: ice-char = ALPHA / DIGIT / "+" / "/"; '-', '_' and '=' are tolerated. */
static bool credential_ok(const char *s, size_t min, size_t max)
{
    static const char chars[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/-_=";
    size_t n = s ? strlen(s) : 0;

    return n >= min && n <= max && strspn(s, chars) == n;
}

int sdp_read_remote(struct sdp_remote *out, const struct sdp *s, const struct sdp_media *m)
{
    const char *ufrag = sdp_ice_ufrag(s, m), *pwd = sdp_ice_pwd(s, m);

    if (!credential_ok(ufrag, 4, 256) || !credential_ok(pwd, 22, 256)) {
        return ERR_INVALID;
    }
    str_copy(out->ice_ufrag, sizeof out->ice_ufrag, ufrag);
    str_copy(out->ice_pwd, sizeof out->ice_pwd, pwd);
    int r = sdp_fingerprint_sha256(out->fingerprint, s, m);
    return r == ERR_NOT_FOUND ? ERR_UNSUPPORTED : r;
}

bool sdp_in_bundle(const char *bundle, const char *mid)
{
    size_t len = strlen(mid);

    for (const char *p = bundle; p && *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && n > 0 && memcmp(p, mid, n) == 0) {
            return true;
        }
        p += n;
        p += strspn(p, " ");
    }
    return false;
}
