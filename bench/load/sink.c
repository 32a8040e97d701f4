/* sotto-load-sink: where datagrams end, and the floor of relaying, on 127.0.0.1.
 *   sotto-load-sink [--mode drop|forward] [--port P]
 * drop: reads and forgets whatever comes. forward: what a relay must do at least, by recvmmsg and
 * sendmmsg: ChannelData (RFC 8656 section 12.4) from a client's port loses its header and goes from
 * the relay's port to the client's peer; what the peer sends to the relay's port gets a header and
 * goes to the client. Addresses are told beforehand: no STUN, credentials, permissions, timers.
 * JSON lines; it ends when stdin does.
 * ← {"ev":"ready","port":N,"relay":N}
 * → {"op":"pair","client":N,"peer":N}    ← {"ev":"ok"}       their ports on 127.0.0.1 (forward)
 * → {"op":"stats"}   ← {"ev":"stats","packets":N,"bytes":N,"sent":N,"refused":N,"cpu_s":S} */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bench/client/args.h"
#include "bench/client/line_reader.h"
#include "bench/client/turn_client.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

#define BATCH        64
#define MTU          2048
#define BUFFER_BYTES (8 << 20)
#define PORTS        65536

enum side { FRONT, RELAY, SIDES };

static struct sink {
    bool forward;
    int fd[SIDES], port[SIDES];
    uint16_t other[SIDES][PORTS]; /* of a port on that side: the port on the other one; 0: none */
    uint64_t packets, bytes, sent, refused;
    struct line_reader lines;
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_iov[BATCH], out_iov[BATCH];
    struct sockaddr_in from[BATCH], to[BATCH];
    uint8_t data[BATCH][TURN_CHANNEL_LEN + MTU]; /* with room for a header in front */
} sink;

static int open_side(enum side side, int port)
{
    int bytes = BUFFER_BYTES, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof(a);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sink.fd[side] = fd;
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        return ERR_IO;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)); /* a wish */
    sink.port[side] = ntohs(a.sin_port);
    return OK;
}

static int receive(enum side side)
{
    for (size_t i = 0; i < BATCH; i++) {
        sink.in_iov[i] = (struct iovec){sink.data[i] + TURN_CHANNEL_LEN, MTU};
        sink.in[i].msg_hdr = (struct msghdr){.msg_name = sink.forward ? &sink.from[i] : NULL,
                                             .msg_namelen = sizeof(sink.from[i]),
                                             .msg_iov = &sink.in_iov[i],
                                             .msg_iovlen = 1};
        if (!sink.forward)
            sink.in[i].msg_hdr.msg_namelen = 0;
    }
    int n = recvmmsg(sink.fd[side], sink.in, BATCH, 0, NULL);
    for (int i = 0; i < n; i++)
        sink.bytes += sink.in[i].msg_len;
    sink.packets += n > 0 ? (uint64_t)n : 0;
    return n;
}

/* The i-th datagram as it leaves on the other side; false when it is for nobody. */
static bool turn_round(enum side side, int i, size_t at)
{
    uint8_t *data = sink.data[i] + TURN_CHANNEL_LEN;
    size_t len = sink.in[i].msg_len;
    uint16_t port = sink.other[side][ntohs(sink.from[i].sin_port)];
    if (!port || (sink.in[i].msg_hdr.msg_flags & MSG_TRUNC))
        return false;
    if (side == RELAY) {
        data -= TURN_CHANNEL_LEN;
        turn_channel_header(data, (uint16_t)len);
        len += TURN_CHANNEL_LEN;
    } else {
        if (len < TURN_CHANNEL_LEN || len - TURN_CHANNEL_LEN < ((size_t)data[2] << 8 | data[3]))
            return false;
        len = (size_t)data[2] << 8 | data[3];
        data += TURN_CHANNEL_LEN;
    }
    sink.to[at] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    sink.to[at].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sink.out_iov[at] = (struct iovec){data, len};
    sink.out[at].msg_hdr = (struct msghdr){.msg_name = &sink.to[at],
                                           .msg_namelen = sizeof(sink.to[at]),
                                           .msg_iov = &sink.out_iov[at],
                                           .msg_iovlen = 1};
    return true;
}

