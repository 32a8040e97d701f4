/* Every key of every program: the one list that parsing, the template, `sottoctl config print` and
 * docs/operations.md go by. */
#include "lib/base/config.h"

#define MS   INT64_C(1000)
#define SEC  (1000 * MS)
#define MIN  (60 * SEC)
#define HOUR (60 * MIN)
#define DAY  (24 * HOUR)
#define MIB  (INT64_C(1) << 20)

const char *const config_tool_variables[] = {
    "SOTTO_CONFIG", "SOTTO_VAR",    "SOTTO_BUILD",   "SOTTO_JOBS",
    "SOTTO_TEST_*", "SOTTO_FUZZ_*", "SOTTO_BENCH_*", NULL,
};

const struct config_section config_sections[] = {
    {"http",
     "signald's listeners: the public ones, and an internal one for metrics and operations."},
    {"postgres", "The database of signald and sottoctl."},
    {"auth", "Accounts, tokens and their limits."},
    {"socket", "WebSockets of clients."},
    {"calls", "The call machine."},
    {"turn", "STUN and TURN servers handed to clients, and the coturn that we start."},
    {"sfu_link", "The control link: signald listens, sfud connects."},
    {"sfu", "sfud, the forwarding unit."},
    {"log", "Logs of all programs, on stderr."},
    {NULL, NULL},
};

#define STR(n, d, lo, hi, doc_)                                                                    \
    {                                                                                              \
        .name = n, .type = CONFIG_STRING, .dflt = d, .min = lo, .max = hi, .doc = doc_             \
    }
#define INT(n, d, lo, hi, doc_)                                                                    \
    {                                                                                              \
        .name = n, .type = CONFIG_INT, .dflt = d, .min = lo, .max = hi, .doc = doc_                \
    }
#define DUR(n, d, lo, hi, doc_)                                                                    \
    {                                                                                              \
        .name = n, .type = CONFIG_DURATION, .dflt = d, .min = lo, .max = hi, .doc = doc_           \
    }
#define BOOL(n, d, doc_)                                                                           \
    {                                                                                              \
        .name = n, .type = CONFIG_BOOL, .dflt = d, .doc = doc_                                     \
    }
#define PATH(n, d, doc_)                                                                           \
    {                                                                                              \
        .name = n, .type = CONFIG_PATH, .dflt = d, .doc = doc_                                     \
    }
#define LIST(n, d, doc_)                                                                           \
    {                                                                                              \
        .name = n, .type = CONFIG_LIST, .dflt = d, .doc = doc_                                     \
    }
#define ADDR(n, d, doc_)                                                                           \
    {                                                                                              \
        .name = n, .type = CONFIG_ADDRESS, .dflt = d, .doc = doc_                                  \
    }
#define ADDRS(n, d, doc_)                                                                          \
    {                                                                                              \
        .name = n, .type = CONFIG_ADDRESSES, .dflt = d, .doc = doc_                                \
    }
#define WORD(n, d, w, doc_)                                                                        \
    {                                                                                              \
        .name = n, .type = CONFIG_STRING, .dflt = d, .words = w, .doc = doc_                       \
    }
#define SECRET(n, d, doc_)                                                                         \
    {                                                                                              \
        .name = n, .type = CONFIG_STRING, .dflt = d, .secret = true, .doc = doc_                   \
    }

