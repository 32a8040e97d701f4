/* What the files of requests share: worker_requests.c takes them apart, worker_publish.c and
 * worker_watch.c carry out what makes or changes a peer connection. All of it runs on the worker's
 * thread. Errors are those of err.h; worker_requests.c says which word signald gets for each. */
#ifndef SOTTO_SFU_WORKER_REQUESTS_H
#define SOTTO_SFU_WORKER_REQUESTS_H

#include "sfu/shell/worker_private.h"

#define WORKER_CODECS SDP_ALL_CODECS /* taken of publishers, offered to watchers */

/* ---- worker_requests.c ---- */

/* Our end of t in a description, whose version it raises. */
struct sdp_local request_local(const struct worker *w, struct transport *t);
/* The participant's transport of that kind, or NULL. */
struct transport *request_find(const struct worker *w, const struct control_frame *f,
                               enum control_which which);
/* A new transport, not yet in the worker's list; the participant's former one of that kind stays
 * until request_replace, so that a description that turns out bad costs him nothing. ERR_LIMIT,
 * ERR_NOMEM. */
int request_transport(struct worker *w, const struct control_frame *f, enum control_which which,
                      struct transport **out);
/* t is in the worker's list from now on. The former transport (or NULL) goes without a word:
 * router_publish or router_subscribe have replaced what it carried. */
void request_replace(struct worker *w, struct transport *former, struct transport *t);

/* ---- worker_publish.c ---- */

/* Answers the publisher's offer. */
int request_publish(struct worker *w, const struct control_frame *f, struct buf *out);
/* The same for t with new ICE credentials on both sides. When it fails, those that are go on. */
int request_restart_publish(struct worker *w, struct transport *t, const char *sdp,
                            struct buf *out);

/* ---- worker_watch.c ---- */

/* Makes slots and offers them. */
int request_subscribe(struct worker *w, const struct control_frame *f, struct buf *out);
/* Takes the answer to that offer. ERR_WRONG_STATE: he made the offer (request_watch). */
int request_answer(struct worker *w, const struct control_frame *f);
/* Makes slots as the client's own offer has them (WHEP), and answers it. Without a view the slots
 * of video show the publishers in joining order, those of audio the loudest. */
int request_watch(struct worker *w, const struct control_frame *f, struct buf *out);
/* An ICE restart of a subscriber: without an sdp our offer anew, or, where the client offered, the
 * answer to his with its new credentials. ERR_INVALID: a watch without an offer, of another
 * certificate, or with more or fewer m-lines than it had; ERR_WRONG_STATE: an offer where ours is
 * in force. When it fails, the credentials that are go on. */
int request_restart_subscribe(struct worker *w, struct transport *t, const char *sdp,
                              struct buf *out);

#endif
