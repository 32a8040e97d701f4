#include "ctl/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/crypto.h"
#include "lib/base/err.h"

bool files_make_folder(const char *path)
{
    char part[PATH_MAX];

    if (str_copy(part, sizeof part, path) != OK) {
        errno = ENAMETOOLONG;
        return false;
    }
    for (char *p = part + (*part == '/'); *p; p++) {
        if (*p == '/') {
            *p = 0;
            if (mkdir(part, 0700) != 0 && errno != EEXIST) {
                return false;
            }
            *p = '/';
        }
    }
    return mkdir(part, 0700) == 0 || errno == EEXIST;
}

static bool write_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, text, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return false;
        }
        text += done;
        n -= (size_t)done;
    }
    return fsync(fd) == 0;
}

bool files_write_new(const char *path, const char *text, size_t n)
{
    char temporary[PATH_MAX], token[16];

    /* Beside it under another name, then linked: link never replaces a file that came in between.
     */
    random_token(token, 9);
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.%s", path, token) >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return false;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    bool good = write_all(fd, text, n);
    good = close(fd) == 0 && good;
    good = good && link(temporary, path) == 0;
    int saved = errno;
    unlink(temporary);
    errno = saved;
    return good;
}
