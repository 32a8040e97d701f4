/* Private to bench/client/xmpp*.c. */
#ifndef SOTTO_BENCH_CLIENT_XMPP_PRIVATE_H
#define SOTTO_BENCH_CLIENT_XMPP_PRIVATE_H

#include "bench/client/xmpp.h"

#define NS_FRAMING  "urn:ietf:params:xml:ns:xmpp-framing"
#define NS_SASL     "urn:ietf:params:xml:ns:xmpp-sasl"
#define NS_BIND     "urn:ietf:params:xml:ns:xmpp-bind"
#define NS_SM       "urn:xmpp:sm:3"
#define NS_RECEIPTS "urn:xmpp:receipts"
#define NS_MAM      "urn:xmpp:mam:2"
#define NS_MUC      "http://jabber.org/protocol/muc"
#define NS_RSM      "http://jabber.org/protocol/rsm"

enum xmpp_phase {
    XMPP_OPENING,   /* our first <open/> is out */
    XMPP_AUTH,      /* <auth/> is out */
    XMPP_REOPENING, /* the second <open/> */
    XMPP_RESUMING,
    XMPP_BINDING,
    XMPP_ENABLING, /* stream management */
    XMPP_READY,
    XMPP_CLOSING,
};

struct xmpp {
    struct ws_socket *ws;
    const struct xmpp_handlers *h;
    void *arg;
    enum xmpp_phase phase;
    struct xmpp_options o; /* strings are our own */
    char *jid, *session;   /* session: of stream management */
    uint32_t heard;        /* stanzas received, as XEP-0198 counts them */
    bool counting;
    int err; /* why it ends */
    const char *why;
};

/* Sends what g_markup_printf_escaped made, and frees it. */
int xmpp_put(struct xmpp *x, char *xml);
/* What a session that is ready got. */
void xmpp_stanza_take(struct xmpp *x, const struct xmpp_stanza *s);

#endif
