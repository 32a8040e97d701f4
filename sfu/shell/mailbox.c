#include "sfu/shell/mailbox.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/err.h"

struct mailbox {
    void **ring;
    size_t mask;
    int fd;
    _Alignas(64) _Atomic size_t head; /* next to be taken; the reader's */
    _Alignas(64) _Atomic size_t tail; /* next free; the writer's */
};

int mailbox_new(struct mailbox **out, size_t capacity)
{
    size_t size = 2;
    while (size < capacity) {
        size *= 2;
    }
    struct mailbox *m = aligned_alloc(64, (sizeof *m + 63) / 64 * 64);
    void **ring = calloc(size, sizeof *ring);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!m || !ring || fd < 0) {
        int err = fd < 0 ? ERR_IO : ERR_NOMEM;
        if (fd >= 0) {
            close(fd);
        }
        free(m);
        free(ring);
        return err;
    }
    m->ring = ring;
    m->mask = size - 1;
    m->fd = fd;
    atomic_init(&m->head, 0);
    atomic_init(&m->tail, 0);
    *out = m;
    return OK;
}

void mailbox_free(struct mailbox *m)
{
    if (m) {
        close(m->fd);
        free(m->ring);
        free(m);
    }
}

int mailbox_fd(const struct mailbox *m)
{
    return m->fd;
}

void mailbox_wake(struct mailbox *m)
{
    uint64_t one = 1;
    /* Fails only when the counter is full, and then the reader is awake anyway. */
    ssize_t n = write(m->fd, &one, sizeof one);
    (void)n;
}

int mailbox_put(struct mailbox *m, void *message)
{
    size_t tail = atomic_load_explicit(&m->tail, memory_order_relaxed);
    size_t head = atomic_load_explicit(&m->head, memory_order_acquire);
    if (tail - head > m->mask) {
        return ERR_LIMIT;
    }
    m->ring[tail & m->mask] = message;
    atomic_store_explicit(&m->tail, tail + 1, memory_order_release);
    mailbox_wake(m);
    return OK;
}

void *mailbox_take(struct mailbox *m)
{
    size_t head = atomic_load_explicit(&m->head, memory_order_relaxed);
    if (head == atomic_load_explicit(&m->tail, memory_order_acquire)) {
        return NULL;
    }
    void *message = m->ring[head & m->mask];
    atomic_store_explicit(&m->head, head + 1, memory_order_release);
    return message;
}

void mailbox_clear(struct mailbox *m)
{
    uint64_t count;
    ssize_t n = read(m->fd, &count, sizeof count);
    (void)n;
}
