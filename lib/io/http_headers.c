/* What a request's head says: headers, query, address, origin. */
#include "lib/io/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"

/* lws knows some headers by token; the rest are looked up by name (HTTP/1.1). `max` bounds what
 * we take of each. */
static const struct {
    int token; /* -1: by name */
    const char *name;
    int max;
} known[HTTP_HEADERS] = {
    [HTTP_H_AUTHORIZATION] = {WSI_TOKEN_HTTP_AUTHORIZATION, NULL, 4096},
    [HTTP_H_USER_AGENT] = {WSI_TOKEN_HTTP_USER_AGENT, NULL, 512},
    [HTTP_H_CONTENT_TYPE] = {WSI_TOKEN_HTTP_CONTENT_TYPE, NULL, 256},
    [HTTP_H_IF_MATCH] = {WSI_TOKEN_HTTP_IF_MATCH, NULL, 256},
    [HTTP_H_IF_NONE_MATCH] = {WSI_TOKEN_HTTP_IF_NONE_MATCH, NULL, 1024},
    [HTTP_H_ORIGIN] = {WSI_TOKEN_ORIGIN, NULL, 256},
    [HTTP_H_HOST] = {WSI_TOKEN_HOST, NULL, 256},
    [HTTP_H_FORWARDED_FOR] = {WSI_TOKEN_X_FORWARDED_FOR, NULL, 512},
    [HTTP_H_AC_REQUEST_HEADERS] = {WSI_TOKEN_HTTP_AC_REQUEST_HEADERS, NULL, 512},
    [HTTP_H_TRANSFER_ENCODING] = {WSI_TOKEN_HTTP_TRANSFER_ENCODING, NULL, 64},
    [HTTP_H_CONTENT_LENGTH] = {WSI_TOKEN_HTTP_CONTENT_LENGTH, NULL, 32},
    [HTTP_H_REQUEST_ID] = {-1, "x-request-id:", 64},
    [HTTP_H_TRACEPARENT] = {-1, "traceparent:", 64},
    [HTTP_H_IDEMPOTENCY_KEY] = {-1, "idempotency-key:", 255},
    [HTTP_H_INTERNAL_KEY] = {-1, "x-internal-api-key:", 256},
};

/* Some clients keep the spaces after the colon or before the line's end. */
static char *trimmed(char *s)
{
    size_t skip = strspn(s, " \t"), len = strlen(s + skip);
    while (len && (s[skip + len - 1] == ' ' || s[skip + len - 1] == '\t'))
        len--;
    memmove(s, s + skip, len);
    s[len] = 0;
    return s;
}

/* Its bytes; 0 or less: there is none (of those looked up by name, 0: an empty one). */
static int header_length(struct lws *wsi, enum http_header h)
{
    if (known[h].token >= 0)
        return lws_hdr_total_length(wsi, (enum lws_token_indexes)known[h].token);
    return lws_hdr_custom_length(wsi, known[h].name, (int)strlen(known[h].name));
}

char *http_read_header(struct lws *wsi, enum http_header h)
{
    int token = known[h].token;
    const char *name = known[h].name;
    int len = header_length(wsi, h);
    if (len < 0 || (len == 0 && token < 0) || len > known[h].max)
        return NULL;
    if (len == 0)
        return NULL;
    char *out = calloc(1, (size_t)len + 2);
    if (!out)
        return NULL;
    int n = token >= 0 ? lws_hdr_copy(wsi, out, len + 1, (enum lws_token_indexes)token)
                       : lws_hdr_custom_copy(wsi, out, len + 1, name, (int)strlen(name));
    if (n < 0) {
        free(out);
        return NULL;
    }
    return trimmed(out);
}

int http_read_query(struct lws *wsi, struct buf *out)
{
    static char item[16384]; /* one loop thread; more than a head may hold */
    for (int i = 0; i < 32; i++) {
        int n = lws_hdr_copy_fragment(wsi, item, sizeof(item), WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n == -1)
            return OK;
        if (n < 0)
            return ERR_TOO_LARGE;
        if (n == 0)
            continue;
        if (!utf8_is_valid(item, (size_t)n))
            return ERR_INVALID;
        int rc = buf_append(out, item, (size_t)n);
        if (rc == OK)
            rc = buf_append(out, "", 1);
        if (rc != OK)
            return rc;
    }
    return OK;
}

