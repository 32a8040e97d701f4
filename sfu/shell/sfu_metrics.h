/* The counters of sfud's packet side, shown at /metrics. Updates are relaxed atomics. */
#ifndef SOTTO_SFU_METRICS_H
#define SOTTO_SFU_METRICS_H

#include <stdint.h>

enum sfu_metric {
    SFU_RECEIVED_PACKETS,
    SFU_RECEIVED_BYTES,
    SFU_FORWARDED_PACKETS,
    SFU_FORWARDED_BYTES,
    SFU_DROP_UNKNOWN_ADDRESS,
    SFU_DROP_UNKNOWN_KIND,
    SFU_DROP_NO_KEYS,
    SFU_DROP_SRTP_AUTH,
    SFU_DROP_SRTP_REPLAY,
    SFU_DROP_MALFORMED,
    SFU_DROP_UNKNOWN_SSRC,
    SFU_DROP_TOO_LARGE,
    SFU_DROP_POOL,
    SFU_DROP_SEND,
    SFU_DROP_RELAY,
    SFU_RELAY_REFUSED,
    SFU_RELAY_LINKS,
    SFU_DROP_RATE,
    SFU_DROP_TCP,
    SFU_ROOMS,
    SFU_TRANSPORTS,
    SFU_STUN_REQUESTS,
    SFU_STUN_AUTH_FAILURES,
    SFU_STUN_MALFORMED,
    SFU_DTLS_HANDSHAKES,
    SFU_DTLS_FAILURES,
    SFU_REFUSED_HANDSHAKES,
    SFU_REFUSED_RESOURCES,
    SFU_REFUSED_JOINS,
    SFU_REFUSED_STUN,
    SFU_REFUSED_LARGER,
    SFU_EVICTED_PREFIXES,
    SFU_SHED,
    SFU_TCP_CONNECTIONS,
    SFU_TCP_ACCEPTED,
    SFU_TCP_REFUSED,
    SFU_TCP_UNPROVEN,
    SFU_TCP_SLOW,
    SFU_NACKS_RECEIVED,
    SFU_NACKS_SENT,
    SFU_RTX_SENT,
    SFU_RTX_RECEIVED,
    SFU_PLIS_RECEIVED,
    SFU_PLIS_SENT,
    SFU_CONSENT_EXPIRED,
    SFU_CONTROL_DROPPED,
    SFU_LINK_UP,
    SFU_RELAYED_PACKETS,
    SFU_PAUSED_SLOTS,
    SFU_CACHED_PACKETS,
    SFU_POOL_FREE,
    SFU_STATS_DROPPED,
    SFU_LOST_RECEIVED,
    SFU_LOST_SENT,
    SFU_LAYER_SWITCHES,
    SFU_FREEZES,
    SFU_PAUSES,
    SFU_CAPTURED_PACKETS,
    SFU_CAPTURE_DROPPED,
    SFU_METRICS
};

/* Shows all of them from the start. */
void sfu_metrics_register(void);
void sfu_count(enum sfu_metric m, int64_t n);
/* This thread's part of the value: the sum over threads is shown. */
void sfu_gauge(enum sfu_metric m, int64_t v);
int64_t sfu_metric_value(enum sfu_metric m);

#endif
