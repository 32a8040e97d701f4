/* How a WebSocket opens: path, origin, ticket, and refusals as problem documents. Browsers always
 * send Origin; a client without one is a native one and is let through, since a page can't leave it
 * out. The ticket never reaches a log: neither queries nor subprotocols are logged anywhere. */
#include "lib/io/http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/log.h"

enum { MAX_TICKET = 4096 };

struct head {
    char path[HTTP_MAX_PATH + 1];
    char *origin, *host;
    struct buf query;
    char request_id[ID_LEN + 1];
    char address[64];
};

/* Writes the refusal and has the connection closed: what a client sends behind an upgrade is no
 * request. */
static int refuse(struct lws *wsi, const struct head *h, int status, const char *code,
                  const char *detail)
{
    char *body = http_problem_text(status, code, detail, h->request_id, NULL);
    size_t len = body ? strlen(body) : 0;
    unsigned char room[LWS_PRE + 4096], *start = room + LWS_PRE, *p = start,
                                        *end = room + sizeof(room) - 1;
    LOG_I("ws_upgrade_refused", "rid=%s path=%s status=%d code=%s", h->request_id,
          log_quote(h->path), status, code);
    bool bad =
        lws_add_http_header_status(wsi, (unsigned)status | LWSAHH_FLAG_NO_SERVER_NAME, &p, end) ||
        lws_add_http_header_by_name(
            wsi, (const unsigned char *)"x-request-id:", (const unsigned char *)h->request_id,
            (int)strlen(h->request_id), &p, end) ||
        lws_add_http_header_by_name(wsi, (const unsigned char *)"content-type:",
                                    (const unsigned char *)"application/problem+json", 24, &p,
                                    end) ||
        (status == 429 && lws_add_http_header_by_name(wsi, (const unsigned char *)"retry-after:",
                                                      (const unsigned char *)"5", 1, &p, end)) ||
        lws_add_http_header_by_name(wsi, (const unsigned char *)"connection:",
                                    (const unsigned char *)"close", 5, &p, end) ||
        lws_add_http_header_content_length(wsi, len, &p, end) ||
        lws_finalize_http_header(wsi, &p, end) || len > (size_t)(end - p);
    if (!bad && start[7] == '0') /* lws hasn't read the version yet; every client here speaks 1.1 */
        start[7] = '1';
    if (!bad && body) {
        memcpy(p, body, len);
        p += len;
    }
    free(body);
    if (!bad)
        (void)lws_write(wsi, start, (size_t)(p - start), LWS_WRITE_HTTP);
    return -1;
}

static void read_head(const struct http_server *s, struct lws *wsi, struct head *h)
{
    struct id fresh = id_new(clock_wall_us());
    (void)str_copy(h->request_id, sizeof(h->request_id), fresh.s);
    if (lws_hdr_copy(wsi, h->path, sizeof(h->path), WSI_TOKEN_GET_URI) < 0)
        h->path[0] = 0;
    h->origin = http_read_header(wsi, HTTP_H_ORIGIN);
    h->host = http_read_header(wsi, HTTP_H_HOST);
    http_read_address(s, wsi, h->address, sizeof(h->address));
    buf_init(&h->query, 8192);
}

/* "sotto.v1, ticket.X": the ticket, allocated, or NULL. *offers says whether the list has our
 * subprotocol, or isn't there at all. */
static char *protocol_ticket(struct lws *wsi, bool *offers)
{
    char list[MAX_TICKET + 128], *save = NULL, *ticket = NULL;
    int n = lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL);
    *offers = n == 0;
    if (n <= 0 || lws_hdr_copy(wsi, list, sizeof(list), WSI_TOKEN_PROTOCOL) < 0)
        return NULL;
    for (char *v = strtok_r(list, ", \t", &save); v; v = strtok_r(NULL, ", \t", &save)) {
        if (strcmp(v, "sotto.v1") == 0)
            *offers = true;
        else if (strncmp(v, "ticket.", 7) == 0 && !ticket)
            ticket = strdup(v + 7);
    }
    OPENSSL_cleanse(list, sizeof(list));
    return ticket;
}

static struct ws *ws_new(struct http_server *s, struct ws_endpoint *e, struct lws *wsi)
{
    struct ws *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->queue = ws_queue_new(e->o.queue_frames, e->o.queue_bytes, LWS_PRE);
    if (!w->queue) {
        free(w);
        return NULL;
    }
    w->owner = HTTP_OWNER_WS;
    w->server = s;
    w->endpoint = e;
    w->wsi = wsi;
    buf_init(&w->rx, e->o.max_frame ? e->o.max_frame : 64 * 1024);
    DL_APPEND(s->sockets, w);
    return w;
}

static int check(struct http_server *s, struct ws_endpoint *e, struct lws *wsi, struct head *h)
{
    bool offers;
    char *ticket = protocol_ticket(wsi, &offers);
    const char *in_query = http_query_find(&h->query, "token");
    if (!ticket && in_query && in_query[0])
        ticket = strdup(in_query);
    struct ws *w = NULL;
    struct http_principal who = {0};
    const char *why = "Invalid or expired token";
    int rc = 0;
    if (!offers)
        rc = refuse(wsi, h, 400, "bad_request", "Unknown subprotocol; offer sotto.v1");
    else if (e->o.handlers->on_upgrade(e->o.arg, ticket, &who, &why) != OK)
        rc = refuse(wsi, h, 401, "unauthorized", why);
    else if (!(w = ws_new(s, e, wsi)))
        rc = refuse(wsi, h, 503, "overloaded", NULL);
    if (!w) {
        free(ticket);
        return rc;
    }
    w->who = who;
    w->token = ticket;
    (void)str_copy(w->address, sizeof(w->address), h->address);
    const char *since = http_query_find(&h->query, "since");
    w->since = since ? strdup(since) : NULL;
    lws_set_opaque_user_data(wsi, w);
    return 0;
}

int ws_upgrade(struct http_port *port, struct lws *wsi)
{
    struct http_server *s = port->server;
    struct head h = {0};
    struct ws_endpoint *e;
    int rc;
    read_head(s, wsi, &h);
    LL_FOREACH(s->endpoints, e)
    {
        if (strcmp(e->o.path, h.path) == 0)
            break;
    }
    if (!e || port->kind == HTTP_PORT_INTERNAL)
        rc = refuse(wsi, &h, 404, "not_found", NULL);
    else if (s->draining)
        rc = refuse(wsi, &h, 503, "unavailable", "Restarting");
    else if (!http_origin_allowed(s, h.origin, h.host))
        rc = refuse(wsi, &h, 403, "forbidden", "Origin not allowed");
    else if (ratelimit_hit(s->address_limit, h.address, clock_mono_us(), NULL) == ERR_LIMIT)
        rc = refuse(wsi, &h, 429, "rate_limited", NULL);
    else if (http_read_query(wsi, &h.query) != OK)
        rc = refuse(wsi, &h, 400, "bad_request", NULL);
    else
        rc = check(s, e, wsi, &h);
    buf_free(&h.query);
    free(h.origin);
    free(h.host);
    return rc;
}
