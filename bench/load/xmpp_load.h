/* sotto-load-xmpp: messages between XMPP sessions, and what its files share. One loop, one thread.
 *   sotto-load-xmpp --mode direct|room|recovery --url ws://… --domain D --password P
 *                   [--clients N] [--first I] [--members M] [--room-service S] [--bytes B]
 *                   [--managed 0|1] [--page P] [--expect E]
 * Users are u<first> … of the domain. Prints {"ev":"ready"} when all are signed in (and in their
 * rooms), and then takes lines on stdin:
 *   {"op":"run","rate":R,"window":W,"warmup_ms":A,"ms":B}   {"op":"quit"}
 * rate > 0: so many messages a second are due at fixed times, whoever's turn it is, and latencies
 * count from then (open loop: nothing is left out while the server is slow). rate 0: each sender
 * has W messages under way (closed loop), which finds what the server carries at most. A run prints
 * {"ev":"marked"} after its warm-up, {"ev":"window"} at the end of its window, and {"ev":"done",…}
 * when what was sent in the window has arrived or DRAIN_US have passed. */
#ifndef SOTTO_BENCH_LOAD_XMPP_LOAD_H
#define SOTTO_BENCH_LOAD_XMPP_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/client/histogram.h"
#include "bench/client/ws_client.h"
#include "bench/client/xmpp.h"
#include "lib/base/json.h"
#include "lib/io/loop.h"

#define LOAD_IN_FLIGHT 65536 /* messages under way that are told apart; a power of two */
#define LOAD_BODY_MAX  16384
#define ACK_EVERY      16 /* one in so many messages is followed by a ping */
#define DRAIN_US       10000000

enum load_mode { LOAD_DIRECT, LOAD_ROOM, LOAD_RECOVERY };
enum load_phase { LOAD_OPENING, LOAD_IDLE, LOAD_WARMUP, LOAD_WINDOW, LOAD_DRAIN };

struct load;

struct user {
    struct load *load;
    int index;
    struct xmpp *xmpp;
    bool ready; /* signed in, and in his room */
    /* recovery */
    bool fetching;
    int64_t begun_us, fetched;
};

/* One message under way. */
struct flight {
    uint64_t seq;     /* 0: free */
    int64_t due_us;   /* when it should have been sent */
    int sender, left; /* deliveries that are missing */
};

/* Since the mark. */
struct load_stats {
    uint64_t sent, delivered, lost, strangers, recoveries;
    struct histogram delivery, ack, recovery;
    int64_t late_max_us;
};

struct load {
    struct loop *loop;
    struct loop_timer *clock;
    struct ws_client *ws;
    enum load_mode mode;
    enum load_phase phase;
    const char *url, *domain, *password, *room_service;
    int clients, first, members, page, expect, ready;
    bool managed, over;
    int err;
    char body[LOAD_BODY_MAX + 1];
    struct user *users;
    /* the run */
    double rate;
    int window;
    int64_t warmup_us, window_us, phase_end_us, mark_us, window_took_us;
    double next_due_us, mark_cpu, cpu_s;
    uint64_t seq, mark_seq;
    uint64_t missing; /* deliveries of what was sent in the window */
    int turn;
    struct flight flight[LOAD_IN_FLIGHT];
    struct load_stats stats;
};

/* ---- xmpp.c ---- */
/* {"ev":"error","why":…} and the end of the program with status 1. */
void load_fail(struct load *l, const char *why);
/* Prints one line of JSON and deletes the event. */
void load_tell(cJSON *event);

/* ---- xmpp_users.c ---- */
/* Opens all sessions; {"ev":"ready"} follows. ERR_NOMEM, ERR_INVALID. */
int users_open(struct load *l);
void users_free(struct load *l);

/* ---- xmpp_send.c: modes direct and room ---- */
/* The user's next message, due at that time. */
void send_one(struct load *l, struct user *u, int64_t due_us);
/* What is due now (open loop), or each sender's first messages (closed loop). */
void send_due(struct load *l);
void send_first(struct load *l);
/* A message has arrived at u. */
void send_arrived(struct user *u, const struct xmpp_message *m);
/* The ping that followed message seq was answered. */
void send_acked(struct user *u, uint64_t seq);

/* ---- xmpp_pace.c: a timer finer than the loop's own milliseconds, for the open loop ---- */
/* ERR_IO. */
int pace_open(struct load *l);
void pace_close(struct load *l);
/* Calls send_due as often as the rate wants it (0: no more). */
void pace_set(double per_second);

/* ---- xmpp_recovery.c ---- */
/* `window` users fetch their archives at the same time; whoever is done is followed by another. */
void recovery_first(struct load *l);
/* A message of a page, and the page's end. */
void recovery_message(struct user *u, const struct xmpp_message *m);
void recovery_page(struct user *u, bool ok, bool complete, const char *last);

/* ---- xmpp_run.c ---- */
/* {"op":"run"}; ERR_WRONG_STATE while another runs, ERR_INVALID. */
int run_begin(struct load *l, const cJSON *command);
/* Each millisecond: phases end by their time. */
void run_tick(void *load);

#endif
