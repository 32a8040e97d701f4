/* The VP9 RTP payload descriptor (RFC 9628 section 4.2), all of it: picture id, layer indices,
 * reference indices of the flexible mode, and the scalability structure. */
#ifndef SOTTO_PROTO_VP9_H
#define SOTTO_PROTO_VP9_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VP9_MAX_SPATIAL 8
#define VP9_MAX_DIFFS   3 /* of a picture, and of a picture of the structure's group */

/* A picture of the repeated group in a scalability structure. */
struct vp9_group_picture {
    uint8_t tid;
    bool up_switch;
    uint8_t n_diffs;
    uint8_t diff[VP9_MAX_DIFFS]; /* 8 bits each */
};

struct vp9_structure {
    uint8_t n_spatial; /* N_S + 1 */
    bool has_sizes;    /* Y */
    uint16_t width[VP9_MAX_SPATIAL], height[VP9_MAX_SPATIAL];
    bool has_group;  /* G */
    uint8_t n_group; /* N_G; 0: no fixed dependencies */
    struct vp9_group_picture group[255];
};

struct vp9_descriptor {
    uint8_t size;       /* bytes of the descriptor without the structure, where the structure is */
    bool inter_picture; /* P */
    bool has_layers;    /* L */
    bool flexible;      /* F */
    bool start, end;    /* B, E: of a layer frame */
    bool has_structure; /* V */
    bool not_for_upper; /* Z */
    uint8_t picture_bits; /* 0 (none), 7 or 15 */
    uint16_t picture_id;
    uint8_t picture_off; /* of the picture id within the payload */
    uint8_t tid, sid;
    bool up_switch;   /* U */
    bool inter_layer; /* D */
    bool has_tl0;     /* layer indices without F */
    uint8_t tl0picidx, tl0_off;
    uint8_t n_diffs;             /* flexible mode: the pictures it is predicted from */
    uint8_t diff[VP9_MAX_DIFFS]; /* picture id minus theirs; 7 bits each */
    uint8_t n_spatial;           /* of the structure; 0: none here */
    uint16_t width, height;      /* of the structure's highest layer; 0: not told here */
    uint16_t payload_off;        /* where the VP9 frame's bytes begin */
};

/* Reads the descriptor at a payload's start, the structure included, of which the descriptor keeps
 * the count of layers and the largest size. ERR_TRUNCATED; ERR_INVALID (more than three reference
 * indices). *d is zero on failure. The frame's bytes may be missing or encrypted: nothing here
 * looks at them. */
int vp9_parse(struct vp9_descriptor *d, const uint8_t *payload, size_t len);

/* Reads the whole structure of a payload whose descriptor d was parsed from it (has_structure).
 * ERR_TRUNCATED, ERR_NOT_FOUND; *s is zero on failure. */
int vp9_structure_read(struct vp9_structure *s, const struct vp9_descriptor *d,
                       const uint8_t *payload, size_t len);

#endif
