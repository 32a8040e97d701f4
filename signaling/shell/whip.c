/* WHIP and WHEP: the routes, and POST on its way from the offer to the answer. Decided on the head
 * and the offer: 400, 406, 415; by the call machine: 403, 409; by the SFU: 406, 503. */
#include "signaling/shell/whip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/log.h"

#define LINK_ROOM       1024 /* of one Link header */
#define OVERLOADED_WAIT "5"  /* seconds, Retry-After */

static const char *const names[WHIP_KINDS] = {"whip", "whep"};

const char *whip_which(enum whip_kind k)
{
    return k == WHIP_PUBLISH ? "publish" : "subscribe";
}

/* ---- operations ---- */

struct whip_op *whip_op_new(struct calls *s, struct http_request *r, enum whip_kind kind)
{
    struct whip_op *op = calloc(1, sizeof(*op));
    if (op == NULL) {
        abort(); /* control plane, as in json.h */
    }
    op->s = s;
    op->r = r;
    op->kind = kind;
    op->user_id = http_who(r)->user_id;
    op->device_id = http_who(r)->device_id;
    calls_ref(s);
    return op;
}

void whip_op_free(struct whip_op *op)
{
    calls_unref(op->s);
    free(op->sdp);
    free(op);
}

void whip_op_step(struct whip_op *op, struct call_entry *en, enum call_event_type type)
{
    struct call_event ev = {.type = type, .video = op->video};
    call_request_step(call_request_for(op), en, &ev);
}

bool whip_is_type(const struct http_request *r, const char *type)
{
    const char *have = http_header(r, "content-type");
    size_t n = have != NULL ? strcspn(have, "; \t") : 0;
    return n == strlen(type) && strncasecmp(have, type, n) == 0;
}

/* ---- headers ---- */

void whip_put_etag(struct http_request *r, const struct whip_session *w)
{
    char tag[32];
    snprintf(tag, sizeof(tag), "\"ice-%u\"", w->ice_session);
    http_set_header(r, "ETag", tag);
}

static const char *text_of(const cJSON *o, const char *field)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, field);
    return cJSON_IsString(v) ? v->valuestring : "";
}

/* RFC 9725 section 4.6: a Link a URL, with the credentials of TURN. */
static void put_link(struct http_request *r, const cJSON *server, const char *url)
{
    char link[LINK_ROOM];
    const char *username = text_of(server, "username");
    int n = username[0] == '\0'
                ? snprintf(link, sizeof(link), "<%s>; rel=\"ice-server\"", url)
                : snprintf(link, sizeof(link),
                           "<%s>; rel=\"ice-server\"; username=\"%s\"; credential=\"%s\"; "
                           "credential-type=\"password\"",
                           url, username, text_of(server, "credential"));
    if (n < 0 || (size_t)n >= sizeof(link) || http_set_header(r, "Link", link) != OK) {
        LOG_W("whip_link", "url=%s", url);
    }
}

static void put_ice_servers(struct calls *s, struct http_request *r, const char *call_id)
{
    const struct http_principal *who = http_who(r);
    cJSON *list = call_ice_servers(s, who->user_id.s, call_id, who->device_id.s);
    const cJSON *server, *url;
    cJSON_ArrayForEach(server, list)
    {
        cJSON_ArrayForEach(url, cJSON_GetObjectItemCaseSensitive(server, "urls"))
        {
            put_link(r, server, cJSON_IsString(url) ? url->valuestring : "");
        }
    }
    cJSON_Delete(list);
}

/* ---- the offer ---- */

static bool wants(const struct sdp_media *m, enum whip_kind kind)
{
    enum sdp_direction one_way = kind == WHIP_PUBLISH ? SDP_SENDONLY : SDP_RECVONLY;
    bool media = m->kind == SDP_AUDIO || m->kind == SDP_VIDEO;
    return media && (m->direction == one_way || m->direction == SDP_SENDRECV);
}

static bool read_credentials(struct sdpfrag *ice, const struct sdp *offer)
{
    const struct sdp_media *first = sdp_first_used(offer);
    const char *ufrag = first != NULL ? sdp_ice_ufrag(offer, first) : NULL;
    const char *pwd = first != NULL ? sdp_ice_pwd(offer, first) : NULL;
    return ufrag != NULL && pwd != NULL && str_copy(ice->ufrag, sizeof(ice->ufrag), ufrag) == OK &&
           str_copy(ice->pwd, sizeof(ice->pwd), pwd) == OK;
}

