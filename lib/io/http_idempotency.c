/* Idempotency-Key: the first answer to a key is kept for a day in PostgreSQL (schema/020) and given
 * again to whoever repeats the request; the key belongs to the user, or before there is one to the
 * address. The answer is stored before it is sent. Where the database can't say, the request is
 * refused (503): doing it twice would be worse. */
#include "lib/io/http_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

static void scope_of(const struct http_request *r, char *out, size_t cap)
{
    if (r->has_who)
        snprintf(out, cap, "user:%s", r->who.user_id.s);
    else
        snprintf(out, cap, "address:%s", r->address);
}

static bool key_is_sane(const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < n; i++)
        if (key[i] < 0x21 || key[i] > 0x7e)
            return false;
    return n > 0;
}

/* SHA-256 over method, path and body, in bytea's text form. */
static int fingerprint(const struct http_request *r, char out[2 * SHA256_LEN + 3])
{
    struct buf b;
    uint8_t digest[SHA256_LEN];
    buf_init(&b, r->body.len + HTTP_MAX_PATH + 64);
    int rc = buf_printf(&b, "%s %s\n", http_method_name(r->method), r->path);
    if (rc == OK && r->body.len)
        rc = buf_append(&b, r->body.data, r->body.len);
    if (rc == OK) {
        sha256(digest, b.data, b.len);
        out[0] = '\\';
        out[1] = 'x';
        hex_encode(out + 2, digest, sizeof(digest));
    }
    buf_free(&b);
    return rc;
}

/* ---- the head of an answer: "name: value" lines ---- */

static const char type_name[] = "content-type";
static const char limit_lines[] = "ratelimit-";

/* What is to be kept of the head: the type and what the handler set. */
static int head_of(const struct http_request *r, struct buf *out)
{
    const char *p = (const char *)r->extra.data, *end = p + r->extra.len;
    int rc = r->content_type ? buf_printf(out, "%s: %s\n", type_name, r->content_type) : OK;
    while (rc == OK && p && p < end) {
        const char *value = p + strlen(p) + 1;
        if (strncmp(p, limit_lines, sizeof(limit_lines) - 1) != 0)
            rc = buf_printf(out, "%s %s\n", p, value);
        p = value + strlen(value) + 1;
    }
    return rc;
}

static void replay_line(struct http_request *r, char *line)
{
    char *value = strstr(line, ": ");
    if (!value)
        return;
    *value = 0;
    value += 2;
    if (strcmp(line, type_name) == 0)
        (void)str_copy(r->kept_type, sizeof(r->kept_type), value);
    else
        (void)http_set_header(r, line, value);
}

static void replay_head(struct http_request *r, const char *head)
{
    char *copy = head ? strdup(head) : NULL, *rest = copy, *line;
    while (rest && (line = strsep(&rest, "\n")) != NULL)
        replay_line(r, line);
    free(copy);
}

static void replay(struct http_request *r, int status, const char *body, const char *head)
{
    char *copy = body ? strdup(body) : NULL;
    (void)http_set_header(r, "idempotency-replayed", "true");
    replay_head(r, head);
    http_answer(r, status, r->kept_type[0] ? r->kept_type : NULL, copy, copy ? strlen(copy) : 0);
}

static void on_begun(void *arg, int err, const struct pg_result *res)
{
    struct http_request *r = arg;
    if (err != OK) {
        http_problem_err(r, err);
        return;
    }
    const char *outcome = pg_rows(res) > 0 ? pg_text(res, 0, 0) : NULL;
    if (!outcome) {
        http_problem_err(r, ERR_IO);
    } else if (strcmp(outcome, "new") == 0) {
        r->idem_held = true;
        http_request_run(r);
    } else if (strcmp(outcome, "replay") == 0) {
        replay(r, (int)pg_int(res, 0, 1), pg_text(res, 0, 2), pg_text(res, 0, 3));
    } else if (strcmp(outcome, "reused") == 0) {
        http_problem(r, 422, "idempotency_key_reused",
                     "The Idempotency-Key was used for another request");
    } else {
        (void)http_set_header(r, "retry-after", "1");
        http_problem(r, 409, "idempotency_in_flight", "The first request is still being worked on");
    }
}

