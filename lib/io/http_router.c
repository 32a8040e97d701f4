#include "lib/io/http_router.h"

#include <stdio.h>
#include <string.h>

static const char *const method_names[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

const char *http_method_name(enum http_method m)
{
    return method_names[m];
}

static bool take_arg(struct http_path_args *args, const char *name, size_t name_len,
                     const char *value, size_t len)
{
    if (len == 0 || len > HTTP_MAX_PATH_ARG || args->n == HTTP_MAX_PATH_ARGS)
        return false;
    args->item[args->n].name = name;
    args->item[args->n].name_len = name_len;
    memcpy(args->item[args->n].value, value, len);
    args->item[args->n].value[len] = 0;
    args->n++;
    return true;
}

bool http_path_match(const char *pattern, const char *path, struct http_path_args *args)
{
    args->n = 0;
    while (*pattern == '/' && *path == '/') {
        pattern++;
        path++;
        size_t want = strcspn(pattern, "/"), have = strcspn(path, "/");
        bool named = want > 2 && pattern[0] == '{' && pattern[want - 1] == '}';
        if (named ? !take_arg(args, pattern + 1, want - 2, path, have)
                  : want != have || memcmp(pattern, path, want) != 0)
            return false;
        pattern += want;
        path += have;
    }
    return *pattern == 0 && *path == 0;
}

static bool served_on(const struct http_route *r, bool internal)
{
    return internal ? (r->flags & (HTTP_INTERNAL | HTTP_PUBLIC_OPS)) != 0
                    : (r->flags & HTTP_INTERNAL) == 0;
}

void http_route_find(const struct http_route_set *sets, bool internal, enum http_method method,
                     const char *path, struct http_match *out)
{
    out->route = NULL;
    out->arg = NULL;
    out->args.n = 0;
    out->allowed = 0;
    for (; sets; sets = sets->next) {
        for (const struct http_route *r = sets->routes; r->path; r++) {
            struct http_path_args args;
            if (!served_on(r, internal) || !http_path_match(r->path, path, &args))
                continue;
            out->allowed |= 1u << r->method;
            if (r->method != method || (out->route && args.n >= out->args.n))
                continue;
            out->route = r;
            out->arg = sets->arg;
            out->args = args;
        }
    }
}

void http_allow_text(unsigned allowed, char *out, size_t cap)
{
    size_t at = 0;
    if (cap)
        out[0] = 0;
    for (int m = HTTP_GET; m <= HTTP_DELETE; m++) {
        if (!(allowed & (1u << m)) || at >= cap)
            continue;
        int n =
            snprintf(out + at, cap - at, "%s%s, ", method_names[m], m == HTTP_GET ? ", HEAD" : "");
        at += n > 0 ? (size_t)n : 0;
    }
    if (at < cap)
        snprintf(out + at, cap - at, "OPTIONS");
}
