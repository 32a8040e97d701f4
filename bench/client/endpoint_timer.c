/* One timer for all endpoints: a binary heap by due time, and a timerfd for its top. */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "bench/client/endpoint_private.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

#define MIN_STEP_US 500 /* a part that says "now" again and again doesn't keep the loop */

static void put(struct endpoint_host *h, size_t i, struct endpoint *e)
{
    h->heap[i] = e;
    e->heap_at = i + 1;
}

static void sift(struct endpoint_host *h, size_t i)
{
    struct endpoint *e = h->heap[i];
    while (i > 0 && h->heap[(i - 1) / 2]->due_us > e->due_us) {
        put(h, i, h->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (size_t c = 2 * i + 1; c < h->n_heap; c = 2 * i + 1) {
        if (c + 1 < h->n_heap && h->heap[c + 1]->due_us < h->heap[c]->due_us)
            c++;
        if (h->heap[c]->due_us >= e->due_us)
            break;
        put(h, i, h->heap[c]);
        i = c;
    }
    put(h, i, e);
}

static void arm(struct endpoint_host *h)
{
    int64_t at = h->n_heap > 0 ? h->heap[0]->due_us : INT64_MAX;
    struct itimerspec t = {0};
    if (at == h->armed_us)
        return;
    h->armed_us = at;
    if (at != INT64_MAX) {
        if (at <= 0)
            at = 1;
        t.it_value.tv_sec = at / 1000000;
        t.it_value.tv_nsec = at % 1000000 * 1000;
    }
    timerfd_settime(h->timer_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static bool grow(struct endpoint_host *h)
{
    size_t cap = h->heap_cap ? 2 * h->heap_cap : 64;
    struct endpoint **heap = realloc(h->heap, cap * sizeof *heap);
    if (!heap)
        return false;
    h->heap = heap;
    h->heap_cap = cap;
    return true;
}

static int64_t due_of(const struct endpoint *e)
{
    int64_t due = endpoint_session_deadline(e);
    if (e->receiver && receiver_deadline(e->receiver) < due)
        due = receiver_deadline(e->receiver);
    int64_t tick = e->host->calm ? ENDPOINT_CALM_US : ENDPOINT_TICK_US;
    if (due != INT64_MAX)
        due = (due + tick - 1) / tick * tick;
    if (e->source && source_deadline(e->source) < due)
        due = source_deadline(e->source);
    return due;
}

static void place(struct endpoint *e, int64_t due_us)
{
    struct endpoint_host *h = e->host;
    if (due_us == INT64_MAX) {
        endpoint_unschedule(e);
        return;
    }
    if (e->heap_at && e->due_us == due_us)
        return;
    e->due_us = due_us;
    if (!e->heap_at) {
        if (h->n_heap == h->heap_cap && !grow(h)) {
            endpoint_fail(e, "out of memory");
            return;
        }
        put(h, h->n_heap++, e);
    }
    sift(h, e->heap_at - 1);
}

void endpoint_schedule(struct endpoint *e, int64_t now_us)
{
    int64_t due = e->state == ENDPOINT_FAILED ? INT64_MAX : due_of(e);
    place(e, due < now_us ? now_us : due);
    arm(e->host);
}

void endpoint_unschedule(struct endpoint *e)
{
    struct endpoint_host *h = e->host;
    if (!e->heap_at)
        return;
    size_t i = e->heap_at - 1;
    e->heap_at = 0;
    struct endpoint *last = h->heap[--h->n_heap];
    if (last != e) {
        put(h, i, last);
        sift(h, i);
    }
}

static void on_timer(uv_poll_t *p, int status, int events)
{
    struct endpoint_host *h = p->data;
    uint64_t fired;
    (void)status;
    (void)events;
    if (read(h->timer_fd, &fired, sizeof fired) != sizeof fired)
        return;
    int64_t now = clock_mono_us();
    h->armed_us = INT64_MAX - 1; /* nothing: whatever comes is set */
    while (h->n_heap > 0 && h->heap[0]->due_us <= now) {
        struct endpoint *e = h->heap[0];
        endpoint_session_poll(e, now);
        endpoint_media_poll(e, now);
        int64_t due = e->state == ENDPOINT_FAILED ? INT64_MAX : due_of(e);
        place(e, due <= now ? now + MIN_STEP_US : due);
        if (h->n_heap > 0 && h->heap[0]->due_us > now)
            now = clock_mono_us(); /* what became due meanwhile is served in the same turn */
    }
    arm(h);
}

/* A receiver that wakes at the first packet of a frame finds the others not there yet: it would pay
 * a wake-up and a system call a packet, and so would the server that is measured. While media
 * comes, the loop rests before it looks again, but for what is due to be sent; briefly while
 * anybody connects or bad links are simulated. Latencies don't suffer: they are taken by the time
 * of arrival that the kernel tells (or libnice's thread), and nowhere else. What is asked for again
 * waits a little longer, as a browser's NACKs do (it looks every 20 ms). */
static void on_pause(uv_prepare_t *p)
{
    struct endpoint_host *h = p->data;
    if (!h->media_came)
        return;
    h->media_came = false;
    int64_t now = clock_mono_us(), left = h->armed_us - now;
    h->calm = !h->has_links && now - h->setup_us > ENDPOINT_SETUP_US;
    int64_t most = h->calm ? ENDPOINT_PAUSE_US : ENDPOINT_BRISK_US;
    int64_t us = left < most ? left : most;
    if (us > 0)
        nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

int endpoint_timer_open(struct endpoint_host *h)
{
    h->armed_us = INT64_MAX;
    h->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (h->timer_fd < 0 || uv_poll_init(loop_uv(h->loop), &h->timer, h->timer_fd) != 0)
        return ERR_IO;
    uv_prepare_init(loop_uv(h->loop), &h->pause);
    h->handles = 2;
    h->timer.data = h->pause.data = h;
    prctl(PR_SET_TIMERSLACK, 1000UL); /* this thread's sleeps: 50 us by default */
    bool ok = uv_poll_start(&h->timer, UV_READABLE, on_timer) == 0 &&
              uv_prepare_start(&h->pause, on_pause) == 0;
    return ok ? OK : ERR_IO;
}

static void on_closed(uv_handle_t *handle)
{
    struct endpoint_host *h = handle->data;
    if (--h->handles > 0)
        return;
    free(h->heap);
    free(h);
}

void endpoint_timer_close(struct endpoint_host *h)
{
    bool opened = h->handles > 0;
    if (opened) {
        uv_close((uv_handle_t *)&h->timer, on_closed);
        uv_close((uv_handle_t *)&h->pause, on_closed);
    }
    if (h->timer_fd >= 0)
        close(h->timer_fd);
    if (!opened)
        free(h);
}
