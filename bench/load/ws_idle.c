/* idle: N sockets are opened and held; {"op":"ping","per_second":n} asks them in turn. */
#include <string.h>

#include "bench/load/ws.h"
#include "lib/base/ids.h"

static void on_ready(struct peer *p)
{
    struct run *r = p->run;
    if (!r->all_open)
        histogram_add(&r->connect, clock_mono_us() - (r->xmpp ? xmpp_begun_us(p->xmpp)
                                                              : ws_socket_begun_us(p->ws)));
}

static void on_gone(struct peer *p, int code, const char *why)
{
    (void)p;
    (void)code;
    (void)why; /* counted; the scenario sees that not all are open */
}

static bool on_command(struct run *r, const char *op, const cJSON *command)
{
    if (strcmp(op, "ping") != 0)
        return false;
    run_ping_rate(r, run_number(command, "per_second", 0));
    return true;
}

const struct mode mode_idle = {
    .name = "idle",
    .opens = true,
    .on_ready = on_ready,
    .on_gone = on_gone,
    .on_command = on_command,
};
