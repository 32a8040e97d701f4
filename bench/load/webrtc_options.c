/* What commands say, into the structs of bench/client. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/webrtc_private.h"
#include "lib/base/err.h"

/* A number with fractions: json.h has whole ones only. */
static double number(const cJSON *o, const char *field, double min, double max, double dflt,
                     struct json_errors *e)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    if (!v || cJSON_IsNull(v))
        return dflt;
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= min && v->valuedouble <= max)) {
        json_error(e, field, "must be a number from %g to %g", min, max);
        return dflt;
    }
    return v->valuedouble;
}

/* ---- offer, answer ---- */

static void read_server(struct nice_agent_options *a, const char *url, const cJSON *s,
                        struct json_errors *e)
{
    const char *user = json_str(s, "username", JSON_OPTIONAL, 0, 255, e);
    const char *credential = json_str(s, "credential", JSON_OPTIONAL, 0, 255, e);
    if (a->n_servers == NICE_AGENT_MAX_SERVERS)
        json_error(e, "ice_servers", "at most %d addresses", NICE_AGENT_MAX_SERVERS);
    else if (nice_server_parse(&a->server[a->n_servers], url, user ? user : "",
                               credential ? credential : "") != OK)
        json_error(e, "ice_servers", "stun: or turn: with a numeric address");
    else
        a->n_servers++;
}

/* As in RTCIceServer: urls is one text or a list. */
static void read_servers(struct nice_agent_options *a, const cJSON *o, struct json_errors *e)
{
    const cJSON *s, *url;
    cJSON_ArrayForEach(s, json_arr(o, "ice_servers", JSON_OPTIONAL, NICE_AGENT_MAX_SERVERS, e))
    {
        const cJSON *urls = cJSON_GetObjectItemCaseSensitive(s, "urls");
        if (cJSON_IsString(urls)) {
            read_server(a, urls->valuestring, s, e);
            continue;
        }
        cJSON_ArrayForEach(url, urls)
        {
            if (cJSON_IsString(url))
                read_server(a, url->valuestring, s, e);
        }
    }
}

bool load_read_options(struct endpoint_options *out, const cJSON *o, struct json_errors *e)
{
    static const char *const directions[] = {"sendrecv", "sendonly", "recvonly", NULL};
    static const char *const profiles[] = {"any", "gcm", "cm", NULL};
    static const char *const kinds[] = {"lean", "nice", NULL};
    static const char *const policies[] = {"all", "relay", NULL};
    out->audio = (unsigned)json_int(o, "audio", JSON_OPTIONAL, 0, 8, 1, e);
    out->video = (unsigned)json_int(o, "video", JSON_OPTIONAL, 0, 8, 1, e);
    int direction = json_enum(o, "dir", JSON_OPTIONAL, directions, e);
    int profile = json_enum(o, "profile", JSON_OPTIONAL, profiles, e);
    out->direction = direction < 0 ? SDP_SENDRECV : (enum sdp_direction)direction;
    out->profile = profile < 0 ? ENDPOINT_PROFILE_ANY : (enum endpoint_profile)profile;
    out->nice = json_enum(o, "ice", JSON_OPTIONAL, kinds, e) == 1;
    out->agent.relay_only = json_enum(o, "policy", JSON_OPTIONAL, policies, e) == 1;
    read_servers(&out->agent, o, e);
    return e->n == 0;
}

static void read_impair(struct impair_config *out, const cJSON *o, struct json_errors *e)
{
    memset(out, 0, sizeof *out);
    out->loss = number(o, "loss", 0, 1, 0, e);
    out->burst = number(o, "burst", 0, 1000, 0, e);
    out->delay_us = (int64_t)(1000 * number(o, "delay_ms", 0, 10000, 0, e));
    out->jitter_us = (int64_t)(1000 * number(o, "jitter_ms", 0, 10000, 0, e));
    out->reorder = number(o, "reorder", 0, 1, 0, e);
    out->rate_bps = (int64_t)(1000 * number(o, "rate_kbps", 0, 1e7, 0, e));
    out->queue_us = (int64_t)(1000 * number(o, "queue_ms", 0, 10000, 0, e));
    out->max_packets = (size_t)json_int(o, "max_packets", JSON_OPTIONAL, 0, 100000, 0, e);
    out->seed = (uint64_t)json_int(o, "seed", JSON_OPTIONAL, 0, INT32_MAX, 1, e);
}

bool load_read_link(struct endpoint_link *out, const cJSON *o, struct json_errors *e)
{
    const cJSON *link = json_obj(o, "link", JSON_OPTIONAL, e);
    uint64_t ep = (uint64_t)json_int(o, "ep", JSON_OPTIONAL, 0, INT32_MAX, 0, e);
    memset(out, 0, sizeof *out);
    out->on = link != NULL;
    if (link) {
        const cJSON *up = json_obj(link, "up", JSON_OPTIONAL, e);
        const cJSON *down = json_obj(link, "down", JSON_OPTIONAL, e);
        read_impair(&out->up, up, e);
        read_impair(&out->down, down, e);
        /* Neither the two ways nor two endpoints lose the same packets: twenty subscribers would be
         * no more than one. The same numbers have the same fate on every server. */
        out->up.seed += 0x100000001b3u * ep;
        out->down.seed += 0x100000001b3u * ep + 1000000007u;
    }
    return e->n == 0;
}