const char *http_query_find(const struct buf *query, const char *name)
{
    size_t len = strlen(name);
    const char *p = (const char *)query->data, *end = p + query->len;
    for (; p && p < end; p += strlen(p) + 1)
        if (strncmp(p, name, len) == 0 && p[len] == '=')
            return p + len + 1;
    return NULL;
}

/* ---- origins ---- */

bool http_origin_own(const char *origin, const char *host)
{
    const char *at = strstr(origin, "://");
    if (!at || !host)
        return false;
    bool http = strncasecmp(origin, "http://", 7) == 0;
    if (!http && strncasecmp(origin, "https://", 8) != 0)
        return false;
    at += 3;
    if (strcasecmp(at, host) == 0)
        return true;
    /* a default port may be told or left out */
    size_t len = strlen(at);
    return strncasecmp(at, host, len) == 0 && strcmp(host + len, http ? ":80" : ":443") == 0;
}

bool http_origin_allowed(const struct http_server *s, const char *origin, const char *host)
{
    if (!origin)
        return true;
    if (http_origin_own(origin, host))
        return true;
    for (char **o = s->origins; o && *o; o++)
        if (strcasecmp(*o, origin) == 0)
            return true;
    return false;
}

/* ---- addresses ---- */

void http_read_address(const struct http_server *s, struct lws *wsi, char *out, size_t cap)
{
    char text[64] = "";
    lws_get_peer_simple(wsi, text, sizeof(text));
    const char *a = strncmp(text, "::ffff:", 7) == 0 && strchr(text, '.') ? text + 7 : text;
    (void)str_copy(out, cap, a);
    if (!s->o.trust_forwarded)
        return;
    /* The proxy in front of us appends: the last entry is the one it saw itself. */
    char *forwarded = http_read_header(wsi, HTTP_H_FORWARDED_FOR);
    if (!forwarded)
        return;
    char *last = strrchr(forwarded, ',');
    last = last ? last + 1 : forwarded;
    last += strspn(last, " \t");
    uint8_t parsed[16];
    if (lws_parse_numeric_address(last, parsed, sizeof(parsed)) > 0)
        (void)str_copy(out, cap, last);
    free(forwarded);
}

/* ---- all of a request ---- */

/* A request id of the client's is taken when it can do no harm in a log line. */
static bool sane_id(const char *s)
{
    size_t n = strlen(s);
    if (n < 8 || n > 64)
        return false;
    for (; *s; s++)
        if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
              *s == '-' || *s == '_' || *s == '.'))
            return false;
    return true;
}

static int read_content_length(struct http_request *r)
{
    const char *s = r->header[HTTP_H_CONTENT_LENGTH];
    r->content_length = -1;
    if (!s)
        return OK;
    if (s[0] == 0 || strlen(s) > 18 || strspn(s, "0123456789") != strlen(s))
        return ERR_INVALID;
    r->content_length = strtoll(s, NULL, 10);
    return OK;
}

/* Headers that mustn't be taken for absent because they are longer than any that is right. */
static bool too_long(struct lws *wsi)
{
    static const enum http_header all[] = {HTTP_H_TRANSFER_ENCODING, HTTP_H_CONTENT_LENGTH,
                                           HTTP_H_IDEMPOTENCY_KEY};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (header_length(wsi, all[i]) > known[all[i]].max)
            return true;
    return header_length(wsi, HTTP_H_IDEMPOTENCY_KEY) == 0;
}

int http_read_headers(struct http_request *r)
{
    for (int h = 0; h < HTTP_HEADERS; h++)
        r->header[h] = http_read_header(r->wsi, (enum http_header)h);
    const char *id = r->header[HTTP_H_REQUEST_ID];
    if (id && sane_id(id)) {
        (void)str_copy(r->request_id, sizeof(r->request_id), id);
    } else {
        struct id fresh = id_new(clock_wall_us());
        (void)str_copy(r->request_id, sizeof(r->request_id), fresh.s);
    }
    http_read_address(r->server, r->wsi, r->address, sizeof(r->address));
    int rc = too_long(r->wsi) ? ERR_INVALID : read_content_length(r);
    if (rc == OK)
        rc = http_read_query(r->wsi, &r->query);
    return rc;
}
