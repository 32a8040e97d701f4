#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/ids.h"
#include "lib/base/json.h"

#define FIFTEEN_DIGITS INT64_C(1000000000000000)

static void must(const void *made)
{
    if (!made) {
        abort(); /* said in json.h: small control-plane allocations only */
    }
}

cJSON *json_new(void)
{
    cJSON *o = cJSON_CreateObject();

    must(o);
    return o;
}

void json_put_str(cJSON *o, const char *field, const char *s)
{
    if (s) {
        must(cJSON_AddStringToObject(o, field, s));
    }
}

void json_put_int(cJSON *o, const char *field, int64_t v)
{
    char text[24];

    /* cJSON's numbers are doubles, written as 1.7e+15 past fifteen digits. */
    if (v < FIFTEEN_DIGITS && v > -FIFTEEN_DIGITS) {
        must(cJSON_AddNumberToObject(o, field, (double)v));
        return;
    }
    snprintf(text, sizeof text, "%" PRId64, v);
    must(cJSON_AddRawToObject(o, field, text));
}

void json_put_bool(cJSON *o, const char *field, bool v)
{
    must(cJSON_AddBoolToObject(o, field, v));
}

void json_put_null(cJSON *o, const char *field)
{
    must(cJSON_AddNullToObject(o, field));
}

void json_put(cJSON *o, const char *field, cJSON *owned)
{
    if (owned && !cJSON_AddItemToObject(o, field, owned)) {
        abort();
    }
}

void json_put_time(cJSON *o, const char *field, int64_t wall_us)
{
    char text[RFC3339_LEN + 1];

    rfc3339_format(text, wall_us);
    json_put_str(o, field, text);
}
