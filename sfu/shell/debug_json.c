#include "sfu/shell/debug_json.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* ---- addresses ---- */

static void address_v4(char *out, size_t cap, const uint8_t *b, int port, bool full)
{
    if (full) {
        snprintf(out, cap, "%u.%u.%u.%u:%d", b[0], b[1], b[2], b[3], port);
    } else {
        snprintf(out, cap, "%u.%u.%u.0/24", b[0], b[1], b[2]);
    }
}

void debug_address(char *out, size_t cap, const struct sockaddr_in6 *addr, bool full)
{
    struct in6_addr a = addr->sin6_addr;
    char text[INET6_ADDRSTRLEN] = "";
    int port = ntohs(addr->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&a)) {
        address_v4(out, cap, a.s6_addr + 12, port, full);
        return;
    }
    if (!full) {
        memset(a.s6_addr + 7, 0, 9);
    }
    (void)inet_ntop(AF_INET6, &a, text, sizeof text);
    if (full) {
        snprintf(out, cap, "[%s]:%d", text, port);
    } else {
        snprintf(out, cap, "%s/56", text);
    }
}

/* ---- parts ---- */

static void put_number(cJSON *o, const char *name, double v)
{
    if (v >= 0) {
        json_put(o, name, cJSON_CreateNumber(v));
    }
}

static void put_positive(cJSON *o, const char *name, uint64_t v)
{
    if (v > 0) {
        json_put_int(o, name, (int64_t)v);
    }
}

static const char *kind_name(enum sdp_kind kind)
{
    return kind == SDP_AUDIO ? "audio" : "video";
}

/* What is zero or not known is left out: there are many of them. */
static void put_counters(cJSON *o, const struct counters *c)
{
    struct counters_view v;
    const struct counter_rates none = {0};
    counters_render(c, &none, &v);
    json_put_int(o, "packets", (int64_t)v.packets);
    json_put_int(o, "bytes", (int64_t)v.bytes);
    put_positive(o, "lost", v.lost);
    put_positive(o, "nacks", v.nacks);
    put_positive(o, "plis", v.plis);
    put_positive(o, "retransmits", v.retransmits);
    put_positive(o, "dropped", v.dropped);
    put_positive(o, "frames", v.frames);
    put_positive(o, "keyframes", v.keyframes);
    put_positive(o, "layerSwitches", v.switches);
    put_positive(o, "freezes", v.freezes);
    put_positive(o, "pauses", v.pauses);
    put_number(o, "lossPercent", v.loss_percent);
    put_number(o, "jitterMs", v.jitter_ms);
    put_number(o, "rttMs", v.rtt_ms);
    put_number(o, "estimateKbps", (double)v.estimate_kbps);
    put_number(o, "sid", v.sid);
    put_number(o, "tid", v.tid);
}

static cJSON *transport_json(const struct dump_transport *t, bool full)
{
    char address[80];
    cJSON *o = json_new();
    json_put_str(o, "which", t->which == CONTROL_WHICH_PUBLISH ? "publish" : "subscribe");
    json_put_bool(o, "connected", t->connected);
    if (t->has_address) {
        debug_address(address, sizeof address, &t->address, full);
        json_put_str(o, "address", address);
    }
    json_put_int(o, "iceRestarts", t->ice_epoch);
    json_put_int(o, "ageMs", t->age_us / 1000);
    if (t->quiet_us >= 0) {
        json_put_int(o, "quietMs", t->quiet_us / 1000);
    }
    return o;
}

static cJSON *stream_json(const struct dump_stream *s)
{
    cJSON *o = json_new();
    if (s->rid[0]) {
        json_put_str(o, "rid", s->rid);
    }
    put_positive(o, "ssrc", s->ssrc);
    put_positive(o, "width", s->width);
    put_positive(o, "height", s->height);
    put_positive(o, "bitrateKbps", s->bps / 1000);
    put_counters(o, &s->counters);
    return o;
}

static cJSON *track_json(const struct dump_track *t)
{
    cJSON *o = json_new(), *streams = cJSON_CreateArray();
    json_put_str(o, "kind", kind_name(t->kind));
    json_put_str(o, "source", sdp_source_name(t->source));
    json_put_str(o, "mid", t->mid);
    json_put_bool(o, "live", t->live);
    json_put_bool(o, "nack", t->nack);
    put_positive(o, "width", t->width);
    put_positive(o, "height", t->height);
    json_put_int(o, "slots", (int64_t)t->feeds);
    put_positive(o, "cached", t->cached);
    put_positive(o, "relayLinks", (uint64_t)__builtin_popcountll(t->relays));
    for (size_t i = 0; i < t->n_streams; i++) {
        cJSON_AddItemToArray(streams, stream_json(&t->stream[i]));
    }
    json_put(o, "streams", streams);
    return o;
}

