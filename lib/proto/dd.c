#include "lib/proto/dd.h"

#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/bits.h"

#define MANDATORY      3 /* bytes of the mandatory fields; with more come the extended ones */
#define EXTENDED_FLAGS 5

/* One descriptor as it is read. */
struct reading {
    struct bits bits;
    uint8_t template_id;
    bool attached, targets_present, custom_dtis, custom_fdiffs, custom_chains;
    const struct dd_structure *structure; /* that the descriptor refers to */
    uint32_t targets;
};

static uint32_t all_targets(const struct dd_structure *s)
{
    return UINT32_MAX >> (DD_MAX_TARGETS - s->n_targets);
}

/* template_layers(): next_layer_idc 0 the same layer again, 1 the next temporal one, 2 the first of
 * the next spatial one, 3 the end. */
static int read_layers(struct dd_structure *s, struct bits *b)
{
    uint8_t sid = 0, tid = 0;

    for (;;) {
        if (s->n_templates == DD_MAX_TEMPLATES || sid == DD_MAX_SPATIAL || tid == DD_MAX_TEMPORAL) {
            return ERR_INVALID;
        }
        s->templates[s->n_templates].sid = sid;
        s->templates[s->n_templates++].tid = tid;
        s->n_spatial = sid + 1;
        s->n_temporal = tid >= s->n_temporal ? tid + 1 : s->n_temporal;
        uint32_t next = bits_read(b, 2);
        if (b->bad || next == 3) {
            return b->bad ? ERR_TRUNCATED : OK;
        }
        tid = next == 2 ? 0 : (uint8_t)(tid + next); /* next is 0 or 1 here */
        sid += next == 2;
    }
}

static void read_dtis(uint8_t *indication, size_t n, struct bits *b)
{
    for (size_t i = 0; i < n; i++) {
        indication[i] = (uint8_t)bits_read(b, 2);
    }
}

/* template_fdiffs() */
static int read_template_fdiffs(struct dd_structure *s, struct bits *b)
{
    for (size_t i = 0; i < s->n_templates; i++) {
        struct dd_template *t = &s->templates[i];
        while (bits_flag(b)) {
            if (t->n_fdiffs == DD_MAX_FDIFFS) {
                return ERR_TOO_LARGE;
            }
            t->fdiff[t->n_fdiffs++] = (uint8_t)(bits_read(b, 4) + 1);
        }
    }
    return OK;
}

/* template_chains() */
static void read_chains(struct dd_structure *s, struct bits *b)
{
    s->n_chains = (uint8_t)bits_read_ns(b, s->n_targets + 1u);
    if (s->n_chains == 0) {
        return;
    }
    for (size_t i = 0; i < s->n_targets; i++) {
        s->target_chain[i] = (uint8_t)bits_read_ns(b, s->n_chains);
    }
    for (size_t i = 0; i < s->n_templates; i++) {
        for (size_t k = 0; k < s->n_chains; k++) {
            s->templates[i].chain_diff[k] = (uint8_t)bits_read(b, 4);
        }
    }
}

/* decode_target_layers(): derived, no bits. A target's layer is the highest of its frames'. */
static void derive_target_layers(struct dd_structure *s)
{
    for (size_t i = 0; i < s->n_templates; i++) {
        const struct dd_template *t = &s->templates[i];
        for (size_t k = 0; k < s->n_targets; k++) {
            if (t->indication[k] == DD_NOT_PRESENT) {
                continue;
            }
            s->target_sid[k] = t->sid > s->target_sid[k] ? t->sid : s->target_sid[k];
            s->target_tid[k] = t->tid > s->target_tid[k] ? t->tid : s->target_tid[k];
        }
    }
}

static uint16_t read_side(struct bits *b)
{
    uint32_t minus_one = bits_read(b, 16);

    return minus_one < UINT16_MAX ? (uint16_t)(minus_one + 1) : UINT16_MAX;
}

