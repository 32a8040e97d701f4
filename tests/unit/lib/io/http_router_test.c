#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "lib/io/http_router.h"

static struct http_path_args args;

static void literal_paths_match_whole(void **state)
{
    (void)state;
    assert_true(http_path_match("/v1/calls", "/v1/calls", &args));
    assert_int_equal(args.n, 0);
    assert_false(http_path_match("/v1/calls", "/v1/call", &args));
    assert_false(http_path_match("/v1/calls", "/v1/calls2", &args));
    assert_false(http_path_match("/v1/calls", "/v1/calls/", &args));
    assert_false(http_path_match("/v1/calls", "/v1", &args));
    assert_false(http_path_match("/v1/calls", "v1/calls", &args));
    assert_false(http_path_match("/v1/calls", "", &args));
    assert_true(http_path_match("/", "/", &args));
}

static void names_take_one_segment(void **state)
{
    (void)state;
    assert_true(http_path_match("/a/{id}/members/{userId}", "/a/x y/members/77", &args));
    assert_int_equal(args.n, 2);
    assert_int_equal(args.item[0].name_len, 2);
    assert_memory_equal(args.item[0].name, "id", 2);
    assert_string_equal(args.item[0].value, "x y");
    assert_int_equal(args.item[1].name_len, 6);
    assert_string_equal(args.item[1].value, "77");
    assert_false(http_path_match("/a/{id}", "/a/", &args));
    assert_false(http_path_match("/a/{id}", "/a/b/c", &args));
}

static void a_long_segment_does_not_match(void **state)
{
    (void)state;
    char path[300] = "/a/";
    memset(path + 3, 'x', HTTP_MAX_PATH_ARG);
    path[3 + HTTP_MAX_PATH_ARG] = 0;
    assert_true(http_path_match("/a/{id}", path, &args));
    assert_int_equal(strlen(args.item[0].value), HTTP_MAX_PATH_ARG);
    path[3 + HTTP_MAX_PATH_ARG] = 'x';
    assert_false(http_path_match("/a/{id}", path, &args));
}

static void more_names_than_we_keep_do_not_match(void **state)
{
    (void)state;
    assert_true(http_path_match("/{a}/{b}/{c}/{d}", "/1/2/3/4", &args));
    assert_false(http_path_match("/{a}/{b}/{c}/{d}/{e}", "/1/2/3/4/5", &args));
}

static void handler(struct http_request *r, void *arg)
{
    (void)r;
    (void)arg;
}

static const struct http_route first[] = {
    {HTTP_GET, "/v1/users/{id}", handler, HTTP_AUTH, 0, NULL},
    {HTTP_GET, "/v1/users/me", handler, HTTP_AUTH, 0, NULL},
    {HTTP_PATCH, "/v1/users/me", handler, HTTP_AUTH, 0, NULL},
    {0, NULL, NULL, 0, 0, NULL},
};
static const struct http_route second[] = {
    {HTTP_GET, "/healthz", handler, HTTP_PUBLIC_OPS, 0, NULL},
    {HTTP_GET, "/metrics", handler, HTTP_INTERNAL | HTTP_PUBLIC_OPS, 0, NULL},
    {HTTP_POST, "/v1/internal/x", handler, HTTP_INTERNAL, 0, NULL},
    {0, NULL, NULL, 0, 0, NULL},
};
static int arg_first, arg_second;
static const struct http_route_set set_second = {second, &arg_second, NULL};
static struct http_route_set set_first = {first, &arg_first, (struct http_route_set *)&set_second};

static void a_literal_wins_over_a_name(void **state)
{
    struct http_match m;
    (void)state;
    http_route_find(&set_first, false, HTTP_GET, "/v1/users/me", &m);
    assert_ptr_equal(m.route, &first[1]);
    assert_ptr_equal(m.arg, &arg_first);
    assert_int_equal(m.allowed, 1u << HTTP_GET | 1u << HTTP_PATCH);
    http_route_find(&set_first, false, HTTP_GET, "/v1/users/7", &m);
    assert_ptr_equal(m.route, &first[0]);
    assert_string_equal(m.args.item[0].value, "7");
}

static void another_method_is_told_apart_from_no_path(void **state)
{
    struct http_match m;
    (void)state;
    http_route_find(&set_first, false, HTTP_DELETE, "/v1/users/me", &m);
    assert_null(m.route);
    assert_int_equal(m.allowed, 1u << HTTP_GET | 1u << HTTP_PATCH);
    http_route_find(&set_first, false, HTTP_GET, "/v1/none", &m);
    assert_null(m.route);
    assert_int_equal(m.allowed, 0);
}

static void internal_routes_are_only_on_the_internal_port(void **state)
{
    struct http_match m;
    (void)state;
    http_route_find(&set_first, false, HTTP_POST, "/v1/internal/x", &m);
    assert_null(m.route);
    assert_int_equal(m.allowed, 0);
    http_route_find(&set_first, false, HTTP_GET, "/metrics", &m);
    assert_null(m.route);
    http_route_find(&set_first, true, HTTP_GET, "/metrics", &m);
    assert_ptr_equal(m.route, &second[1]);
    http_route_find(&set_first, true, HTTP_POST, "/v1/internal/x", &m);
    assert_ptr_equal(m.route, &second[2]);
    http_route_find(&set_first, true, HTTP_GET, "/v1/users/me", &m);
    assert_null(m.route);
    http_route_find(&set_first, false, HTTP_GET, "/healthz", &m);
    assert_ptr_equal(m.route, &second[0]);
    http_route_find(&set_first, true, HTTP_GET, "/healthz", &m);
    assert_ptr_equal(m.route, &second[0]);
}

static void allow_lists_the_methods(void **state)
{
    char text[64];
    (void)state;
    http_allow_text(1u << HTTP_GET | 1u << HTTP_DELETE, text, sizeof(text));
    assert_string_equal(text, "GET, HEAD, DELETE, OPTIONS");
    http_allow_text(0x1f, text, sizeof(text));
    assert_string_equal(text, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    http_allow_text(1u << HTTP_POST | 1u << HTTP_OPTIONS, text, sizeof(text)); /* never twice */
    assert_string_equal(text, "POST, OPTIONS");
    http_allow_text(0x1f, text, 8); /* too small a room is cut, not overrun */
    assert_int_equal(strlen(text), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literal_paths_match_whole),
        cmocka_unit_test(names_take_one_segment),
        cmocka_unit_test(a_long_segment_does_not_match),
        cmocka_unit_test(more_names_than_we_keep_do_not_match),
        cmocka_unit_test(a_literal_wins_over_a_name),
        cmocka_unit_test(another_method_is_told_apart_from_no_path),
        cmocka_unit_test(internal_routes_are_only_on_the_internal_port),
        cmocka_unit_test(allow_lists_the_methods),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
