#include "sfu/shell/sfu_metrics.h"

#include "lib/base/metrics.h"

#define DROPPED       "sotto_sfu_dropped_packets_total"
#define DROPHLP       "Packets dropped, by reason"
#define REFUSED       "sotto_sfu_refused_total"
#define REFUSEDHLP    "What was over a bound or made no sense, by what it was"
#define TCP_CLOSED    "sotto_sfu_tcp_closed_total"
#define TCP_CLOSEDHLP "ICE-TCP connections that we closed, by reason"
#define COUNTER(n, l, h)                                                                           \
    {                                                                                              \
        .name = n, .labels = l, .help = h, .kind = METRIC_COUNTER                                  \
    }
#define GAUGE(n, h)                                                                                \
    {                                                                                              \
        .name = n, .help = h, .kind = METRIC_GAUGE                                                 \
    }

static struct metric table[SFU_METRICS] = {
    [SFU_RECEIVED_PACKETS] =
        COUNTER("sotto_sfu_received_packets_total", NULL, "Datagrams that came in"),
    [SFU_RECEIVED_BYTES] = COUNTER("sotto_sfu_received_bytes_total", NULL, "Their bytes"),
    [SFU_FORWARDED_PACKETS] =
        COUNTER("sotto_sfu_forwarded_packets_total", NULL, "RTP packets sent to subscribers"),
    [SFU_FORWARDED_BYTES] = COUNTER("sotto_sfu_forwarded_bytes_total", NULL, "Their bytes"),
    [SFU_DROP_UNKNOWN_ADDRESS] = COUNTER(DROPPED, "reason=\"unknown_address\"", DROPHLP),
    [SFU_DROP_UNKNOWN_KIND] = COUNTER(DROPPED, "reason=\"unknown_kind\"", DROPHLP),
    [SFU_DROP_NO_KEYS] = COUNTER(DROPPED, "reason=\"no_keys\"", DROPHLP),
    [SFU_DROP_SRTP_AUTH] = COUNTER(DROPPED, "reason=\"srtp_auth\"", DROPHLP),
    [SFU_DROP_SRTP_REPLAY] = COUNTER(DROPPED, "reason=\"srtp_replay\"", DROPHLP),
    [SFU_DROP_MALFORMED] = COUNTER(DROPPED, "reason=\"malformed\"", DROPHLP),
    [SFU_DROP_UNKNOWN_SSRC] = COUNTER(DROPPED, "reason=\"unknown_ssrc\"", DROPHLP),
    [SFU_DROP_TOO_LARGE] = COUNTER(DROPPED, "reason=\"too_large\"", DROPHLP),
    [SFU_DROP_POOL] = COUNTER(DROPPED, "reason=\"pool_empty\"", DROPHLP),
    [SFU_DROP_RECEIVE] = COUNTER(DROPPED, "reason=\"receive_buffer\"", DROPHLP),
    [SFU_DROP_SEND] = COUNTER(DROPPED, "reason=\"send_refused\"", DROPHLP),
    [SFU_DROP_RELAY] = COUNTER(DROPPED, "reason=\"relay_full\"", DROPHLP),
    [SFU_RELAY_REFUSED] = COUNTER(
        "sotto_sfu_relay_refused_total", NULL,
        "Datagrams at the relay port of strangers, of another secret, replayed or malformed"),
    [SFU_RELAY_LINKS] = GAUGE("sotto_sfu_relay_links", "Links to other nodes that are up"),
    [SFU_DROP_RATE] = COUNTER(DROPPED, "reason=\"publisher_rate\"", DROPHLP),
    [SFU_DROP_TCP] = COUNTER(DROPPED, "reason=\"slow_tcp\"", DROPHLP),
    [SFU_ROOMS] = GAUGE("sotto_sfu_rooms", "Rooms"),
    [SFU_TRANSPORTS] = GAUGE("sotto_sfu_transports", "Peer connections"),
    [SFU_STUN_REQUESTS] =
        COUNTER("sotto_sfu_stun_requests_total", NULL, "Verified ICE checks answered"),
    [SFU_STUN_AUTH_FAILURES] =
        COUNTER("sotto_sfu_stun_auth_failures_total", NULL,
                "ICE checks with an unknown user or a wrong integrity, dropped"),
    [SFU_STUN_MALFORMED] =
        COUNTER("sotto_sfu_stun_malformed_total", NULL, "STUN messages that broke the grammar"),
    [SFU_DTLS_HANDSHAKES] =
        COUNTER("sotto_sfu_dtls_handshakes_total", NULL, "DTLS handshakes completed and verified"),
    [SFU_DTLS_FAILURES] = COUNTER("sotto_sfu_dtls_failures_total", NULL,
                                  "DTLS handshakes that failed or came with another fingerprint"),
    [SFU_REFUSED_HANDSHAKES] = COUNTER(REFUSED, "what=\"handshake\"", REFUSEDHLP),
    [SFU_REFUSED_RESOURCES] = COUNTER(REFUSED, "what=\"resource\"", REFUSEDHLP),
    [SFU_REFUSED_JOINS] = COUNTER(REFUSED, "what=\"join\"", REFUSEDHLP),
    [SFU_REFUSED_REQUESTS] = COUNTER(REFUSED, "what=\"request\"", REFUSEDHLP),
    [SFU_REFUSED_STUN] = COUNTER(REFUSED, "what=\"stun_rate\"", REFUSEDHLP),
    [SFU_REFUSED_LARGER] = COUNTER(REFUSED, "what=\"stun_larger\"", REFUSEDHLP),
    [SFU_REFUSED_ADDRESS] = COUNTER(REFUSED, "what=\"stun_address\"", REFUSEDHLP),
    [SFU_EVICTED_PREFIXES] = COUNTER("sotto_sfu_forgotten_prefixes_total", NULL,
                                     "Networks whose rate was forgotten for others' sake"),
    [SFU_SHED] = GAUGE("sotto_sfu_shed_sixteenths",
                       "Sixteenths of the video that overloaded workers don't send, summed"),
    [SFU_TCP_CONNECTIONS] = GAUGE("sotto_sfu_tcp_connections", "ICE-TCP connections"),
    [SFU_TCP_ACCEPTED] =
        COUNTER("sotto_sfu_tcp_accepted_total", NULL, "ICE-TCP connections that came in"),
    [SFU_TCP_REFUSED] = COUNTER(TCP_CLOSED, "reason=\"bound\"", TCP_CLOSEDHLP),
    [SFU_TCP_UNPROVEN] = COUNTER(TCP_CLOSED, "reason=\"unproven\"", TCP_CLOSEDHLP),
    [SFU_TCP_SLOW] = COUNTER(TCP_CLOSED, "reason=\"slow\"", TCP_CLOSEDHLP),
    [SFU_NACKS_RECEIVED] =
        COUNTER("sotto_sfu_nacks_total", "direction=\"received\"", "Packets asked for again"),
    [SFU_NACKS_SENT] =
        COUNTER("sotto_sfu_nacks_total", "direction=\"sent\"", "Packets asked for again"),
    [SFU_RTX_SENT] =
        COUNTER("sotto_sfu_rtx_packets_total", "direction=\"sent\"", "Retransmissions (RFC 4588)"),
    [SFU_RTX_RECEIVED] = COUNTER("sotto_sfu_rtx_packets_total", "direction=\"received\"",
                                 "Retransmissions (RFC 4588)"),
    [SFU_PLIS_RECEIVED] =
        COUNTER("sotto_sfu_plis_total", "direction=\"received\"", "Keyframe requests"),
    [SFU_PLIS_SENT] = COUNTER("sotto_sfu_plis_total", "direction=\"sent\"", "Keyframe requests"),
    [SFU_CONSENT_EXPIRED] = COUNTER("sotto_sfu_consent_expired_total", NULL,
                                    "Peer connections removed after 30 s of silence"),
    [SFU_CONTROL_DROPPED] = COUNTER("sotto_sfu_control_dropped_total", NULL,
                                    "Control messages lost because a ring was full"),
    [SFU_RELAYED_PACKETS] = COUNTER("sotto_sfu_relayed_packets_total", NULL,
                                    "RTP packets that went to another worker or node"),
    [SFU_PAUSED_SLOTS] =
        GAUGE("sotto_sfu_paused_slots", "Video slots that get nothing for lack of bandwidth"),
    [SFU_CACHED_PACKETS] =
        GAUGE("sotto_sfu_cached_packets", "Packets kept to be sent again when asked for"),
    [SFU_POOL_FREE] = GAUGE("sotto_sfu_pool_free_packets", "Packet buffers that are free"),
    [SFU_STATS_DROPPED] = COUNTER("sotto_sfu_stats_dropped_total", NULL,
                                  "Parts of statistics that control had no time to take"),
    [SFU_LOST_RECEIVED] = COUNTER("sotto_sfu_lost_packets_total", "direction=\"received\"",
                                  "Packets lost on the way from publishers or to subscribers"),
    [SFU_LOST_SENT] = COUNTER("sotto_sfu_lost_packets_total", "direction=\"sent\"",
                              "Packets lost on the way from publishers or to subscribers"),
    [SFU_LAYER_SWITCHES] =
        COUNTER("sotto_sfu_layer_switches_total", NULL, "Changes of the layer that a slot gets"),
    [SFU_FREEZES] =
        COUNTER("sotto_sfu_freezes_total", NULL,
                "Gaps between frames that publishers or slots had, as viewers see them"),
    [SFU_PAUSES] =
        COUNTER("sotto_sfu_slot_pauses_total", NULL, "Pauses of slots for lack of bandwidth"),
    [SFU_CAPTURED_PACKETS] =
        COUNTER("sotto_sfu_captured_packets_total", NULL, "Packets that an admin's capture wrote"),
    [SFU_CAPTURE_DROPPED] = COUNTER("sotto_sfu_capture_dropped_packets_total", NULL,
                                    "Packets that a capture had no room for"),
    [SFU_LINK_UP] = GAUGE("sotto_sfu_link_up", "1 while the link to signald is up"),
};

void sfu_metrics_register(void)
{
    for (int i = 0; i < SFU_METRICS; i++) {
        metric_register(&table[i]);
    }
}

void sfu_count(enum sfu_metric m, int64_t n)
{
    metric_add(&table[m], n);
}

/* What this thread told last: what is shown is the sum of all threads'. */
static _Thread_local int64_t told[SFU_METRICS];

void sfu_gauge(enum sfu_metric m, int64_t v)
{
    if (v != told[m]) {
        metric_add(&table[m], v - told[m]);
        told[m] = v;
    }
}

int64_t sfu_metric_value(enum sfu_metric m)
{
    return atomic_load_explicit(&table[m].value, memory_order_relaxed);
}
