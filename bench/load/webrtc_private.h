/* Shared by the files of sotto-load-webrtc alone. */
#ifndef SOTTO_BENCH_LOAD_WEBRTC_PRIVATE_H
#define SOTTO_BENCH_LOAD_WEBRTC_PRIVATE_H

#include "bench/client/endpoint.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"

#define LOAD_MAX_EP   1000000 /* endpoint numbers are below it */
#define LOAD_MAX_LINE (1 << 20)

struct load;

/* One endpoint under the driver's number. */
struct load_item {
    struct load *load;
    uint32_t ep;
    struct endpoint *e;
};

struct load {
    struct loop *loop;
    struct endpoint_host *host;
    struct load_item **item; /* by number; NULL: none */
    size_t cap, n;
    struct buf line;
    bool skipping; /* the rest of a line that was too long */
    bool quitting;
    int64_t mark_us, mark_cpu_us;
    struct histogram latency; /* scratch */
};

/* ---- webrtc.c ---- */
/* Writes one event as a line; takes ownership. */
void load_emit(cJSON *event);
cJSON *load_event(const char *name);
void load_error(const char *op, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- webrtc_commands.c ---- */
/* One line of stdin. Errors become events. */
void load_command(struct load *l, const char *line, size_t len);
void load_close_all(struct load *l);

/* ---- webrtc_options.c ---- */
/* What a command says, or an error with why (static storage or in why's buffer). */
bool load_read_options(struct endpoint_options *out, const cJSON *o, struct json_errors *e);
bool load_read_link(struct endpoint_link *out, const cJSON *o, struct json_errors *e);
bool load_read_source(struct source_config *out, const cJSON *o, struct json_errors *e);
/* out->audio, video and receive point into tracks, of which there is room for 2 + n of receive. */
#define LOAD_MAX_RAW_TRACKS 160
bool load_read_raw(struct endpoint_raw *out, struct media_track *tracks, const cJSON *o,
                   struct json_errors *e);

/* ---- webrtc_stats.c ---- */
void load_mark(struct load *l);
void load_stats(struct load *l, bool each);
int64_t load_cpu_us(void);

#endif
