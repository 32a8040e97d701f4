/* Allocation on demand fails: tests run a step with the first, second, … allocation failing, and
 * see that it says so and leaks nothing. Under a sanitizer, which has its own malloc, these are
 * skipped. */
#ifndef SOTTO_TEST_ALLOC_H
#define SOTTO_TEST_ALLOC_H

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALLOC_CAN_FAIL 0
#define ALLOC_LIVE()   0L
static inline void alloc_fail_at(long n)
{
    (void)n;
}
#else
#define ALLOC_CAN_FAIL 1
#define ALLOC_LIVE()   alloc_live

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static long alloc_countdown = -1; /* the allocation that fails; -1: none */
static long alloc_live;

/* The n-th allocation from now (0 is the next) and every later one fails; -1 ends it. */
static inline void alloc_fail_at(long n)
{
    alloc_countdown = n;
}

static int alloc_fails(void)
{
    if (alloc_countdown > 0) {
        alloc_countdown--;
    }
    return alloc_countdown == 0;
}

void *malloc(size_t n)
{
    void *p = alloc_fails() ? NULL : __libc_malloc(n);
    alloc_live += p != NULL;
    return p;
}

void *calloc(size_t n, size_t size)
{
    void *p = alloc_fails() ? NULL : __libc_calloc(n, size);
    alloc_live += p != NULL;
    return p;
}

void *realloc(void *old, size_t n)
{
    void *p = alloc_fails() ? NULL : __libc_realloc(old, n);
    alloc_live += p != NULL && old == NULL;
    return p;
}

void free(void *p)
{
    alloc_live -= p != NULL;
    __libc_free(p);
}
#endif

#endif