/* clang-format off */
const struct config_key config_keys[] = {
    ADDR("http.public_address", "0.0.0.0", "Address of the HTTPS and WSS listener."),
    INT("http.tls_port", "8443", 0, 65535, "Port of the HTTPS and WSS listener; 0 turns it off."),
    ADDR("http.plain_address", "127.0.0.1", "Address of the plain HTTP listener: loopback, or the side of a proxy that speaks TLS for us."),
    INT("http.plain_port", "8080", 0, 65535, "Port of the plain HTTP listener; 0 turns it off."),
    ADDR("http.internal_address", "127.0.0.1", "Address of /metrics, /healthz, /readyz and internal routes; never a public one."),
    INT("http.internal_port", "9090", 0, 65535, "Port of the internal listener; 0 turns it off."),
    PATH("http.cert_file", "tls/cert.pem", "Certificate chain of the HTTPS listener, PEM."),
    PATH("http.key_file", "tls/key.pem", "Private key of the certificate, PEM, readable by the service alone."),
    PATH("http.internal_key_file", "secrets/internal_key", "File with the key that internal routes ask for in X-Internal-Api-Key."),
    PATH("http.web_root", "../web/app/dist", "Folder of the web app served beside the API; empty serves none."),
    LIST("http.origins", "", "Origins that browsers may call from besides our own, such as https://app.example.org."),
    BOOL("http.trust_forwarded", "no", "Take the client's address from X-Forwarded-For; only behind a proxy that sets it."),
    INT("http.max_connections", "19000", 16, 1000000, "Connections open at once, sockets included; more are refused."),
    INT("http.user_requests_per_minute", "100", 0, 1000000, "Requests a user may make in a minute; 0 is no limit."),
    INT("http.address_requests_per_minute", "600", 0, 1000000, "Requests an address may make in a minute; 0 is no limit."),

    SECRET("postgres.conninfo", "", "libpq connection string, such as: host=/run/postgresql dbname=sotto. Must be set."),
    INT("postgres.connections", "4", 1, 64, "Connections kept open, each in pipeline mode."),
    DUR("postgres.query_timeout", "5s", 10 * MS, 10 * MIN, "A query that takes longer, waiting included, fails."),
    INT("postgres.max_queued", "10000", 1, 1000000, "Queries that may wait for a connection; more fail at once."),

    STR("auth.issuer", "sotto", 1, 128, "The iss claim of our tokens."),
    STR("auth.audience", "sotto", 1, 128, "The aud claim of our tokens."),
    PATH("auth.key_dir", "keys", "Folder of ES256 signing keys, <kid>.pem each; the last by name signs, all verify."),
    DUR("auth.access_ttl", "15m", SEC, DAY, "Life of an access token."),
    DUR("auth.refresh_ttl", "30d", SEC, 366 * DAY, "Life of a refresh token; every refresh starts it anew."),
    DUR("auth.ticket_ttl", "10s", SEC, 5 * MIN, "Life of a WebSocket ticket."),
    INT("auth.bcrypt_cost", "12", 4, 16, "bcrypt's cost for new passwords; 12 or more outside tests."),
    INT("auth.register_per_hour", "20", 0, 1000000, "Registrations an address may make in an hour; 0 is no limit."),
    INT("auth.login_per_minute", "10", 0, 1000000, "Logins an address may try in a minute; 0 is no limit."),
    INT("auth.login_account_per_minute", "10", 0, 1000000, "Tries a minute at one account, whoever tries; 0 is no limit."),
    INT("auth.refresh_per_minute", "30", 0, 1000000, "Token refreshes an address may make in a minute; 0 is no limit."),
    INT("auth.ticket_per_minute", "60", 0, 1000000, "WebSocket tickets a user may take in a minute; 0 is no limit."),
    INT("auth.lookup_per_minute", "60", 0, 1000000, "Searches for people a user may make in a minute; 0 is no limit."),
    INT("auth.change_per_minute", "30", 0, 1000000, "Changes of profile, devices and sessions a user may make in a minute; 0 is no limit."),
    INT("auth.max_hashing", "64", 1, 1024, "Password checks that may wait or run at once; past it logins are answered 503."),
    INT("auth.max_devices", "20", 1, 1000, "Devices an account may have; a login past it drops the longest unused one."),
    BOOL("auth.dev_mode", "no", "Development and tests: lets bcrypt_cost be below 12."),

    DUR("socket.heartbeat", "30s", 100 * MS, 10 * MIN, "A ping each; a client is gone after two without an answer."),
    INT("socket.queue_frames", "1024", 8, 1000000, "Frames that may wait for a slow reader."),
    INT("socket.queue_bytes", "1MiB", 4096, 1024 * MIB, "Bytes that may wait for a slow reader."),
    INT("socket.frames_per_second", "50", 1, 100000, "Frames a client may send a second, on average."),
    INT("socket.burst", "200", 1, 1000000, "Frames a client may send at once."),
    DUR("socket.inbox_retention", "30d", MIN, 3660 * DAY, "How long durable events wait for a device."),

    DUR("calls.ring_timeout", "60s", 100 * MS, 10 * MIN, "A call that nobody answers is missed after this."),
    DUR("calls.grace", "30s", 100 * MS, 10 * MIN, "A device that lost its socket stays in its call this long."),
    DUR("calls.fallback_after", "8s", 100 * MS, 2 * MIN, "An auto call that isn't connected peer to peer by then moves to the SFU."),
    INT("calls.max_participants", "64", 2, 1000, "People in one call."),
    INT("calls.start_per_minute", "20", 0, 1000000, "Calls a user may start in a minute; 0 is no limit."),

    PATH("turn.secret_file", "secrets/turn_secret", "File with the secret shared with coturn (use-auth-secret)."),
    LIST("turn.urls", "turn:127.0.0.1:3478?transport=udp, turn:127.0.0.1:3478?transport=tcp", "TURN URLs (RFC 7065) that clients get with credentials; empty offers no TURN."),
    LIST("turn.stun_urls", "stun:127.0.0.1:3478", "STUN URLs (RFC 7064) that clients get."),
    DUR("turn.credential_ttl", "10m", 10 * SEC, DAY, "Life of a TURN credential; clients renew it before its end."),
    STR("turn.realm", "sotto", 1, 128, "coturn's realm."),
    ADDR("turn.listen_address", "", "Address that coturn listens on; empty means all."),
    INT("turn.listen_port", "3478", 1, 65535, "coturn's port for UDP and TCP."),
    INT("turn.tls_port", "5349", 0, 65535, "coturn's port for TLS, with the certificate of [http]; 0 turns it off."),
    ADDR("turn.external_address", "", "The public address of a coturn behind NAT; empty where there is none."),
    INT("turn.relay_min_port", "49152", 1024, 65535, "First port of relayed media."),
    INT("turn.relay_max_port", "65535", 1024, 65535, "Last port of relayed media."),
    INT("turn.user_quota", "16", 1, 10000, "Allocations that one credential may hold at once."),
    INT("turn.total_quota", "4000", 1, 1000000, "Allocations at once in all."),
    INT("turn.max_bytes_per_second", "1048576", 8192, 1024 * MIB, "Relayed bytes a second that one allocation may use, each way."),
    BOOL("turn.allow_private_peers", "no", "Let coturn relay to loopback and private addresses; for development and tests only."),

    STR("sfu_link.address", "127.0.0.1", 1, 253, "Where signald listens for SFUs and sfud connects to; outside one machine a private network."),
    INT("sfu_link.port", "7070", 0, 65535, "Port of the control link; 0 turns the SFU off."),
    PATH("sfu_link.secret_file", "secrets/sfu_link", "File with the secret that both sides of the link prove to know."),

    STR("sfu.node", "sfu-1", 1, 64, "This SFU's name, another for each."),
    STR("sfu.region", "local", 1, 64, "Where it stands; calls are placed near their people."),
    ADDR("sfu.address", "0.0.0.0", "Address of the media port."),
    INT("sfu.port", "7000", 0, 65535, "UDP port of the first worker's media, and TCP port where [sfu] tcp says so; the next worker has the next one; 0 takes any."),
    INT("sfu.workers", "0", 0, 48, "Threads that forward media, each with rooms of its own; 0 takes one for each CPU that sfud may use."),
    BOOL("sfu.pin_workers", "no", "Bind each worker to a CPU of its own."),
    ADDRS("sfu.public_addresses", "", "Addresses that clients reach the media port at; empty means all of this host's."),
    BOOL("sfu.allow_loopback", "no", "Offer 127.0.0.1 as a candidate too; for development and tests on one machine."),
    INT("sfu.room_workers", "8", 1, 48, "Workers that one room may be spread over when it outgrows the one it began on; 1 never spreads."),
    INT("sfu.room_participants", "200", 0, 1024, "Participants of a room on one worker before the next ones are placed on another; 0 takes any number."),
    INT("sfu.room_busy_percent", "80", 0, 100, "Load of a worker from which on new participants of its rooms are placed on another; 0 takes any load."),
    ADDR("sfu.relay_address", "0.0.0.0", "Address of the relay ports, which other SFUs' packets come to; a private network where there is one."),
    INT("sfu.relay_port", "7200", 0, 65535, "UDP port of the first worker's relay; the next worker has the next one; 0 takes any."),
    PATH("sfu.relay_secret_file", "", "File with the secret, 16 bytes at least, that all SFUs prove to each other to know; empty: rooms stay on one SFU."),
    INT("sfu.max_rooms", "1000", 1, 4096, "Rooms at once."),
    INT("sfu.max_transports", "4000", 2, 1000000, "Peer connections at once on each worker; two a participant."),
    BOOL("sfu.tcp", "yes", "Take media by TCP too (ICE-TCP), for clients whose network has no UDP; at the number of the worker's UDP port where that is free."),
    INT("sfu.tcp_connections", "4000", 1, 100000, "ICE-TCP connections at once on each worker."),
    INT("sfu.tcp_per_prefix", "1000", 1, 100000, "ICE-TCP connections at once from one network (/24 of IPv4, /56 of IPv6)."),
    INT("sfu.max_tracks", "16000", 0, 1000000, "Published tracks at once on each worker; 0 takes any number."),
    INT("sfu.max_handshakes", "500", 0, 100000, "DTLS handshakes under way at once on each worker; 0 takes any number."),
    INT("sfu.handshakes_per_second", "200", 0, 100000, "DTLS handshakes begun a second on each worker, twice as many at once; 0 takes any number."),
    INT("sfu.publisher_packets", "4000", 0, 1000000, "RTP packets a second taken of one publisher; 0 takes any number."),
    INT("sfu.stun_per_prefix", "500", 0, 1000000, "ICE checks a second from unknown addresses of one network (/24 of IPv4, /56 of IPv6), twice as many at once; 0 takes any number."),
    INT("sfu.stun_per_second", "20000", 0, 10000000, "ICE checks a second from all unknown addresses on each worker; 0 takes any number."),
    INT("sfu.overload_percent", "90", 0, 100, "Share of a worker's time from which on it sends less video, that of the lowest priority first, and then lets nobody in; 0 never does."),
    INT("sfu.cache_ms", "1000", 50, 10000, "How long packets are kept for retransmission, in milliseconds."),
    INT("sfu.buffer_bytes", "4MiB", 65536, 256 * MIB, "Socket buffers of the media port, each way."),
    ADDR("sfu.metrics_address", "127.0.0.1", "Address of sfud's /metrics, /healthz and /readyz."),
    BOOL("sfu.debug_addresses", "no", "Show whole addresses of peers in /debug/rooms; else the /24 (IPv6: /56) that they are in."),
    PATH("sfu.capture_dir", "", "Folder that captures of decrypted RTP, asked for by an admin at /debug/rooms/{id}/capture, are written to; empty forbids them."),
    INT("sfu.metrics_port", "9091", 0, 65535, "Port of sfud's /metrics; 0 turns it off."),

    WORD("log.level", "info", "debug|info|warn|error", "What is logged at least."),
    WORD("log.format", "text", "text|json", "One line of key=value pairs, or one JSON object, an event."),
    {.name = NULL},
};
