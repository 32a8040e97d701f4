/* Lines from a pipe: the JSON lines that the load programs are driven by. */
#ifndef SOTTO_BENCH_CLIENT_LINE_READER_H
#define SOTTO_BENCH_CLIENT_LINE_READER_H

#include <stdbool.h>
#include <stddef.h>

#define LINE_READER_MAX (1 << 20)

/* Zero-initialise; 1 MiB, so not on the stack. */
struct line_reader {
    size_t len;
    bool dropping; /* the rest of a line that was too long */
    char data[LINE_READER_MAX];
};

/* The line without its end; not 0-ended, borrowed for the call. Empty lines are not told. */
typedef void (*line_fn)(void *arg, const char *line, size_t len);

/* One read(2) (call it when poll says that there is something); whole lines are told. ERR_CLOSED at
 * the end of input, ERR_TOO_LARGE when a line passes LINE_READER_MAX (all of it is dropped),
 * ERR_IO. */
int line_reader_read(struct line_reader *r, int fd, line_fn on_line, void *arg);

#endif
