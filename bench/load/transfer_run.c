#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/transfer.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

#define CURL_BUFFER (512L * 1024) /* bytes libcurl moves at once: few calls for large bodies */
#define STALL_S     20L           /* without a byte for so long a transfer has failed */
#define URL_MAX     512
#define MAX_WAIT_MS 50

struct client {
    struct transfer *t;
    CURL *easy;
    bool busy, corrupt;
    int64_t due_us;
    size_t at; /* bytes of the body so far */
};

struct transfer {
    struct transfer_options o;
    struct transfer_stats stats;
    CURLM *multi;
    struct client *clients;
    uint8_t *body;               /* of a PUT */
    double next_due_us;          /* open loop: when the next transfer is due */
    int64_t due[TRANSFER_QUEUE]; /* a ring of those that are due and wait for a client */
    size_t due_head, due_count;
    uint64_t named;
};

/* The 8 bytes at an offset that is a multiple of 8. */
static void word_at(uint8_t *dst, uint64_t offset)
{
    for (int i = 0; i < 8; i++)
        dst[i] = (uint8_t)(offset >> (8 * i));
}

/* One whole word of what came is looked at: each part of a body is, at the price of nothing. */
static bool looks_right(const uint8_t *data, size_t n, size_t offset)
{
    size_t skip = (8 - offset % 8) % 8;
    uint8_t expected[8];
    if (n < skip + 8)
        return true;
    word_at(expected, offset + skip);
    return memcmp(data + skip, expected, 8) == 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct client *c = arg;
    size_t len = size * n;
    if (c->t->o.put)
        return len; /* the answer's few bytes */
    if (!looks_right((const uint8_t *)data, len, c->at))
        c->corrupt = true;
    c->at += len;
    c->t->stats.bytes += len;
    return len;
}

static size_t on_wanted(char *dst, size_t size, size_t n, void *arg)
{
    struct client *c = arg;
    size_t left = c->t->o.bytes - c->at;
    size_t len = size * n < left ? size * n : left;
    memcpy(dst, c->t->body + c->at, len);
    c->at += len;
    c->t->stats.bytes += len;
    return len;
}

static void set_up(struct client *c)
{
    curl_easy_setopt(c->easy, CURLOPT_PRIVATE, c);
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c->easy, CURLOPT_BUFFERSIZE, CURL_BUFFER);
    curl_easy_setopt(c->easy, CURLOPT_UPLOAD_BUFFERSIZE, CURL_BUFFER);
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c->easy, CURLOPT_LOW_SPEED_TIME, STALL_S);
    /* The certificate was made for this run; nobody signed it. */
    curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c->easy, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_READFUNCTION, on_wanted);
    curl_easy_setopt(c->easy, CURLOPT_READDATA, c);
    /* A zero wait: curl would ask before it sends a large body, and pause for servers that don't
     * answer that. */
    curl_easy_setopt(c->easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L);
    if (c->t->o.put) {
        curl_easy_setopt(c->easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->t->o.bytes);
    }
}

static int make_body(struct transfer *t)
{
    t->body = malloc(t->o.bytes + 8);
    if (!t->body)
        return ERR_NOMEM;
    for (size_t at = 0; at < t->o.bytes; at += 8)
        word_at(t->body + at, at);
    return OK;
}

static int make_clients(struct transfer *t)
{
    t->clients = calloc((size_t)t->o.clients, sizeof(*t->clients));
    if (!t->clients)
        return ERR_NOMEM;
    for (int i = 0; i < t->o.clients; i++) {
        struct client *c = &t->clients[i];
        c->t = t;
        c->easy = curl_easy_init();
        if (!c->easy)
            return ERR_NOMEM;
        set_up(c);
    }
    return OK;
}

int transfer_new(struct transfer **out, const struct transfer_options *o)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return ERR_IO;
    struct transfer *t = calloc(1, sizeof(*t));
    if (!t)
        return ERR_NOMEM;
    t->o = *o;
    t->multi = curl_multi_init();
    int err = t->multi ? OK : ERR_IO;
    if (err == OK && o->put)
        err = make_body(t);
    if (err == OK)
        err = make_clients(t);
    if (err != OK) {
        transfer_free(t);
        return err;
    }
    curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)o->clients);
    *out = t;
    return OK;
}

