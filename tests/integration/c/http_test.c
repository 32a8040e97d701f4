/* lib/io/http over real sockets: what comes in wrong, and what every answer carries. */
#include "tests/integration/c/server.h"

#include <libpq-fe.h>
#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/io/pg.h"

#define JSON "Content-Type: application/json\r\n"
#define ANN  "Authorization: Bearer good\r\n"

static char root[] = P_tmpdir "/sotto-http-test-XXXXXX";
static struct pg *database;
static int runs; /* of the counting handler; only the server's thread writes */

/* ---- handlers ---- */

static void echo(struct http_request *r, void *arg)
{
    (void)arg;
    cJSON *o = json_new();
    json_put_str(o, "id", http_path_arg(r, "id"));
    json_put_str(o, "q", http_query(r, "q"));
    json_put(o, "body", cJSON_Duplicate(http_body(r), 1));
    if (http_who(r))
        json_put_str(o, "login", http_who(r)->login);
    http_reply(r, 200, o);
}

static void count(struct http_request *r, void *arg)
{
    (void)arg;
    cJSON *o = json_new();
    json_put_int(o, "run", ++runs);
    assert_int_equal(http_set_header(r, "Location", "/v1/count/1"), OK);
    http_reply(r, 201, o);
}

/* Says more to those whom it knows. */
static void options(struct http_request *r, void *arg)
{
    (void)arg;
    assert_int_equal(http_set_header(r, "Link", http_who(r) ? "<x>" : "<>"), OK);
    http_reply_text(r, 200, "application/sdp", "v=0");
}

struct later {
    struct http_request *r;
    struct loop_timer *timer;
};

static void later_now(void *arg)
{
    struct later *x = arg;
    http_reply(x->r, 200, json_new());
    loop_timer_free(x->timer);
    free(x);
}

static void later(struct http_request *r, void *arg)
{
    struct later *x = calloc(1, sizeof(*x));
    (void)arg;
    x->r = r;
    x->timer = loop_timer_new(srv.l, later_now, x);
    loop_timer_start(x->timer, 100000, 0);
}

static struct http_request *_Atomic last_held;

static void hold(struct http_request *r, void *arg)
{
    (void)arg;
    last_held = r;
}

static void failing(struct http_request *r, void *arg)
{
    struct json_errors e = {0};
    (void)arg;
    if (json_int(http_body(r), "n", JSON_REQUIRED, 1, 10, 0, &e) && !e.n)
        http_problem_err(r, ERR_FORBIDDEN);
    else
        http_problem_fields(r, &e);
}

static int authenticate(void *arg, const char *token, struct http_principal *out)
{
    (void)arg;
    if (strcmp(token, "good") != 0)
        return ERR_AUTH;
    snprintf(out->login, sizeof(out->login), "ann");
    snprintf(out->user_id.s, sizeof(out->user_id.s), "0190a1b2-0000-7000-8000-000000000001");
    return OK;
}

static struct http_route routes[] = {
    {HTTP_GET, "/v1/things/{id}", echo, 0, 0, NULL},
    {HTTP_POST, "/v1/things/{id}", echo, 0, 1000, NULL},
    {HTTP_POST, "/v1/optional", echo, HTTP_OPTIONAL_BODY, 0, NULL},
    {HTTP_GET, "/v1/me", echo, HTTP_AUTH, 0, NULL},
    {HTTP_POST, "/v1/count", count, HTTP_AUTH | HTTP_IDEMPOTENT | HTTP_OPTIONAL_BODY, 0, NULL},
    {HTTP_OPTIONS, "/v1/count", options, HTTP_AUTH_OPTIONAL, 0, NULL},
    {HTTP_GET, "/v1/later", later, 0, 0, NULL},
    {HTTP_GET, "/v1/held", hold, 0, 0, NULL},
    {HTTP_POST, "/v1/failing", failing, 0, 0, NULL},
    {HTTP_GET, "/v1/limited", echo, 0, 0, NULL},
    {HTTP_GET, "/healthz", echo, HTTP_PUBLIC_OPS, 0, NULL},
    {HTTP_GET, "/metrics", http_metrics_handler, HTTP_INTERNAL | HTTP_PUBLIC_OPS, 0, NULL},
    {HTTP_POST, "/v1/internal/x", echo, HTTP_INTERNAL | HTTP_OPTIONAL_BODY, 0, NULL},
    {0, NULL, NULL, 0, 0, NULL},
};

