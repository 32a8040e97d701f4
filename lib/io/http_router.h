/* Which route a method and path belong to. Pure. */
#ifndef SOTTO_IO_HTTP_ROUTER_H
#define SOTTO_IO_HTTP_ROUTER_H

#include <stddef.h>

#include "lib/io/http.h"

#define HTTP_MAX_PATH_ARGS 4
#define HTTP_MAX_PATH_ARG  128

/* The values of a pattern's {names}. */
struct http_path_args {
    int n;
    struct {
        const char *name; /* borrowed from the pattern, name_len long */
        size_t name_len;
        char value[HTTP_MAX_PATH_ARG + 1];
    } item[HTTP_MAX_PATH_ARGS];
};

/* True when path (decoded, without query) fits the pattern segment by segment; {name} takes one
 * whole, non-empty segment of at most HTTP_MAX_PATH_ARG bytes. args is valid only when true. */
bool http_path_match(const char *pattern, const char *path, struct http_path_args *args);

/* One array given to http_add_routes. */
struct http_route_set {
    const struct http_route *routes; /* ended by a NULL path */
    void *arg;
    struct http_route_set *next;
};

struct http_match {
    const struct http_route *route; /* NULL: none */
    void *arg;
    struct http_path_args args;
    unsigned allowed; /* bit 1 << method of every route that has this path */
};

/* Looks the path up among the routes that are served on this kind of port: on the internal one
 * those with HTTP_INTERNAL or HTTP_PUBLIC_OPS, on the others all but HTTP_INTERNAL. A literal
 * segment wins over a {name}. */
void http_route_find(const struct http_route_set *sets, bool internal, enum http_method method,
                     const char *path, struct http_match *out);

/* "GET, POST" for the bits of `allowed`, with HEAD beside GET and OPTIONS at the end. */
void http_allow_text(unsigned allowed, char *out, size_t cap);
const char *http_method_name(enum http_method m);

#endif
