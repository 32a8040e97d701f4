#include "bench/load/turn_commands.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/base/json.h"

#define OPEN_US      (20 * INT64_C(1000000))
#define AT_ONCE      32 /* allocations that are asked for together */
#define TURN_STEP_US 2000
#define ACCOUNTS_MAX 256
#define JSON_MAX     8192

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

static void complain(const char *why)
{
    cJSON *o = json_new();
    json_put_str(o, "ev", "error");
    json_put_str(o, "why", why);
    char *text = json_print(o);
    say(text ? text : "{\"ev\":\"error\"}");
    free(text);
    cJSON_Delete(o);
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* "127.0.0.1:3478" */
static void read_address(struct sockaddr_in *out, const cJSON *o, const char *field,
                         struct json_errors *e)
{
    char host[INET_ADDRSTRLEN], *end = NULL;
    const char *text = json_str(o, field, JSON_REQUIRED, 1, 64, e);
    const char *colon = text ? strrchr(text, ':') : NULL;
    memset(out, 0, sizeof(*out));
    out->sin_family = AF_INET;
    if (colon && (size_t)(colon - text) < sizeof(host)) {
        memcpy(host, text, (size_t)(colon - text));
        host[colon - text] = '\0';
        long port = strtol(colon + 1, &end, 10);
        out->sin_port = htons((uint16_t)port);
        if (!*end && port > 0 && port < 65536 && inet_pton(AF_INET, host, &out->sin_addr) == 1)
            return;
    }
    json_error(e, field, "must be an IPv4 address and a port");
}

static int open_pairs(struct turn_load *t, const cJSON *o, struct json_errors *e)
{
    struct sockaddr_in server;
    read_address(&server, o, "server", e);
    int64_t n = json_int(o, "pairs", JSON_REQUIRED, 1, STREAMS_MAX, 0, e);
    if (e->n > 0)
        return ERR_INVALID;
    streams_close(&t->streams);
    int err = streams_open(&t->streams, &server, (size_t)n, STDIN_FILENO);
    if (err != OK) { /* back to none, so that the loop goes on */
        streams_close(&t->streams);
        streams_open(&t->streams, &server, 0, STDIN_FILENO);
    }
    return err;
}

/* ---- allocations ---- */
static int make_client(struct turn_load *t, size_t i, const cJSON *accounts, struct json_errors *e)
{
    const cJSON *account = cJSON_GetArrayItem(accounts, (int)i % cJSON_GetArraySize(accounts));
    const char *username = json_str(account, "username", JSON_REQUIRED, 1, 500, e);
    const char *credential = json_str(account, "credential", JSON_REQUIRED, 1, 500, e);
    struct sockaddr_in peer = {.sin_family = AF_INET,
                               .sin_port = htons(t->streams.pairs[i].port[PEER_END])};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return e->n > 0 ? ERR_INVALID
                    : turn_client_new(&t->streams.pairs[i].turn, username, credential, &peer);
}

static bool is_settled(const struct pair *p)
{
    enum turn_state s = turn_client_state(p->turn);
    return s == TURN_READY || s == TURN_CLOSED || s == TURN_FAILED;
}

/* Runs the clients of pairs first..first+n until each has an end of what it is about. */
static bool settle(struct turn_load *t, size_t n, int64_t end_us)
{
    for (;;) {
        size_t settled = 0;
        bool command;
        int64_t now = clock_mono_us();
        streams_turn_poll(&t->streams, now);
        for (size_t i = 0; i < n; i++)
            settled += is_settled(&t->streams.pairs[i]);
        if (settled == n)
            return true;
        if (now > end_us || streams_receive(&t->streams, TURN_STEP_US, &command) != OK)
            return false;
    }
}

static void complain_of(struct turn_load *t, size_t n)
{
    char why[96] = "allocations took too long";
    for (size_t i = 0; i < n; i++) {
        const struct pair *p = &t->streams.pairs[i];
        if (p->turn && turn_client_state(p->turn) == TURN_FAILED) {
            snprintf(why, sizeof(why), "allocation %zu was refused: %d", i,
                     turn_client_error(p->turn));
            break;
        }
    }
    complain(why);
}

static bool all_ready(struct turn_load *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (turn_client_state(t->streams.pairs[i].turn) != TURN_READY ||
            streams_connect_peer(&t->streams, i, turn_client_relayed(t->streams.pairs[i].turn)) !=
                OK)
            return false;
    return true;
}

static void op_open(struct turn_load *t, const cJSON *o, struct json_errors *e)
{
    const cJSON *accounts = json_arr(o, "accounts", JSON_REQUIRED, ACCOUNTS_MAX, e);
    int64_t started = clock_mono_us();
    if (!accounts || cJSON_GetArraySize(accounts) == 0 || open_pairs(t, o, e) != OK) {
        complain(e->n > 0 ? e->item[0].field : "no accounts, or no sockets");
        return;
    }
    size_t made = 0, n = t->streams.n;
    int err = OK;
    while (made < n) {
        for (size_t i = 0; err == OK && i < AT_ONCE && made < n; i++)
            err = make_client(t, made++, accounts, e);
        if (err != OK || !settle(t, made, started + OPEN_US) || !all_ready(t, made)) {
            complain_of(t, made);
            return;
        }
    }
    printf("{\"ev\":\"open\",\"pairs\":%zu,\"ms\":%.1f}\n", n,
           (double)(clock_mono_us() - started) / 1e3);
    fflush(stdout);
}

static void op_plain(struct turn_load *t, const cJSON *o, struct json_errors *e)
{
    struct sockaddr_in relay;
    read_address(&relay, o, "relay", e);
    if (open_pairs(t, o, e) != OK) {
        complain(e->n > 0 ? e->item[0].field : "no sockets");
        return;
    }
    fputs("{\"ev\":\"open\",\"ports\":[", stdout);
    for (size_t i = 0; i < t->streams.n; i++) {
        const struct pair *p = &t->streams.pairs[i];
        streams_connect_peer(&t->streams, i, &relay);
        printf("%s[%d,%d]", i ? "," : "", p->port[CLIENT_END], p->port[PEER_END]);
    }
    say("]}");
}

static void op_close(struct turn_load *t)
{
    int64_t now = clock_mono_us();
    size_t n = 0; /* pairs with an allocation: none without TURN, the first when not all opened */
    t->streams.schedule.on = false;
    for (; n < t->streams.n && t->streams.pairs[n].turn; n++)
        turn_client_close(t->streams.pairs[n].turn, now);
    if (n > 0 && !settle(t, n, now + OPEN_US))
        complain("the server doesn't take all allocations back");
    else
        say("{\"ev\":\"closed\"}");
}

/* ---- measuring ---- */
static void op_send(struct turn_load *t, const cJSON *o, struct json_errors *e)
{
    int64_t rate = json_int(o, "packets_per_s", JSON_OPTIONAL, 1, 100000, 231, e);
    int64_t bytes = json_int(o, "bytes", JSON_OPTIONAL, 32, PACKET_MAX, 1000, e);
    int64_t burst = json_int(o, "burst", JSON_OPTIONAL, 1, STREAMS_BURST, 7, e);
    if (e->n > 0) {
        complain(e->item[0].field);
        return;
    }
    streams_send(&t->streams, (double)rate, (int)bytes, (int)burst, clock_mono_us());
    say("{\"ev\":\"sending\"}");
}

static void op_mark(struct turn_load *t)
{
    streams_mark(&t->streams, clock_mono_us());
    t->mark_cpu_s = cpu_s();
    say("{\"ev\":\"marked\"}");
}

static void op_stats(struct turn_load *t)
{
    char latency[JSON_MAX];
    uint64_t expected, lost;
    const struct streams *s = &t->streams;
    size_t ready = 0;
    for (size_t i = 0; i < s->n; i++)
        ready += !s->pairs[i].turn || turn_client_state(s->pairs[i].turn) == TURN_READY;
    streams_loss(s, &expected, &lost);
    if (histogram_json(&s->latency, latency, sizeof(latency)) < 0) {
        complain("the histogram is too large");
        return;
    }
    printf("{\"ev\":\"stats\",\"window_s\":%.6f,\"cpu_s\":%.6f,\"pairs\":%zu,\"ready\":%zu,"
           "\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"expected\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"bad\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"late_max_ms\":%.3f,\"latency\":%s}\n",
           (double)(clock_mono_us() - s->mark_us) / 1e6, cpu_s() - t->mark_cpu_s, s->n, ready,
           s->sent, s->received, s->bytes, expected, lost, s->bad, s->refused,
           (double)s->late_max_us / 1e3, latency);
    fflush(stdout);
}

void turn_on_line(void *arg, const char *line, size_t len)
{
    static const char *const ops[] = {"open", "plain", "send", "mark", "stats", "close", NULL};
    struct turn_load *t = arg;
    struct json_errors e = {0};
    cJSON *o = NULL;
    int op = json_parse(&o, line, len) == OK ? json_enum(o, "op", JSON_REQUIRED, ops, &e) : -1;
    if (op == 0)
        op_open(t, o, &e);
    else if (op == 1)
        op_plain(t, o, &e);
    else if (op == 2)
        op_send(t, o, &e);
    else if (op == 3)
        op_mark(t);
    else if (op == 4)
        op_stats(t);
    else if (op == 5)
        op_close(t);
    else
        complain("bad command");
    cJSON_Delete(o);
}
