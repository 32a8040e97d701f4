/* json_parse takes any bytes; what it takes prints as JSON that it takes again, the same. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Every kind of access to every member: none may step outside the tree. */
static void read_members(const cJSON *o)
{
    static const char *const words[] = {"audio", "video", NULL};
    struct json_errors e = {0};

    for (const cJSON *m = o->child; m && m->string; m = m->next) {
        (void)json_str(o, m->string, JSON_REQUIRED, 1, 8, &e);
        (void)json_id(o, m->string, JSON_OPTIONAL, &e);
        (void)json_int(o, m->string, JSON_OPTIONAL, -5, 500, 1, &e);
        (void)json_bool(o, m->string, JSON_REQUIRED, false, &e);
        (void)json_enum(o, m->string, JSON_OPTIONAL, words, &e);
        (void)json_obj(o, m->string, JSON_OPTIONAL, &e);
        (void)json_arr(o, m->string, JSON_OPTIONAL, 3, &e);
    }
    if (e.n < 0 || e.n > JSON_MAX_ERRORS) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    cJSON *v = NULL, *again = NULL;
    int rc = json_parse(&v, (const char *)data, n);

    if (rc != OK) {
        if (rc != ERR_INVALID || v) {
            abort();
        }
        return 0;
    }
    if (!utf8_is_valid(data, n)) {
        abort();
    }
    char *text = json_print(v);
    if (!text || json_parse(&again, text, strlen(text)) != OK) {
        abort();
    }
    if (n < 2048 && !cJSON_Compare(v, again, 1)) { /* quadratic in members */
        abort();
    }
    if (n < 2048) {
        read_members(v);
    }
    free(text);
    cJSON_Delete(v);
    cJSON_Delete(again);
    return 0;
}
