/* The envelope of a client's WebSocket frame: {"type", "id", "data"} (docs/asyncapi.yaml). */
#ifndef SOTTO_PROTO_ENVELOPE_H
#define SOTTO_PROTO_ENVELOPE_H

#include <stddef.h>

#include "lib/base/json.h"

#define ENVELOPE_MAX_BYTES 65536
#define ENVELOPE_TYPE_LEN  48
#define ENVELOPE_ID_LEN    64

struct envelope {
    char type[ENVELOPE_TYPE_LEN + 1]; /* [a-z0-9_]+ */
    char id[ENVELOPE_ID_LEN + 1];     /* printable ASCII; "" when the client gave none */
    bool id_is_number;                /* it came as a number, and goes back as one */
    cJSON *root;                      /* owned */
    const cJSON *data;                /* an object inside root; an empty one when not given */
};

/* Reads one frame. ERR_TOO_LARGE, ERR_INVALID: bad JSON, not an object, type missing or not a name,
 * id neither string nor integer, data not an object. On ERR_INVALID type and id hold what could be
 * read (for the error reply) and root is NULL. Free with envelope_free after OK. */
int envelope_parse(struct envelope *e, const char *text, size_t len);
void envelope_free(struct envelope *e);

#endif
