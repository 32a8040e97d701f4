#include "bench/client/line_reader.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"

int line_reader_read(struct line_reader *r, int fd, line_fn on_line, void *arg)
{
    ssize_t n = read(fd, r->data + r->len, sizeof(r->data) - r->len);
    if (n == 0)
        return ERR_CLOSED;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? OK : ERR_IO;
    r->len += (size_t)n;
    char *start = r->data, *end;
    while ((end = memchr(start, '\n', r->len - (size_t)(start - r->data)))) {
        if (end > start && !r->dropping)
            on_line(arg, start, (size_t)(end - start));
        r->dropping = false;
        start = end + 1;
    }
    r->len -= (size_t)(start - r->data);
    memmove(r->data, start, r->len);
    if (r->len < sizeof(r->data))
        return OK;
    r->len = 0;
    r->dropping = true;
    return ERR_TOO_LARGE;
}
