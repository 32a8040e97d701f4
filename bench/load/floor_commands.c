#include "bench/load/floor_commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "bench/client/line_reader.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

#define STREAMS_MAX 4096
#define KEY_MAX     (32 + 14)

struct commands {
    struct floor_forward *forward;
    struct floor_net *net;
    struct line_reader lines;
};

int commands_new(struct commands **out, struct floor_forward *f, struct floor_net *n)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return ERR_NOMEM;
    (*out)->forward = f;
    (*out)->net = n;
    return OK;
}

void commands_free(struct commands *c)
{
    if (c)
        OPENSSL_cleanse(c, sizeof(*c));
    free(c);
}

static int key_of(uint8_t key[KEY_MAX], size_t *len, const char *hex)
{
    size_t n = strlen(hex);
    if (n == 0 || n % 2 || n > (size_t)2 * KEY_MAX || strspn(hex, "0123456789abcdefABCDEF") != n)
        return ERR_INVALID;
    for (size_t i = 0; i < n / 2; i++) {
        const char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        key[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    *len = n / 2;
    return OK;
}

static int add_streams(struct commands *c, const char *id, const cJSON *o, struct json_errors *e)
{
    const cJSON *item, *streams = json_arr(o, "streams", JSON_OPTIONAL, STREAMS_MAX, e);
    int err = OK;
    cJSON_ArrayForEach(item, streams)
    {
        int64_t ssrc = json_int(item, "ssrc", JSON_REQUIRED, 0, UINT32_MAX, 0, e);
        bool frames = json_bool(item, "frames", JSON_OPTIONAL, false, e);
        if (err == OK && e->n == 0)
            err = floor_forward_stream(c->forward, id, (uint32_t)ssrc, frames);
    }
    return err;
}

static int add_legs(struct commands *c, const char *id, const cJSON *o, struct json_errors *e)
{
    const cJSON *item, *streams = json_arr(o, "streams", JSON_OPTIONAL, STREAMS_MAX, e);
    int err = OK;
    cJSON_ArrayForEach(item, streams)
    {
        const char *from = json_str(item, "from", JSON_REQUIRED, 1, FLOOR_ID_MAX, e);
        int64_t ssrc = json_int(item, "ssrc", JSON_REQUIRED, 0, UINT32_MAX, 0, e);
        int64_t as = json_int(item, "as", JSON_REQUIRED, 0, UINT32_MAX, 0, e);
        if (err == OK && e->n == 0)
            err = floor_forward_leg(c->forward, id, from, (uint32_t)ssrc, (uint32_t)as);
    }
    return err;
}

enum op { PUBLISHER, SUBSCRIBER, LEGS, PORT, LEAVE, STATS };
static const char *const ops[] = {"publisher", "subscriber", "legs", "port",
                                  "leave",     "stats",      NULL};

static int add_peer(struct commands *c, enum op op, const char *id, const cJSON *o,
                    struct json_errors *e)
{
    uint8_t key[KEY_MAX];
    size_t len = 0;
    const char *hex = json_str(o, "key", JSON_REQUIRED, 2, (size_t)2 * KEY_MAX, e);
    int err = e->n == 0 ? key_of(key, &len, hex) : ERR_INVALID;
    if (err == OK && op == PUBLISHER)
        err = floor_forward_publisher(c->forward, id, key, len);
    else if (err == OK)
        err = floor_forward_subscriber(c->forward, id, key, len);
    OPENSSL_cleanse(key, sizeof(key));
    if (err != OK)
        return err;
    return op == PUBLISHER ? add_streams(c, id, o, e) : add_legs(c, id, o, e);
}

static void print_stats(const struct commands *c)
{
    struct floor_forward_stats f;
    struct floor_net_stats n;
    struct timespec t;
    floor_forward_stats(c->forward, &f);
    floor_net_stats(c->net, &n);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    printf("{\"ev\":\"stats\",\"cpu_s\":%.6f,\"in\":%" PRIu64 ",\"out\":%" PRIu64
           ",\"trains\":%" PRIu64 ",\"padded_bytes\":%" PRIu64 ",\"bad\":%" PRIu64
           ",\"ignored\":%" PRIu64 ",\"recv_calls\":%" PRIu64 ",\"send_calls\":%" PRIu64
           ",\"messages\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"segmented\":%s}\n",
           (double)t.tv_sec + (double)t.tv_nsec / 1e9, f.in, f.out, f.frames, f.padded, f.bad,
           f.ignored, n.recv_calls, n.send_calls, n.messages, n.refused,
           floor_net_fell_back(c->net) ? "false" : "true");
}

static int carry_out(struct commands *c, enum op op, const char *id, const cJSON *o,
                     struct json_errors *e)
{
    if (op == LEAVE)
        return floor_forward_leave(c->forward, id);
    if (op == LEGS)
        return add_legs(c, id, o, e);
    if (op == PORT) {
        int64_t port = json_int(o, "port", JSON_REQUIRED, 0, 65535, 0, e);
        return e->n > 0 ? ERR_INVALID : floor_forward_port(c->forward, id, (uint16_t)port);
    }
    return add_peer(c, op, id, o, e);
}

static void on_line(void *arg, const char *line, size_t len)
{
    struct commands *c = arg;
    cJSON *o = NULL;
    struct json_errors e = {0};
    int err = json_parse(&o, line, len);
    int op = err == OK ? json_enum(o, "op", JSON_REQUIRED, ops, &e) : -1;
    const char *id = NULL;
    if (op >= 0 && op != STATS)
        id = json_str(o, "id", JSON_REQUIRED, 1, FLOOR_ID_MAX, &e);
    if (err == OK && e.n == 0 && op != STATS)
        err = carry_out(c, (enum op)op, id, o, &e);
    /* What is echoed came in as JSON and is no longer than an id; err_name is a word. */
    cJSON *answer = json_new();
    bool bad = err != OK || e.n > 0;
    json_put_str(answer, "ev", bad ? "error" : "ok");
    json_put_str(answer, "op", op >= 0 ? ops[op] : NULL);
    json_put_str(answer, "id", id);
    if (bad)
        json_put_str(answer, "why", e.n > 0 ? e.item[0].field : err_name(err));
    char *text = json_print(answer);
    if (op == STATS && !bad)
        print_stats(c);
    else
        puts(text ? text : "{\"ev\":\"error\",\"why\":\"nomem\"}");
    fflush(stdout);
    free(text);
    cJSON_Delete(answer);
    cJSON_Delete(o);
}

int commands_read(struct commands *c, int fd)
{
    int err = line_reader_read(&c->lines, fd, on_line, c);
    if (err != ERR_TOO_LARGE)
        return err;
    puts("{\"ev\":\"error\",\"why\":\"line too long\"}");
    fflush(stdout);
    return OK;
}
