/* mark and stats: what all endpoints did since the mark. */
#include <string.h>
#include <sys/resource.h>

#include "bench/load/webrtc_private.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

#define HISTOGRAM_TEXT 8192

struct totals {
    struct source_stats sent;
    struct receiver_stats received;
    struct impair_stats up, down;
    uint64_t links, dropped;
    int64_t connected, failed;
};

int64_t load_cpu_us(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000LL + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

void load_mark(struct load *l)
{
    for (size_t i = 0; i < l->cap; i++) {
        if (l->item[i])
            endpoint_stats_reset(l->item[i]->e);
    }
    endpoint_host_stats_reset(l->host);
    l->mark_us = clock_mono_us();
    l->mark_cpu_us = load_cpu_us();
}

static void add_sent(struct source_stats *to, const struct source_stats *s)
{
    to->audio_packets += s->audio_packets;
    to->video_packets += s->video_packets;
    to->rtx_packets += s->rtx_packets;
    to->bytes += s->bytes;
    to->frames += s->frames;
    to->keyframes += s->keyframes;
    if (s->late_max_us > to->late_max_us)
        to->late_max_us = s->late_max_us;
}

static void add_received(struct receiver_stats *to, const struct receiver_stats *s)
{
    to->packets += s->packets;
    to->bytes += s->bytes;
    to->media_packets += s->media_packets;
    to->audio_packets += s->audio_packets;
    to->video_packets += s->video_packets;
    to->rtx_packets += s->rtx_packets;
    to->probes += s->probes;
    to->expected += s->expected;
    to->lost += s->lost;
    to->late += s->late;
    to->repaired += s->repaired;
    to->duplicates += s->duplicates;
    to->nacks += s->nacks;
    to->plis += s->plis;
    to->feedbacks += s->feedbacks;
    to->sampled += s->sampled;
    to->sample_bad_tag += s->sample_bad_tag;
    to->sample_bad_payload += s->sample_bad_payload;
    to->frames += s->frames;
    to->frames_broken += s->frames_broken;
    to->streams += s->streams;
}

static void add_impaired(struct impair_stats *to, const struct impair_stats *s)
{
    to->in += s->in;
    to->out += s->out;
    to->lost += s->lost;
    to->queue_full += s->queue_full;
    to->reordered += s->reordered;
}

static cJSON *sent_json(const struct source_stats *s)
{
    cJSON *o = json_new();
    json_put_int(o, "audio", (int64_t)s->audio_packets);
    json_put_int(o, "video", (int64_t)s->video_packets);
    json_put_int(o, "rtx", (int64_t)s->rtx_packets);
    json_put_int(o, "packets", (int64_t)(s->audio_packets + s->video_packets + s->rtx_packets));
    json_put_int(o, "bytes", (int64_t)s->bytes);
    json_put_int(o, "frames", (int64_t)s->frames);
    json_put_int(o, "keyframes", (int64_t)s->keyframes);
    cJSON_AddNumberToObject(o, "late_max_ms", (double)s->late_max_us / 1000);
    return o;
}

static cJSON *received_json(const struct receiver_stats *s)
{
    cJSON *o = json_new();
    json_put_int(o, "packets", (int64_t)s->packets);
    json_put_int(o, "media", (int64_t)s->media_packets);
    json_put_int(o, "audio", (int64_t)s->audio_packets);
    json_put_int(o, "video", (int64_t)s->video_packets);
    json_put_int(o, "rtx", (int64_t)s->rtx_packets);
    json_put_int(o, "probes", (int64_t)s->probes);
    json_put_int(o, "bytes", (int64_t)s->bytes);
    json_put_int(o, "expected", (int64_t)s->expected);
    json_put_int(o, "lost", (int64_t)s->lost);
    json_put_int(o, "late", (int64_t)s->late);
    json_put_int(o, "repaired", (int64_t)s->repaired);
    json_put_int(o, "duplicates", (int64_t)s->duplicates);
    json_put_int(o, "nacks", (int64_t)s->nacks);
    json_put_int(o, "plis", (int64_t)s->plis);
    json_put_int(o, "feedbacks", (int64_t)s->feedbacks);
    json_put_int(o, "sampled", (int64_t)s->sampled);
    json_put_int(o, "bad_tag", (int64_t)s->sample_bad_tag);
    json_put_int(o, "bad_payload", (int64_t)s->sample_bad_payload);
    json_put_int(o, "frames", (int64_t)s->frames);
    json_put_int(o, "frames_broken", (int64_t)s->frames_broken);
    json_put_int(o, "streams", s->streams);
    return o;
}

static cJSON *impaired_json(const struct impair_stats *s)
{
    cJSON *o = json_new();
    json_put_int(o, "in", (int64_t)s->in);
    json_put_int(o, "out", (int64_t)s->out);
    json_put_int(o, "lost", (int64_t)s->lost);
    json_put_int(o, "queue_full", (int64_t)s->queue_full);
    json_put_int(o, "reordered", (int64_t)s->reordered);
    return o;
}

static cJSON *links_json(const struct totals *t)
{
    cJSON *o = json_new();
    json_put_int(o, "n", (int64_t)t->links);
    json_put(o, "up", impaired_json(&t->up));
    json_put(o, "down", impaired_json(&t->down));
    return o;
}

static cJSON *latency_json(const struct histogram *h)
{
    static char text[HISTOGRAM_TEXT];
    return histogram_json(h, text, sizeof text) > 0 ? cJSON_CreateRaw(text) : cJSON_CreateNull();
}

static cJSON *udp_json(const struct load *l, const struct totals *t)
{
    struct endpoint_host_stats s;
    cJSON *o = json_new();
    endpoint_host_stats(l->host, &s);
    json_put_int(o, "recv_calls", (int64_t)s.recv_calls);
    json_put_int(o, "send_calls", (int64_t)s.send_calls);
    json_put_int(o, "refused", (int64_t)s.refused);
    json_put_int(o, "dropped", (int64_t)t->dropped);
    return o;
}

static const char *state_name(enum endpoint_state s)
{
    static const char *const names[] = {"new", "connecting", "connected", "failed"};
    return names[s];
}

static void add_endpoint(struct load *l, struct totals *t, const struct load_item *i, cJSON *list)
{
    struct source_stats sent;
    struct receiver_stats received;
    struct impair_stats up, down;
    bool sends = endpoint_source_stats(i->e, &sent);
    bool receives = endpoint_receiver_stats(i->e, &received);
    t->links += endpoint_link_stats(i->e, &up, &down);
    t->dropped += endpoint_dropped(i->e);
    t->connected += endpoint_state(i->e) == ENDPOINT_CONNECTED;
    t->failed += endpoint_state(i->e) == ENDPOINT_FAILED;
    add_sent(&t->sent, &sent);
    add_received(&t->received, &received);
    add_impaired(&t->up, &up);
    add_impaired(&t->down, &down);
    const struct histogram *latency = endpoint_latency(i->e);
    if (latency && latency->count > 0)
        histogram_merge(&l->latency, latency);
    if (!list)
        return;
    cJSON *o = json_new();
    json_put_int(o, "ep", i->ep);
    json_put_str(o, "state", state_name(endpoint_state(i->e)));
    json_put_int(o, "dropped", (int64_t)endpoint_dropped(i->e));
    json_put(o, "sent", sends ? sent_json(&sent) : NULL);
    json_put(o, "received", receives ? received_json(&received) : NULL);
    json_put(o, "latency", latency ? latency_json(latency) : NULL);
    cJSON_AddItemToArray(list, o);
}

void load_stats(struct load *l, bool each)
{
    struct totals t = {0};
    int64_t window_us = clock_mono_us() - l->mark_us, cpu_us = load_cpu_us() - l->mark_cpu_us;
    cJSON *event = load_event("stats"), *list = each ? cJSON_CreateArray() : NULL;
    memset(&l->latency, 0, sizeof l->latency);
    for (size_t i = 0; i < l->cap; i++) {
        if (l->item[i])
            add_endpoint(l, &t, l->item[i], list);
    }
    cJSON_AddNumberToObject(event, "window_s", (double)window_us / 1e6);
    cJSON_AddNumberToObject(event, "cpu_s", (double)cpu_us / 1e6);
    json_put(event, "sent", sent_json(&t.sent));
    json_put(event, "received", received_json(&t.received));
    json_put(event, "latency", latency_json(&l->latency));
    json_put(event, "udp", udp_json(l, &t));
    json_put_int(event, "connected", t.connected);
    json_put_int(event, "failed", t.failed);
    json_put(event, "links", links_json(&t));
    json_put(event, "endpoints", list);
    load_emit(event);
}
