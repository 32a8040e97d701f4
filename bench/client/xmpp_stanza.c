/* A stanza as a flat list of elements, by GLib's GMarkup. It knows no namespaces: a prefix is cut
 * off, and xmlns is looked up like any attribute, on the element or above it. GMarkup also refuses
 * what RFC 6120 section 11.1 forbids in a stream: document types and foreign entities. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client/xmpp.h"
#include "lib/base/err.h"

struct parsing {
    struct xmpp_stanza *s;
    int open; /* element that is being filled, -1 outside */
    int err;
};

/* Room was made for all of it before. */
static const char *keep(struct parsing *p, const char *text, size_t len)
{
    struct xmpp_stanza *s = p->s;
    if (len + 1 > s->text_cap - s->text_len) {
        p->err = ERR_TOO_LARGE;
        return "";
    }
    char *at = s->text + s->text_len;
    memcpy(at, text, len);
    at[len] = 0;
    s->text_len += len + 1;
    return at;
}

static void stop(struct parsing *p, int err, GError **error)
{
    p->err = err;
    g_set_error_literal(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT, "bound");
}

static void on_start(GMarkupParseContext *c, const gchar *name, const gchar **keys,
                     const gchar **values, gpointer arg, GError **error)
{
    struct parsing *p = arg;
    struct xmpp_stanza *s = p->s;
    (void)c;
    if (s->elements == XMPP_ELEMENTS) {
        stop(p, ERR_TOO_LARGE, error);
        return;
    }
    if (p->open < 0 && s->elements > 0) { /* a second root */
        stop(p, ERR_INVALID, error);
        return;
    }
    struct xmpp_element *e = &s->element[s->elements];
    const char *colon = strchr(name, ':');
    e->parent = p->open;
    e->name = colon ? colon + 1 : name;
    e->name = keep(p, e->name, strlen(e->name));
    e->text = "";
    e->attributes = 0;
    for (int i = 0; keys[i]; i++) {
        if (i == XMPP_ATTRIBUTES) {
            stop(p, ERR_TOO_LARGE, error);
            return;
        }
        e->key[i] = keep(p, keys[i], strlen(keys[i]));
        e->value[i] = keep(p, values[i], strlen(values[i]));
        e->attributes++;
    }
    p->open = s->elements++;
}

static void on_end(GMarkupParseContext *c, const gchar *name, gpointer arg, GError **error)
{
    struct parsing *p = arg;
    (void)c;
    (void)name;
    (void)error;
    p->open = p->s->element[p->open].parent;
}

/* What stands before the first child; more of mixed content isn't asked for by anyone here. */
static void on_text(GMarkupParseContext *c, const gchar *text, gsize len, gpointer arg,
                    GError **error)
{
    struct parsing *p = arg;
    (void)c;
    (void)error;
    if (p->open >= 0 && !p->s->element[p->open].text[0] && len > 0)
        p->s->element[p->open].text = keep(p, text, len);
}

int xmpp_stanza_parse(struct xmpp_stanza *s, const char *xml, size_t len)
{
    static const GMarkupParser parser = {
        .start_element = on_start, .end_element = on_end, .text = on_text};
    struct parsing p = {.s = s, .open = -1};
    s->elements = 0;
    s->text_len = 0;
    if (len > XMPP_TEXT)
        return ERR_TOO_LARGE;
    if (s->text_cap < 2 * len + 64) { /* each text, and the 0 behind it */
        char *text = realloc(s->text, 2 * len + 64);
        if (!text)
            return ERR_NOMEM;
        s->text = text;
        s->text_cap = 2 * len + 64;
    }
    GMarkupParseContext *c = g_markup_parse_context_new(&parser, 0, &p, NULL);
    bool fine = g_markup_parse_context_parse(c, xml, (gssize)len, NULL) &&
                g_markup_parse_context_end_parse(c, NULL);
    g_markup_parse_context_free(c);
    if (p.err == OK && (!fine || s->elements == 0))
        p.err = ERR_INVALID;
    if (p.err != OK)
        s->elements = 0;
    return p.err;
}

void xmpp_stanza_free(struct xmpp_stanza *s)
{
    free(s->text);
    s->text = NULL;
    s->text_cap = s->text_len = 0;
    s->elements = 0;
}

const char *xmpp_attribute(const struct xmpp_stanza *s, int i, const char *key)
{
    if (i < 0 || i >= s->elements)
        return NULL;
    for (int k = 0; k < s->element[i].attributes; k++) {
        if (strcmp(s->element[i].key[k], key) == 0)
            return s->element[i].value[k];
    }
    return NULL;
}

static bool is_below(const struct xmpp_stanza *s, int i, int above)
{
    for (int up = s->element[i].parent; up >= 0; up = s->element[up].parent) {
        if (up == above)
            return true;
    }
    return false;
}

static const char *xmlns_of(const struct xmpp_stanza *s, int i)
{
    for (; i >= 0; i = s->element[i].parent) {
        const char *own = xmpp_attribute(s, i, "xmlns");
        if (own)
            return own;
    }
    return "";
}

int xmpp_find(const struct xmpp_stanza *s, int parent, const char *name, const char *xmlns)
{
    for (int i = parent + 1; i < s->elements; i++) {
        if (strcmp(s->element[i].name, name) == 0 && is_below(s, i, parent) &&
            (!xmlns || strcmp(xmlns_of(s, i), xmlns) == 0))
            return i;
    }
    return -1;
}
