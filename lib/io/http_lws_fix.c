/* libwebsockets 4.1 copies the list of subprotocols that a client offers into 128 bytes and refuses
 * the upgrade when it is longer, which a ticket in that list ("sotto.v1, ticket.X") always is. The
 * library calls its own lws_hdr_copy through the dynamic linker, so the definition here is the one
 * that runs, for the library and for us: the same function, except that a list of subprotocols that
 * doesn't fit is cut before the value that would pass the end. Our name is offered first, so the
 * library finds it; our own code asks with room enough and gets the whole list. */
#include "lib/io/http_internal.h"

#include <string.h>

void http_lws_fix(void)
{
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
