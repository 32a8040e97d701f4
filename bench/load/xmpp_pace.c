/* The open loop's clock: a timerfd, because libuv's timers know milliseconds only, and half of one
 * on average would be added to each latency. */
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include "bench/load/xmpp_load.h"
#include "lib/base/err.h"

enum { SHORTEST_NS = 100000 }; /* more than 10,000 a second go out in small groups */

static struct {
    int fd;
    uv_poll_t poll;
} pace = {.fd = -1};

static void on_time(uv_poll_t *p, int status, int events)
{
    uint64_t times;
    (void)events;
    if (status == 0 && read(pace.fd, &times, sizeof(times)) == (ssize_t)sizeof(times))
        send_due(p->data);
}

int pace_open(struct load *l)
{
    pace.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (pace.fd < 0)
        return ERR_IO;
    pace.poll.data = l;
    if (uv_poll_init(loop_uv(l->loop), &pace.poll, pace.fd) != 0 ||
        uv_poll_start(&pace.poll, UV_READABLE, on_time) != 0)
        return ERR_IO;
    return OK;
}

static void on_closed(uv_handle_t *h)
{
    (void)h;
    close(pace.fd);
}

void pace_close(struct load *l)
{
    (void)l;
    uv_close((uv_handle_t *)&pace.poll, on_closed);
}

void pace_set(double per_second)
{
    struct itimerspec t = {0};
    if (per_second > 0) {
        double ns = 1e9 / per_second;
        ns = ns < SHORTEST_NS ? SHORTEST_NS : ns;
        t.it_interval.tv_sec = (time_t)(ns / 1e9);
        t.it_interval.tv_nsec = (long)(ns - (double)t.it_interval.tv_sec * 1e9);
        t.it_value.tv_nsec = 1;
    }
    timerfd_settime(pace.fd, 0, &t, NULL);
}
