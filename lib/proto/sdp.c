/* SDP: lines, session and m-lines. Attributes are in sdp_attr.c. */
#include "lib/proto/sdp.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/proto/sdp_internal.h"

char *sdp_word(char **s)
{
    char *p = *s;

    while (*p == ' ') {
        p++;
    }
    if (*p == 0) {
        return NULL;
    }
    char *end = strchr(p, ' ');
    if (end) {
        *end++ = 0;
    } else {
        end = p + strlen(p);
    }
    *s = end;
    return p;
}

bool sdp_number(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (!text || *text == 0) {
        return false;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        uint64_t d = (uint64_t)(*text - '0');
        if (v > (max - d) / 10) {
            return false;
        }
        v = v * 10 + d;
    }
    *out = v;
    return true;
}

void *sdp_grow(void **array, size_t *n, size_t size, size_t max, int *err)
{
    if (*n >= max) {
        *err = ERR_TOO_LARGE;
        return NULL;
    }
    if ((*n & (*n - 1)) == 0) { /* full at every power of two */
        size_t cap = *n ? *n * 2 : 1;
        void *p = realloc(*array, cap * size);
        if (!p) {
            *err = ERR_NOMEM;
            return NULL;
        }
        *array = p;
    }
    uint8_t *e = (uint8_t *)*array + *n * size;
    memset(e, 0, size);
    (*n)++;
    return e;
}

static int parse_origin(struct sdp *s, char *value)
{
    uint64_t v;

    if (!sdp_word(&value)) {
        return ERR_INVALID;
    }
    char *id = sdp_word(&value), *version = sdp_word(&value);
    if (!id || !version) {
        return ERR_INVALID;
    }
    s->session_id = sdp_number(id, UINT64_MAX, &v) ? v : 0;
    s->session_version = sdp_number(version, UINT64_MAX, &v) ? v : 0;
    return OK;
}

static enum sdp_kind kind_of(const char *text)
{
    if (strcmp(text, "audio") == 0) {
        return SDP_AUDIO;
    }
    if (strcmp(text, "video") == 0) {
        return SDP_VIDEO;
    }
    return strcmp(text, "application") == 0 ? SDP_APPLICATION : SDP_OTHER;
}

/* The payload types of an RTP m-line become its codecs, in order of preference. `formats` stays
 * whole: it is repeated when the line is rejected. */
static int parse_formats(struct sdp_media *m)
{
    const char *p = m->formats;

    while (*p) {
        size_t n = strcspn(p, " ");
        char word[4] = "";
        uint64_t pt;
        int err;
        if (n == 0) {
            p++;
            continue;
        }
        if (n >= sizeof word) {
            return ERR_INVALID;
        }
        memcpy(word, p, n);
        if (!sdp_number(word, 127, &pt)) {
            return ERR_INVALID;
        }
        p += n;
        if (sdp_codec_by_pt(m, (uint8_t)pt)) {
            continue;
        }
        struct sdp_codec *c =
            sdp_grow((void **)&m->codec, &m->n_codecs, sizeof *c, SDP_MAX_CODECS, &err);
        if (!c) {
            return err;
        }
        c->pt = (uint8_t)pt;
        c->name = "";
        c->channels = 1;
    }
    return OK;
}

static int parse_media(struct sdp *s, char *value)
{
    int err;
    uint64_t port;
    struct sdp_media *m = sdp_grow((void **)&s->media, &s->n_media, sizeof *m, SDP_MAX_MEDIA, &err);

    if (!m) {
        return err;
    }
    m->mid = "";
    char *kind = sdp_word(&value), *port_text = sdp_word(&value), *protocol = sdp_word(&value);
    if (!protocol) {
        return ERR_INVALID;
    }
    char *slash = strchr(port_text, '/'); /* "port/number of ports" */
    if (slash) {
        *slash = 0;
    }
    if (!sdp_number(port_text, 65535, &port)) {
        return ERR_INVALID;
    }
    m->kind_text = kind;
    m->kind = kind_of(kind);
    m->port = (uint16_t)port;
    m->protocol = protocol;
    while (*value == ' ') {
        value++;
    }
    m->formats = value;
    if (*value == 0) {
        return ERR_INVALID;
    }
    return strstr(protocol, "RTP/") ? parse_formats(m) : OK;
}

static int parse_line(struct sdp *s, char *line, size_t number)
{
    char type = line[0];

    if (type == 0 || line[1] != '=') {
        return ERR_INVALID;
    }
    char *value = line + 2;
    if (number == 0) {
        return strcmp(line, "v=0") == 0 ? OK : ERR_INVALID;
    }
    if (number == 1) {
        return type == 'o' ? parse_origin(s, value) : ERR_INVALID;
    }
    if (type == 'm') {
        return parse_media(s, value);
    }
    if (type != 'a') {
        return OK;
    }
    char *colon = strchr(value, ':');
    if (colon) {
        *colon++ = 0;
    }
    struct sdp_media *m = s->n_media ? &s->media[s->n_media - 1] : NULL;
    return sdp_attribute(s, m, value, colon ? colon : value + strlen(value));
}

static int parse_lines(struct sdp_tree *t)
{
    char *p = t->text;
    size_t number = 0;

    while (*p) {
        char *end = strchr(p, '\n');
        char *next = end ? end + 1 : p + strlen(p);
        if (end) {
            *end = 0;
        }
        size_t n = strlen(p);
        if (n > 0 && p[n - 1] == '\r') {
            p[--n] = 0;
        }
        if (n > 0 || *next) { /* an empty line is fine at the very end only */
            int r = parse_line(&t->pub, p, number++);
            if (r < 0) {
                return r;
            }
        }
        p = next;
    }
    return number >= 2 ? OK : ERR_INVALID;
}

int sdp_parse(struct sdp **out, const char *text, size_t len)
{
    if (len > SDP_MAX_BYTES) {
        return ERR_TOO_LARGE;
    }
    if (!utf8_is_valid(text, len)) {
        return ERR_INVALID;
    }
    struct sdp_tree *t = calloc(1, sizeof *t);
    if (!t) {
        return ERR_NOMEM;
    }
    t->text = malloc(len + 1);
    int r = t->text ? OK : ERR_NOMEM;
    if (r == OK) {
        if (len > 0) {
            memcpy(t->text, text, len);
        }
        t->text[len] = 0;
        r = parse_lines(t);
    }
    if (r < 0) {
        sdp_free(&t->pub);
    } else {
        *out = &t->pub;
    }
    return r;
}

void sdp_free(struct sdp *s)
{
    if (!s) {
        return;
    }
    struct sdp_tree *t = (struct sdp_tree *)s; /* pub is its first member */
    for (size_t i = 0; i < s->n_media; i++) {
        struct sdp_media *m = &s->media[i];
        free(m->codec);
        free(m->ext);
        free(m->ssrc);
        free(m->group);
        free(m->rid);
        free(m->candidate);
    }
    free(s->media);
    free(t->text);
    free(t);
}