static cJSON *slot_json(const struct dump_slot *s)
{
    cJSON *o = json_new();
    json_put_str(o, "kind", kind_name(s->kind));
    json_put_int(o, "slot", s->index);
    json_put_str(o, "mid", s->mid);
    json_put_int(o, "ssrc", s->ssrc);
    json_put_bool(o, "accepted", s->accepted);
    if (s->participant) {
        json_put_int(o, "participant", s->participant);
        json_put_str(o, "source", sdp_source_name(s->source));
        json_put_bool(o, "waitsForKeyframe", s->waiting);
    }
    if (s->kind != SDP_AUDIO) {
        json_put_bool(o, "paused", s->told.paused);
        json_put_str(o, "reason", slot_reason_name(s->told.reason));
        put_positive(o, "width", s->told.width);
        put_positive(o, "height", s->told.height);
        put_number(o, "stream", s->told.stream);
        put_positive(o, "wishParticipant", s->wish_participant);
        put_positive(o, "wishHeight", s->wish_height);
        if (s->wish_priority) {
            json_put_int(o, "wishPriority", s->wish_priority);
        }
    }
    put_counters(o, &s->counters);
    return o;
}

static cJSON *rate_json(const struct subscriber_rate_stats *r)
{
    cJSON *o = json_new();
    json_put_bool(o, "estimated", r->estimated);
    put_positive(o, "estimateKbps", (uint64_t)r->target_bps / 1000);
    put_positive(o, "videoBudgetKbps", (uint64_t)r->budget_bps / 1000);
    put_positive(o, "usedKbps", (uint64_t)r->used_bps / 1000);
    put_positive(o, "wantedKbps", (uint64_t)r->wanted_bps / 1000);
    put_positive(o, "ackedKbps", (uint64_t)r->acked_bps / 1000);
    put_positive(o, "rttMs", (uint64_t)r->rtt_us / 1000);
    put_number(o, "lossPercent", (double)(int64_t)(r->loss * 1000) / 10);
    put_positive(o, "probes", r->probes);
    put_positive(o, "overuses", r->overuses);
    put_positive(o, "feedbacks", r->feedbacks);
    put_positive(o, "paced", r->held);
    put_positive(o, "pacedNow", r->held_now);
    put_positive(o, "pausedForBandwidth", r->paused_bandwidth);
    put_positive(o, "pausedForLoad", r->paused_overload);
    return o;
}

static cJSON *participant_json(const struct room_dump *d, const struct dump_participant *p,
                               bool full)
{
    cJSON *o = json_new(), *transports = cJSON_CreateArray();
    cJSON *tracks = cJSON_CreateArray(), *slots = cJSON_CreateArray();
    json_put_int(o, "participant", p->number);
    if (p->link) {
        json_put_int(o, "relayLink", p->link - 1);
    }
    json_put_bool(o, "viewed", p->viewed);
    for (size_t i = 0; i < p->n_transports; i++) {
        cJSON_AddItemToArray(transports, transport_json(&p->transport[i], full));
    }
    for (size_t i = 0; i < p->n_tracks; i++) {
        cJSON_AddItemToArray(tracks, track_json(&d->track[p->first_track + i]));
    }
    for (size_t i = 0; i < p->n_slots; i++) {
        cJSON_AddItemToArray(slots, slot_json(&d->slot[p->first_slot + i]));
    }
    json_put(o, "transports", transports);
    json_put(o, "link", p->rate.known ? rate_json(&p->rate.stats) : NULL);
    json_put(o, "tracks", tracks);
    json_put(o, "slots", slots);
    return o;
}

cJSON *debug_json_room(size_t worker, const struct room_dump *d, bool full_addresses)
{
    cJSON *o = json_new(), *list = cJSON_CreateArray();
    json_put_int(o, "worker", (int64_t)worker);
    json_put_int(o, "total", (int64_t)d->total);
    json_put_int(o, "from", (int64_t)d->from);
    if (d->next < d->total) {
        json_put_int(o, "next", (int64_t)d->next);
    }
    for (size_t i = 0; i < d->n; i++) {
        cJSON_AddItemToArray(list, participant_json(d, &d->participant[i], full_addresses));
    }
    json_put(o, "participants", list);
    return o;
}

bool debug_json_rooms(cJSON *list, size_t worker, const struct rooms_dump *d)
{
    int n = cJSON_GetArraySize(list);
    for (size_t i = 0; i < d->n; i++) {
        const struct dump_room_entry *e = &d->entry[i];
        if (n++ >= DEBUG_MAX_ROOMS) {
            return false;
        }
        cJSON *o = json_new();
        json_put_str(o, "room", e->room.s);
        json_put_int(o, "worker", (int64_t)worker);
        json_put_int(o, "participants", e->participants);
        json_put_int(o, "publishers", e->publishers);
        json_put_int(o, "subscribers", e->subscribers);
        json_put_int(o, "tracks", e->tracks);
        cJSON_AddItemToArray(list, o);
    }
    return true;
}