bool http_idempotency_begin(struct http_request *r)
{
    const char *key = r->header[HTTP_H_IDEMPOTENCY_KEY];
    if (!(r->match.route->flags & HTTP_IDEMPOTENT) || !key || !r->server->o.pg)
        return false;
    if (!key_is_sane(key)) {
        http_problem(r, 400, "invalid_request",
                     "Idempotency-Key must be 1 to 255 visible characters");
        return true;
    }
    char scope[128], print[2 * SHA256_LEN + 3];
    scope_of(r, scope, sizeof(scope));
    int rc = fingerprint(r, print);
    const char *params[] = {scope, key, print};
    if (rc == OK)
        rc = pg_query(r->server->o.pg, "idempotency_begin",
                      "select outcome, status, body, head from idempotency_begin($1, $2, $3)", 3,
                      params, scope, on_begun, r);
    if (rc != OK)
        http_problem_err(r, rc);
    return true;
}

static void on_finished(void *arg, int err, const struct pg_result *res)
{
    struct http_request *r = arg;
    (void)res;
    if (err != OK)
        LOG_W("idempotency_not_stored", "rid=%s err=%s", r->request_id, err_name(err));
    http_answer_send(r);
}

/* An answer that may come out otherwise next time isn't kept. */
static bool worth_keeping(int status)
{
    return status < 500 && status != 401 && status != 408 && status != 429;
}

void http_idempotency_finish(struct http_request *r)
{
    char scope[128], status[16];
    scope_of(r, scope, sizeof(scope));
    snprintf(status, sizeof(status), "%d", r->status);
    struct buf body, head;
    buf_init(&body, HTTP_MAX_RESPONSE + 1);
    buf_init(&head, 2 * HTTP_EXTRA_HEADERS);
    int rc = r->out_len ? buf_append(&body, r->out, r->out_len) : OK;
    rc = rc == OK ? head_of(r, &head) : rc;
    const char *params[] = {scope, r->header[HTTP_H_IDEMPOTENCY_KEY], status,
                            r->out_len ? buf_cstr(&body) : NULL, buf_cstr(&head)};
    if (rc == OK && worth_keeping(r->status))
        rc = pg_query(r->server->o.pg, "idempotency_finish",
                      "select idempotency_finish($1, $2, $3, $4, $5)", 5, params, scope,
                      on_finished, r);
    else if (rc == OK)
        rc = pg_query(r->server->o.pg, "idempotency_abort", "select idempotency_abort($1, $2)", 2,
                      params, scope, on_finished, r);
    buf_free(&body);
    buf_free(&head);
    if (rc != OK) {
        LOG_W("idempotency_not_stored", "rid=%s err=%s", r->request_id, err_name(rc));
        http_answer_send(r);
    }
}

/* ---- purging ---- */

enum { FIRST_SWEEP_US = 60 * 1000000 };
static const int64_t sweep_every_us = INT64_C(3600) * 1000000;

static void on_swept(void *arg, int err, const struct pg_result *res)
{
    (void)arg;
    (void)res;
    if (err != OK)
        LOG_W("idempotency_sweep_failed", "err=%s", err_name(err));
}

static void sweep(void *arg)
{
    struct http_server *s = arg;
    (void)pg_query(s->o.pg, "idempotency_sweep", "select idempotency_sweep()", 0, NULL, NULL,
                   on_swept, NULL);
}

int http_idempotency_start(struct http_server *s)
{
    if (!s->o.pg)
        return OK;
    s->sweep = loop_timer_new(s->loop, sweep, s);
    if (!s->sweep)
        return ERR_NOMEM;
    loop_timer_start(s->sweep, FIRST_SWEEP_US, sweep_every_us);
    return OK;
}