static void send_out(enum side side, size_t n)
{
    for (size_t done = 0; done < n;) {
        int sent = sendmmsg(sink.fd[side], sink.out + done, (unsigned)(n - done), 0);
        if (sent > 0) {
            done += (size_t)sent;
            sink.sent += (uint64_t)sent;
        } else if (errno != EINTR) {
            done++; /* that one is lost */
            sink.refused++;
        }
    }
}

/* Until nothing waits, but not for ever: the other side wants its turn. */
static void serve(enum side side)
{
    for (int rounds = 0; rounds < 8; rounds++) {
        size_t out = 0;
        int n = receive(side);
        for (int i = 0; sink.forward && i < n; i++)
            out += turn_round(side, i, out);
        if (out > 0)
            send_out(side == FRONT ? RELAY : FRONT, out);
        if (n < BATCH)
            return;
    }
}

static void print_stats(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    printf("{\"ev\":\"stats\",\"packets\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"sent\":%" PRIu64
           ",\"refused\":%" PRIu64 ",\"cpu_s\":%.6f}\n",
           sink.packets, sink.bytes, sink.sent, sink.refused,
           (double)t.tv_sec + (double)t.tv_nsec / 1e9);
}

static void on_line(void *arg, const char *line, size_t len)
{
    static const char *const ops[] = {"pair", "stats", NULL};
    struct json_errors e = {0};
    cJSON *o = NULL;
    (void)arg;
    int op = json_parse(&o, line, len) == OK ? json_enum(o, "op", JSON_REQUIRED, ops, &e) : -1;
    int64_t client = 0, peer = 0;
    if (op == 0) {
        client = json_int(o, "client", JSON_REQUIRED, 1, PORTS - 1, 0, &e);
        peer = json_int(o, "peer", JSON_REQUIRED, 1, PORTS - 1, 0, &e);
    }
    if (op < 0 || e.n > 0) {
        puts("{\"ev\":\"error\",\"why\":\"bad command\"}");
    } else if (op == 0) {
        sink.other[FRONT][client] = (uint16_t)peer;
        sink.other[RELAY][peer] = (uint16_t)client;
        puts("{\"ev\":\"ok\"}");
    } else {
        print_stats();
    }
    fflush(stdout);
    cJSON_Delete(o);
}

static int run(void)
{
    struct pollfd fds[3] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = sink.fd[FRONT], .events = POLLIN},
                            {.fd = sink.fd[RELAY], .events = POLLIN}};
    int err = OK;
    while (err == OK || err == ERR_TOO_LARGE) {
        int n = poll(fds, 3, -1);
        if (n < 0 && errno != EINTR)
            return ERR_IO;
        for (int side = FRONT; n > 0 && side < SIDES; side++)
            if (fds[1 + side].revents)
                serve((enum side)side);
        if (n > 0 && fds[0].revents)
            err = line_reader_read(&sink.lines, STDIN_FILENO, on_line, NULL);
    }
    return err;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"--mode", "--port", NULL};
    int64_t port;
    if (args_check(argc, argv, names) != OK ||
        args_int(&port, argc, argv, "--port", 0, 0, PORTS - 1) != OK)
        return 2;
    const char *mode = args_text(argc, argv, "--mode", "drop");
    sink.forward = strcmp(mode, "forward") == 0;
    if (!sink.forward && strcmp(mode, "drop") != 0) {
        fprintf(stderr, "%s: --mode drop|forward\n", argv[0]);
        return 2;
    }
    if (open_side(FRONT, (int)port) != OK || open_side(RELAY, 0) != OK) {
        perror(argv[0]);
        return 1;
    }
    printf("{\"ev\":\"ready\",\"port\":%d,\"relay\":%d}\n", sink.port[FRONT], sink.port[RELAY]);
    fflush(stdout);
    return run() == ERR_CLOSED ? 0 : 1;
}
