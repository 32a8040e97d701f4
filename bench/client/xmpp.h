/* An XMPP client (RFC 6120, 6121) over WebSocket (RFC 7395), as small as load tests need it: SASL
 * PLAIN (RFC 4616), resource binding, messages with receipts (XEP-0184), rooms (XEP-0045), the
 * archive (XEP-0313), pings (XEP-0199), and stream management with resumption (XEP-0198). GLib's
 * GMarkup parses; stanzas are bounded (XMPP_ELEMENTS, XMPP_TEXT), and what breaks a bound or XML
 * ends the stream. No roster, no TLS of its own. Everything runs on the ws_client's loop. */
#ifndef SOTTO_BENCH_CLIENT_XMPP_H
#define SOTTO_BENCH_CLIENT_XMPP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/client/ws_client.h"

#define XMPP_ELEMENTS   96 /* of a stanza */
#define XMPP_ATTRIBUTES 12 /* of an element */
#define XMPP_TEXT       (64 * 1024)

/* ---- stanzas ---- */
struct xmpp_element {
    int parent;       /* index, -1: the root */
    const char *name; /* without prefix */
    const char *text; /* "" or the characters right inside it */
    int attributes;
    const char *key[XMPP_ATTRIBUTES], *value[XMPP_ATTRIBUTES];
};

/* One parsed stanza; borrows nothing. About 25 KiB: keep one and parse into it again and again. */
struct xmpp_stanza {
    int elements;
    struct xmpp_element element[XMPP_ELEMENTS];
    char *text; /* all strings */
    size_t text_len, text_cap;
};

/* Zero-initialise; parses exactly one element. ERR_INVALID (XML), ERR_TOO_LARGE, ERR_NOMEM.
 * Pointers into it are valid until the next parse or free. */
int xmpp_stanza_parse(struct xmpp_stanza *s, const char *xml, size_t len);
void xmpp_stanza_free(struct xmpp_stanza *s);
/* An attribute of element i, or NULL. */
const char *xmpp_attribute(const struct xmpp_stanza *s, int i, const char *key);
/* The first element of that name (and of that xmlns, unless NULL) anywhere below `parent` in
 * document order; -1 for none. */
int xmpp_find(const struct xmpp_stanza *s, int parent, const char *name, const char *xmlns);

/* ---- a session ---- */
struct xmpp;

struct xmpp_message {
    const char *from, *to, *id, *type, *body; /* "" where missing */
    const char *archive_id; /* of a result of xmpp_archive (its query's `after`), else "" */
    const char *query_id;   /* of a result of xmpp_archive: which query, else "" */
    bool wants_receipt;
    bool groupchat;
};

/* All but on_ready and on_closed may be NULL. Strings are valid during the call. */
struct xmpp_handlers {
    /* Signed in and bound (or resumed: then unacknowledged stanzas follow by themselves). */
    void (*on_ready)(struct xmpp *x, void *arg, bool resumed);
    /* A message with a body, live or out of the archive. */
    void (*on_message)(struct xmpp *x, void *arg, const struct xmpp_message *m);
    /* The other side has the message with this id (XEP-0184). */
    void (*on_receipt)(struct xmpp *x, void *arg, const char *id);
    /* Answer to an iq of ours (xmpp_ping, xmpp_archive, xmpp_iq): ok is false for type=error. For
     * the archive: complete, and the id to go on after ("" when there was none). */
    void (*on_result)(struct xmpp *x, void *arg, const char *id, bool ok, bool complete,
                      const char *last);
    /* Our presence in a room has come back: joined. */
    void (*on_joined)(struct xmpp *x, void *arg, const char *room);
    /* Once; x is gone after. err: OK by xmpp_close, ERR_AUTH for refused credentials, ERR_INVALID
     * for bad XML, ERR_CLOSED lost or dropped, ERR_IO no connection. `resume` (or "") and `heard`
     * are what xmpp_options.resume and .heard take to come back. */
    void (*on_closed)(struct xmpp *x, void *arg, int err, const char *why, const char *resume,
                      uint32_t heard);
};

struct xmpp_options {
    const char *url; /* ws://127.0.0.1:5280/ws */
    const char *domain, *user, *password;
    const char *resource; /* NULL: the server's choice */
    bool presence;        /* announce presence when ready (without it nothing is delivered) */
    bool managed;         /* XEP-0198 with resumption: then acks are answered, too */
    const char *resume;   /* a previous session's id, "" or NULL: none; falls back to binding */
    uint32_t heard;
    const char *source;
};

/* Opens in ws_client's pace. ERR_INVALID, ERR_LIMIT, ERR_NOMEM. Options are copied. */
int xmpp_open(struct xmpp **out, struct ws_client *c, const struct xmpp_options *o,
              const struct xmpp_handlers *h, void *arg);
/* The full address after on_ready. */
const char *xmpp_jid(const struct xmpp *x);
/* When the handshake was begun, as ws_socket_begun_us. */
int64_t xmpp_begun_us(const struct xmpp *x);

/* Each of these: texts are escaped here; ERR_WRONG_STATE before on_ready, ERR_TOO_LARGE past
 * XMPP_TEXT, ERR_NOMEM, ERR_CLOSED. */
int xmpp_send_message(struct xmpp *x, const char *to, const char *id, const char *body,
                      bool groupchat, bool want_receipt);
int xmpp_send_receipt(struct xmpp *x, const char *to, const char *id);
/* Joins without history; on_joined follows. */
int xmpp_join(struct xmpp *x, const char *room, const char *nick);
/* Asks the archive of `room` (NULL: our own) for at most `max` messages after the archive id
 * `after` (NULL or "": from the beginning) and not before `start` (XEP-0082 time, NULL: any):
 * on_message each, then on_result with id. */
int xmpp_archive(struct xmpp *x, const char *id, const char *room, const char *after,
                 const char *start, int max);
/* A ping to the server. */
int xmpp_ping(struct xmpp *x, const char *id);
/* Any iq: `xml` is what goes into it, not escaped; to may be NULL. */
int xmpp_iq(struct xmpp *x, const char *id, const char *type, const char *to, const char *xml);

/* Ends the stream (RFC 7395 section 3.6); on_closed follows. */
void xmpp_close(struct xmpp *x);
/* Ends the connection without a word; on_closed follows. */
void xmpp_drop(struct xmpp *x);

#endif