/* Reads what matters here of the offer; the SFU reads the rest. 0, or the status that says what is
 * wrong. */
static int read_offer(struct whip_op *op, const struct sdp *offer)
{
    bool any = false;
    if (!read_credentials(&op->ice, offer)) {
        return 400;
    }
    for (size_t i = 0; i < offer->n_media; i++) {
        const struct sdp_media *m = &offer->media[i];
        any = any || wants(m, op->kind);
        op->audio = op->audio || (m->kind == SDP_AUDIO && wants(m, WHIP_PUBLISH));
        op->video = op->video || (m->kind == SDP_VIDEO && wants(m, WHIP_PUBLISH));
    }
    if (op->kind == WHIP_WATCH) {
        op->audio = op->video = false; /* what a sendrecv line could send isn't taken */
    }
    return any ? 0 : 406;
}

static int take_offer(struct whip_op *op)
{
    size_t len;
    const char *text = http_raw_body(op->r, &len);
    struct sdp *offer;
    if (len == 0 || !utf8_is_valid(text, len) || sdp_parse(&offer, text, len) != OK) {
        return 400;
    }
    int status = read_offer(op, offer);
    sdp_free(offer);
    op->sdp = strndup(text, len);
    if (op->sdp == NULL) {
        abort();
    }
    return status;
}

static void refuse_offer(struct http_request *r, enum whip_kind kind, int status)
{
    if (status == 400) {
        http_problem(r, 400, "bad_request", "The body is no SDP offer with ICE credentials.");
    } else {
        http_problem(r, 406, "not_acceptable",
                     kind == WHIP_PUBLISH ? "Nothing of that offer is sent."
                                          : "Nothing of that offer is received.");
    }
}

/* ---- POST: joining ---- */

static void refuse(struct whip_op *op, enum call_error e)
{
    call_http_error(op->r, e);
    whip_op_free(op);
}

/* Why the call can't have such a session now, or NULL. */
static const char *conflict_of(const struct whip_op *op, const struct call_entry *en)
{
    if (en->call->mode != CALL_SFU) {
        return "That call goes peer to peer.";
    }
    return whip_session_of(en, &op->user_id, op->kind, WHIP_OPENING) != NULL
               ? "Another such session of this participant is being made."
               : NULL;
}

/* For a participant of a call that runs: what can be refused before anything changes is refused
 * here, and answered; else his session is there. */
static bool prepare(struct whip_op *op, struct call_entry *en, const struct call_participant *p)
{
    const char *conflict = conflict_of(op, en);
    if (conflict != NULL) {
        http_problem(op->r, 409, "conflict", conflict);
        whip_op_free(op);
        return false;
    }
    if (!call_sfu_ready(en)) {
        refuse(op, CALL_E_SFU_UNAVAILABLE);
        return false;
    }
    op->joins = p->state != PARTY_JOINED;
    op->session_id = whip_session_add(en, op)->id;
    return true;
}

/* Strangers, and calls that are over, are the call machine's to answer. */
static void begin(struct whip_op *op)
{
    struct call_entry *en = call_entry_find(op->s, op->call_id.s);
    if (en == NULL) {
        call_ask_tombstone(call_request_for(op));
        return;
    }
    const struct call_participant *p = call_party(en->call, &op->user_id);
    if (p == NULL || en->call->state == CALL_ENDED || prepare(op, en, p)) {
        whip_op_step(op, en, CALL_JOIN);
    }
}

static void on_post(struct http_request *r, struct calls *s, enum whip_kind kind)
{
    if (!whip_is_type(r, WHIP_SDP_TYPE)) {
        http_set_header(r, "Accept-Post", WHIP_SDP_TYPE);
        http_problem(r, 415, "unsupported_media_type", "Content-Type must be " WHIP_SDP_TYPE);
        return;
    }
    struct whip_op *op = whip_op_new(s, r, kind);
    op->type = kind == WHIP_PUBLISH ? "publish" : "watch";
    int status = take_offer(op);
    if (id_parse(&op->call_id, http_path_arg(r, "id")) != OK) {
        refuse(op, CALL_E_NOT_FOUND);
    } else if (status != 0) {
        refuse_offer(r, kind, status);
        whip_op_free(op);
    } else if (!s->loaded) {
        refuse(op, CALL_E_UNAVAILABLE);
    } else {
        begin(op);
    }
}

/* ---- POST: the way on ---- */

