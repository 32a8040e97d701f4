#include "lib/proto/sdpfrag.h"

#include <string.h>

#include "lib/base/err.h"

#define UFRAG            "a=ice-ufrag:"
#define PWD              "a=ice-pwd:"
#define CANDIDATE        "a=candidate:"
#define MIN_UFRAG        4
#define MIN_PWD          22
#define CANDIDATE_WORDS  8 /* foundation component transport priority address port typ TYPE */
#define MAX_COMPONENT    256
#define MAX_PORT         65535
#define MAX_PRIORITY     2147483647
#define MAX_CANDIDATE    1024 /* bytes of its line */
#define CREDENTIAL_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/-_="

/* A piece of the text, not ended by a 0. */
struct span {
    const char *at;
    size_t len;
};

/* Cuts the next line off *rest, without its end (CRLF or LF). False: there is none. */
static bool next_line(struct span *rest, struct span *line)
{
    if (rest->len == 0) {
        return false;
    }
    const char *lf = memchr(rest->at, '\n', rest->len);
    size_t n = lf ? (size_t)(lf - rest->at) : rest->len;
    *line = (struct span){rest->at, n > 0 && rest->at[n - 1] == '\r' ? n - 1 : n};
    n += lf ? 1 : 0;
    rest->at += n;
    rest->len -= n;
    return true;
}

/* The rest of a line that begins with `prefix`. */
static bool after(const struct span *line, const char *prefix, struct span *value)
{
    size_t n = strlen(prefix);
    if (line->len < n || memcmp(line->at, prefix, n) != 0) {
        return false;
    }
    *value = (struct span){line->at + n, line->len - n};
    return true;
}

static bool is_text(const struct span *s)
{
    for (size_t i = 0; i < s->len; i++) {
        unsigned char c = (unsigned char)s->at[i];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Copies a value into fixed memory; one that is there already has to be the same. */
static int take(char *out, size_t cap, const struct span *value, size_t min, const char *chars)
{
    char copy[SDPFRAG_MAX_CREDENTIAL + 1];
    if (value->len < min || value->len >= cap || value->len >= sizeof copy) {
        return ERR_INVALID;
    }
    memcpy(copy, value->at, value->len);
    copy[value->len] = 0;
    if ((chars && strspn(copy, chars) != value->len) || (out[0] && strcmp(out, copy) != 0)) {
        return ERR_INVALID;
    }
    return str_copy(out, cap, copy);
}

/* ---- candidates ---- */

static bool next_word(struct span *rest, struct span *word)
{
    const char *space = rest->len ? memchr(rest->at, ' ', rest->len) : NULL;
    size_t n = space ? (size_t)(space - rest->at) : rest->len;
    *word = (struct span){rest->at, n};
    rest->at += n + (space ? 1 : 0);
    rest->len -= n + (space ? 1 : 0);
    return n > 0;
}

static bool is_number(const struct span *s, uint64_t min, uint64_t max)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s->len; i++) {
        if (s->at[i] < '0' || s->at[i] > '9' || v > max) {
            return false;
        }
        v = v * 10 + (uint64_t)(s->at[i] - '0');
    }
    return s->len > 0 && v >= min && v <= max;
}

/* RFC 8839 section 5.1: the eight words that each one has; extensions may follow. */
static bool candidate_ok(struct span value)
{
    struct span w[CANDIDATE_WORDS];
    if (value.len > MAX_CANDIDATE) {
        return false;
    }
    for (size_t i = 0; i < CANDIDATE_WORDS; i++) {
        if (!next_word(&value, &w[i])) {
            return false;
        }
    }
    return is_number(&w[1], 1, MAX_COMPONENT) && is_number(&w[3], 0, MAX_PRIORITY) &&
           is_number(&w[5], 0, MAX_PORT) && w[6].len == 3 && memcmp(w[6].at, "typ", 3) == 0;
}

static int take_candidate(struct sdpfrag *f, const struct span *value)
{
    if (f->n_media == 0 || !candidate_ok(*value)) {
        return ERR_INVALID;
    }
    return ++f->n_candidates > SDPFRAG_MAX_CANDIDATES ? ERR_TOO_LARGE : OK;
}

/* ---- lines ---- */

