/* sotto-load-floor: the forwarding floor as a server on 127.0.0.1, what it does and what it leaves
 * out: bench/client/floor_forward.h.
 *   sotto-load-floor [--port P] [--profile gcm|gcm256|cm] [--mode train|sendmmsg|sendto]
 *                    [--hold-us N]
 * JSON lines; it ends when stdin does. Keys are hex of master key and salt behind it.
 * ← {"ev":"ready","port":N,"profile":…,"mode":…}
 * → {"op":"publisher","id":"…","key":"…","streams":[{"ssrc":N,"frames":true}]}
 * → {"op":"subscriber","id":"…","key":"…","streams":[{"from":"id","ssrc":N,"as":N}]}
 * → {"op":"legs","id":"…","streams":[…]}     further streams for a subscriber
 * → {"op":"port","id":"…","port":N}         the peer's own port on 127.0.0.1: it is known by that
 * → {"op":"leave","id":"…"}                  ← {"ev":"ok","op":"…","id":"…"} to each of these
 * → {"op":"stats"}                           ← {"ev":"stats",…}
 * ← {"ev":"error","why":"…"}  ← {"ev":"fallback","why":"…"} when the kernel refuses UDP_SEGMENT */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/client/args.h"
#include "bench/client/floor_net.h"
#include "bench/load/floor_commands.h"
#include "lib/base/err.h"

struct server {
    struct floor_forward *forward;
    struct floor_net *net;
    bool told_fallback;
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void drain(struct server *s, int64_t now)
{
    struct floor_message messages[FLOOR_POLL_MAX];
    size_t n;
    while ((n = floor_forward_poll(s->forward, messages, FLOOR_POLL_MAX, now)) > 0)
        floor_net_send(s->net, messages, n);
    if (floor_net_fell_back(s->net) && !s->told_fallback) {
        s->told_fallback = true;
        puts("{\"ev\":\"fallback\",\"why\":\"the kernel refuses UDP_SEGMENT: single packets\"}");
        fflush(stdout);
    }
}

/* Everything that waits comes in before anything goes out, but for frames that must make room. */
static int take(struct server *s)
{
    struct floor_datagram *d;
    int64_t now = now_us();
    int n = floor_net_receive(s->net, &d);
    for (int i = 0; i < n; i++) {
        if (floor_forward_input(s->forward, d[i].port, d[i].data, d[i].len, now) != ERR_AGAIN)
            continue;
        drain(s, now);
        floor_forward_input(s->forward, d[i].port, d[i].data, d[i].len, now);
    }
    return n < 0 ? n : OK;
}

static int run(struct server *s, struct commands *c)
{
    struct pollfd fds[2] = {{.fd = floor_net_fd(s->net), .events = POLLIN},
                            {.fd = STDIN_FILENO, .events = POLLIN}};
    int err = OK;
    while (err == OK) {
        int64_t due = floor_forward_deadline(s->forward), now = now_us();
        int64_t wait = due == INT64_MAX ? INT64_C(1000000) : due > now ? due - now : 0;
        struct timespec t = {wait / 1000000, wait % 1000000 * 1000};
        int n = ppoll(fds, 2, &t, NULL);
        if (n < 0 && errno != EINTR)
            return ERR_IO;
        if (n > 0 && fds[0].revents)
            err = take(s);
        drain(s, now_us());
        if (err == OK && n > 0 && fds[1].revents)
            err = commands_read(c, STDIN_FILENO);
    }
    return err;
}

static int parse(int argc, char **argv, struct floor_forward_config *config,
                 enum floor_net_mode *mode, int64_t *port)
{
    static const char *const names[] = {"--port", "--profile", "--mode", "--hold-us", NULL};
    if (args_check(argc, argv, names) != OK ||
        args_int(port, argc, argv, "--port", 0, 0, 65535) != OK ||
        args_int(&config->hold_us, argc, argv, "--hold-us", 1000, 0, 20000) != OK)
        return ERR_INVALID;
    const char *profile = args_text(argc, argv, "--profile", "gcm");
    const char *how = args_text(argc, argv, "--mode", "train");
    *mode = strcmp(how, "sendto") == 0     ? NET_SENDTO
            : strcmp(how, "sendmmsg") == 0 ? NET_SENDMMSG
                                           : NET_TRAIN;
    config->segment = *mode == NET_TRAIN;
    config->profile = strcmp(profile, "cm") == 0       ? SRTP_AES128_CM_SHA1_80
                      : strcmp(profile, "gcm256") == 0 ? SRTP_AEAD_AES_256_GCM
                                                       : SRTP_AEAD_AES_128_GCM;
    bool known = (*mode != NET_TRAIN || strcmp(how, "train") == 0) &&
                 (config->profile != SRTP_AEAD_AES_128_GCM || strcmp(profile, "gcm") == 0);
    if (!known)
        fprintf(stderr, "%s: --mode train|sendmmsg|sendto, --profile gcm|gcm256|cm\n", argv[0]);
    else
        fprintf(stderr, "floor: %s, %s, frames held %" PRId64 " us\n", profile, how,
                config->segment ? config->hold_us : 0);
    return known ? OK : ERR_INVALID;
}

int main(int argc, char **argv)
{
    struct floor_forward_config config = {0};
    struct server s = {0};
    struct commands *commands = NULL;
    enum floor_net_mode mode;
    int64_t port;
    if (parse(argc, argv, &config, &mode, &port) != OK)
        return 2;
    int err = floor_forward_new(&s.forward, &config);
    if (err == OK)
        err = floor_net_open(&s.net, (int)port, mode);
    if (err == OK)
        err = commands_new(&commands, s.forward, s.net);
    if (err == OK) {
        printf("{\"ev\":\"ready\",\"port\":%d,\"profile\":\"%s\",\"mode\":\"%s\"}\n",
               floor_net_port(s.net), args_text(argc, argv, "--profile", "gcm"),
               args_text(argc, argv, "--mode", "train"));
        fflush(stdout);
        err = run(&s, commands);
    }
    if (err != OK && err != ERR_CLOSED)
        fprintf(stderr, "%s: %s\n", argv[0], err_name(err));
    commands_free(commands);
    floor_net_close(s.net);
    floor_forward_free(s.forward);
    return err == ERR_CLOSED ? 0 : 1;
}