/* The session that was being made is gone, and with it what was done for it alone. */
static void undo(struct whip_op *op, struct call_entry *en)
{
    struct whip_session *w = en != NULL ? whip_session_find(en, op->session_id.s) : NULL;
    if (w != NULL) {
        whip_session_remove(en, w);
        whip_let_go(en, &op->user_id, &op->device_id, op->joins ? CALL_HANG_UP : CALL_SOCKET_LOST);
    }
}

/* He is in: now the SFU. */
static void negotiate(struct whip_op *op, struct call_entry *en)
{
    call_entry_step(en, &(struct call_event){.type = CALL_SOCKET_BACK,
                                             .user_id = op->user_id,
                                             .device_id = op->device_id});
    if (op->joins && op->kind == WHIP_WATCH) {
        whip_says(en, &op->user_id, &op->device_id, false, false);
    }
    op->step = WHIP_NEGOTIATING;
    whip_op_step(op, en, CALL_SFU_REQUEST);
}

static void go_on(void *arg)
{
    struct whip_op *op = arg;
    struct call_entry *en = op->s->closed ? NULL : call_entry_find(op->s, op->call_id.s);
    if (op->step == WHIP_RESTARTING) {
        whip_restart_refused(op);
    } else if (op->error == CALL_OK && en != NULL) {
        negotiate(op, en);
    } else {
        undo(op, en);
        refuse(op, op->error != CALL_OK ? op->error : CALL_E_UNAVAILABLE);
    }
}

void whip_op_told(struct whip_op *op, enum call_error e)
{
    op->error = e;
    if (op->s->closed || loop_post(op->s->o.loop, go_on, op) != OK) {
        op->error = CALL_E_UNAVAILABLE;
        go_on(op);
    }
}

void whip_sfu_problem(struct http_request *r, int err, const char *code, int bad_status)
{
    bool answered = err != ERR_UNAVAILABLE && err != ERR_TIMEOUT && err != ERR_CLOSED;
    const char *said = answered && code != NULL ? code : "";
    if (strcmp(said, "bad_request") == 0) {
        http_problem(r, bad_status, bad_status == 406 ? "not_acceptable" : "unprocessable",
                     "The media server refused that description.");
    } else if (strcmp(said, "too_large") == 0) {
        call_http_error(r, CALL_E_TOO_LARGE);
    } else if (strcmp(said, "conflict") == 0 || strcmp(said, "not_participant") == 0) {
        call_http_error(r, CALL_E_CONFLICT);
    } else if (strcmp(said, "overloaded") == 0) {
        http_set_header(r, "Retry-After", OVERLOADED_WAIT);
        http_problem(r, 503, "overloaded", "The media server can't take more at the moment.");
    } else {
        call_http_error(r, CALL_E_SFU_UNAVAILABLE);
    }
}

static void created(struct whip_op *op, struct whip_session *w, const char *answer)
{
    char location[128];
    snprintf(location, sizeof(location), "/v1/calls/%s/%s/%s", op->call_id.s, names[op->kind],
             w->id.s);
    http_set_header(op->r, "Location", location);
    http_set_header(op->r, "Accept-Patch", WHIP_FRAG_TYPE);
    whip_put_etag(op->r, w);
    put_ice_servers(op->s, op->r, op->call_id.s);
    http_reply_text(op->r, 201, WHIP_SDP_TYPE, answer);
    w->offer = op->sdp;
    op->sdp = NULL;
    str_copy(w->ufrag, sizeof(w->ufrag), op->ice.ufrag);
    str_copy(w->pwd, sizeof(w->pwd), op->ice.pwd);
}

/* The SFU has taken the offer. */
static void opened(struct whip_op *op, struct call_entry *en, struct whip_session *w, int number,
                   const char *answer)
{
    struct hub *hub = en->s->o.hub;
    if (!hub_device_online(hub, op->device_id.s)) { /* nobody who would read what is kept for it */
        hub_hold(hub, op->user_id.s, op->device_id.s, false);
    }
    whip_session_open(en, w, number);
    created(op, w, answer);
    if (op->kind == WHIP_PUBLISH) {
        whip_says(en, &op->user_id, &op->device_id, op->audio, op->video);
    }
}