static void file(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int set_up(void **state)
{
    static const char *const origins[] = {"https://app.example", NULL};
    (void)state;
    if (!mkdtemp(root))
        return -1;
    char dir[200];
    snprintf(dir, sizeof(dir), "%s/assets", root);
    mkdir(dir, 0700);
    file("index.html", "<!doctype html>app");
    file("sw.js", "worker");
    file("assets/index-BX3k9a0Q.js", "let x");
    srv.l = loop_new();
    for (struct http_route *r = routes; r->path; r++)
        if (strcmp(r->path, "/v1/limited") == 0)
            r->limit = ratelimit_new(3, 60000000, 100);
    const char *conninfo = getenv("SOTTO_TEST_CONNINFO");
    struct pg_options po = {conninfo, 2, 10000000, 100};
    if (conninfo)
        database = pg_open(srv.l, &po);
    struct http_options o = {.name = "test",
                             .internal_key = "key",
                             .web_root = root,
                             .origins = origins,
                             .user_limit = 1000,
                             .address_limit = 10000,
                             .authenticate = authenticate,
                             .pg = database,
                             .max_connections = 100};
    srv_start(&o, routes, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    /* two requests are still held when the server goes: one by a handler, one by the database */
    int held = dial(srv.plain_port), kept = dial(srv.plain_port);
    static const char hold_it[] = "GET /v1/held HTTP/1.1\r\nHost: x\r\n\r\n",
                      keep_it[] = "POST /v1/count HTTP/1.1\r\n" ANN "Idempotency-Key: last\r\n\r\n";
    put(kept, keep_it, sizeof(keep_it) - 1);
    put(held, hold_it, sizeof(hold_it) - 1);
    while (!last_held)
        usleep(1000);
    srv_join();
    http_free(srv.s);
    http_reply(last_held, 200, json_new());
    pg_close(database);
    close(held);
    close(kept);
    loop_free(srv.l);
    for (struct http_route *r = routes; r->path; r++)
        ratelimit_free(r->limit);
    static const char *const names[] = {"assets/index-BX3k9a0Q.js", "assets", "index.html", "sw.js",
                                        "."};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[200];
        snprintf(path, sizeof(path), "%s/%s", root, names[i]);
        remove(i == 4 ? root : path);
    }
    return 0;
}

/* ---- tests ---- */

static struct reply ask(const char *line, const char *head, const char *body)
{
    return ask_port(srv.plain_port, line, head, body);
}

static void assert_problem(struct reply r, int status, const char *code)
{
    char want[100];
    snprintf(want, sizeof(want), "\"code\":\"%s\"", code);
    assert_int_equal(r.status, status);
    assert_string_equal(reply_header(&r, "content-type"), "application/problem+json");
    assert_non_null(strstr(r.body, want));
    const char *id = reply_header(&r, "x-request-id");
    assert_non_null(id);
    assert_non_null(strstr(r.body, id));
}

static void handlers_get_path_query_and_body(void **state)
{
    (void)state;
    struct reply r = ask("GET /v1/things/a%20b?q=x%26y&z=1", NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "{\"id\":\"a b\",\"q\":\"x&y\",\"body\":{}}");
    r = ask("POST /v1/things/7", JSON, "{\"a\":[1]}");
    assert_string_equal(r.body, "{\"id\":\"7\",\"body\":{\"a\":[1]}}");
    r = ask("POST /v1/optional", "Content-Length: 0\r\n", NULL);
    assert_int_equal(r.status, 200);
    r = ask("POST /v1/optional", NULL, NULL); /* no length at all */
    assert_int_equal(r.status, 200);
    assert_string_equal(reply_header(&r, "connection"), "close");
}

static void unknown_paths_and_methods_are_told(void **state)
{
    (void)state;
    assert_problem(ask("GET /v1/none", NULL, NULL), 404, "not_found");
    struct reply r = ask("PUT /v1/things/7", JSON, "{}");
    assert_problem(r, 405, "method_not_allowed");
    assert_string_equal(reply_header(&r, "allow"), "GET, HEAD, POST, OPTIONS");
    r = ask("HEAD /v1/things/7", NULL, NULL);
    assert_int_equal(r.status, 200);
}

static void bad_bodies_have_their_codes(void **state)
{
    (void)state;
    assert_problem(ask("POST /v1/things/7", NULL, "{}"), 415, "unsupported_media_type");
    assert_problem(ask("POST /v1/things/7", "Content-Type: text/plain\r\n", "{}"), 415,
                   "unsupported_media_type");
    assert_problem(ask("POST /v1/things/7", JSON, "{\"a\":"), 400, "invalid_json");
    assert_problem(ask("POST /v1/things/7", JSON, "[]"), 400, "invalid_json");
    assert_problem(ask("POST /v1/things/7", JSON, ""), 400, "invalid_json");
    assert_problem(ask("POST /v1/things/7", JSON, "{\"a\":\"\xff\"}"), 400, "invalid_json");
    assert_int_equal(
        ask("POST /v1/things/7", "Content-Type: application/json; charset=utf-8\r\n", "{}").status,
        200);
    struct reply r = ask("POST /v1/failing", JSON, "{\"n\":99}");
    assert_problem(r, 400, "invalid_request");
    assert_non_null(strstr(r.body, "\"field\":\"n\""));
    assert_problem(ask("POST /v1/failing", JSON, "{\"n\":9}"), 403, "forbidden");
}

static void large_bodies_are_refused_before_they_come(void **state)
{
    (void)state;
    /* nothing of the body is ever sent */
    assert_problem(ask("POST /v1/things/7", JSON "Content-Length: 1001\r\n", NULL), 413,
                   "too_large");
    struct reply r = ask("POST /v1/things/7", JSON "Content-Length: 99999999999999\r\n", NULL);
    assert_problem(r, 413, "too_large");
    assert_string_equal(reply_header(&r, "connection"), "close");
    assert_problem(ask("POST /v1/things/7", JSON "Transfer-Encoding: chunked\r\n", NULL), 411,
                   "length_required");
    char head[512];
    snprintf(head, sizeof(head), JSON "Transfer-Encoding: %070d, chunked\r\n", 0);
    assert_problem(ask("POST /v1/things/7", head, NULL), 400, "bad_request");
    snprintf(head, sizeof(head), JSON "Content-Length: %040d\r\n", 0);
    assert_problem(ask("POST /v1/things/7", head, NULL), 400, "bad_request");
    assert_problem(ask("POST /v1/things/7", JSON "Content-Length: -1\r\n", NULL), 400,
                   "bad_request");
    assert_problem(ask("POST /v1/things/7", JSON "Content-Length: 1x\r\n", NULL), 400,
                   "bad_request");
}

static void a_refused_body_does_not_spoil_the_connection(void **state)
{
    struct reply r;
    char text[2200];
    (void)state;
    int fd = dial(srv.plain_port);
    int n =
        snprintf(text, sizeof(text),
                 "POST /v1/things/7 HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 2000\r\n\r\n");
    memset(text + n, 'x', 2000);
    put(fd, text, (size_t)n + 2000);
    read_reply(fd, &r);
    assert_int_equal(r.status, 413);
    put(fd, "GET /v1/things/8 HTTP/1.1\r\nHost: x\r\n\r\n", 39);
    read_reply(fd, &r);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "\"8\""));
    close(fd);
}

