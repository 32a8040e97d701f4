/* What the SFU measured of a call: each client is told of his own media, and the record hears of
 * those who can't report themselves. */
#include <string.h>

#include "signaling/shell/call_shell.h"

static double number_in(const cJSON *o, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    return cJSON_IsNumber(v) && v->valuedouble >= 0 ? v->valuedouble : -1;
}

static double worse(double a, double b)
{
    return a > b ? a : b;
}

/* Of both ways, the worst: -1 where nothing is known. */
static double worst_loss(const cJSON *entry)
{
    const cJSON *t;
    double loss = number_in(cJSON_GetObjectItemCaseSensitive(entry, "subscribe"), "lossPercent");
    cJSON_ArrayForEach(t, cJSON_GetObjectItemCaseSensitive(entry, "publish"))
    {
        loss = worse(loss, number_in(t, "lossPercent"));
    }
    return loss < 100 ? loss : 100;
}

static void tell_client(struct call_entry *en, const struct call_participant *p, const cJSON *entry)
{
    static const char *const parts[] = {"publish", "subscribe"};
    cJSON *o = json_new();
    json_put_str(o, "callId", en->call->id.s);
    json_put_str(o, "path", "sfu");
    for (int i = 0; i < 2; i++) {
        const cJSON *part = cJSON_GetObjectItemCaseSensitive(entry, parts[i]);
        json_put(o, parts[i], part ? cJSON_Duplicate(part, true) : NULL);
    }
    hub_send_device(en->s->o.hub, p->user_id.s, p->device_id.s, WS_EPHEMERAL, "call_stats", o);
}

/* He is here by WHIP or WHEP alone: nobody else tells how it goes with him. */
static void note_quality(struct call_entry *en, const struct call_participant *p,
                         const cJSON *entry)
{
    const cJSON *sub = cJSON_GetObjectItemCaseSensitive(entry, "subscribe");
    double rtt_ms = number_in(sub, "rttMs");
    call_entry_step(en, &(struct call_event){.type = CALL_STATS,
                                             .user_id = p->user_id,
                                             .device_id = p->device_id,
                                             .path = CALL_PATH_SFU,
                                             .rtt_ms = rtt_ms > 600000 ? 600000 : (int)rtt_ms,
                                             .loss_percent = worst_loss(entry)});
}

void call_sfu_stats(struct call_entry *en, const cJSON *frame)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(frame, "participants"))
    {
        int number = (int)number_in(entry, "participant");
        const struct call_participant *p =
            number > 0 ? call_party_numbered(en->call, number) : NULL;
        if (p == NULL || p->state != PARTY_JOINED) {
            continue;
        }
        if (hub_device_online(en->s->o.hub, p->device_id.s)) {
            tell_client(en, p, entry);
        } else if (en->whips != NULL) {
            note_quality(en, p, entry);
        }
    }
}