/* render_resolutions() */
static void read_resolutions(struct dd_structure *s, struct bits *b)
{
    s->has_resolutions = bits_flag(b);
    for (size_t i = 0; s->has_resolutions && i < s->n_spatial; i++) {
        s->width[i] = read_side(b);
        s->height[i] = read_side(b);
    }
}

/* template_dependency_structure() */
static int read_structure(struct dd_structure *s, struct bits *b)
{
    memset(s, 0, sizeof *s); /* padding too: structures are compared as bytes */
    s->template_id_offset = (uint8_t)bits_read(b, 6);
    s->n_targets = (uint8_t)(bits_read(b, 5) + 1);
    int rc = read_layers(s, b);
    if (rc != OK) {
        return rc;
    }
    for (size_t i = 0; i < s->n_templates; i++) {
        read_dtis(s->templates[i].indication, s->n_targets, b);
    }
    rc = read_template_fdiffs(s, b);
    if (rc != OK) {
        return rc;
    }
    read_chains(s, b);
    derive_target_layers(s);
    read_resolutions(s, b);
    return b->bad ? ERR_TRUNCATED : OK;
}

/* frame_fdiffs() */
static int read_frame_fdiffs(struct dd_frame *f, struct bits *b)
{
    f->n_fdiffs = 0;
    for (uint32_t size = bits_read(b, 2); size; size = bits_read(b, 2)) {
        if (f->n_fdiffs == DD_MAX_FDIFFS) {
            return ERR_TOO_LARGE;
        }
        f->fdiff[f->n_fdiffs++] = (uint16_t)(bits_read(b, 4 * size) + 1);
    }
    return OK;
}

static void use_template(struct dd_frame *f, const struct dd_structure *s,
                         const struct dd_template *t)
{
    f->sid = t->sid;
    f->tid = t->tid;
    f->n_targets = s->n_targets;
    f->n_chains = s->n_chains;
    f->n_fdiffs = t->n_fdiffs;
    for (size_t i = 0; i < t->n_fdiffs; i++) {
        f->fdiff[i] = t->fdiff[i];
    }
    memcpy(f->indication, t->indication, sizeof f->indication);
    memcpy(f->chain_diff, t->chain_diff, sizeof f->chain_diff);
    f->width = s->width[t->sid];
    f->height = s->height[t->sid];
}

/* frame_dependency_definition() */
static int read_definition(struct reading *r, struct dd_frame *f)
{
    const struct dd_structure *s = r->structure;
    unsigned index = (r->template_id + 64u - s->template_id_offset) % 64;

    if (index >= s->n_templates) {
        return r->attached ? ERR_INVALID : ERR_STATE;
    }
    use_template(f, s, &s->templates[index]);
    if (r->custom_dtis) {
        read_dtis(f->indication, f->n_targets, &r->bits);
    }
    if (r->custom_fdiffs) {
        int rc = read_frame_fdiffs(f, &r->bits);
        if (rc != OK) {
            return rc;
        }
    }
    for (size_t i = 0; r->custom_chains && i < f->n_chains; i++) {
        f->chain_diff[i] = (uint8_t)bits_read(&r->bits, 8);
    }
    return r->bits.bad ? ERR_TRUNCATED : OK;
}

/* extended_descriptor_fields() but for the structure and the mask, which follow. */
static void read_flags(struct reading *r)
{
    r->attached = bits_flag(&r->bits);
    r->targets_present = bits_flag(&r->bits);
    r->custom_dtis = bits_flag(&r->bits);
    r->custom_fdiffs = bits_flag(&r->bits);
    r->custom_chains = bits_flag(&r->bits);
}

/* Along the stream: a little behind the newest frame is late; anything else lies ahead, also what
 * would be far behind, so that an encoder that counts from anew isn't late for minutes. */
static int64_t unwrap(const struct dd_state *state, uint16_t number)
{
    if (!state->known) {
        return 65536 + (int64_t)number;
    }
    int64_t diff = (int16_t)(uint16_t)(number - (uint16_t)state->newest);
    return state->newest + diff + (diff < -DD_LATE_FRAMES ? 65536 : 0);
}

