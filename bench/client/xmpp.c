/* The session: from the WebSocket to `ready`, and its end. */
#include "bench/client/xmpp_private.h"

#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

/* ---- out ---- */

int xmpp_put(struct xmpp *x, char *xml)
{
    if (!xml)
        return ERR_NOMEM;
    int rc = x->ws ? ws_socket_send(x->ws, xml, strlen(xml)) : ERR_CLOSED;
    g_free(xml);
    return rc;
}

static void end(struct xmpp *x, int err, const char *why)
{
    if (x->phase == XMPP_CLOSING)
        return;
    x->phase = XMPP_CLOSING;
    x->err = err;
    x->why = why;
    if (x->ws)
        ws_socket_close(x->ws, 1000, "");
}

static void put_open(struct xmpp *x)
{
    (void)xmpp_put(x, g_markup_printf_escaped(
                          "<open xmlns='" NS_FRAMING "' to='%s' version='1.0'/>", x->o.domain));
}

/* RFC 4616: authorization identity (none), user, password, with a 0 between. */
static void put_auth(struct xmpp *x)
{
    size_t user = strlen(x->o.user), password = strlen(x->o.password), len = user + password + 2;
    char *text = calloc(1, len + 1);
    if (!text) {
        end(x, ERR_NOMEM, "out of memory");
        return;
    }
    memcpy(text + 1, x->o.user, user);
    memcpy(text + 2 + user, x->o.password, password);
    char *coded = g_base64_encode((const guchar *)text, len);
    free(text);
    (void)xmpp_put(
        x, g_markup_printf_escaped("<auth xmlns='" NS_SASL "' mechanism='PLAIN'>%s</auth>", coded));
    g_free(coded);
    x->phase = XMPP_AUTH;
}

static void put_bind(struct xmpp *x)
{
    const char *form = x->o.resource ? "<iq type='set' id='bind'><bind xmlns='" NS_BIND
                                       "'><resource>%s</resource></bind></iq>"
                                     : "<iq type='set' id='bind'><bind xmlns='" NS_BIND "'/></iq>";
    x->phase = XMPP_BINDING;
    if (x->o.resource)
        (void)xmpp_put(x, g_markup_printf_escaped(form, x->o.resource));
    else
        (void)xmpp_put(x, g_strdup(form));
}

static void put_resume(struct xmpp *x)
{
    x->phase = XMPP_RESUMING;
    (void)xmpp_put(x, g_markup_printf_escaped("<resume xmlns='" NS_SM "' h='%" PRIu32
                                              "' previd='%s'/>",
                                              x->o.heard, x->o.resume));
}

/* ---- on the way to ready ---- */

static void become_ready(struct xmpp *x, bool resumed)
{
    x->phase = XMPP_READY;
    if (x->o.presence && !resumed)
        (void)xmpp_put(x, g_strdup("<presence/>"));
    x->h->on_ready(x, x->arg, resumed);
}

static bool has_mechanism(const struct xmpp_stanza *s, const char *name)
{
    for (int i = 0; i < s->elements; i++) {
        if (strcmp(s->element[i].name, "mechanism") == 0 && strcmp(s->element[i].text, name) == 0)
            return true;
    }
    return false;
}

static void on_opening(struct xmpp *x, const struct xmpp_stanza *s, const char *root)
{
    if (strcmp(root, "open") == 0)
        return;
    if (strcmp(root, "features") != 0)
        end(x, ERR_INVALID, "no features");
    else if (!has_mechanism(s, "PLAIN"))
        end(x, ERR_UNSUPPORTED, "the server doesn't offer PLAIN");
    else
        put_auth(x);
}

static void on_auth(struct xmpp *x, const char *root)
{
    if (strcmp(root, "success") != 0) {
        end(x, ERR_AUTH, "refused");
        return;
    }
    x->phase = XMPP_REOPENING;
    put_open(x);
}

static void on_reopening(struct xmpp *x, const char *root)
{
    if (strcmp(root, "open") == 0)
        return;
    if (strcmp(root, "features") != 0)
        end(x, ERR_INVALID, "no features after sign-in");
    else if (x->o.resume && x->o.resume[0])
        put_resume(x);
    else
        put_bind(x);
}

static void on_resuming(struct xmpp *x, const char *root)
{
    if (strcmp(root, "resumed") != 0) {
        put_bind(x); /* the session is gone: a new one */
        return;
    }
    x->session = strdup(x->o.resume);
    x->heard = x->o.heard;
    x->counting = true;
    become_ready(x, true);
}

static void on_binding(struct xmpp *x, const struct xmpp_stanza *s)
{
    const char *type = xmpp_attribute(s, 0, "type");
    int jid = xmpp_find(s, 0, "jid", NULL);
    if (!type || strcmp(type, "result") != 0 || jid < 0) {
        end(x, ERR_CONFLICT, "not bound");
        return;
    }
    x->jid = strdup(s->element[jid].text);
    if (!x->o.managed) {
        become_ready(x, false);
        return;
    }
    x->phase = XMPP_ENABLING;
    (void)xmpp_put(x, g_strdup("<enable xmlns='" NS_SM "' resume='true'/>"));
}

