/* The web app's files, kept in memory by content: a file is read once and again when it changed. */
#include "lib/io/http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/io/static_path.h"

enum { MAX_CACHED = 64 * 1024 * 1024 };

struct http_file {
    char *path;
    char etag[20]; /* quoted, 16 hex digits of the content's SHA-256 */
    int64_t mtime_ns;
    off_t size;
    char *data;
    int refs; /* the table's and one an answer under way */
    UT_hash_handle hh;
};

void http_file_release(struct http_file *f)
{
    if (--f->refs > 0)
        return;
    free(f->path);
    free(f->data);
    free(f);
}

static void forget(struct http_server *s, struct http_file *f)
{
    HASH_DEL(s->files, f);
    s->files_bytes -= (size_t)f->size;
    http_file_release(f);
}

static int64_t mtime_of(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static char *read_all(int fd, size_t size)
{
    char *data = malloc(size + 1);
    size_t at = 0;
    while (data && at < size) {
        ssize_t n = read(fd, data + at, size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) { /* it shrank meanwhile: the next request sees its new time */
            free(data);
            return NULL;
        }
        at += (size_t)n;
    }
    return data;
}

static struct http_file *file_load(struct http_server *s, const char *full, int fd,
                                   const struct stat *st)
{
    struct http_file *f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->path = strdup(full);
    f->data = read_all(fd, (size_t)st->st_size);
    f->size = st->st_size;
    f->mtime_ns = mtime_of(st);
    f->refs = 1;
    if (!f->path || !f->data) {
        http_file_release(f);
        return NULL;
    }
    uint8_t digest[SHA256_LEN];
    char hex[17];
    sha256(digest, f->data, (size_t)f->size);
    hex_encode(hex, digest, 8);
    snprintf(f->etag, sizeof(f->etag), "\"%s\"", hex);
    struct http_file *old, *tmp;
    if (s->files_bytes + (size_t)f->size > MAX_CACHED)
        HASH_ITER(hh, s->files, old, tmp)
    forget(s, old);
    HASH_ADD_KEYPTR(hh, s->files, f->path, strlen(f->path), f);
    s->files_bytes += (size_t)f->size;
    return f;
}

/* The file at web_root/path, or NULL. A link that leads out of web_root isn't followed. */
static struct http_file *file_get(struct http_server *s, const char *path)
{
    char root[PATH_MAX], joined[PATH_MAX + HTTP_MAX_PATH + 2], full[PATH_MAX];
    if (!static_path_safe(path) || !realpath(s->o.web_root, root))
        return NULL;
    snprintf(joined, sizeof(joined), "%s%s", root, path);
    size_t n = strlen(root);
    if (!realpath(joined, full) || strncmp(full, root, n) != 0 || full[n] != '/')
        return NULL;
    struct http_file *f;
    struct stat st;
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > HTTP_MAX_RESPONSE) {
        close(fd);
        return NULL;
    }
    HASH_FIND_STR(s->files, full, f);
    if (f && (f->mtime_ns != mtime_of(&st) || f->size != st.st_size)) {
        forget(s, f);
        f = NULL;
    }
    if (!f)
        f = file_load(s, full, fd, &st);
    close(fd);
    return f;
}

static bool etag_matches(const char *header, const char *etag)
{
    return header && (strcmp(header, "*") == 0 || strstr(header, etag) != NULL);
}

static void answer_file(struct http_request *r, struct http_file *f, const char *path)
{
    (void)http_set_header(r, "etag", f->etag);
    (void)http_set_header(r, "cache-control",
                          static_path_is_hashed(path) ? "public, max-age=31536000, immutable"
                                                      : "no-cache");
    if (etag_matches(r->header[HTTP_H_IF_NONE_MATCH], f->etag)) {
        http_answer(r, 304, NULL, NULL, 0);
        return;
    }
    f->refs++;
    r->file = f;
    http_answer(r, 200, static_path_type(path), f->data, (size_t)f->size);
}

void http_static_serve(struct http_request *r)
{
    const char *path = strcmp(r->path, "/") == 0 ? "/index.html" : r->path;
    struct http_file *f = file_get(r->server, path);
    if (!f && static_path_safe(path) && static_path_is_page(path)) {
        path = "/index.html";
        f = file_get(r->server, path);
    }
    if (f)
        answer_file(r, f, path);
    else
        http_problem(r, 404, "not_found", NULL);
}

void http_static_free(struct http_server *s)
{
    struct http_file *f, *tmp;
    HASH_ITER(hh, s->files, f, tmp)
    forget(s, f);
}
