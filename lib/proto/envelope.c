#include "lib/proto/envelope.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

static int read_type(struct envelope *e, const cJSON *root)
{
    const cJSON *t = cJSON_GetObjectItemCaseSensitive(root, "type");

    if (!cJSON_IsString(t)) {
        return ERR_INVALID;
    }
    size_t n = strlen(t->valuestring);
    if (n == 0 || n > ENVELOPE_TYPE_LEN ||
        strspn(t->valuestring, "abcdefghijklmnopqrstuvwxyz0123456789_") != n) {
        return ERR_INVALID;
    }
    return str_copy(e->type, sizeof e->type, t->valuestring);
}

static int read_id(struct envelope *e, const cJSON *root)
{
    const cJSON *id = cJSON_GetObjectItemCaseSensitive(root, "id");

    if (!id || cJSON_IsNull(id)) {
        return OK;
    }
    if (cJSON_IsNumber(id)) {
        double v = id->valuedouble;
        if (!(v >= 0 && v <= 9007199254740991.0) || v != (double)(int64_t)v) {
            return ERR_INVALID;
        }
        snprintf(e->id, sizeof e->id, "%lld", (long long)v);
        e->id_is_number = true;
        return OK;
    }
    if (!cJSON_IsString(id)) {
        return ERR_INVALID;
    }
    for (const char *p = id->valuestring; *p; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            return ERR_INVALID;
        }
    }
    return str_copy(e->id, sizeof e->id, id->valuestring) < 0 ? ERR_INVALID : OK;
}

static int read_data(struct envelope *e, cJSON *root)
{
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(root, "data");

    if (!data || cJSON_IsNull(data)) {
        if (data) {
            cJSON_DeleteItemFromObjectCaseSensitive(root, "data");
        }
        e->data = cJSON_AddObjectToObject(root, "data");
        return e->data ? OK : ERR_NOMEM;
    }
    if (!cJSON_IsObject(data)) {
        return ERR_INVALID;
    }
    e->data = data;
    return OK;
}

int envelope_parse(struct envelope *e, const char *text, size_t len)
{
    cJSON *root;

    memset(e, 0, sizeof *e);
    if (len > ENVELOPE_MAX_BYTES) {
        return ERR_TOO_LARGE;
    }
    int r = json_parse(&root, text, len);
    if (r < 0) {
        return r;
    }
    if (!cJSON_IsObject(root)) {
        cJSON_Delete(root);
        return ERR_INVALID;
    }
    int type = read_type(e, root), id = read_id(e, root);
    r = type < 0 ? type : id;
    if (r == OK) {
        r = read_data(e, root);
    }
    if (r < 0) {
        e->data = NULL;
        cJSON_Delete(root);
        return r;
    }
    e->root = root;
    return OK;
}

void envelope_free(struct envelope *e)
{
    cJSON_Delete(e->root);
    e->root = NULL;
    e->data = NULL;
}
