#include "sfu/shell/debug_admin.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "sfu/core/room.h"
#include "sfu/shell/capture.h"
#include "sfu/shell/debug_json.h"
#include "sfu/shell/sfu_metrics.h"

#define MAX_QUESTIONS   8
#define PATIENCE_US     3000000
#define DEFAULT_SECONDS 10
#define DEFAULT_BYTES   (64 << 20)
#define MAX_BODY        1024

/* One request that waits for workers. */
struct question {
    int64_t ticket, due_us;
    struct http_request *request;
    struct id room; /* "": all of them */
    size_t awaited, n_parts;
    struct {
        size_t worker;
        struct worker_data *data;
    } part[PLACEMENT_MAX_WORKERS];
    struct question *prev, *next;
};

struct debug_admin {
    struct debug_options o;
    struct question *questions;
    size_t n_questions;
    int64_t last_ticket;
    struct capture *capture; /* at most one at a time */
};

struct debug_admin *debug_admin_new(const struct debug_options *o)
{
    struct debug_admin *a = calloc(1, sizeof *a);
    if (a) {
        a->o = *o;
    }
    return a;
}

/* ---- answers ---- */

static void question_free(struct debug_admin *a, struct question *q)
{
    DL_DELETE(a->questions, q);
    a->n_questions--;
    for (size_t i = 0; i < q->n_parts; i++) {
        free(q->part[i].data);
    }
    free(q);
}

static void answer_rooms(struct question *q)
{
    cJSON *o = json_new(), *list = cJSON_CreateArray();
    bool whole = true;
    for (size_t i = 0; i < q->n_parts; i++) {
        const struct rooms_dump *d = (const struct rooms_dump *)(const void *)q->part[i].data;
        whole = debug_json_rooms(list, q->part[i].worker, d) && whole;
    }
    json_put(o, "rooms", list);
    json_put_bool(o, "truncated", !whole);
    http_reply(q->request, 200, o);
}

/* Past the bound of slots a worker's part is left for another question. */
static cJSON *part_json(const struct debug_admin *a, size_t worker, const struct room_dump *d,
                        size_t *slots)
{
    *slots += d->n_slots;
    if (*slots <= DEBUG_MAX_SLOTS) {
        return debug_json_room(worker, d, a->o.full_addresses);
    }
    struct room_dump none = {.total = d->total, .from = d->from, .next = d->from};
    return debug_json_room(worker, &none, false);
}

static void answer_room(const struct debug_admin *a, struct question *q)
{
    cJSON *o = json_new(), *list = cJSON_CreateArray();
    size_t slots = 0;
    for (size_t i = 0; i < q->n_parts; i++) {
        const struct room_dump *d = (const struct room_dump *)(const void *)q->part[i].data;
        if (d->found) {
            cJSON_AddItemToArray(list, part_json(a, q->part[i].worker, d, &slots));
        }
    }
    if (cJSON_GetArraySize(list) == 0) {
        cJSON_Delete(o);
        cJSON_Delete(list);
        http_problem(q->request, 404, "not_found", "No such room here");
        return;
    }
    json_put_str(o, "room", q->room.s);
    json_put(o, "parts", list);
    http_reply(q->request, 200, o);
}

static void answer(struct debug_admin *a, struct question *q)
{
    if (q->room.s[0]) {
        answer_room(a, q);
    } else {
        answer_rooms(q);
    }
    question_free(a, q);
}

void debug_admin_take(struct debug_admin *a, size_t worker, struct worker_data *data)
{
    /* ticket is in the same place in both */
    int64_t ticket = ((const struct room_dump *)(const void *)data)->ticket;
    struct question *q;
    DL_FOREACH(a->questions, q)
    {
        if (q->ticket == ticket) {
            break;
        }
    }
    if (!q || q->n_parts >= PLACEMENT_MAX_WORKERS) {
        free(data);
        return;
    }
    q->part[q->n_parts].worker = worker;
    q->part[q->n_parts++].data = data;
    if (--q->awaited == 0) {
        answer(a, q);
    }
}

/* ---- questions ---- */

