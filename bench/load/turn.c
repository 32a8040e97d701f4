/* sotto-load-turn: allocations on a TURN server, each with a stream of packets either way between
 * its client and a peer, both in this process on one thread; through a plain forwarder
 * (sotto-load-sink) for the floor. Open loop: packets are due by a schedule that nothing holds up,
 * and their latency counts from when they were due.
 * JSON lines; it ends when stdin does (allocations are given back by "close").
 * ← {"ev":"ready"}
 * → {"op":"open","server":"127.0.0.1:P","accounts":[{"username":…,"credential":…}…],"pairs":N}
 *   accounts take turns                       ← {"ev":"open","pairs":N,"ms":…}
 * → {"op":"plain","server":"127.0.0.1:P","relay":"127.0.0.1:P","pairs":N}
 *                                             ← {"ev":"open","ports":[[client,peer]…]}
 * → {"op":"send","packets_per_s":231,"bytes":1000,"burst":7}  each stream     ← {"ev":"sending"}
 * → {"op":"mark"}                             ← {"ev":"marked"}
 * → {"op":"stats"}                            ← {"ev":"stats",…,"latency":histogram}
 * → {"op":"close"}                            ← {"ev":"closed"}
 * ← {"ev":"error","why":…}: a bad command, or an allocation that was refused (with its code) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/load/turn_commands.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

#define TIMERS_US 50000 /* how often retransmissions and refreshes are looked for */

static int run(struct turn_load *t)
{
    int err = OK;
    int64_t timers = 0;
    while (err == OK || err == ERR_TOO_LARGE) {
        int64_t now = clock_mono_us(), due = streams_deadline(&t->streams);
        int64_t until = due < now + TIMERS_US ? due : now + TIMERS_US;
        bool command = false;
        err = streams_receive(&t->streams, until > now ? until - now : 0, &command);
        now = clock_mono_us();
        streams_send_due(&t->streams, now);
        if (now >= timers) {
            streams_turn_poll(&t->streams, now);
            timers = now + TIMERS_US;
        }
        if (err == OK && command)
            err = line_reader_read(&t->lines, STDIN_FILENO, turn_on_line, t);
    }
    return err;
}

int main(int argc, char **argv)
{
    struct sockaddr_in nowhere = {.sin_family = AF_INET};
    struct turn_load *t = calloc(1, sizeof(*t));
    if (argc > 1) {
        fprintf(stderr, "%s: no arguments; JSON lines on stdin\n", argv[0]);
        return 2;
    }
    int err = t ? streams_open(&t->streams, &nowhere, 0, STDIN_FILENO) : ERR_NOMEM;
    if (err == OK) {
        puts("{\"ev\":\"ready\"}");
        fflush(stdout);
        err = run(t);
    }
    if (err != ERR_CLOSED)
        fprintf(stderr, "%s: %s\n", argv[0], err_name(err));
    if (t)
        streams_close(&t->streams);
    free(t);
    return err == ERR_CLOSED ? 0 : 1;
}
