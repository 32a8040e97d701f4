/* Modes direct (each to his neighbour: 0 and 1, 2 and 3, …) and room (everyone in turn to all of
 * his room). A message's number is in its id, so that whoever gets it knows when it was due. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/xmpp_load.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

static struct flight *flight_of(struct load *l, uint64_t seq)
{
    struct flight *f = &l->flight[seq % LOAD_IN_FLIGHT];
    return f->seq == seq && seq != 0 ? f : NULL;
}

static int put(struct load *l, struct user *u, const char *id)
{
    char to[256];
    bool room = l->mode == LOAD_ROOM;
    if (room)
        snprintf(to, sizeof(to), "r%d@%s", u->index / l->members, l->room_service);
    else
        snprintf(to, sizeof(to), "u%d@%s", l->first + (u->index ^ 1), l->domain);
    return xmpp_send_message(u->xmpp, to, id, l->body, room, false);
}

void send_one(struct load *l, struct user *u, int64_t due_us)
{
    char id[32];
    struct flight *f = &l->flight[++l->seq % LOAD_IN_FLIGHT];
    if (f->seq != 0) { /* one from 65,536 messages ago never came: count it and go on */
        l->stats.lost += (uint64_t)f->left;
        if (f->seq > l->mark_seq)
            l->missing -= (uint64_t)f->left;
    }
    int left = l->mode == LOAD_ROOM ? l->members : 1;
    *f = (struct flight){.seq = l->seq, .due_us = due_us, .sender = u->index, .left = left};
    snprintf(id, sizeof(id), "m%" PRIu64, l->seq);
    if (put(l, u, id) != OK) {
        load_fail(l, "could not send");
        return;
    }
    if (l->phase == LOAD_WINDOW) {
        l->stats.sent++;
        l->missing += (uint64_t)left;
        int64_t late_us = clock_mono_us() - due_us;
        if (late_us > l->stats.late_max_us)
            l->stats.late_max_us = late_us;
    }
    /* The server answers a user's stanzas in order: the answer to a ping right behind a message
     * tells when the message was taken. In a room its own echo tells. */
    if (l->mode == LOAD_DIRECT && l->rate > 0 && l->seq % ACK_EVERY == 0) {
        snprintf(id, sizeof(id), "p%" PRIu64, l->seq);
        if (xmpp_ping(u->xmpp, id) != OK)
            load_fail(l, "could not ping");
    }
}

void send_due(struct load *l)
{
    int64_t now_us = clock_mono_us();
    while (!l->over && l->rate > 0 && (int64_t)l->next_due_us <= now_us) {
        send_one(l, &l->users[l->turn], (int64_t)l->next_due_us);
        l->turn = (l->turn + 1) % l->clients;
        l->next_due_us += 1e6 / l->rate;
    }
}

/* In a closed loop of rooms one member a room talks: the others would only wait in his queue. */
static bool is_sender(const struct load *l, int i)
{
    return l->mode == LOAD_DIRECT || i % l->members == 0;
}

void send_first(struct load *l)
{
    for (int i = 0; i < l->clients && !l->over; i++)
        for (int k = 0; k < l->window && is_sender(l, i); k++)
            send_one(l, &l->users[i], clock_mono_us());
}

static void landed(struct load *l, struct flight *f, int64_t now_us)
{
    if (f->seq > l->mark_seq && l->phase != LOAD_WARMUP) {
        l->missing--;
        histogram_add(&l->stats.delivery, now_us - f->due_us);
    }
    if (--f->left > 0)
        return;
    int sender = f->sender;
    f->seq = 0;
    if (l->rate == 0 && (l->phase == LOAD_WARMUP || l->phase == LOAD_WINDOW))
        send_one(l, &l->users[sender], now_us);
}

void send_arrived(struct user *u, const struct xmpp_message *m)
{
    struct load *l = u->load;
    struct flight *f = m->id[0] == 'm' ? flight_of(l, strtoull(m->id + 1, NULL, 10)) : NULL;
    if (!f) { /* not ours, or twice */
        l->stats.strangers++;
        return;
    }
    int64_t now_us = clock_mono_us();
    if (l->phase == LOAD_WINDOW)
        l->stats.delivered++;
    if (l->mode == LOAD_ROOM && f->sender == u->index && f->seq > l->mark_seq)
        histogram_add(&l->stats.ack, now_us - f->due_us);
    landed(l, f, now_us);
}

void send_acked(struct user *u, uint64_t seq)
{
    struct load *l = u->load;
    const struct flight *f = &l->flight[seq % LOAD_IN_FLIGHT];
    /* The message may have arrived and its place be free; its time is there until another's is. */
    if (seq > l->mark_seq && (f->seq == seq || f->seq == 0) && l->phase != LOAD_WARMUP)
        histogram_add(&l->stats.ack, clock_mono_us() - f->due_us);
}
