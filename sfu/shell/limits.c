#include "sfu/shell/limits.h"

/* `burst` seconds of it at once. */
static struct admission_rate rate(const struct config *c, const char *key, uint32_t burst)
{
    uint32_t n = (uint32_t)config_int(c, key);
    return (struct admission_rate){.per_second = n, .burst = n * burst};
}

void limits_read(struct worker_options *o, const struct config *c)
{
    o->limits = (struct admission_limits){
        .most = {[ADMISSION_TRACKS] = (uint64_t)config_int(c, "sfu.max_tracks"),
                 [ADMISSION_HANDSHAKES] = (uint64_t)config_int(c, "sfu.max_handshakes")},
        .handshakes = rate(c, "sfu.handshakes_per_second", 2),
        .packets = rate(c, "sfu.publisher_packets", 1),
        .stun_prefix = rate(c, "sfu.stun_per_prefix", 2),
        .stun_all = rate(c, "sfu.stun_per_second", 1),
        .busy_percent = (uint32_t)config_int(c, "sfu.overload_percent"),
    };
    o->tcp = config_bool(c, "sfu.tcp");
    o->tcp_connections = (size_t)config_int(c, "sfu.tcp_connections");
    o->tcp_per_prefix = (size_t)config_int(c, "sfu.tcp_per_prefix");
}