/* m=audio 9 RTP/AVP 0: only that there are four words matters (RFC 8840 section 9.2). */
static int take_media(struct sdpfrag *f, struct span value)
{
    struct span word;
    for (int i = 0; i < 4; i++) {
        if (!next_word(&value, &word)) {
            return ERR_INVALID;
        }
    }
    return ++f->n_media > SDPFRAG_MAX_MEDIA ? ERR_TOO_LARGE : OK;
}

static int take_mid(struct sdpfrag *f, const struct span *value)
{
    if (f->n_media == 0) {
        return ERR_INVALID;
    }
    return take(f->mid[f->n_media - 1], sizeof f->mid[0], value, 1, NULL);
}

static int take_line(struct sdpfrag *f, const struct span *line)
{
    struct span value;
    if (line->len == 0) {
        return OK; /* some clients end with an empty line */
    }
    if (line->len < 2 || line->at[1] != '=' || line->at[0] < 'a' || line->at[0] > 'z' ||
        !is_text(line)) {
        return ERR_INVALID;
    }
    if (after(line, "m=", &value)) {
        return take_media(f, value);
    }
    if (after(line, UFRAG, &value)) {
        return take(f->ufrag, sizeof f->ufrag, &value, MIN_UFRAG, CREDENTIAL_CHARS);
    }
    if (after(line, PWD, &value)) {
        return take(f->pwd, sizeof f->pwd, &value, MIN_PWD, CREDENTIAL_CHARS);
    }
    if (after(line, "a=mid:", &value)) {
        return take_mid(f, &value);
    }
    if (after(line, CANDIDATE, &value)) {
        return take_candidate(f, &value);
    }
    if (after(line, "a=end-of-candidates", &value)) {
        f->end_of_candidates = true;
    }
    return OK;
}

int sdpfrag_parse(struct sdpfrag *out, const char *text, size_t len)
{
    struct span rest = {text, len}, line;
    memset(out, 0, sizeof *out);
    if (len > SDPFRAG_MAX_BYTES) {
        return ERR_TOO_LARGE;
    }
    while (next_line(&rest, &line)) {
        int err = take_line(out, &line);
        if (err) {
            return err;
        }
    }
    bool says_something = out->ufrag[0] || out->n_candidates || out->end_of_candidates;
    return says_something && !out->ufrag[0] == !out->pwd[0] ? OK : ERR_INVALID;
}

/* ---- writing ---- */

static int put_candidate(struct buf *out, const struct sdp_candidate *c)
{
    return buf_printf(out, CANDIDATE "%s %u %s %u %s %u typ %s%s%s\r\n", c->foundation,
                      c->component, c->transport, c->priority, c->address, c->port, c->type,
                      c->tcp_type ? " tcptype " : "", c->tcp_type ? c->tcp_type : "");
}

int sdpfrag_write(struct buf *out, const struct sdp *description)
{
    const struct sdp_media *m = sdp_first_used(description);
    const char *ufrag = m ? sdp_ice_ufrag(description, m) : NULL;
    const char *pwd = m ? sdp_ice_pwd(description, m) : NULL;
    if (!ufrag || !pwd) {
        return ERR_INVALID;
    }
    int err =
        buf_printf(out, "%s" UFRAG "%s\r\n" PWD "%s\r\nm=%s 9 RTP/AVP 0\r\na=mid:%s\r\n",
                   description->ice_lite ? "a=ice-lite\r\n" : "", ufrag, pwd, m->kind_text, m->mid);
    for (size_t i = 0; i < m->n_candidates && !err; i++) {
        err = put_candidate(out, &m->candidate[i]);
    }
    return err ? err : buf_append_str(out, "a=end-of-candidates\r\n");
}

int sdpfrag_restart_offer(struct buf *out, const char *offer, const struct sdpfrag *f)
{
    struct span rest = {offer, strlen(offer)}, line, value;
    bool replaced = false;
    int err = f->ufrag[0] && f->pwd[0] ? OK : ERR_INVALID;
    while (!err && next_line(&rest, &line)) {
        if (after(&line, UFRAG, &value)) {
            err = buf_printf(out, UFRAG "%s\r\n", f->ufrag);
            replaced = true;
        } else if (after(&line, PWD, &value)) {
            err = buf_printf(out, PWD "%s\r\n", f->pwd);
        } else if (!after(&line, CANDIDATE, &value) &&
                   !after(&line, "a=end-of-candidates", &value)) {
            err = buf_append(out, line.at, line.len);
            err = err ? err : buf_append_str(out, "\r\n");
        }
    }
    return err || replaced ? err : ERR_INVALID;
}
