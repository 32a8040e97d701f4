/* sfud's end of the control link, on the control thread: requests from signald go to the worker
 * that has the room, the workers' replies and events go back, load once a second. Rooms go on while
 * the link is away; after each reconnect one hello tells which there are, on whatever worker. */
#ifndef SOTTO_SFU_SIGNALD_LINK_H
#define SOTTO_SFU_SIGNALD_LINK_H

#include <stdbool.h>

#include "lib/io/loop.h"
#include "sfu/shell/worker_set.h"

struct signald_link;

/* ERR_NOMEM. Its signald_link_on_report goes into the workers' options. */
int signald_link_new(struct signald_link **out, struct loop *l);
/* For worker_options.on_report (arg: the link): wakes the loop's thread; any thread may call. */
void signald_link_on_report(void *arg);
/* Connects, for as long as it lives. The workers are borrowed. ERR_NOMEM, ERR_IO. */
int signald_link_connect(struct signald_link *s, struct worker_set *w, const char *address,
                         int port, const char *secret);
/* True while signald is there and has been greeted. */
bool signald_link_is_up(const struct signald_link *s);
/* fn is called on the control thread when a worker may have something for worker_take_data. Before
 * signald_link_connect; NULL ends it. */
void signald_link_observe(struct signald_link *s, void (*fn)(void *arg, size_t worker), void *arg);
/* An event's text for signald; nothing happens while it is away. */
void signald_link_tell(struct signald_link *s, const char *text);
/* The workers must have been stopped before: they may no longer report. NULL is fine. */
void signald_link_free(struct signald_link *s);

#endif