/* Everything up to the mask; `fresh` is where a structure that is attached goes. */
static int read_head(struct reading *r, struct dd_frame *f, const struct dd_state *state,
                     struct dd_structure *fresh)
{
    bool extended = r->bits.len > MANDATORY * 8;

    f->first_in_frame = bits_flag(&r->bits);
    f->last_in_frame = bits_flag(&r->bits);
    r->template_id = (uint8_t)bits_read(&r->bits, 6);
    f->frame_number = (uint16_t)bits_read(&r->bits, 16);
    f->frame_id = unwrap(state, f->frame_number);
    if (extended) {
        read_flags(r);
    }
    f->targets_bit = MANDATORY * 8 + EXTENDED_FLAGS;
    if (r->attached) {
        int rc = read_structure(fresh, &r->bits);
        f->targets_bit = (uint16_t)r->bits.pos;
        r->structure = fresh;
        return rc;
    }
    r->structure = &state->structure;
    return state->known && f->frame_id >= state->structure_since ? OK : ERR_STATE;
}

static void read_targets(struct reading *r, struct dd_frame *f, const struct dd_state *state)
{
    f->targets_present = r->targets_present;
    if (r->targets_present) {
        f->active_targets = bits_read(&r->bits, r->structure->n_targets);
    } else {
        f->active_targets = r->attached ? all_targets(r->structure) : state->active_targets;
    }
}

static int read_all(struct reading *r, struct dd_frame *f, const struct dd_state *state,
                    struct dd_structure *fresh)
{
    int rc = read_head(r, f, state, fresh);

    if (rc != OK) {
        return rc;
    }
    read_targets(r, f, state);
    rc = read_definition(r, f);
    f->structure_attached = r->attached;
    f->keyframe = r->attached && f->n_fdiffs == 0;
    f->bits = (uint16_t)r->bits.pos;
    return rc;
}

static bool is_held(const struct dd_state *state, const struct dd_structure *s)
{
    return state->known && memcmp(&state->structure, s, sizeof *s) == 0;
}

/* The whole was read well: the state goes on. A structure that differs brings its targets along,
 * whatever was said of the former's. ERR_STATE: such a structure comes late. */
static int take_over(struct dd_state *state, const struct reading *r, const struct dd_frame *f)
{
    bool other = r->attached && !is_held(state, r->structure);
    bool says = r->attached || r->targets_present;

    if (other && state->known && f->frame_id < state->structure_since) {
        return ERR_STATE;
    }
    if (other || (says && f->frame_id >= state->targets_since)) {
        state->active_targets = f->active_targets;
        state->targets_since = f->frame_id;
    }
    if (other) {
        memcpy(&state->structure, r->structure, sizeof state->structure);
        state->structure_since = f->frame_id;
    }
    if (!state->known || f->frame_id > state->newest) {
        state->newest = f->frame_id;
    }
    state->known = true;
    return OK;
}

int dd_parse(struct dd_state *state, struct dd_frame *out, const uint8_t *data, size_t len)
{
    struct dd_structure fresh; /* 5 KiB, written only when a structure is attached */
    struct reading r = {0};

    memset(out, 0, sizeof *out);
    if (len < MANDATORY || len > DD_MAX_SIZE) {
        return len < MANDATORY ? ERR_TRUNCATED : ERR_TOO_LARGE;
    }
    bits_init(&r.bits, data, len);
    int rc = read_all(&r, out, state, &fresh);
    if (rc == OK) {
        rc = take_over(state, &r, out);
    }
    if (rc != OK) {
        memset(out, 0, sizeof *out);
    }
    return rc;
}

uint32_t dd_targets_within(const struct dd_structure *s, uint8_t sid, uint8_t tid)
{
    uint32_t mask = 0;

    for (size_t i = 0; i < s->n_targets; i++) {
        if (s->target_sid[i] <= sid && s->target_tid[i] <= tid) {
            mask |= 1u << i;
        }
    }
    return mask;
}
