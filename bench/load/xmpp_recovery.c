/* Mode recovery: users who were away fetch what they missed, page by page (XEP-0313 with the
 * pages of XEP-0059). */
#include <inttypes.h>
#include <stdio.h>

#include "bench/load/xmpp_load.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

static void ask(struct user *u, const char *after)
{
    struct load *l = u->load;
    char id[32];
    snprintf(id, sizeof(id), "a%" PRIu64, ++l->seq);
    if (xmpp_archive(u->xmpp, id, NULL, after, NULL, l->page) != OK)
        load_fail(l, "could not ask the archive");
}

static void begin(struct load *l)
{
    struct user *u = &l->users[l->turn];
    l->turn = (l->turn + 1) % l->clients;
    if (u->fetching) {
        load_fail(l, "more recoveries at a time than users");
        return;
    }
    u->fetching = true;
    u->fetched = 0;
    u->begun_us = clock_mono_us();
    ask(u, NULL);
}

void recovery_first(struct load *l)
{
    for (int i = 0; i < l->window && !l->over; i++)
        begin(l);
}

static void finish(struct user *u)
{
    struct load *l = u->load;
    u->fetching = false;
    if (l->expect > 0 && u->fetched != l->expect) {
        l->stats.lost += u->fetched < l->expect ? (uint64_t)(l->expect - u->fetched) : 0;
        l->stats.strangers += u->fetched > l->expect ? (uint64_t)(u->fetched - l->expect) : 0;
    }
    if (u->begun_us >= l->mark_us && l->phase != LOAD_WARMUP) {
        l->stats.recoveries++;
        histogram_add(&l->stats.recovery, clock_mono_us() - u->begun_us);
    }
    if (l->phase == LOAD_WARMUP || l->phase == LOAD_WINDOW)
        begin(l);
}

void recovery_message(struct user *u, const struct xmpp_message *m)
{
    if (m->query_id[0] == 0)
        return;
    u->fetched++;
    if (u->load->phase == LOAD_WINDOW)
        u->load->stats.delivered++;
}

void recovery_page(struct user *u, bool ok, bool complete, const char *last)
{
    if (!ok)
        load_fail(u->load, "the archive refused");
    else if (complete || !last || !*last)
        finish(u);
    else
        ask(u, last);
}
