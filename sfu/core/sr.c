#include "sfu/core/sr.h"

#define DRIFT_US 200 /* the least offset seen rises by this much a report, to follow the clock */

void sr_input(struct sr_source *s, struct sr_clock *c, const struct rtcp_sender_info *info,
              int64_t wall_us)
{
    int64_t offset = wall_us - rtcp_wall_from_ntp(info->ntp);

    s->known = true;
    s->ntp = info->ntp;
    s->rtp_ts = info->rtp_ts;
    s->wall_us = wall_us;
    bool set_anew = offset - c->offset_us > 1000000; /* their clock was */
    if (!c->known || offset < c->offset_us || set_anew) {
        c->offset_us = offset;
    } else {
        c->offset_us += offset - c->offset_us < DRIFT_US ? offset - c->offset_us : DRIFT_US;
    }
    c->known = true;
}

static int64_t us_to_ticks(int64_t us, uint32_t clock_rate)
{
    return us / 1000000 * clock_rate + us % 1000000 * clock_rate / 1000000;
}

bool sr_translate(const struct sr_source *s, const struct sr_clock *c, uint32_t clock_rate,
                  uint32_t ts_offset, int64_t wall_us, struct rtcp_sender_info *out)
{
    if (!s->known || !c->known) {
        return false;
    }
    int64_t then_us =
        rtcp_wall_from_ntp(s->ntp) + c->offset_us; /* the report's moment, our clock */
    out->ntp = rtcp_ntp_from_wall(wall_us);
    out->rtp_ts = s->rtp_ts + ts_offset + (uint32_t)us_to_ticks(wall_us - then_us, clock_rate);
    return true;
}

void sr_guess(uint32_t newest_ts, int64_t age_us, uint32_t clock_rate, int64_t wall_us,
              struct rtcp_sender_info *out)
{
    out->ntp = rtcp_ntp_from_wall(wall_us);
    out->rtp_ts = newest_ts + (uint32_t)us_to_ticks(age_us, clock_rate);
}