static void on_enabling(struct xmpp *x, const struct xmpp_stanza *s, const char *root)
{
    const char *id = xmpp_attribute(s, 0, "id");
    if (strcmp(root, "enabled") == 0) {
        x->session = id ? strdup(id) : NULL;
        x->counting = true;
    }
    become_ready(x, false);
}

static void on_stanza(struct xmpp *x, const struct xmpp_stanza *s)
{
    const char *root = s->element[0].name;
    if (strcmp(root, "close") == 0) {
        end(x, ERR_CLOSED, "closed by the server");
        return;
    }
    switch (x->phase) {
    case XMPP_OPENING:
        on_opening(x, s, root);
        return;
    case XMPP_AUTH:
        on_auth(x, root);
        return;
    case XMPP_REOPENING:
        on_reopening(x, root);
        return;
    case XMPP_RESUMING:
        on_resuming(x, root);
        return;
    case XMPP_BINDING:
        on_binding(x, s);
        return;
    case XMPP_ENABLING:
        on_enabling(x, s, root);
        return;
    case XMPP_READY:
        xmpp_stanza_take(x, s);
        return;
    default:
        return;
    }
}

/* ---- the WebSocket ---- */

static void on_open(struct ws_socket *ws, void *arg)
{
    (void)ws;
    put_open(arg);
}

static void on_text(struct ws_socket *ws, void *arg, const char *text, size_t len)
{
    struct xmpp *x = arg;
    struct xmpp_stanza s; /* 20 KiB: not zeroed for each stanza */
    (void)ws;
    if (x->phase == XMPP_CLOSING)
        return;
    s.text = NULL;
    s.text_cap = 0;
    int err = xmpp_stanza_parse(&s, text, len);
    if (err == OK)
        on_stanza(x, &s);
    else
        end(x, err, "a stanza that can't be read");
    xmpp_stanza_free(&s);
}

static void options_free(struct xmpp_options *o)
{
    const char *own[] = {o->url,      o->domain, o->user,  o->password,
                         o->resource, o->resume, o->source};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        free((void *)own[i]);
}

static void on_closed(struct ws_socket *ws, void *arg, int code, const char *reason)
{
    struct xmpp *x = arg;
    (void)ws;
    x->ws = NULL;
    if (x->phase != XMPP_CLOSING) {
        bool before = x->phase == XMPP_OPENING && code < 600;
        x->err = before && code != WS_CLOSED_DROPPED ? ERR_IO : ERR_CLOSED;
        x->why = reason;
        x->phase = XMPP_CLOSING;
    }
    x->h->on_closed(x, x->arg, x->err, x->why ? x->why : "", x->session ? x->session : "",
                    x->heard);
    options_free(&x->o);
    free(x->jid);
    free(x->session);
    free(x);
}

static const struct ws_client_handlers handlers = {
    .on_open = on_open, .on_text = on_text, .on_closed = on_closed};

/* ---- the interface ---- */

static int copy(const char **text, const char *from)
{
    *text = from ? strdup(from) : NULL;
    return from && !*text ? ERR_NOMEM : OK;
}

static int options_copy(struct xmpp_options *to, const struct xmpp_options *from)
{
    *to = *from;
    return copy(&to->url, from->url) | copy(&to->domain, from->domain) |
           copy(&to->user, from->user) | copy(&to->password, from->password) |
           copy(&to->resource, from->resource) | copy(&to->resume, from->resume) |
           copy(&to->source, from->source);
}

int xmpp_open(struct xmpp **out, struct ws_client *c, const struct xmpp_options *o,
              const struct xmpp_handlers *h, void *arg)
{
    if (!o->url || !o->domain || !o->user || !o->password)
        return ERR_INVALID;
    struct xmpp *x = calloc(1, sizeof(*x));
    if (!x)
        return ERR_NOMEM;
    x->h = h;
    x->arg = arg;
    int err = options_copy(&x->o, o) == OK ? OK : ERR_NOMEM;
    struct ws_open w = {.url = x->o.url, .protocols = "xmpp", .source = x->o.source};
    if (err == OK)
        err = ws_client_open(&x->ws, c, &w, &handlers, x);
    if (err == OK) {
        *out = x;
        return OK;
    }
    options_free(&x->o);
    free(x);
    return err;
}

const char *xmpp_jid(const struct xmpp *x)
{
    return x->jid ? x->jid : "";
}

int64_t xmpp_begun_us(const struct xmpp *x)
{
    return x->ws ? ws_socket_begun_us(x->ws) : 0;
}

void xmpp_close(struct xmpp *x)
{
    if (x->phase == XMPP_CLOSING)
        return;
    (void)xmpp_put(x, g_strdup("<close xmlns='" NS_FRAMING "'/>"));
    end(x, OK, "");
}

void xmpp_drop(struct xmpp *x)
{
    if (x->ws)
        ws_socket_drop(x->ws);
}
