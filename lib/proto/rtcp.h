/* RTCP: SR, RR, SDES, BYE (RFC 3550 section 6), generic NACK and PLI (RFC 4585), FIR (RFC 5104),
 * REMB (draft-alvestrand-rmcat-remb-03), reduced-size compounds (RFC 5506). Parsing walks a bounded
 * compound; building appends to a struct writer, whose `bad` tells when it didn't fit.
 * Transport-wide feedback is in twcc.h. */
#ifndef SOTTO_PROTO_RTCP_H
#define SOTTO_PROTO_RTCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"

#define RTCP_SR    200
#define RTCP_RR    201
#define RTCP_SDES  202
#define RTCP_BYE   203
#define RTCP_APP   204
#define RTCP_RTPFB 205 /* transport layer feedback: count is FMT */
#define RTCP_PSFB  206 /* payload specific feedback */
#define RTCP_XR    207

#define RTCP_FMT_NACK 1
#define RTCP_FMT_TWCC 15
#define RTCP_FMT_PLI  1
#define RTCP_FMT_FIR  4
#define RTCP_FMT_AFB  15 /* REMB */

#define RTCP_MAX_REPORTS 31
#define RTCP_MAX_SSRCS   31

struct rtcp_packet {
    uint8_t type;        /* RTCP_… */
    uint8_t count;       /* report count, source count or FMT */
    const uint8_t *body; /* after the 4-byte header; borrowed */
    size_t len;          /* bytes of body, padding removed */
};

/* Walks a (decrypted) compound. Zero bytes are an empty compound. */
struct rtcp_iter {
    const uint8_t *data;
    size_t len;
    size_t pos;
};
void rtcp_iter_init(struct rtcp_iter *it, const void *data, size_t len);
/* 1 and the next packet, 0 at the end, ERR_TRUNCATED (a length passes the end), ERR_INVALID
 * (version, padding). After an error nothing more is to be read. */
int rtcp_next(struct rtcp_iter *it, struct rtcp_packet *p);

struct rtcp_report {
    uint32_t ssrc;
    uint8_t fraction_lost;   /* 1/256ths */
    int32_t cumulative_lost; /* 24 bits signed */
    uint32_t highest_seq;    /* extended */
    uint32_t jitter;         /* timestamp units */
    uint32_t lsr;            /* middle 32 bits of the last SR's NTP time, 0: none yet */
    uint32_t dlsr;           /* 1/65536 s since that SR came */
};

struct rtcp_sender_info {
    uint64_t ntp; /* 32.32 fixed point seconds since 1900 */
    uint32_t rtp_ts;
    uint32_t packets;
    uint32_t octets;
};

struct rtcp_sr {
    uint32_t ssrc;
    struct rtcp_sender_info info;
    size_t n_reports;
    struct rtcp_report report[RTCP_MAX_REPORTS];
};

struct rtcp_rr {
    uint32_t ssrc;
    size_t n_reports;
    struct rtcp_report report[RTCP_MAX_REPORTS];
};

/* Each parser needs p of its own type (else ERR_INVALID) and gives ERR_TRUNCATED for short bodies.
 */
int rtcp_parse_sr(struct rtcp_sr *out, const struct rtcp_packet *p);
int rtcp_parse_rr(struct rtcp_rr *out, const struct rtcp_packet *p);
/* The CNAME of the first chunk; ERR_NOT_FOUND when there is none, ERR_TOO_LARGE past cap. */
int rtcp_parse_cname(uint32_t *ssrc, char *out, size_t cap, const struct rtcp_packet *p);
/* SSRCs that left, at most RTCP_MAX_SSRCS; returns their number or an error. */
int rtcp_parse_bye(uint32_t ssrcs[RTCP_MAX_SSRCS], const struct rtcp_packet *p);

struct rtcp_feedback {
    uint32_t sender_ssrc;
    uint32_t media_ssrc;
};
/* Sequence numbers asked for, in order of the packet, at most cap (the rest is left out: the caller
 * bounds what one NACK may cost). Returns their number or an error. */
int rtcp_parse_nack(struct rtcp_feedback *fb, uint16_t *seqs, size_t cap,
                    const struct rtcp_packet *p);
int rtcp_parse_pli(struct rtcp_feedback *fb, const struct rtcp_packet *p);
struct rtcp_fir {
    uint32_t ssrc; /* whose picture is wanted */
    uint8_t seq;   /* a repeated number is the same request (RFC 5104 section 4.3.1) */
};
/* Entries of one FIR, at most cap; returns their number or an error. */
int rtcp_parse_fir(struct rtcp_feedback *fb, struct rtcp_fir *out, size_t cap,
                   const struct rtcp_packet *p);
struct rtcp_remb {
    uint32_t sender_ssrc;
    uint64_t bitrate; /* bits a second */
    size_t n_ssrcs;
    uint32_t ssrc[RTCP_MAX_SSRCS]; /* the first ones */
};
/* ERR_NOT_FOUND when the application feedback isn't REMB. */
int rtcp_parse_remb(struct rtcp_remb *out, const struct rtcp_packet *p);

/* Builders: append one packet; nothing is returned, look at w->bad at the end. */
void rtcp_write_sr(struct writer *w, uint32_t ssrc, const struct rtcp_sender_info *info,
                   const struct rtcp_report *reports, size_t n);
void rtcp_write_rr(struct writer *w, uint32_t ssrc, const struct rtcp_report *reports, size_t n);
void rtcp_write_sdes_cname(struct writer *w, uint32_t ssrc, const char *cname);
void rtcp_write_bye(struct writer *w, const uint32_t *ssrcs, size_t n);
/* Packs ascending (by RFC 1982) sequence numbers into PID/BLP pairs. */
void rtcp_write_nack(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc,
                     const uint16_t *seqs, size_t n);
void rtcp_write_pli(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc);
void rtcp_write_fir(struct writer *w, uint32_t sender_ssrc, uint32_t media_ssrc, uint8_t seq);

/* REMB of these streams together; n at most 255. */
void rtcp_write_remb(struct writer *w, uint32_t sender_ssrc, uint64_t bitrate,
                     const uint32_t *ssrcs, size_t n);

/* NTP time (RFC 3550 section 4) of microseconds since 1970, and its middle 32 bits. */
uint64_t rtcp_ntp_from_wall(int64_t wall_us);
int64_t rtcp_wall_from_ntp(uint64_t ntp);
uint32_t rtcp_ntp_middle(uint64_t ntp);
/* Round trip by RFC 3550 section 6.4.1 in microseconds: now - lsr - dlsr, all middle 32 bits;
 * -1 when lsr is 0 or the result would be negative or over 60 s. */
int64_t rtcp_rtt_us(uint32_t now_middle, uint32_t lsr, uint32_t dlsr);

#endif
