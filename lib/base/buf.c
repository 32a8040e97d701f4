#include "lib/base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

#define BUF_DEFAULT_MAX ((size_t)1 << 20)
#define BUF_FIRST_CAP   64

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max ? max : BUF_DEFAULT_MAX};
}

void buf_free(struct buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

/* Makes room for n more bytes and the 0 that buf_cstr promises. */
static int buf_reserve(struct buf *b, size_t n)
{
    size_t max = b->max ? b->max : BUF_DEFAULT_MAX;

    if (b->len > max || n > max - b->len || max == SIZE_MAX) {
        return ERR_TOO_LARGE;
    }
    size_t need = b->len + n + 1;
    if (need <= b->cap) {
        return OK;
    }
    size_t cap = b->cap ? b->cap : BUF_FIRST_CAP;
    while (cap < need) {
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    }
    if (cap > max + 1) {
        cap = max + 1;
    }
    uint8_t *data = realloc(b->data, cap);
    if (!data) {
        return ERR_NOMEM;
    }
    b->data = data;
    b->cap = cap;
    return OK;
}

int buf_append(struct buf *b, const void *data, size_t n)
{
    int rc = buf_reserve(b, n);

    if (rc != OK) {
        return rc;
    }
    if (n > 0) {
        memcpy(b->data + b->len, data, n);
        b->len += n;
    }
    return OK;
}

int buf_append_str(struct buf *b, const char *s)
{
    return buf_append(b, s, strlen(s));
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        return ERR_INVALID;
    }
    int rc = buf_reserve(b, (size_t)n);
    if (rc != OK) {
        return rc;
    }
    va_start(ap, fmt);
    vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return OK;
}

const char *buf_cstr(struct buf *b)
{
    if (!b->data) {
        return "";
    }
    b->data[b->len] = 0; /* buf_reserve always keeps this byte */
    return (const char *)b->data;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

void cursor_init(struct cursor *c, const void *data, size_t len)
{
    *c = (struct cursor){.data = data, .len = len};
}

size_t cursor_left(const struct cursor *c)
{
    return c->bad ? 0 : c->len - c->pos;
}

const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
    if (c->bad || n > c->len - c->pos) {
        c->bad = true;
        return NULL;
    }
    /* An empty cursor may lie over NULL; "0 bytes read well" must still differ from a short read.
     */
    const uint8_t *p = c->data ? c->data + c->pos : (const uint8_t *)"";
    c->pos += n;
    return p;
}

void cursor_skip(struct cursor *c, size_t n)
{
    (void)cursor_bytes(c, n);
}

static uint64_t cursor_be(struct cursor *c, size_t n)
{
    const uint8_t *p = cursor_bytes(c, n);
    uint64_t v = 0;

    for (size_t i = 0; p && i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)cursor_be(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
    return (uint16_t)cursor_be(c, 2);
}

uint32_t cursor_u24(struct cursor *c)
{
    return (uint32_t)cursor_be(c, 3);
}

uint32_t cursor_u32(struct cursor *c)
{
    return (uint32_t)cursor_be(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
    return cursor_be(c, 8);
}

void writer_init(struct writer *w, void *data, size_t cap)
{
    *w = (struct writer){.data = data, .cap = cap};
}

void writer_bytes(struct writer *w, const void *data, size_t n)
{
    if (w->bad || n > w->cap - w->len) {
        w->bad = true;
        return;
    }
    if (n > 0) {
        memcpy(w->data + w->len, data, n);
        w->len += n;
    }
}

static void writer_be(struct writer *w, uint64_t v, size_t n)
{
    uint8_t b[8];

    for (size_t i = 0; i < n; i++) {
        b[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
    }
    writer_bytes(w, b, n);
}

void writer_u8(struct writer *w, uint8_t v)
{
    writer_be(w, v, 1);
}

void writer_u16(struct writer *w, uint16_t v)
{
    writer_be(w, v, 2);
}

void writer_u24(struct writer *w, uint32_t v)
{
    writer_be(w, v, 3);
}

void writer_u32(struct writer *w, uint32_t v)
{
    writer_be(w, v, 4);
}

void writer_u64(struct writer *w, uint64_t v)
{
    writer_be(w, v, 8);
}

int str_copy(char *dst, size_t cap, const char *src)
{
    size_t n = strlen(src);

    if (cap == 0) {
        return ERR_TOO_LARGE;
    }
    if (n >= cap) {
        dst[0] = 0;
        return ERR_TOO_LARGE;
    }
    memcpy(dst, src, n + 1);
    return OK;
}
