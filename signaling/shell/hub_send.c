/* Events that aren't durable: to sockets that are there, or to the queue of a device that is held
 * or still syncing. */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "signaling/shell/hub_internal.h"

char *hub_event_text(const char *type, cJSON *data)
{
    cJSON *event = json_new();
    json_put_str(event, "type", type);
    json_put(event, "data", data ? data : json_new());
    char *text = json_print(event);
    cJSON_Delete(event);
    return text;
}

/* Returns 1 when the device has a socket. */
static int send_to(struct hub_device *d, enum ws_class cls, const char *text, size_t len)
{
    struct socket *s = d->socket;
    if (s && (s->state == SOCKET_LIVE || s->state == SOCKET_OVERFLOW)) {
        int err = ws_send(s->w, cls, text, len);
        if (err == OK) {
            metric_add(&hub_metric_events_out, 1);
        } else {
            metric_add(&hub_metric_dropped, 1);
            if (cls != WS_EPHEMERAL && err == ERR_LIMIT) {
                /* Call signalling that is lost would leave the client with a wrong picture for
                 * good: a new socket starts from a right one. */
                socket_close(s, 1013, "too slow", false);
                return 0;
            }
        }
        return 1;
    }
    if (!s && !d->hold)
        return 0;
    size_t before = d->held.dropped;
    if (held_push(&d->held, cls, text, len, HUB_HELD_FRAMES, HUB_HELD_BYTES) != OK ||
        d->held.dropped > before)
        metric_add(&hub_metric_dropped, 1);
    return s ? 1 : 0;
}

int hub_send_device(struct hub *h, const char *user_id, const char *device_id, enum ws_class cls,
                    const char *type, cJSON *data)
{
    int sent = 0;
    struct hub_device *d = hub_device_find(h, device_id);
    if (!d || strcmp(d->user->user_id, user_id) != 0) {
        cJSON_Delete(data);
        return 0;
    }
    char *text = hub_event_text(type, data);
    if (text)
        sent = send_to(d, cls, text, strlen(text));
    free(text);
    return sent;
}

int hub_send_user(struct hub *h, const char *user_id, const char *except_device, enum ws_class cls,
                  const char *type, cJSON *data)
{
    int sent = 0;
    struct hub_device *d;
    struct hub_user *u = hub_user_find(h, user_id);
    if (!u) {
        cJSON_Delete(data);
        return 0;
    }
    char *text = hub_event_text(type, data);
    if (!text)
        return 0;
    hub_user_enter(u); /* sending may close a slow socket */
    DL_FOREACH(u->devices, d)
    {
        if (!except_device || strcmp(d->device_id, except_device) != 0)
            sent += send_to(d, cls, text, strlen(text));
    }
    hub_user_leave(u);
    free(text);
    return sent;
}

void hub_flush_held(struct hub_device *d)
{
    struct held_frame *f;
    if (d->held.dropped)
        LOG_W("held_frames_dropped", "device=%s n=%zu", d->device_id, d->held.dropped);
    d->held.dropped = 0;
    while (d->socket && (f = held_pop(&d->held))) {
        if (ws_send(d->socket->w, f->cls, f->text, f->len) == OK)
            metric_add(&hub_metric_events_out, 1);
        else
            metric_add(&hub_metric_dropped, 1);
        free(f);
    }
}

void hub_announce(struct hub *h, const char *user_id)
{
    struct hub_user *u = hub_user_find(h, user_id);
    if (!u)
        return;
    hub_user_enter(u);
    inbox_pull_user(u);
    hub_user_leave(u);
}
