/* Data of sfud, on the control thread: takes what the workers measured, tells signald the stats
 * events, shows /metrics, and answers an admin (debug_admin.h). */
#ifndef SOTTO_SFU_OBSERVER_H
#define SOTTO_SFU_OBSERVER_H

#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "sfu/shell/debug_admin.h"
#include "sfu/shell/signald_link.h"

struct observer;

/* Everything is borrowed; the link must not be connected yet. One a process. ERR_NOMEM. */
int observer_new(struct observer **out, struct loop *l, struct signald_link *link,
                 const struct debug_options *o);
/* Before the workers, the link, the server and the loop go. NULL is fine. */
void observer_free(struct observer *o);
/* Its routes. */
void observer_routes(struct observer *o, struct http_server *s);

#endif
