/* Client frames of calls: any bytes, as the data of any frame type, and what is read from them as
 * an event of a call. The first byte chooses the type. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "signaling/core/call.h"
#include "signaling/core/call_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct call_participant participant(const char *user, enum call_party_state state)
{
    struct call_participant p = {.state = state};
    id_parse(&p.user_id, user);
    id_parse(&p.participant_id, user);
    p.device_id = p.user_id;
    p.number = state == PARTY_JOINED;
    return p;
}

static void step_call(const struct call_frame *f, uint8_t choice)
{
    static const struct call_limits limits = {1000, 1000, 1000, 8};
    struct call_participant p[] = {
        participant("01890000-0000-7000-8000-000000000002", PARTY_JOINED),
        participant("01890000-0000-7000-8000-000000000003",
                    choice & 1 ? PARTY_JOINED : PARTY_RINGING),
    };
    struct call *c = call_new(&f->call_id, &limits);
    struct call_effects fx = {0};
    call_step(c,
              &(struct call_event){.type = CALL_RESTORE,
                                   .restored_state = choice & 1 ? CALL_ACTIVE : CALL_RINGING,
                                   .parties = p,
                                   .n_parties = 2},
              1, &fx);
    struct call_event ev = {.type = (enum call_event_type)(choice % CALL_EVENTS),
                            .request = 1,
                            .user_id = p[choice & 1].user_id,
                            .device_id = p[choice & 1].user_id,
                            .to_user = f->to_user,
                            .to_device = f->to_device,
                            .path = f->path,
                            .rtt_ms = f->rtt_ms,
                            .loss_percent = f->loss_percent,
                            .payload = f->payload,
                            .sfu_available = true,
                            .parties = p,
                            .n_parties = 2};
    call_step(c, &ev, 2, &fx);
    call_tick(c, INT64_MAX / 2, &fx);
    call_effects_free(&fx);
    call_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    cJSON *json = NULL;
    if (json_parse(&json, (const char *)data + 2, size - 2) != OK) {
        return 0;
    }
    struct call_frame *f = malloc(sizeof(*f));
    struct json_errors e = {0};
    if (f != NULL &&
        call_frame_parse(f, (enum call_frame_type)(data[0] % FRAME_TYPES), json, &e) == OK) {
        step_call(f, data[1]);
        call_frame_free(f);
    }
    free(f);
    cJSON_Delete(json);
    return 0;
}