static void a_request_may_come_in_pieces(void **state)
{
    static const char text[] =
        "POST /v1/things/2 HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 7\r\n\r\n{\"b\":2}";
    struct reply r;
    (void)state;
    int fd = dial(srv.plain_port);
    for (int twice = 0; twice < 2; twice++) {
        for (size_t i = 0; i < sizeof(text) - 1; i++)
            put(fd, text + i, 1);
        read_reply(fd, &r);
        assert_int_equal(r.status, 200);
        assert_non_null(strstr(r.body, "{\"b\":2}"));
    }
    close(fd);
}

static void what_comes_behind_a_request_is_not_run(void **state)
{
    static const char *const first[] = {
        "GET /v1/later HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/none HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v1/things/1 HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 2\r\n\r\n{}",
        "POST /v1/things/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{}",
    };
    static const char second[] =
        "POST /v1/things/2 HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 7\r\n\r\n{\"b\":2}";
    (void)state;
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        char text[1000], rest;
        struct reply r;
        int fd = dial(srv.plain_port);
        int n = snprintf(text, sizeof(text), "%s%s", first[i], second);
        put(fd, text, (size_t)n);
        read_reply(fd, &r);
        assert_true(r.status >= 200);
        assert_string_equal(reply_header(&r, "connection"), "close");
        assert_int_equal(recv(fd, &rest, 1, 0), 0);
        close(fd);
    }
}

