/* WHIP and WHEP sessions after their POST: PATCH (RFC 9725 section 4.3) and DELETE. The ETag names
 * the ICE session: candidates are for the one that it names, a restart asks for a new one by "*".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "signaling/shell/whip.h"

/* The caller's own session of the path, not one that is still being made; answers 404 for any
 * other. */
static struct whip_session *session_of(struct http_request *r, struct calls *s, enum whip_kind kind,
                                       struct call_entry **en)
{
    *en = call_entry_find(s, http_path_arg(r, "id"));
    struct whip_session *w =
        *en != NULL ? whip_session_find(*en, http_path_arg(r, "session")) : NULL;
    if (w == NULL || w->kind != kind || w->state == WHIP_OPENING ||
        !id_equal(&w->user_id, &http_who(r)->user_id)) {
        http_problem(r, 404, "not_found", "There is no such session.");
        return NULL;
    }
    return w;
}

/* ---- the precondition ---- */

/* RFC 9110 section 13.1.1: a list of entity tags, compared strongly. */
static bool matches(const char *list, const struct whip_session *w)
{
    char tag[32];
    snprintf(tag, sizeof(tag), "\"ice-%u\"", w->ice_session);
    size_t n = strlen(tag);
    for (const char *p = list; *p != '\0';) {
        p += strspn(p, ", \t");
        size_t len = strcspn(p, ", \t");
        if (len == n && memcmp(p, tag, n) == 0) {
            return true;
        }
        p += len;
    }
    return false;
}

/* False: answered. */
static bool precondition_holds(struct http_request *r, const struct whip_session *w)
{
    const char *match = http_header(r, "if-match");
    if (match == NULL) {
        http_problem(r, 428, "precondition_required", "If-Match must name the ICE session.");
        return false;
    }
    if (strcmp(match, "*") != 0 && !matches(match, w)) {
        whip_put_etag(r, w);
        http_problem(r, 412, "precondition_failed", "That ICE session is over.");
        return false;
    }
    return true;
}

/* ---- PATCH ---- */

static bool read_fragment(struct http_request *r, struct sdpfrag *f)
{
    size_t len;
    const char *text = http_raw_body(r, &len);
    if (sdpfrag_parse(f, text != NULL ? text : "", len) == OK) {
        return true;
    }
    http_problem(r, 400, "bad_request", "The body is no SDP fragment that says something.");
    return false;
}

static char *restart_offer(const struct whip_session *w, const struct sdpfrag *f)
{
    struct buf b;
    buf_init(&b, SDP_MAX_BYTES);
    char *text = sdpfrag_restart_offer(&b, w->offer, f) == OK ? strdup(buf_cstr(&b)) : NULL;
    buf_free(&b);
    return text;
}

static void restart(struct http_request *r, struct call_entry *en, struct whip_session *w,
                    const struct sdpfrag *f)
{
    char *sdp = restart_offer(w, f);
    if (sdp == NULL || strlen(sdp) > CALL_MAX_SDP) {
        free(sdp);
        call_http_error(r, CALL_E_TOO_LARGE);
        return;
    }
    struct whip_op *op = whip_op_new(en->s, r, w->kind);
    op->step = WHIP_RESTARTING;
    op->call_id = en->call->id;
    op->session_id = w->id;
    op->device_id = w->device_id;
    op->type = "restart";
    op->which = whip_which(w->kind);
    op->sdp = sdp;
    op->ice = *f;
    w->restarting = true;
    whip_op_step(op, en, CALL_SFU_REQUEST);
}

static bool is_new(const struct whip_session *w, const struct sdpfrag *f)
{
    return f->ufrag[0] != '\0' && (strcmp(f->ufrag, w->ufrag) != 0 || strcmp(f->pwd, w->pwd) != 0);
}

/* The SFU is ICE-lite: it learns of the client's addresses by its checks, and candidates have
 * nothing to do there. */
static void apply(struct http_request *r, struct call_entry *en, struct whip_session *w,
                  const struct sdpfrag *f)
{
    bool any = strcmp(http_header(r, "if-match"), "*") == 0;
    if (w->restarting) {
        http_problem(r, 409, "conflict", "An ICE restart of this session is on its way.");
    } else if (!is_new(w, f)) {
        http_reply(r, 204, NULL);
    } else if (!any) {
        http_problem(r, 422, "unprocessable",
                     "Those are not the credentials of that ICE session; a restart needs "
                     "If-Match: *.");
    } else {
        restart(r, en, w, f);
    }
}