static bool admitted(const struct debug_admin *a, struct http_request *r)
{
    if (!a->o.has_key) {
        http_problem(r, 403, "forbidden", "No internal key is configured");
    }
    return a->o.has_key;
}

static bool read_number(struct http_request *r, const char *name, int64_t most, int64_t *out)
{
    const char *text = http_query(r, name);
    char *end;
    if (!text) {
        return true;
    }
    long long v = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || v > most) {
        http_problem(r, 400, "invalid_request", "from and worker are numbers");
        return false;
    }
    *out = v;
    return true;
}

static void ask(struct debug_admin *a, struct http_request *r, const struct id *room, int64_t from,
                int64_t worker)
{
    struct question *q = a->n_questions < MAX_QUESTIONS ? calloc(1, sizeof *q) : NULL;
    if (!q) {
        http_problem_err(r, ERR_UNAVAILABLE);
        return;
    }
    q->ticket = ++a->last_ticket;
    q->due_us = clock_mono_us() + PATIENCE_US;
    q->request = r;
    q->room = *room;
    DL_APPEND(a->questions, q);
    a->n_questions++;
    for (size_t i = 0; i < worker_set_count(a->o.workers); i++) {
        if ((worker < 0 || (size_t)worker == i) &&
            worker_ask_dump(worker_set_at(a->o.workers, i), q->ticket, room, (size_t)from) == OK) {
            q->awaited++;
        }
    }
    if (q->awaited == 0) {
        answer(a, q);
    }
}

static void on_rooms(struct http_request *r, void *arg)
{
    struct debug_admin *a = arg;
    if (admitted(a, r)) {
        ask(a, r, &(struct id){{0}}, 0, -1);
    }
}

static bool read_room(struct http_request *r, struct id *room)
{
    if (id_parse(room, http_path_arg(r, "id")) == OK) {
        return true;
    }
    http_problem(r, 404, "not_found", "A room is a call's UUID");
    return false;
}

static void on_room(struct http_request *r, void *arg)
{
    struct debug_admin *a = arg;
    struct id room;
    int64_t from = 0, worker = -1;
    if (admitted(a, r) && read_room(r, &room) &&
        read_number(r, "from", ROOM_MAX_PARTICIPANTS, &from) &&
        read_number(r, "worker", PLACEMENT_MAX_WORKERS, &worker)) {
        ask(a, r, &room, from, worker);
    }
}

/* ---- captures ---- */

static void end_capture(struct debug_admin *a)
{
    struct capture_counts n;
    capture_finish(a->capture); /* which may write some more */
    capture_counts(a->capture, &n);
    LOG_W("capture_ended", "room=%s file=%s packets=%llu bytes=%llu dropped=%llu",
          capture_room(a->capture)->s, log_quote(capture_path(a->capture)),
          (unsigned long long)n.packets, (unsigned long long)n.bytes,
          (unsigned long long)n.dropped);
    sfu_count(SFU_CAPTURED_PACKETS, (int64_t)n.packets);
    sfu_count(SFU_CAPTURE_DROPPED, (int64_t)n.dropped);
    capture_free(a->capture);
    a->capture = NULL;
}

/* Workers that can't be told, because their ring is full, are left out. */
static void hand_out_taps(struct debug_admin *a)
{
    for (size_t i = 0; i < worker_set_count(a->o.workers); i++) {
        if (worker_capture(worker_set_at(a->o.workers, i), capture_tap_at(a->capture, i)) != OK) {
            LOG_W("capture_incomplete", "worker=%zu", i);
        }
    }
}

/* Media of people is written to the disk: whoever reads the log is to know. */
static void log_capture(const struct capture_options *o, const struct debug_admin *a,
                        const struct http_request *r)
{
    LOG_W("capture_started", "room=%s seconds=%lld max_bytes=%lld file=%s by=%s", o->room.s,
          (long long)o->seconds, (long long)o->max_bytes, log_quote(capture_path(a->capture)),
          http_address(r));
}

