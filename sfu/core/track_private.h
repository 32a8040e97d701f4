/* Between the parts of a track. */
#ifndef SOTTO_SFU_CORE_TRACK_PRIVATE_H
#define SOTTO_SFU_CORE_TRACK_PRIVATE_H

#include "sfu/core/track.h"

/* A stream's pictures have this size now: ranks may change, and slots begin anew then. */
void track_resize(struct track *t, struct track_stream *s, uint16_t width, uint16_t height);

#endif
