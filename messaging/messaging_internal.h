/* What the files of messaging/ share. */
#ifndef SOTTO_MESSAGING_MESSAGING_INTERNAL_H
#define SOTTO_MESSAGING_MESSAGING_INTERNAL_H

#include "lib/base/buf.h"
#include "messaging/messaging.h"

struct messaging {
    struct pg *pg;
    messaging_announce_fn announce;
    void *announce_arg;
};

/* The handlers of the route table; arg is the struct messaging. */
void conversations_post(struct http_request *r, void *arg);
void conversations_list(struct http_request *r, void *arg);
void conversations_get(struct http_request *r, void *arg);

/* The rest of a page's cursor text, pure: "<microseconds>_<uuid>". Both sides of it. ERR_INVALID.
 */
#define CONVERSATION_CURSOR_LEN 64
void conversation_cursor_format(char out[CONVERSATION_CURSOR_LEN], int64_t at_us, const char *id);
int conversation_cursor_parse(const char *text, int64_t *at_us, struct id *id);

/* Pure: reads a uuid[] in PostgreSQL's text form ("{a,b}"), calling each for every item. */
void uuid_array_each(const char *text, messaging_announce_fn each, void *arg);
/* Pure: writes ids as such an array into b. */
int uuid_array_write(struct buf *b, const cJSON *ids);

#endif
