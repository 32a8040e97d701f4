/* libnice's full ICE agent for an endpoint: host, STUN and TURN candidates, gathered before the
 * local description is given. All agents run on one GLib thread; what they say comes to the loop's
 * thread, in order. Not for load: for calls between two endpoints, through a relay, and to check
 * servers against another ICE than ours. */
#ifndef SOTTO_BENCH_CLIENT_NICE_AGENT_H
#define SOTTO_BENCH_CLIENT_NICE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/io/loop.h"

#define NICE_AGENT_MAX_SERVERS 8

struct nice_server {
    char host[64]; /* numeric */
    uint16_t port;
    enum { NICE_STUN, NICE_TURN_UDP, NICE_TURN_TCP } kind;
    char username[256], credential[256];
};

struct nice_agent_options {
    bool controlling; /* the offerer, and always towards a lite end */
    bool relay_only;  /* iceTransportPolicy "relay" */
    size_t n_servers;
    struct nice_server server[NICE_AGENT_MAX_SERVERS];
};

/* "stun:host:port", "turn:host:port?transport=udp|tcp" (RFC 7064, RFC 7065) with numeric hosts.
 * ERR_INVALID, ERR_UNSUPPORTED (turns:, names). */
int nice_server_parse(struct nice_server *out, const char *url, const char *username,
                      const char *credential);

struct nice_hub; /* the GLib thread */
int nice_hub_new(struct nice_hub **out, struct loop *loop);
void nice_hub_free(struct nice_hub *hub); /* after its agents */

struct nice_peer;
struct nice_peer_handler { /* on the loop's thread */
    /* Gathered: whole a=candidate lines with CRLF, and our credentials. */
    void (*local)(void *arg, const char *ufrag, const char *pwd, const char *candidates);
    void (*connected)(void *arg, const char *path); /* "host", "srflx", "relay" */
    void (*failed)(void *arg, const char *why);
    /* With UDP_MTU bytes of room; when it came (clock_mono_us), which the loop's rest doesn't
     * delay. */
    void (*datagram)(void *arg, uint8_t *data, size_t len, int64_t arrived_us);
};
/* Gathering begins. ERR_NOMEM, ERR_IO. */
int nice_peer_new(struct nice_peer **out, struct nice_hub *hub, const struct nice_agent_options *o,
                  const struct nice_peer_handler *handler, void *arg);
/* Nothing is called any more after it returns. */
void nice_peer_free(struct nice_peer *a);
/* Their credentials and their SDP, whose a=candidate lines are taken. */
int nice_peer_remote(struct nice_peer *a, const char *ufrag, const char *pwd, const char *sdp,
                     size_t len);
/* Sends on the selected pair. Datagrams that don't fit the queue are dropped. */
void nice_peer_send(struct nice_peer *a, const uint8_t *data, size_t len);

#endif