void whip_patch(struct http_request *r, struct calls *s, enum whip_kind kind)
{
    struct call_entry *en;
    struct sdpfrag f;
    if (!whip_is_type(r, WHIP_FRAG_TYPE)) {
        http_set_header(r, "Accept-Patch", WHIP_FRAG_TYPE);
        http_problem(r, 415, "unsupported_media_type", "Content-Type must be " WHIP_FRAG_TYPE);
        return;
    }
    struct whip_session *w = session_of(r, s, kind, &en);
    if (w == NULL) {
        return;
    }
    if (w->state == WHIP_LOST) {
        http_problem(r, 404, "not_found", "The media of that session is gone.");
    } else if (precondition_holds(r, w) && read_fragment(r, &f)) {
        apply(r, en, w, &f);
    }
}

/* ---- the SFU's answer to a restart ---- */

static struct whip_session *restarting(const struct whip_op *op)
{
    struct call_entry *en = op->s->closed ? NULL : call_entry_find(op->s, op->call_id.s);
    struct whip_session *w = en != NULL ? whip_session_find(en, op->session_id.s) : NULL;
    if (w != NULL) {
        w->restarting = false;
    }
    return w;
}

void whip_restart_refused(struct whip_op *op)
{
    restarting(op);
    call_http_error(op->r, op->error != CALL_OK ? op->error : CALL_E_UNAVAILABLE);
    whip_op_free(op);
}

/* What the client needs of the answer; NULL when it isn't one. */
static char *fragment_of(const cJSON *data)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(data, "sdp");
    struct sdp *answer;
    struct buf b;
    if (!cJSON_IsString(text) ||
        sdp_parse(&answer, text->valuestring, strlen(text->valuestring)) != OK) {
        return NULL;
    }
    buf_init(&b, SDPFRAG_MAX_BYTES);
    char *frag = sdpfrag_write(&b, answer) == OK ? strdup(buf_cstr(&b)) : NULL;
    buf_free(&b);
    sdp_free(answer);
    return frag;
}

static void answer(struct whip_op *op, struct whip_session *w, const char *fragment)
{
    free(w->offer);
    w->offer = op->sdp;
    op->sdp = NULL;
    str_copy(w->ufrag, sizeof(w->ufrag), op->ice.ufrag);
    str_copy(w->pwd, sizeof(w->pwd), op->ice.pwd);
    w->ice_session++;
    whip_put_etag(op->r, w);
    http_reply_text(op->r, 200, WHIP_FRAG_TYPE, fragment);
}

void whip_restarted(struct whip_op *op, int err, const cJSON *data, const char *code)
{
    struct whip_session *w = restarting(op);
    char *fragment = err == OK ? fragment_of(data) : NULL;
    if (w == NULL) {
        http_problem(op->r, 404, "not_found", "There is no such session.");
    } else if (fragment != NULL) {
        answer(op, w, fragment);
    } else {
        LOG_W("whip_restart_refused", "call=%s session=%s code=%s", op->call_id.s, w->id.s,
              code != NULL ? code : err_name(err));
        whip_sfu_problem(op->r, err, code, 422); /* the ICE session that was goes on */
    }
    free(fragment);
    whip_op_free(op);
}

/* ---- DELETE ---- */

void whip_delete(struct http_request *r, struct calls *s, enum whip_kind kind)
{
    struct call_entry *en;
    struct whip_session *w = session_of(r, s, kind, &en);
    if (w == NULL) {
        return;
    }
    struct id user_id = w->user_id, device_id = w->device_id;
    bool open = w->state == WHIP_OPEN;
    int number = w->number;
    LOG_I("whip_delete", "call=%s session=%s", en->call->id.s, w->id.s);
    whip_session_remove(en, w);
    http_reply(r, 200, NULL);
    if (open) {
        call_sfu_leave_one(en, number, whip_which(kind));
    }
    whip_let_go(en, &user_id, &device_id, CALL_HANG_UP);
    if (kind == WHIP_PUBLISH && open) {
        whip_says(en, &user_id, &device_id, false, false); /* nothing, where he has left */
    }
}
