/* Writes that nobody waits for: participants' states, modes, ends. They go out in the order in
 * which they were decided (one lane); while PostgreSQL is away they wait in memory, in that order,
 * and are tried again until it has taken them. Each is a compare-and-set, so twice does no harm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/log.h"
#include "signaling/shell/call_shell.h"

#define BACKOFF_MIN_US 200000
#define BACKOFF_MAX_US 2000000
#define MAX_REFUSED    5 /* an SQL error that stays is a bug of ours: logged, and dropped */

static void write_free(struct call_write *w)
{
    for (int i = 0; i < w->n; i++) {
        free(w->params[i]);
    }
    free(w);
}

static bool may_retry(struct call_write *w, int err)
{
    w->refused += err == ERR_IO || err == ERR_CONFLICT;
    return err == ERR_UNAVAILABLE || err == ERR_TIMEOUT || err == ERR_LIMIT ||
           ((err == ERR_IO || err == ERR_CONFLICT) && w->refused < MAX_REFUSED);
}

static int by_order(const struct call_write *a, const struct call_write *b)
{
    return a->order < b->order ? -1 : a->order > b->order;
}

/* The end is known: its users are told from their inboxes. */
static void end_written(struct call_write *w, const struct pg_result *res)
{
    struct calls *s = w->s;
    struct call_entry *en = call_entry_find(s, w->call_id.s);
    const char *text = pg_rows(res) > 0 ? pg_text(res, 0, 0) : NULL;
    cJSON *data = text != NULL ? cJSON_Parse(text) : NULL;
    const cJSON *user;
    cJSON_ArrayForEach(user, cJSON_GetObjectItemCaseSensitive(data, "users"))
    {
        if (cJSON_IsString(user)) {
            hub_announce(s->o.hub, user->valuestring);
        }
    }
    cJSON_Delete(data);
    if (en != NULL) {
        en->end_written = true;
        call_entry_schedule(en);
    }
}

static void retry_later(struct calls *s)
{
    if (s->write_backoff_us == 0) {
        s->write_backoff_us = BACKOFF_MIN_US;
    } else if (s->write_backoff_us < BACKOFF_MAX_US) {
        s->write_backoff_us *= 2;
    }
    loop_timer_start(s->write_timer, s->write_backoff_us, 0);
}

static void put_back(struct call_write *w)
{
    struct calls *s = w->s;
    if (s->n_waiting >= CALL_MAX_UNWRITTEN) {
        LOG_E("call_write_dropped", "call=%s name=%s", w->call_id.s, w->name);
        write_free(w);
        return;
    }
    DL_INSERT_INORDER(s->waiting, w, by_order);
    s->n_waiting++;
    call_metrics_unwritten(s->n_waiting);
    if (s->n_waiting == 1) {
        retry_later(s);
    }
}

static void on_written(void *arg, int err, const struct pg_result *res)
{
    struct call_write *w = arg;
    struct calls *s = w->s;
    if (!calls_unref(s)) {
        write_free(w);
        return;
    }
    s->n_flying--;
    if (err == OK) {
        s->write_backoff_us = 0;
        if (w->end) {
            end_written(w, res);
        } else if (w->user_id.s[0] != '\0') {
            hub_announce(s->o.hub, w->user_id.s);
        }
    } else if (may_retry(w, err)) {
        struct call_entry *en = w->end ? call_entry_find(s, w->call_id.s) : NULL;
        if (en != NULL) {
            call_tell_end(en);
        }
        put_back(w);
        return;
    } else if (err != ERR_CLOSED) {
        LOG_W("call_write_refused", "call=%s name=%s err=%s", w->call_id.s, w->name, err_name(err));
    }
    write_free(w);
}

static void send_write(struct call_write *w)
{
    struct calls *s = w->s;
    calls_ref(s);
    s->n_flying++;
    int err = pg_query(s->o.pg, w->name, w->sql, w->n, (const char *const *)w->params, CALL_LANE,
                       on_written, w);
    if (err != OK) {
        s->n_flying--;
        calls_unref(s);
        put_back(w);
    }
}

/* All that wait go out again together; those that fail come back. */
static void send_waiting(struct calls *s)
{
    struct call_write *list = s->waiting, *w, *next;
    s->waiting = NULL;
    s->n_waiting = 0;
    call_metrics_unwritten(0);
    for (w = list; w != NULL; w = next) {
        next = w->next;
        send_write(w);
    }
}

static void on_retry(void *arg)
{
    struct calls *s = arg;
    if (pg_ready(s->o.pg)) {
        send_waiting(s);
    } else {
        retry_later(s);
    }
}

bool call_writes_first(struct calls *s)
{
    if (s->n_waiting > 0 && pg_ready(s->o.pg)) {
        send_waiting(s);
    }
    return s->n_waiting == 0;
}

static struct call_write *write_new(struct calls *s, const struct id *call_id, const char *name,
                                    const char *sql, int n, const char *const *params)
{
    struct call_write *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        abort();
    }
    if (s->write_timer == NULL) {
        s->write_timer = loop_timer_new(s->o.loop, on_retry, s);
    }
    w->s = s;
    w->name = name;
    w->sql = sql;
    w->n = n;
    w->call_id = *call_id;
    w->order = ++s->write_order;
    for (int i = 0; i < n; i++) {
        w->params[i] = params[i] != NULL ? strdup(params[i]) : NULL;
    }
    return w;
}

void call_write(struct call_entry *en, const char *name, const char *sql, int n,
                const char *const *params, const struct id *user, bool end)
{
    struct calls *s = en->s;
    struct call_write *w = write_new(s, &en->call->id, name, sql, n, params);
    w->end = end;
    if (user != NULL) {
        w->user_id = *user;
    }
    if (s->n_waiting > 0 || !pg_ready(s->o.pg)) {
        if (end) {
            call_tell_end(en);
        }
        put_back(w);
    } else {
        send_write(w);
    }
}

void call_write_stray_end(struct calls *s, const struct id *call_id)
{
    struct call_write *w;
    DL_FOREACH(s->waiting, w)
    {
        if (w->end && id_equal(&w->call_id, call_id)) {
            return;
        }
    }
    char at[24];
    snprintf(at, sizeof(at), "%lld", (long long)clock_wall_us());
    const char *params[] = {call_id->s, call_reason_name(CALL_FAILED), NULL, NULL, at};
    LOG_W("call_stray", "call=%s", call_id->s);
    w = write_new(s, call_id, "call_end", "SELECT call_end($1,$2,$3,$4,$5)", 5, params);
    w->end = true;
    if (s->n_waiting > 0 || !pg_ready(s->o.pg)) {
        put_back(w);
    } else {
        send_write(w);
    }
}

void call_writes_free(struct calls *s)
{
    struct call_write *w, *next;
    DL_FOREACH_SAFE(s->waiting, w, next)
    {
        write_free(w);
    }
    s->waiting = NULL;
    s->n_waiting = 0;
    if (s->write_timer != NULL) {
        loop_timer_free(s->write_timer);
    }
}
