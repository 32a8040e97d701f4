#include "sfu/shell/hello_merge.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/proto/control.h"

struct merged_room {
    const char *room;    /* of the result */
    cJSON *participants; /* of the result */
    UT_hash_handle hh;
};

static cJSON *member(const cJSON *o, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(o, name);
}

/* Which numbers a room has, for the time of a merge: looking each up in the list would take the
 * square of a large room's size. */
struct numbers {
    uint8_t bit[CONTROL_MAX_PARTICIPANT / 8 + 1];
};

/* Notes it; false when it is there already, or is none. */
static bool add_number(struct numbers *n, const cJSON *number)
{
    int i = number->valueint;
    if (i < 1 || i > CONTROL_MAX_PARTICIPANT || (n->bit[i / 8] & 1 << i % 8)) {
        return false;
    }
    n->bit[i / 8] |= (uint8_t)(1 << i % 8);
    return true;
}

static void add_participants(cJSON *to, cJSON *from)
{
    struct numbers known = {0};
    cJSON *n;
    cJSON_ArrayForEach(n, to)
    {
        add_number(&known, n);
    }
    n = from ? from->child : NULL;
    while (n) {
        cJSON *next = n->next;
        if (add_number(&known, n)) {
            cJSON_AddItemToArray(to, cJSON_DetachItemViaPointer(from, n));
        }
        n = next;
    }
}

static int note_room(struct merged_room **known, cJSON *o)
{
    struct merged_room *m = calloc(1, sizeof *m);
    if (!m) {
        return ERR_NOMEM;
    }
    m->room = cJSON_GetStringValue(member(o, "room"));
    m->participants = member(o, "participants");
    if (!m->room || !m->participants) {
        free(m);
        return ERR_INVALID;
    }
    HASH_ADD_KEYPTR(hh, *known, m->room, strlen(m->room), m);
    return OK;
}

/* Moves the rooms of one hello (its array) into the result's. */
static int take_rooms(struct merged_room **known, cJSON *result, cJSON *rooms)
{
    int err = OK;
    cJSON *o = rooms ? rooms->child : NULL;
    while (o && !err) {
        struct merged_room *same = NULL;
        cJSON *next = o->next;
        const char *room = cJSON_GetStringValue(member(o, "room"));
        if (room) {
            HASH_FIND_STR(*known, room, same);
        }
        if (same) {
            add_participants(same->participants, member(o, "participants"));
        } else {
            if (result != rooms) {
                cJSON_AddItemToArray(result, cJSON_DetachItemViaPointer(rooms, o));
            }
            err = note_room(known, o);
        }
        o = next;
    }
    return err;
}

static int take_hello(struct merged_room **known, cJSON *result, const char *text)
{
    cJSON *root;
    int err = json_parse(&root, text, strlen(text));
    if (!err) {
        err = take_rooms(known, result, member(root, "rooms"));
        cJSON_Delete(root);
    }
    return err;
}

char *hello_merge(char *const *hello, size_t n)
{
    struct merged_room *known = NULL, *m, *tmp;
    cJSON *root, *rooms;
    char *text = NULL;
    if (json_parse(&root, hello[0], strlen(hello[0])) != OK) {
        return NULL;
    }
    rooms = member(root, "rooms");
    int err = rooms ? take_rooms(&known, rooms, rooms) : ERR_INVALID;
    for (size_t i = 1; i < n && !err; i++) {
        err = take_hello(&known, rooms, hello[i]);
    }
    if (!err) {
        text = json_print(root);
    }
    HASH_ITER(hh, known, m, tmp)
    {
        HASH_DEL(known, m);
        free(m);
    }
    cJSON_Delete(root);
    return text;
}
