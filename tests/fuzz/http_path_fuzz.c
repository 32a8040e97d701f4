/* What is pure of a request's head: routes, file names, queries, origins. The first byte splits the
 * input into two texts. */
#include <stdlib.h>
#include <string.h>

#include "lib/io/http_internal.h"
#include "lib/io/static_path.h"

static void nothing(struct http_request *r, void *arg)
{
    (void)r;
    (void)arg;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/v1/users/{id}", nothing, 0, 0, NULL},
    {HTTP_GET, "/v1/users/me", nothing, 0, 0, NULL},
    {HTTP_PUT, "/v1/conversations/{id}/members/{userId}", nothing, HTTP_INTERNAL, 0, NULL},
    {0, NULL, NULL, 0, 0, NULL},
};
static const struct http_route_set set = {routes, NULL, NULL};

static char *text_of(const uint8_t *data, size_t n)
{
    char *s = malloc(n + 1);
    if (!s)
        abort();
    memcpy(s, data, n);
    s[n] = 0;
    return s;
}

static void check_path(const char *path)
{
    struct http_match m;
    http_route_find(&set, false, HTTP_GET, path, &m);
    for (int i = 0; i < m.args.n && m.route; i++) {
        size_t n = strlen(m.args.item[i].value);
        if (n == 0 || n > HTTP_MAX_PATH_ARG || strchr(m.args.item[i].value, '/'))
            abort();
    }
    if (m.allowed & (1u << HTTP_PUT)) /* internal, and this isn't the internal port */
        abort();
    if (static_path_safe(path) && (strstr(path, "/.") || strstr(path, "//") || strchr(path, '\\')))
        abort();
    (void)static_path_is_page(path);
    (void)static_path_is_hashed(path);
    if (!static_path_type(path))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t first = data[0] % size, rest = size - 1 - (first < size - 1 ? first : size - 1);
    first = size - 1 - rest;
    char *a = text_of(data + 1, first), *b = text_of(data + 1 + first, rest);
    struct http_path_args args;
    check_path(a);
    check_path(b);
    (void)http_path_match(a, b, &args); /* any pattern on any path */
    if (http_origin_own(a, b) && !strstr(a, "://"))
        abort();
    struct buf query;
    buf_init(&query, 8192);
    if (rest < 4096 && buf_append(&query, data + 1 + first, rest) == 0 &&
        buf_append(&query, "", 1) == 0)
        (void)http_query_find(&query, a);
    buf_free(&query);
    free(a);
    free(b);
    return 0;
}
