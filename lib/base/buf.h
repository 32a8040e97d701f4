/* Byte buffers: `struct buf` grows up to a bound; `struct cursor` reads without ever passing the
 * end; `struct writer` writes into fixed memory. Numbers are big endian (network order). */
#ifndef SOTTO_BASE_BUF_H
#define SOTTO_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max; /* never grows past this many bytes */
};

/* Starts empty, without allocating. `max` bounds its growth (0: 1 MiB). */
void buf_init(struct buf *b, size_t max);
/* Frees the memory; the buffer may be used again as if fresh. */
void buf_free(struct buf *b);
void buf_clear(struct buf *b);
/* Appends n bytes. ERR_TOO_LARGE past max, ERR_NOMEM; on failure nothing was appended. */
int buf_append(struct buf *b, const void *data, size_t n);
int buf_append_str(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The content as a C string: a 0 is kept after the last byte, not counted in len. "" when empty. */
const char *buf_cstr(struct buf *b);
/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);

/* A reader over borrowed bytes. After the first short read `bad` stays true, every further read
 * gives 0, and callers need check only once, at the end. */
struct cursor {
    const uint8_t *data;
    size_t len;
    size_t pos;
    bool bad;
};

void cursor_init(struct cursor *c, const void *data, size_t len);
size_t cursor_left(const struct cursor *c);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u24(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
/* Borrowed pointer to the next n bytes, or NULL (and bad) when fewer are left. */
const uint8_t *cursor_bytes(struct cursor *c, size_t n);
void cursor_skip(struct cursor *c, size_t n);

/* A writer over the caller's memory; `bad` after the first write that didn't fit. */
struct writer {
    uint8_t *data;
    size_t cap;
    size_t len;
    bool bad;
};

void writer_init(struct writer *w, void *data, size_t cap);
void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u24(struct writer *w, uint32_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
void writer_bytes(struct writer *w, const void *data, size_t n);

/* Copies at most cap-1 bytes of src and ends with 0. ERR_TOO_LARGE when src did not fit (dst then
 * holds ""). The house's only string copy into fixed memory. */
int str_copy(char *dst, size_t cap, const char *src);

#endif
