/* Streams through a relay, each way: a socket for the client's end and one for the peer's end of
 * every allocation, packets by an open-loop schedule, and what arrives of them. */
#ifndef SOTTO_BENCH_LOAD_TURN_STREAMS_H
#define SOTTO_BENCH_LOAD_TURN_STREAMS_H

#include <netinet/in.h>
#include <stdbool.h>

#include "bench/client/histogram.h"
#include "bench/client/turn_client.h"

#define STREAMS_MAX   2000
#define STREAMS_BURST 32
#define PACKET_MAX    1400

enum end { CLIENT_END, PEER_END, ENDS };

/* One direction of one allocation, at its receiver; numbers are of the packets' stamps. */
struct arrival {
    uint64_t highest, received;           /* highest: number of the newest and 1; both since ever */
    uint64_t base_highest, base_received; /* at the last mark */
};

struct pair {
    struct turn_client *turn; /* NULL: through a plain forwarder */
    int fd[ENDS];
    uint16_t port[ENDS];
    bool peer_connected;
    uint64_t sent[ENDS];          /* by that end */
    struct arrival arrival[ENDS]; /* at that end */
};

struct schedule {
    bool on;
    int burst, bytes;
    int64_t start_us;
    double step_us; /* between two bursts of all streams */
    uint64_t next;  /* burst: of stream next % (2 * pairs) */
};

struct streams {
    int epoll;
    size_t n;
    struct pair *pairs;
    struct sockaddr_in server;
    struct schedule schedule;
    struct histogram latency;
    uint64_t sent, received, bytes, bad, refused; /* since the mark */
    int64_t late_max_us, mark_us;
};

/* n pairs of sockets on 127.0.0.1; the clients' ones are connected to the server. also_fd is
 * watched with them (level-triggered). ERR_IO, ERR_NOMEM; close it in any case. */
int streams_open(struct streams *s, const struct sockaddr_in *server, size_t n, int also_fd);
void streams_close(struct streams *s);
/* The peer's end of pair i sends there from now on (the relayed address). ERR_IO. */
int streams_connect_peer(struct streams *s, size_t i, const struct sockaddr_in *to);
/* Requests of the TURN clients that are due. */
void streams_turn_poll(struct streams *s, int64_t now_us);

/* From now on each stream sends bursts: packets_per_s in all of its bursts, of so many bytes. */
void streams_send(struct streams *s, double packets_per_s, int bytes, int burst, int64_t now_us);
/* What the schedule says is due by now. */
void streams_send_due(struct streams *s, int64_t now_us);
/* When streams_send_due has something; INT64_MAX: never. */
int64_t streams_deadline(const struct streams *s);
/* Waits up to wait_us for datagrams and takes them; *also: also_fd can be read. ERR_IO. */
int streams_receive(struct streams *s, int64_t wait_us, bool *also);

void streams_mark(struct streams *s, int64_t now_us);
/* Since the mark, by numbers: how many packets there are up to the newest that came, and how many
 * of them did not come. */
void streams_loss(const struct streams *s, uint64_t *expected, uint64_t *lost);

#endif