static void start_capture(struct debug_admin *a, struct http_request *r,
                          const struct capture_options *o)
{
    int err = capture_start(&a->capture, o, clock_wall_us());
    if (err) {
        LOG_E("capture_failed", "dir=%s error=%s", log_quote(o->dir), err_name(err));
        http_problem(r, 500, "internal_error", "The file could not be made");
        return;
    }
    hand_out_taps(a);
    log_capture(o, a, r);
    cJSON *body = json_new();
    json_put_str(body, "file", capture_path(a->capture));
    json_put_int(body, "seconds", o->seconds);
    json_put_int(body, "maxBytes", o->max_bytes);
    http_reply(r, 202, body);
}

static bool may_capture(struct debug_admin *a, struct http_request *r, const struct id *room)
{
    if (a->capture && capture_done(a->capture)) {
        end_capture(a);
    }
    if (!a->o.capture_dir[0]) {
        http_problem(r, 403, "forbidden", "[sfu] capture_dir isn't set");
    } else if (placement_home(worker_set_placement(a->o.workers), room) == PLACEMENT_NOWHERE) {
        http_problem(r, 404, "not_found", "No such room here");
    } else if (a->capture) {
        http_problem(r, 409, "conflict", "Another capture is under way");
    } else {
        return true;
    }
    return false;
}

static void on_capture(struct http_request *r, void *arg)
{
    struct debug_admin *a = arg;
    struct json_errors e = {0};
    struct capture_options o = {.dir = a->o.capture_dir, .n_taps = worker_set_count(a->o.workers)};
    if (!admitted(a, r) || !read_room(r, &o.room)) {
        return;
    }
    o.seconds = json_int(http_body(r), "seconds", JSON_OPTIONAL, 1, CAPTURE_MAX_SECONDS,
                         DEFAULT_SECONDS, &e);
    o.max_bytes = json_int(http_body(r), "maxBytes", JSON_OPTIONAL, CAPTURE_MIN_BYTES,
                           CAPTURE_MAX_BYTES, DEFAULT_BYTES, &e);
    if (e.n > 0) {
        http_problem_fields(r, &e);
    } else if (may_capture(a, r, &o.room)) {
        start_capture(a, r, &o);
    }
}

static void on_capture_end(struct http_request *r, void *arg)
{
    struct debug_admin *a = arg;
    struct id room;
    if (!admitted(a, r) || !read_room(r, &room)) {
        return;
    }
    if (!a->capture || !id_equal(capture_room(a->capture), &room)) {
        http_problem(r, 404, "not_found", "No capture of that room is under way");
        return;
    }
    end_capture(a);
    http_reply(r, 204, NULL);
}

/* ---- life ---- */

void debug_admin_routes(struct debug_admin *a, struct http_server *s)
{
    static const struct http_route routes[] = {
        {.method = HTTP_GET, .path = "/debug/rooms", .handler = on_rooms, .flags = HTTP_INTERNAL},
        {.method = HTTP_GET,
         .path = "/debug/rooms/{id}",
         .handler = on_room,
         .flags = HTTP_INTERNAL},
        {.method = HTTP_POST,
         .path = "/debug/rooms/{id}/capture",
         .handler = on_capture,
         .flags = HTTP_INTERNAL | HTTP_OPTIONAL_BODY,
         .max_body = MAX_BODY},
        {.method = HTTP_DELETE,
         .path = "/debug/rooms/{id}/capture",
         .handler = on_capture_end,
         .flags = HTTP_INTERNAL | HTTP_OPTIONAL_BODY},
        {.path = NULL},
    };
    http_add_routes(s, routes, a);
}

void debug_admin_tick(struct debug_admin *a, int64_t now_us)
{
    struct question *q, *tmp;
    DL_FOREACH_SAFE(a->questions, q, tmp)
    {
        if (now_us >= q->due_us) {
            http_problem_err(q->request, ERR_TIMEOUT);
            question_free(a, q);
        }
    }
    if (a->capture && capture_done(a->capture)) {
        end_capture(a);
    }
}

void debug_admin_free(struct debug_admin *a)
{
    if (!a) {
        return;
    }
    while (a->questions) {
        http_problem_err(a->questions->request, ERR_UNAVAILABLE);
        question_free(a, a->questions);
    }
    if (a->capture) {
        end_capture(a);
    }
    free(a);
}