static void negotiated(struct whip_op *op, int err, const cJSON *data, const char *code)
{
    struct call_entry *en = call_entry_find(op->s, op->call_id.s);
    struct whip_session *w = en != NULL ? whip_session_find(en, op->session_id.s) : NULL;
    const struct call_participant *p = en != NULL ? call_party(en->call, &op->user_id) : NULL;
    bool in = p != NULL && p->state == PARTY_JOINED && id_equal(&p->device_id, &op->device_id);
    const char *answer = text_of(data, "sdp");
    if (w == NULL || !in) { /* he left, or the call ended, in the meantime */
        undo(op, en);
        call_http_error(op->r, CALL_E_ENDED);
    } else if (err == OK && answer[0] != '\0') {
        opened(op, en, w, p->number, answer);
    } else {
        LOG_W("whip_refused", "call=%s kind=%s code=%s", op->call_id.s, names[op->kind],
              code != NULL ? code : err_name(err));
        if (err == ERR_TIMEOUT) { /* it may have done so all the same */
            call_sfu_leave_one(en, p->number, whip_which(op->kind));
        }
        undo(op, en);
        whip_sfu_problem(op->r, err, code, 406);
    }
    whip_op_free(op);
}

void whip_op_answered(struct whip_op *op, int err, const cJSON *data, const char *code)
{
    if (op->step == WHIP_RESTARTING) {
        whip_restarted(op, err, data, code);
    } else {
        negotiated(op, err, data, code);
    }
}

/* ---- routes ---- */

/* RFC 9725 section 4.6: ICE servers for those who need them before they offer; never for a CORS
 * preflight, which carries no token. */
static void on_options(struct http_request *r, void *arg)
{
    http_set_header(r, "Accept-Post", WHIP_SDP_TYPE);
    if (http_who(r) != NULL) {
        put_ice_servers(arg, r, http_path_arg(r, "id"));
    }
    http_reply(r, 204, NULL);
}

static void on_session_options(struct http_request *r, void *arg)
{
    (void)arg;
    http_set_header(r, "Accept-Patch", WHIP_FRAG_TYPE);
    http_reply(r, 204, NULL);
}

static void post_whip(struct http_request *r, void *arg)
{
    on_post(r, arg, WHIP_PUBLISH);
}

static void post_whep(struct http_request *r, void *arg)
{
    on_post(r, arg, WHIP_WATCH);
}

static void patch_whip(struct http_request *r, void *arg)
{
    whip_patch(r, arg, WHIP_PUBLISH);
}

static void patch_whep(struct http_request *r, void *arg)
{
    whip_patch(r, arg, WHIP_WATCH);
}

static void delete_whip(struct http_request *r, void *arg)
{
    whip_delete(r, arg, WHIP_PUBLISH);
}

static void delete_whep(struct http_request *r, void *arg)
{
    whip_delete(r, arg, WHIP_WATCH);
}

#define POST_FLAGS  (HTTP_AUTH | HTTP_IDEMPOTENT | HTTP_RAW_BODY)
#define PATCH_FLAGS (HTTP_AUTH | HTTP_RAW_BODY)

void whip_routes_add(struct calls *s)
{
    /* clang-format off */
    static const struct http_route routes[] = {
        {HTTP_POST, "/v1/calls/{id}/whip", post_whip, POST_FLAGS, CALL_MAX_SDP, NULL},
        {HTTP_POST, "/v1/calls/{id}/whep", post_whep, POST_FLAGS, CALL_MAX_SDP, NULL},
        {HTTP_OPTIONS, "/v1/calls/{id}/whip", on_options, HTTP_AUTH_OPTIONAL, 0, NULL},
        {HTTP_OPTIONS, "/v1/calls/{id}/whep", on_options, HTTP_AUTH_OPTIONAL, 0, NULL},
        {HTTP_PATCH, "/v1/calls/{id}/whip/{session}", patch_whip, PATCH_FLAGS, SDPFRAG_MAX_BYTES, NULL},
        {HTTP_PATCH, "/v1/calls/{id}/whep/{session}", patch_whep, PATCH_FLAGS, SDPFRAG_MAX_BYTES, NULL},
        {HTTP_DELETE, "/v1/calls/{id}/whip/{session}", delete_whip, HTTP_AUTH, 0, NULL},
        {HTTP_DELETE, "/v1/calls/{id}/whep/{session}", delete_whep, HTTP_AUTH, 0, NULL},
        {HTTP_OPTIONS, "/v1/calls/{id}/whip/{session}", on_session_options, 0, 0, NULL},
        {HTTP_OPTIONS, "/v1/calls/{id}/whep/{session}", on_session_options, 0, 0, NULL},
        {.path = NULL},
    };
    /* clang-format on */
    if (s->o.http != NULL) {
        http_add_routes(s->o.http, routes, s);
    }
}