static void tokens_are_asked_for_and_checked(void **state)
{
    (void)state;
    struct reply r = ask("GET /v1/me", NULL, NULL);
    assert_problem(r, 401, "unauthorized");
    assert_string_equal(reply_header(&r, "www-authenticate"), "Bearer");
    assert_problem(ask("GET /v1/me", "Authorization: Bearer bad\r\n", NULL), 401, "unauthorized");
    assert_problem(ask("GET /v1/me", "Authorization: Basic good\r\n", NULL), 401, "unauthorized");
    r = ask("GET /v1/me", "Authorization: Bearer good\r\n", NULL);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "\"login\":\"ann\""));
}

static void internal_routes_need_the_port_and_the_key(void **state)
{
    (void)state;
    assert_problem(ask("POST /v1/internal/x", "X-Internal-Api-Key: key\r\n", ""), 404, "not_found");
    assert_problem(ask_port(srv.internal_port, "POST /v1/internal/x", NULL, ""), 401,
                   "unauthorized");
    assert_problem(
        ask_port(srv.internal_port, "POST /v1/internal/x", "X-Internal-Api-Key: kex\r\n", ""), 401,
        "unauthorized");
    assert_int_equal(
        ask_port(srv.internal_port, "POST /v1/internal/x", "X-Internal-Api-Key: key\r\n", "")
            .status,
        200);
    assert_int_equal(ask_port(srv.internal_port, "GET /healthz", NULL, NULL).status, 200);
    assert_int_equal(ask("GET /healthz", NULL, NULL).status, 200);
    assert_problem(
        ask_port(srv.internal_port, "GET /v1/me", "Authorization: Bearer good\r\n", NULL), 404,
        "not_found");
    struct reply r = ask_port(srv.internal_port, "GET /metrics", NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.body, "sotto_http_requests_total{route=\"/v1/things/{id}\""));
}

static void answers_carry_security_headers_and_ids(void **state)
{
    (void)state;
    struct reply r = ask("GET /v1/things/1", "X-Request-Id: abcdef-123\r\n", NULL);
    assert_string_equal(reply_header(&r, "x-request-id"), "abcdef-123");
    assert_string_equal(reply_header(&r, "x-content-type-options"), "nosniff");
    assert_non_null(strstr(reply_header(&r, "content-security-policy"), "default-src 'self'"));
    assert_non_null(strstr(reply_header(&r, "content-security-policy"), "wss://test.local:1"));
    assert_non_null(strstr(reply_header(&r, "permissions-policy"), "camera=(self)"));
    assert_null(reply_header(&r, "strict-transport-security")); /* not without TLS */
    assert_null(reply_header(&r, "server"));
    r = ask("GET /v1/things/1", "X-Request-Id: a b\"c\r\n", NULL); /* would forge a log line */
    assert_int_equal(strlen(reply_header(&r, "x-request-id")), 36);
}

static void only_listed_origins_get_cors(void **state)
{
    (void)state;
    struct reply r = ask("OPTIONS /v1/things/1", "Origin: https://app.example\r\n", NULL);
    assert_int_equal(r.status, 204);
    assert_string_equal(reply_header(&r, "access-control-allow-origin"), "https://app.example");
    assert_non_null(strstr(reply_header(&r, "access-control-allow-methods"), "POST"));
    assert_non_null(strstr(reply_header(&r, "access-control-allow-headers"), "idempotency-key"));
    r = ask("OPTIONS /v1/things/1", "Origin: https://evil.example\r\n", NULL);
    assert_null(reply_header(&r, "access-control-allow-origin"));
    r = ask("GET /v1/things/1", "Origin: https://app.example\r\n", NULL);
    assert_string_equal(reply_header(&r, "access-control-allow-origin"), "https://app.example");
    r = ask("OPTIONS /v1/count", ANN, NULL); /* a route of its own may say more */
    assert_string_equal(reply_header(&r, "link"), "<x>");
    r = ask("OPTIONS /v1/count", "Authorization: Bearer bad\r\n", NULL);
    assert_string_equal(reply_header(&r, "link"), "<>");
}

