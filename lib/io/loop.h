/* The event loop: libuv, wrapped so that the rest of the house needs nothing of it but timers, jobs
 * and posts. One loop a thread; everything but loop_post is to be called on the loop's thread. */
#ifndef SOTTO_IO_LOOP_H
#define SOTTO_IO_LOOP_H

#include <stdint.h>

struct loop;
struct loop_timer;
typedef void (*loop_fn)(void *arg);

/* NULL when out of memory. */
struct loop *loop_new(void);
/* Runs until loop_stop. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* Closes what is left open and frees. */
void loop_free(struct loop *l);
/* The uv_loop_t *, for lws and the parts of lib/io only. */
void *loop_uv(struct loop *l);

/* A one-shot or repeating timer. loop_timer_new allocates it stopped; loop_timer_free may be called
 * from its own callback. */
struct loop_timer *loop_timer_new(struct loop *l, loop_fn fn, void *arg);
void loop_timer_start(struct loop_timer *t, int64_t delay_us, int64_t repeat_us);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

/* Runs `work` on the thread pool, then `done` on the loop. ERR_LIMIT when 1024 jobs are under way.
 */
int loop_work(struct loop *l, loop_fn work, loop_fn done, void *arg);
/* Runs fn on the loop soon; callable from any thread. ERR_NOMEM, ERR_CLOSED. */
int loop_post(struct loop *l, loop_fn fn, void *arg);
/* Calls fn when the signal arrives (SIGTERM, SIGINT, SIGHUP). */
int loop_on_signal(struct loop *l, int signum, loop_fn fn, void *arg);

#endif
