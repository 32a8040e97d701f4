/* Asking for a line of memory before it is needed. The empty assembler statement keeps the
 * prefetch: to gcc 12 a function that does nothing but prefetch does nothing, and its calls go. */
#ifndef SOTTO_LIB_BASE_FETCH_H
#define SOTTO_LIB_BASE_FETCH_H

#define FETCH_LINE 64 /* bytes of a line, on all processors that we know */

/* The line at p will be read, or written, soon. Any pointer is good, also NULL or a wrong one. */
static inline void fetch_read(const void *p)
{
    __builtin_prefetch(p);
    __asm__ volatile("" : : "r"(p));
}

static inline void fetch_write(const void *p)
{
    __builtin_prefetch(p, 1);
    __asm__ volatile("" : : "r"(p));
}

#endif