void transfer_free(struct transfer *t)
{
    if (!t)
        return;
    for (int i = 0; t->clients && i < t->o.clients; i++) {
        if (t->clients[i].busy)
            curl_multi_remove_handle(t->multi, t->clients[i].easy);
        if (t->clients[i].easy)
            curl_easy_cleanup(t->clients[i].easy);
    }
    if (t->multi)
        curl_multi_cleanup(t->multi);
    free(t->clients);
    free(t->body);
    free(t);
    curl_global_cleanup();
}

static int begin(struct client *c, int64_t due_us)
{
    struct transfer *t = c->t;
    char url[URL_MAX];
    uint64_t number = t->o.put ? t->named : t->named % (uint64_t)t->o.files;
    int n = snprintf(url, sizeof(url), "%s/%s%" PRIu64, t->o.url, t->o.prefix, number);
    if (n < 0 || (size_t)n >= sizeof(url))
        return ERR_INVALID;
    t->named++;
    t->stats.begun++;
    c->at = 0;
    c->corrupt = false;
    c->due_us = due_us;
    c->busy = true;
    curl_easy_setopt(c->easy, CURLOPT_URL, url);
    return curl_multi_add_handle(t->multi, c->easy) == CURLM_OK ? OK : ERR_IO;
}

/* What is due by now goes into the ring. */
static int collect_due(struct transfer *t, int64_t now_us)
{
    while (t->o.interval_us > 0 && (int64_t)t->next_due_us <= now_us) {
        if (t->due_count == TRANSFER_QUEUE)
            return ERR_LIMIT;
        t->due[(t->due_head + t->due_count) % TRANSFER_QUEUE] = (int64_t)t->next_due_us;
        t->due_count++;
        t->next_due_us += t->o.interval_us;
    }
    return OK;
}

static int begin_due(struct transfer *t, int64_t now_us)
{
    int err = collect_due(t, now_us);
    bool open = t->o.interval_us > 0;
    for (int i = 0; err == OK && i < t->o.clients && (!open || t->due_count > 0); i++) {
        if (t->clients[i].busy)
            continue;
        int64_t due_us = now_us;
        if (open) {
            due_us = t->due[t->due_head];
            t->due_head = (t->due_head + 1) % TRANSFER_QUEUE;
            t->due_count--;
        }
        err = begin(&t->clients[i], due_us);
    }
    if (t->due_count > t->stats.backlog)
        t->stats.backlog = t->due_count;
    return err;
}

static void fail(struct transfer *t, const char *what, long status)
{
    if (t->stats.failed++ == 0)
        snprintf(t->stats.why, sizeof(t->stats.why), "%s (HTTP %ld)", what, status);
}

static void finish(struct client *c, CURLcode result)
{
    struct transfer *t = c->t;
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(t->multi, c->easy);
    c->busy = false;
    if (result != CURLE_OK) {
        fail(t, curl_easy_strerror(result), status);
    } else if (status < 200 || status > 299) {
        fail(t, "refused", status);
    } else if (c->at != t->o.bytes) {
        fail(t, "wrong length", status);
    } else {
        t->stats.transfers++;
        t->stats.corrupt += c->corrupt;
        histogram_add(&t->stats.latency, clock_mono_us() - c->due_us);
    }
}

static void finish_done(struct transfer *t)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(t->multi, &left)) != NULL) {
        struct client *c = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        finish(c, m->data.result);
    }
}

static int wait_ms(const struct transfer *t, int64_t now_us, int64_t end_us)
{
    int64_t until_us = end_us;
    if (t->o.interval_us > 0 && (int64_t)t->next_due_us < until_us)
        until_us = (int64_t)t->next_due_us;
    int64_t ms = (until_us - now_us + 999) / 1000;
    return ms < 0 ? 0 : ms > MAX_WAIT_MS ? MAX_WAIT_MS : (int)ms;
}

int transfer_run(struct transfer *t, int64_t us)
{
    int64_t now_us = clock_mono_us(), end_us = now_us + us;
    int running;
    if (t->next_due_us == 0)
        t->next_due_us = (double)now_us;
    while (now_us < end_us) {
        int err = begin_due(t, now_us);
        if (err != OK)
            return err;
        if (curl_multi_perform(t->multi, &running) != CURLM_OK)
            return ERR_IO;
        finish_done(t);
        now_us = clock_mono_us();
        if (curl_multi_poll(t->multi, NULL, 0, wait_ms(t, now_us, end_us), NULL) != CURLM_OK)
            return ERR_IO;
        now_us = clock_mono_us();
    }
    return OK;
}

void transfer_mark(struct transfer *t)
{
    memset(&t->stats, 0, sizeof(t->stats));
}

const struct transfer_stats *transfer_stats(const struct transfer *t)
{
    return &t->stats;
}