bool load_read_source(struct source_config *out, const cJSON *o, struct json_errors *e)
{
    const cJSON *s = json_obj(o, "source", JSON_OPTIONAL, e);
    *out = (struct source_config){
        .video_kbps = (uint32_t)json_int(s, "video_kbps", JSON_OPTIONAL, 0, 100000, 1500, e),
        .fps = (uint32_t)json_int(s, "fps", JSON_OPTIONAL, 1, 240, 30, e),
        .packet_bytes = (uint32_t)json_int(s, "packet_bytes", JSON_OPTIONAL, 100, 1250, 1100, e),
        .keyframe_interval_ms =
            (uint32_t)json_int(s, "keyframe_interval_ms", JSON_OPTIONAL, 0, 3600000, 0, e),
        .audio = json_bool(s, "audio", JSON_OPTIONAL, true, e),
        .width = (uint16_t)json_int(s, "width", JSON_OPTIONAL, 16, 16383, 640, e),
        .height = (uint16_t)json_int(s, "height", JSON_OPTIONAL, 16, 16383, 360, e)};
    return e->n == 0;
}

/* ---- raw ---- */

static void read_remote(struct sockaddr_in *out, const cJSON *o, struct json_errors *e)
{
    char host[16];
    const char *text = json_str(o, "remote", JSON_REQUIRED, 1, 64, e);
    const char *colon = text ? strrchr(text, ':') : NULL;
    size_t n = colon ? (size_t)(colon - text) : sizeof host;
    memset(out, 0, sizeof *out);
    out->sin_family = AF_INET;
    if (n < sizeof host) {
        char *end;
        memcpy(host, text, n);
        host[n] = 0;
        long port = strtol(colon + 1, &end, 10);
        out->sin_port = htons((uint16_t)port);
        if (!*end && port > 0 && port < 65536 && inet_pton(AF_INET, host, &out->sin_addr) == 1)
            return;
    }
    if (text)
        json_error(e, "remote", "must be an IPv4 address and a port");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* hex(key || salt) */
static void read_key(uint8_t *key, size_t key_len, uint8_t *salt, size_t salt_len, const cJSON *o,
                     const char *field, struct json_errors *e)
{
    uint8_t both[46];
    size_t n = key_len + salt_len;
    const char *text = json_str(o, field, JSON_REQUIRED, 2 * n, 2 * n, e);
    for (size_t i = 0; text && i < n; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            json_error(e, field, "must be hexadecimal");
            return;
        }
        both[i] = (uint8_t)(high << 4 | low);
    }
    if (text) {
        memcpy(key, both, key_len);
        memcpy(salt, both + key_len, salt_len);
    }
}

static void read_keys(struct dtls_keys *k, const cJSON *o, struct json_errors *e)
{
    static const char *const profiles[] = {"gcm", "cm", NULL};
    bool cm = json_enum(o, "profile", JSON_OPTIONAL, profiles, e) == 1;
    memset(k, 0, sizeof *k);
    k->profile = cm ? DTLS_AES128_CM_SHA1_80 : DTLS_AEAD_AES_128_GCM;
    k->key_len = 16;
    k->salt_len = cm ? 14 : 12;
    read_key(k->local_key, k->key_len, k->local_salt, k->salt_len, o, "send_key", e);
    read_key(k->remote_key, k->key_len, k->remote_salt, k->salt_len, o, "recv_key", e);
}

/* With nack and pli as feedback, and transport-wide numbers where an id is given. */
static void read_track(struct media_track *t, enum media_kind kind, const cJSON *o,
                       struct json_errors *e)
{
    memset(t, 0, sizeof *t);
    t->kind = kind;
    t->ssrc = (uint32_t)json_int(o, "ssrc", JSON_OPTIONAL, 0, UINT32_MAX, 0, e);
    t->pt = (uint8_t)json_int(o, "pt", JSON_REQUIRED, 0, 127, 0, e);
    t->rtx_ssrc = (uint32_t)json_int(o, "rtx_ssrc", JSON_OPTIONAL, 0, UINT32_MAX, 0, e);
    t->rtx_pt = (uint8_t)json_int(o, "rtx_pt", JSON_OPTIONAL, 0, 127, 0, e);
    t->ext.id[RTP_EXT_TRANSPORT_CC] = (uint8_t)json_int(o, "twcc", JSON_OPTIONAL, 0, 14, 0, e);
    t->transport_cc = t->ext.id[RTP_EXT_TRANSPORT_CC] != 0;
    t->nack = t->pli = kind == MEDIA_VIDEO;
}

bool load_read_raw(struct endpoint_raw *out, struct media_track *tracks, const cJSON *o,
                   struct json_errors *e)
{
    static const char *const kinds[] = {"audio", "video", NULL};
    const cJSON *t;
    memset(out, 0, sizeof *out);
    read_remote(&out->remote, o, e);
    read_keys(&out->keys, o, e);
    for (int k = 0; k < 2; k++) {
        if (!(t = json_obj(o, kinds[k], JSON_OPTIONAL, e)))
            continue;
        read_track(&tracks[k], (enum media_kind)k, t, e);
        *(k ? &out->video : &out->audio) = &tracks[k];
    }
    out->receive = tracks + 2;
    cJSON_ArrayForEach(t, json_arr(o, "receive", JSON_OPTIONAL, LOAD_MAX_RAW_TRACKS, e))
    {
        int kind = json_enum(t, "kind", JSON_REQUIRED, kinds, e);
        if (kind >= 0)
            read_track(&tracks[2 + out->n_receive++], (enum media_kind)kind, t, e);
    }
    return e->n == 0;
}