static void limits_answer_429(void **state)
{
    struct reply r;
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask("GET /v1/limited", NULL, NULL).status, 200);
    r = ask("GET /v1/limited", NULL, NULL);
    assert_problem(r, 429, "rate_limited");
    assert_true(atol(reply_header(&r, "retry-after")) >= 1);
    assert_string_equal(reply_header(&r, "ratelimit-limit"), "3");
    assert_string_equal(reply_header(&r, "ratelimit-remaining"), "0");
}

static void files_are_served_with_etags(void **state)
{
    char head[100];
    (void)state;
    struct reply r = ask("GET /", NULL, NULL);
    assert_string_equal(r.body, "<!doctype html>app");
    assert_string_equal(reply_header(&r, "cache-control"), "no-cache");
    snprintf(head, sizeof(head), "If-None-Match: %.40s\r\n", reply_header(&r, "etag"));
    r = ask("GET /index.html", head, NULL);
    assert_int_equal(r.status, 304);
    file("index.html", "<!doctype html>new app");
    r = ask("GET /index.html", head, NULL);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "<!doctype html>new app");
    r = ask("GET /assets/index-BX3k9a0Q.js", NULL, NULL);
    assert_string_equal(reply_header(&r, "cache-control"), "public, max-age=31536000, immutable");
    assert_string_equal(reply_header(&r, "content-type"), "text/javascript; charset=utf-8");
    r = ask("GET /sw.js", NULL, NULL);
    assert_string_equal(reply_header(&r, "cache-control"), "no-cache");
    r = ask("GET /calls/with/ann", NULL, NULL); /* a page of the app */
    assert_string_equal(r.body, "<!doctype html>new app");
    assert_problem(ask("GET /none.js", NULL, NULL), 404, "not_found");
}

static void no_path_leads_out_of_the_web_root(void **state)
{
    static const char *const lines[] = {
        "GET /../../../../../../etc/passwd",           "GET /..%2f..%2f..%2f..%2fetc/passwd",
        "GET /%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "GET //etc/passwd",
        "GET /assets/../../../../../etc/passwd",       "GET /link.txt",
    };
    char link[200];
    (void)state;
    snprintf(link, sizeof(link), "%s/link.txt", root);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct reply r = ask(lines[i], NULL, NULL);
        assert_null(strstr(r.body, "root:"));
    }
    unlink(link);
}

static void a_client_that_leaves_harms_nothing(void **state)
{
    static const char *const junk[] = {
        "GET /v1/later HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v1/things/1 HTTP/1.1\r\n" JSON "Content-Length: 10\r\n\r\n{",
        "GET /v1/thi",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "\r\n\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET /%00 HTTP/1.1\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
        int fd = dial(srv.plain_port);
        put(fd, junk[i], strlen(junk[i]));
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    char *huge = malloc(100000);
    int n = snprintf(huge, 100000, "GET /v1/things/1 HTTP/1.1\r\nHost: x\r\nCookie: ");
    memset(huge + n, 'a', 99999 - (size_t)n);
    int fd = dial(srv.plain_port);
    put(fd, huge, 99999);
    close(fd);
    free(huge);
    /* waits until the answer that nobody wanted is over, too */
    assert_int_equal(ask("GET /v1/later", NULL, NULL).status, 200);
    assert_int_equal(ask("GET /v1/things/1", NULL, NULL).status, 200);
}

static void connections_are_bounded(void **state)
{
    static const char text[] = "GET /v1/none HTTP/1.1\r\nHost: x\r\n\r\n";
    int fds[100], n = 0, refused;
    struct reply r;
    (void)state;
    for (; n < 100; n++) { /* others may still be closing: then it is full before */
        fds[n] = dial(srv.plain_port);
        put(fds[n], text, sizeof(text) - 1);
        read_reply(fds[n], &r);
        if (r.status == 0)
            break;
    }
    assert_in_range(n, 50, 100);
    refused = dial(srv.plain_port);
    put(refused, text, sizeof(text) - 1);
    read_reply(refused, &r);
    assert_int_equal(r.status, 0);
    close(refused);
    /* the internal port isn't counted in: it is how one finds out */
    assert_int_equal(ask_port(srv.internal_port, "GET /healthz", NULL, NULL).status, 200);
    for (int i = 0; i <= n && i < 100; i++)
        close(fds[i]);
    for (int i = 0; i < 2000 && ask("GET /v1/none", NULL, NULL).status == 0; i++)
        usleep(5000);
    assert_int_equal(ask("GET /v1/none", NULL, NULL).status, 404);
}

/* ---- Idempotency-Key ---- */

/* Runs what the schema says of them in the test's database, by libpq alone: many statements. */
static void load_schema(void)
{
    static const char *const files[] = {"schema/020_idempotency.sql",
                                        "schema/050_idempotency_head.sql"};
    char sql[16384] = "drop schema if exists http_test cascade; create schema http_test;";
    size_t n = strlen(sql);
    PGconn *c = PQconnectdb(getenv("SOTTO_TEST_CONNINFO"));
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(files[i], "r");
        assert_non_null(f);
        n += fread(sql + n, 1, sizeof(sql) - 1 - n, f);
        sql[n] = 0;
        fclose(f);
    }
    PGresult *r = PQexec(c, sql);
    assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
    PQclear(r);
    PQfinish(c);
}

