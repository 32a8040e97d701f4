#include "lib/io/loop.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

#include "lib/base/err.h"
#include "lib/base/log.h"

enum { MAX_JOBS = 1024 };

struct post {
    loop_fn fn;
    void *arg;
    struct post *next;
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    pthread_mutex_t lock; /* guards posts and closed */
    struct post *posts, *last_post;
    bool closed;
    int jobs;
};

/* The handle comes first, so that a uv_handle_t * is also the pointer to free. */
struct loop_timer {
    uv_timer_t uv;
    loop_fn fn;
    void *arg;
};

struct job {
    uv_work_t uv;
    struct loop *loop;
    loop_fn work, done;
    void *arg;
};

struct signal_watch {
    uv_signal_t uv;
    loop_fn fn;
    void *arg;
};

static void free_handle(uv_handle_t *h)
{
    free(h);
}

static void run_posts(uv_async_t *a)
{
    struct loop *l = a->data;
    pthread_mutex_lock(&l->lock);
    struct post *p = l->posts;
    l->posts = l->last_post = NULL;
    pthread_mutex_unlock(&l->lock);
    while (p) {
        struct post *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
}

struct loop *loop_new(void)
{
    struct loop *l = calloc(1, sizeof(*l));
    if (!l)
        return NULL;
    if (uv_loop_init(&l->uv) != 0) {
        free(l);
        return NULL;
    }
    if (pthread_mutex_init(&l->lock, NULL) != 0 ||
        uv_async_init(&l->uv, &l->wake, run_posts) != 0) {
        uv_loop_close(&l->uv);
        free(l);
        return NULL;
    }
    l->wake.data = l;
    return l;
}

void loop_run(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

void *loop_uv(struct loop *l)
{
    return &l->uv;
}

/* Timers and signal watches are ours to free; a handle of another library that was left open is
 * only closed: its memory belongs to its owner. */
static void close_left(uv_handle_t *h, void *arg)
{
    struct loop *l = arg;
    if (uv_is_closing(h))
        return;
    bool ours = h->type == UV_SIGNAL || h->type == UV_TIMER;
    if (h != (uv_handle_t *)&l->wake && !(ours && h->data == l))
        LOG_W("loop_handle_left", "type=%s", uv_handle_type_name(h->type));
    uv_close(h, ours && h->data == l ? free_handle : NULL);
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->closed = true;
    pthread_mutex_unlock(&l->lock);
    run_posts(&l->wake);
    uv_walk(&l->uv, close_left, l);
    while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0) /* more than once when a callback stops the loop */
        ;
    if (uv_loop_close(&l->uv) != 0)
        LOG_W("loop_not_closed", NULL);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static void on_timer(uv_timer_t *h)
{
    struct loop_timer *t = (struct loop_timer *)h;
    t->fn(t->arg);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_fn fn, void *arg)
{
    struct loop_timer *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    uv_timer_init(&l->uv, &t->uv);
    t->uv.data = l;
    t->fn = fn;
    t->arg = arg;
    return t;
}

/* libuv counts milliseconds: round up, so that a timer never fires before its time. */
static uint64_t to_ms(int64_t us)
{
    return us <= 0 ? 0 : (uint64_t)(us + 999) / 1000;
}

void loop_timer_start(struct loop_timer *t, int64_t delay_us, int64_t repeat_us)
{
    uv_update_time(t->uv.loop);
    uv_timer_start(&t->uv, on_timer, to_ms(delay_us), to_ms(repeat_us));
}

void loop_timer_stop(struct loop_timer *t)
{
    if (t)
        uv_timer_stop(&t->uv);
}

void loop_timer_free(struct loop_timer *t)
{
    if (t && !uv_is_closing((uv_handle_t *)&t->uv))
        uv_close((uv_handle_t *)&t->uv, free_handle);
}

static void job_work(uv_work_t *w)
{
    struct job *j = (struct job *)w;
    j->work(j->arg);
}

static void job_done(uv_work_t *w, int status)
{
    struct job *j = (struct job *)w;
    (void)status; /* jobs are never cancelled: `done` always runs and owns the argument */
    j->loop->jobs--;
    if (j->done)
        j->done(j->arg);
    free(j);
}

int loop_work(struct loop *l, loop_fn work, loop_fn done, void *arg)
{
    if (l->jobs >= MAX_JOBS)
        return ERR_LIMIT;
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return ERR_NOMEM;
    *j = (struct job){.loop = l, .work = work, .done = done, .arg = arg};
    if (uv_queue_work(&l->uv, &j->uv, job_work, job_done) != 0) {
        free(j);
        return ERR_IO;
    }
    l->jobs++;
    return OK;
}

int loop_post(struct loop *l, loop_fn fn, void *arg)
{
    struct post *p = malloc(sizeof(*p));
    if (!p)
        return ERR_NOMEM;
    *p = (struct post){.fn = fn, .arg = arg};
    pthread_mutex_lock(&l->lock);
    if (l->closed) {
        pthread_mutex_unlock(&l->lock);
        free(p);
        return ERR_CLOSED;
    }
    if (l->last_post)
        l->last_post->next = p;
    else
        l->posts = p;
    l->last_post = p;
    /* Inside the lock: the async handle is closed only after `closed` was set under it. */
    uv_async_send(&l->wake);
    pthread_mutex_unlock(&l->lock);
    return OK;
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct signal_watch *s = (struct signal_watch *)h;
    (void)signum;
    s->fn(s->arg);
}

int loop_on_signal(struct loop *l, int signum, loop_fn fn, void *arg)
{
    struct signal_watch *s = calloc(1, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    if (uv_signal_init(&l->uv, &s->uv) != 0) {
        free(s);
        return ERR_IO;
    }
    s->uv.data = l;
    s->fn = fn;
    s->arg = arg;
    if (uv_signal_start(&s->uv, on_signal, signum) != 0) {
        uv_close((uv_handle_t *)&s->uv, free_handle);
        return ERR_IO;
    }
    /* A loop isn't kept alive by waiting for signals. */
    uv_unref((uv_handle_t *)&s->uv);
    return OK;
}
