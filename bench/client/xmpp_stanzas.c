/* What a session that is ready says and hears. */
#include <glib.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client/xmpp_private.h"
#include "lib/base/err.h"

/* ---- in ---- */

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static bool attribute_is(const struct xmpp_stanza *s, int i, const char *key, const char *value)
{
    const char *has = xmpp_attribute(s, i, key);
    return has && strcmp(has, value) == 0;
}

static void take_message(struct xmpp *x, const struct xmpp_stanza *s)
{
    int received = xmpp_find(s, 0, "received", NS_RECEIPTS);
    int result = xmpp_find(s, 0, "result", NS_MAM);
    int at = result >= 0 ? xmpp_find(s, result, "message", NULL) : 0;
    int body = at >= 0 ? xmpp_find(s, at, "body", NULL) : -1;
    if (received >= 0 && result < 0) {
        if (x->h->on_receipt)
            x->h->on_receipt(x, x->arg, or_empty(xmpp_attribute(s, received, "id")));
        return;
    }
    if (body < 0 || !x->h->on_message)
        return;
    struct xmpp_message m = {
        .from = or_empty(xmpp_attribute(s, at, "from")),
        .to = or_empty(xmpp_attribute(s, at, "to")),
        .id = or_empty(xmpp_attribute(s, at, "id")),
        .type = or_empty(xmpp_attribute(s, at, "type")),
        .body = s->element[body].text,
        .archive_id = result >= 0 ? or_empty(xmpp_attribute(s, result, "id")) : "",
        .query_id = result >= 0 ? or_empty(xmpp_attribute(s, result, "queryid")) : "",
        .wants_receipt = result < 0 && xmpp_find(s, at, "request", NS_RECEIPTS) >= 0,
        .groupchat = attribute_is(s, at, "type", "groupchat"),
    };
    x->h->on_message(x, x->arg, &m);
}

/* Answers what the server asks (a ping of its own), so that it doesn't take us for dead. */
static void take_iq(struct xmpp *x, const struct xmpp_stanza *s)
{
    const char *id = or_empty(xmpp_attribute(s, 0, "id"));
    const char *from = xmpp_attribute(s, 0, "from");
    if (attribute_is(s, 0, "type", "get") || attribute_is(s, 0, "type", "set")) {
        (void)xmpp_put(
            x, from ? g_markup_printf_escaped("<iq type='result' id='%s' to='%s'/>", id, from)
                    : g_markup_printf_escaped("<iq type='result' id='%s'/>", id));
        return;
    }
    int fin = xmpp_find(s, 0, "fin", NS_MAM);
    int last = fin >= 0 ? xmpp_find(s, fin, "last", NULL) : -1;
    if (x->h->on_result)
        x->h->on_result(x, x->arg, id, attribute_is(s, 0, "type", "result"),
                        fin >= 0 && attribute_is(s, fin, "complete", "true"),
                        last >= 0 ? s->element[last].text : "");
}

/* Status 110: this presence is our own (XEP-0045 section 7.2.2). */
static void take_presence(struct xmpp *x, const struct xmpp_stanza *s)
{
    const char *from = xmpp_attribute(s, 0, "from");
    if (!from || !x->h->on_joined || xmpp_attribute(s, 0, "type"))
        return;
    for (int i = 0; i < s->elements; i++) {
        if (strcmp(s->element[i].name, "status") != 0 || !attribute_is(s, i, "code", "110"))
            continue;
        char *room = g_strndup(from, strcspn(from, "/"));
        x->h->on_joined(x, x->arg, room);
        g_free(room);
        return;
    }
}

void xmpp_stanza_take(struct xmpp *x, const struct xmpp_stanza *s)
{
    const char *root = s->element[0].name;
    if (strcmp(root, "r") == 0) {
        (void)xmpp_put(x,
                       g_markup_printf_escaped("<a xmlns='" NS_SM "' h='%" PRIu32 "'/>", x->heard));
        return;
    }
    bool message = strcmp(root, "message") == 0, iq = strcmp(root, "iq") == 0;
    bool presence = strcmp(root, "presence") == 0;
    if (x->counting && (message || iq || presence))
        x->heard++;
    if (message)
        take_message(x, s);
    else if (iq)
        take_iq(x, s);
    else if (presence)
        take_presence(x, s);
}

/* ---- out ---- */

static int may_send(const struct xmpp *x)
{
    if (x->phase == XMPP_CLOSING || !x->ws)
        return ERR_CLOSED;
    return x->phase == XMPP_READY ? OK : ERR_WRONG_STATE;
}

int xmpp_send_message(struct xmpp *x, const char *to, const char *id, const char *body,
                      bool groupchat, bool want_receipt)
{
    int rc = may_send(x);
    if (rc == OK && strlen(body) > XMPP_TEXT)
        rc = ERR_TOO_LARGE;
    if (rc != OK)
        return rc;
    const char *form = want_receipt
                           ? "<message type='%s' to='%s' id='%s'><body>%s</body>"
                             "<request xmlns='" NS_RECEIPTS "'/></message>"
                           : "<message type='%s' to='%s' id='%s'><body>%s</body></message>";
    return xmpp_put(x,
                    g_markup_printf_escaped(form, groupchat ? "groupchat" : "chat", to, id, body));
}

int xmpp_send_receipt(struct xmpp *x, const char *to, const char *id)
{
    int rc = may_send(x);
    return rc != OK
               ? rc
               : xmpp_put(x,
                          g_markup_printf_escaped("<message to='%s'><received xmlns='" NS_RECEIPTS
                                                  "' id='%s'/></message>",
                                                  to, id));
}

int xmpp_join(struct xmpp *x, const char *room, const char *nick)
{
    int rc = may_send(x);
    return rc != OK ? rc
                    : xmpp_put(x, g_markup_printf_escaped("<presence to='%s/%s'><x xmlns='" NS_MUC
                                                          "'><history maxstanzas='0'/></x>"
                                                          "</presence>",
                                                          room, nick));
}

int xmpp_iq(struct xmpp *x, const char *id, const char *type, const char *to, const char *xml)
{
    int rc = may_send(x);
    if (rc != OK)
        return rc;
    char *head = to ? g_markup_printf_escaped("<iq type='%s' id='%s' to='%s'>", type, id, to)
                    : g_markup_printf_escaped("<iq type='%s' id='%s'>", type, id);
    char *whole = g_strconcat(head, xml, "</iq>", NULL);
    g_free(head);
    return xmpp_put(x, whole);
}

int xmpp_archive(struct xmpp *x, const char *id, const char *room, const char *after,
                 const char *start, int max)
{
    char *from = start ? g_markup_printf_escaped(
                             "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' "
                             "type='hidden'><value>" NS_MAM "</value></field><field var='start'>"
                             "<value>%s</value></field></x>",
                             start)
                       : g_strdup("");
    char *on =
        after && after[0] ? g_markup_printf_escaped("<after>%s</after>", after) : g_strdup("");
    char *head = g_markup_printf_escaped("<query xmlns='" NS_MAM "' queryid='%s'>", id);
    char *most = g_markup_printf_escaped("<set xmlns='" NS_RSM "'><max>%d</max>", max);
    char *query = g_strconcat(head, from, most, on, "</set></query>", NULL);
    int rc = xmpp_iq(x, id, "set", room, query);
    g_free(from);
    g_free(on);
    g_free(head);
    g_free(most);
    g_free(query);
    return rc;
}

int xmpp_ping(struct xmpp *x, const char *id)
{
    return xmpp_iq(x, id, "get", x->o.domain, "<ping xmlns='urn:xmpp:ping'/>");
}
