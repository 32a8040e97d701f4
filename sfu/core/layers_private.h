/* Between the parts of the layer selector. */
#ifndef SOTTO_SFU_CORE_LAYERS_PRIVATE_H
#define SOTTO_SFU_CORE_LAYERS_PRIVATE_H

#include "sfu/core/layers.h"

/* Why a wanted packet can't be forwarded. */
enum layers_lack {
    LACK_NOTHING,
    LACK_TEMPORAL, /* a switching point comes by itself, usually */
    LACK_KEYFRAME,
};

/* Which selection was in force at a timestamp of a stream; NULL when that is forgotten. */
const struct layers_era *layers_era_at(const struct layers *l, uint8_t stream, uint32_t ts);
/* Begins a selection with the picture at era->ts; one that began there too is replaced. */
void layers_begin_era(struct layers *l, const struct layers_era *era);

/* layers_svc.c: by the codec's own descriptor. _choose adapts the newest era to what is wanted, for
 * packets in order; _has tells whether an era takes the packet in; _lacks why a packet that isn't
 * taken in is missing, if it is wanted. */
void layers_svc_choose(struct layers *l, const struct layers_packet *p);
bool layers_svc_has(const struct layers_era *era, const struct layers_packet *p);
enum layers_lack layers_svc_lacks(const struct layers *l, const struct layers_packet *p);

/* layers_dd.c: the same by the dependency descriptor, which is there. _forwarded notes a frame of
 * which a packet was taken in; the others of it follow. */
void layers_dd_enter(struct layers *l);
void layers_dd_choose(struct layers *l, const struct layers_packet *p);
bool layers_dd_has(const struct layers_era *era, const struct layers_packet *p);
enum layers_lack layers_dd_lacks(const struct layers *l, const struct layers_packet *p);
void layers_dd_forwarded(struct layers *l, const struct layers_packet *p);
bool layers_dd_was_forwarded(const struct layers *l, const struct layers_packet *p);

/* layers_simulcast.c: p, which isn't of the current stream, begins a stay on its own. */
bool layers_may_enter(const struct layers *l, const struct layers_track *t,
                      const struct layers_packet *p, int wanted);

#endif
