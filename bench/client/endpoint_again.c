/* A connected endpoint goes on from another port, or with other ICE credentials. */
#include <string.h>

#include "bench/client/endpoint_private.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

static int may_go_on(const struct endpoint *e)
{
    if (e->raw || e->o.nice || e->relay)
        return ERR_UNSUPPORTED;
    if (e->state != ENDPOINT_CONNECTED)
        return ERR_STATE;
    return e->agreed.remote_lite ? OK : ERR_UNSUPPORTED;
}

int endpoint_move(struct endpoint *e)
{
    int r = may_go_on(e);
    if (r == OK)
        r = endpoint_socket_renew(e);
    if (r != OK)
        return r;
    int64_t now = clock_mono_us();
    ice_lean_moved(&e->ice, now);
    endpoint_session_poll(e, now);
    endpoint_schedule(e, now);
    return OK;
}

/* ---- ICE restart ---- */

/* The checks begin, towards the address in use: the socket hears no other. */
static int check_anew(struct endpoint *e, const struct sdp_client_agreed *a)
{
    struct ice_lean_candidate peer = {.address = e->peer, .priority = 1, .type = 'h'};
    int64_t now = clock_mono_us();
    int r = ice_lean_remote(&e->next, a->ufrag, a->pwd, a->remote_lite, true, &peer, 1, now);
    if (r != OK)
        return r;
    ice_lean_free(&e->ice);
    e->ice = e->next;
    memset(&e->next, 0, sizeof e->next);
    e->restart = ENDPOINT_RESTART_CHECKING;
    e->restart_us = now;
    endpoint_session_poll(e, now);
    endpoint_schedule(e, now);
    return OK;
}

static int answer_restart(struct endpoint *e, const char *offer, size_t len, const char *candidates)
{
    struct sdp_client_agreed agreed = {0};
    int r = endpoint_give_answer(e, &agreed, offer, len, e->next.ufrag, e->next.pwd, candidates);
    if (r != OK)
        return r;
    r = check_anew(e, &agreed);
    sdp_client_agreed_free(&agreed);
    return r;
}

int endpoint_restart(struct endpoint *e, const char *offer, size_t len)
{
    char candidates[ENDPOINT_CANDIDATES];
    int r = may_go_on(e);
    if (r != OK)
        return r;
    if (e->restart != ENDPOINT_RESTART_NONE || e->offerer != !offer)
        return ERR_STATE;
    ice_lean_init(&e->next);
    endpoint_candidates(e, candidates, sizeof candidates);
    if (offer)
        return answer_restart(e, offer, len, candidates);
    r = endpoint_give_offer(e, e->next.ufrag, e->next.pwd, candidates);
    if (r == OK)
        e->restart = ENDPOINT_RESTART_OFFERED;
    return r;
}

int endpoint_restart_remote(struct endpoint *e, const char *sdp, size_t len)
{
    struct sdp_client_local local;
    struct sdp_client_agreed agreed = {0};
    int r = endpoint_local(e, &local, "", "", NULL);
    if (r == OK)
        r = sdp_client_read_answer(&agreed, sdp, len, &local);
    e->restart = ENDPOINT_RESTART_NONE;
    if (r != OK)
        return r;
    r = check_anew(e, &agreed);
    sdp_client_agreed_free(&agreed);
    return r;
}

void endpoint_restarted(struct endpoint *e, int64_t now_us)
{
    e->restart = ENDPOINT_RESTART_NONE;
    if (e->handler.restarted)
        e->handler.restarted(e->arg, e, now_us - e->restart_us);
}
