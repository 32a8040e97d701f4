#include <string.h>

#include "lib/base/err.h"
#include "signaling/shell/sfu_link_internal.h"

static int64_t count_of(const cJSON *load, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(load, field);
    return cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < 1e9 ? (int64_t)v->valuedouble
                                                                           : 0;
}

void sfu_node_load(struct sfu_node *n, const cJSON *load)
{
    n->rooms = load ? count_of(load, "rooms") : 0;
    n->transports = load ? count_of(load, "transports") : 0;
    n->placed = 0;
}

int64_t sfu_node_forwarded(struct sfu_node *n, const cJSON *load)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(load, "forwardedPackets");
    if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > 9e15)
        return 0;
    int64_t total = (int64_t)v->valuedouble;
    int64_t more = n->forwarded >= 0 && total > n->forwarded ? total - n->forwarded : 0;
    n->forwarded = total;
    return more;
}

void sfu_node_placed(struct sfu_node *n)
{
    n->placed++;
}

bool sfu_node_less(const struct sfu_node *a, const struct sfu_node *b)
{
    int64_t load_a = a->transports + a->placed, load_b = b->transports + b->placed;
    if (load_a != load_b)
        return load_a < load_b;
    if (a->rooms != b->rooms)
        return a->rooms < b->rooms;
    return strcmp(a->name, b->name) < 0;
}

int sfu_code_to_err(const char *code)
{
    static const struct {
        const char *code;
        int err;
    } table[] = {
        {"room_not_found", ERR_NOT_FOUND},
        {"participant_not_found", ERR_NOT_FOUND},
        {"not_found", ERR_NOT_FOUND},
        {"bad_request", ERR_INVALID},
        {"bad_sdp", ERR_INVALID},
        {"invalid", ERR_INVALID},
        {"unsupported", ERR_UNSUPPORTED},
        {"full", ERR_LIMIT},
        {"limit", ERR_LIMIT},
        {"conflict", ERR_WRONG_STATE},
        {"state", ERR_WRONG_STATE},
        {"too_large", ERR_TOO_LARGE},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strcmp(code, table[i].code) == 0)
            return table[i].err;
    }
    return ERR_IO;
}
