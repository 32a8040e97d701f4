/* Error answers: RFC 9457 problem documents. */
#include "lib/io/http_internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"

const char *http_status_title(int status)
{
    static const struct {
        int status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

char *http_problem_text(int status, const char *code, const char *detail, const char *request_id,
                        const struct json_errors *errors)
{
    cJSON *o = json_new();
    struct buf type;
    buf_init(&type, 256);
    (void)buf_printf(&type, "urn:sotto:error:%s", code);
    json_put_str(o, "type", buf_cstr(&type));
    buf_free(&type);
    json_put_str(o, "title", http_status_title(status));
    json_put_int(o, "status", status);
    json_put_str(o, "code", code);
    json_put_str(o, "detail", detail);
    if (request_id && request_id[0])
        json_put_str(o, "requestId", request_id);
    if (errors && errors->n) {
        cJSON *list = cJSON_CreateArray();
        for (int i = 0; list && i < errors->n; i++) {
            cJSON *e = json_new();
            json_put_str(e, "field", errors->item[i].field);
            json_put_str(e, "message", errors->item[i].message);
            cJSON_AddItemToArray(list, e);
        }
        json_put(o, "errors", list);
    }
    char *text = json_print(o);
    cJSON_Delete(o);
    return text;
}

static void answer(struct http_request *r, int status, const char *code, const char *detail,
                   const struct json_errors *errors)
{
    char *text = http_problem_text(status, code, detail, r->request_id, errors);
    http_answer(r, status, "application/problem+json", text, text ? strlen(text) : 0);
}

void http_problem(struct http_request *r, int status, const char *code, const char *detail)
{
    answer(r, status, code, detail, NULL);
}

void http_problem_fields(struct http_request *r, const struct json_errors *e)
{
    answer(r, 400, "invalid_request", "The request has invalid fields.", e);
}

void http_problem_limited(struct http_request *r, const struct ratelimit_result *rl)
{
    char seconds[24];
    int64_t wait_us = rl ? rl->reset_us : 1000000;
    snprintf(seconds, sizeof(seconds), "%lld", (long long)((wait_us + 999999) / 1000000));
    (void)http_set_header(r, "Retry-After", seconds[0] == '0' ? "1" : seconds);
    answer(r, 429, "rate_limited", "Too many requests; try again later.", NULL);
}

void http_problem_err(struct http_request *r, int err)
{
    static const struct {
        int err, status;
        const char *code;
    } map[] = {
        {ERR_INVALID, 400, "invalid_request"}, {ERR_TRUNCATED, 400, "invalid_request"},
        {ERR_TOO_LARGE, 413, "too_large"},     {ERR_NOT_FOUND, 404, "not_found"},
        {ERR_CONFLICT, 409, "conflict"},       {ERR_WRONG_STATE, 409, "conflict"},
        {ERR_AUTH, 401, "unauthorized"},       {ERR_FORBIDDEN, 403, "forbidden"},
        {ERR_LIMIT, 503, "overloaded"},        {ERR_UNAVAILABLE, 503, "unavailable"},
        {ERR_TIMEOUT, 503, "unavailable"},     {ERR_CLOSED, 503, "unavailable"},
        {ERR_UNSUPPORTED, 501, "unsupported"},
    };
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
        if (map[i].err != err)
            continue;
        if (map[i].status == 503)
            (void)http_set_header(r, "Retry-After", "2");
        answer(r, map[i].status, map[i].code, NULL, NULL);
        return;
    }
    answer(r, 500, "internal", NULL, NULL);
}
