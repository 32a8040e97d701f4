/* Two faults of libwebsockets 4.1 that can't be worked around by its interface. The library calls
 * its own exported functions through the dynamic linker, so the definitions here are the ones that
 * run.
 *
 * It copies the list of subprotocols that a client offers into 128 bytes and refuses the upgrade
 * when it is longer, which a ticket in that list ("sotto.v1, ticket.X") always is. lws_hdr_copy
 * here cuts such a list before the value that would pass the end. Our name is offered first, so the
 * library finds it; our own code asks with room enough and gets the whole list.
 *
 * It keeps the bytes that came behind a request (a pipelined one) in a buffer list. When a request
 * with a body is then read from that list, its head is handed over as its body, and the library
 * turns for ever in lws_http_action. lws_buflist_append_segment here leaves out what comes behind a
 * request; the connection is closed after that request's answer, and the client repeats the rest,
 * as RFC 9112 section 9.3.2 has it. */
#include "lib/io/http_internal.h"

#include <dlfcn.h>
#include <string.h>

static struct http_request *reading; /* the request whose callback ran last; one loop thread */

void http_lws_reading(struct http_request *r)
{
    reading = r;
}

typedef int append_fn(struct lws_buflist **head, const uint8_t *data, size_t len);

int lws_buflist_append_segment(struct lws_buflist **head, const uint8_t *data, size_t len)
{
    static append_fn *real;
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "lws_buflist_append_segment");
    if (!reading)
        return real(head, data, len);
    reading->close_after = true;
    reading = NULL;
    return 0;
}

/* The fragments of one header are joined by ','. Returns the length without the 0, 0 when the
 * header is missing, -1 when it doesn't fit. */
int lws_hdr_copy(struct lws *wsi, char *dst, int len, enum lws_token_indexes h)
{
    static char part[16384]; /* one loop thread; more than a head may hold */
    int at = 0, n;
    if (len <= 0)
        return -1;
    dst[0] = 0;
    for (int i = 0; (n = lws_hdr_copy_fragment(wsi, part, sizeof(part), h, i)) >= 0; i++) {
        int comma = i > 0 && h != WSI_TOKEN_HTTP_COOKIE;
        int room = len - 1 - at - comma;
        bool cut = n > room;
        if (cut && (h != WSI_TOKEN_PROTOCOL || room < 0))
            return -1;
        if (comma)
            dst[at++] = ',';
        memcpy(dst + at, part, (size_t)(cut ? room : n));
        at += cut ? room : n;
        dst[at] = 0;
        if (!cut)
            continue;
        char *last = strrchr(dst, ',');
        if (!last)
            return -1;
        *last = 0;
        return (int)(last - dst);
    }
    return at;
}