static void a_repeated_key_gets_the_first_answer(void **state)
{
    (void)state;
    if (!database)
        skip();
    load_schema();
    struct reply r = ask("POST /v1/count", ANN JSON "Idempotency-Key: k1\r\n", "{\"a\":1}");
    assert_int_equal(r.status, 201);
    assert_string_equal(r.body, "{\"run\":1}");
    r = ask("POST /v1/count", ANN JSON "Idempotency-Key: k1\r\n", "{\"a\":1}");
    assert_int_equal(r.status, 201);
    assert_string_equal(r.body, "{\"run\":1}");
    assert_string_equal(reply_header(&r, "idempotency-replayed"), "true");
    assert_string_equal(reply_header(&r, "location"), "/v1/count/1"); /* and its head */
    assert_string_equal(reply_header(&r, "content-type"), "application/json");
    assert_problem(ask("POST /v1/count", ANN JSON "Idempotency-Key: k1\r\n", "{\"a\":2}"), 422,
                   "idempotency_key_reused");
    r = ask("POST /v1/count", ANN JSON "Idempotency-Key: k2\r\n", "{\"a\":1}");
    assert_string_equal(r.body, "{\"run\":2}");
    r = ask("POST /v1/count", ANN, "");
    assert_string_equal(r.body, "{\"run\":3}");
    assert_problem(ask("POST /v1/count", ANN "Idempotency-Key: a b\r\n", ""), 400,
                   "invalid_request");
    /* A key that can't be kept is refused, never left out: its sender counts on it. */
    char head[512];
    snprintf(head, sizeof(head), ANN "Idempotency-Key: %0256d\r\n", 1);
    assert_int_equal(ask("POST /v1/count", head, "").status, 400);
    assert_int_equal(ask("POST /v1/count", ANN "Idempotency-Key: \r\n", "").status, 400);
    r = ask("POST /v1/count", ANN, "");
    assert_string_equal(r.body, "{\"run\":4}");
}

int main(void)
{
    log_init("test", LOG_ERROR, false);
    setenv("PGOPTIONS", "-c search_path=http_test", 1); /* a schema of our own, for pool and test */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handlers_get_path_query_and_body),
        cmocka_unit_test(unknown_paths_and_methods_are_told),
        cmocka_unit_test(bad_bodies_have_their_codes),
        cmocka_unit_test(large_bodies_are_refused_before_they_come),
        cmocka_unit_test(a_refused_body_does_not_spoil_the_connection),
        cmocka_unit_test(a_request_may_come_in_pieces),
        cmocka_unit_test(what_comes_behind_a_request_is_not_run),
        cmocka_unit_test(tokens_are_asked_for_and_checked),
        cmocka_unit_test(internal_routes_need_the_port_and_the_key),
        cmocka_unit_test(answers_carry_security_headers_and_ids),
        cmocka_unit_test(only_listed_origins_get_cors),
        cmocka_unit_test(limits_answer_429),
        cmocka_unit_test(files_are_served_with_etags),
        cmocka_unit_test(no_path_leads_out_of_the_web_root),
        cmocka_unit_test(a_client_that_leaves_harms_nothing),
        cmocka_unit_test(connections_are_bounded),
        cmocka_unit_test(a_repeated_key_gets_the_first_answer),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
