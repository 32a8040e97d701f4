#include "turn/coturn_conf.h"

#include <inttypes.h>
#include <openssl/crypto.h>

#include "lib/base/err.h"
#include "turn/turn_internal.h"

/* What a relay open to the internet must not reach: RFC 6890 and its registries. */
static const char *const denied_peers[] = {
    "0.0.0.0-0.255.255.255",       /* this network */
    "10.0.0.0-10.255.255.255",     /* private, RFC 1918 */
    "100.64.0.0-100.127.255.255",  /* shared, RFC 6598 */
    "127.0.0.0-127.255.255.255",   /* loopback */
    "169.254.0.0-169.254.255.255", /* link-local, cloud metadata */
    "172.16.0.0-172.31.255.255",   /* private */
    "192.0.0.0-192.0.0.255",       /* protocol assignments */
    "192.0.2.0-192.0.2.255",       /* documentation */
    "192.88.99.0-192.88.99.255",   /* 6to4 relays */
    "192.168.0.0-192.168.255.255", /* private */
    "198.18.0.0-198.19.255.255",   /* benchmarks */
    "198.51.100.0-198.51.100.255", /* documentation */
    "203.0.113.0-203.0.113.255",   /* documentation */
    "240.0.0.0-255.255.255.255",   /* reserved */
    "::1",
    "::ffff:0.0.0.0-::ffff:255.255.255.255",             /* mapped IPv4 */
    "64:ff9b::-64:ff9b::ffff:ffff",                      /* NAT64 */
    "100::-100::ffff:ffff:ffff:ffff",                    /* discard */
    "2001::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",     /* protocol assignments */
    "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", /* documentation */
    "2002::-2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",    /* 6to4 */
    "fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",    /* unique local */
    "fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",    /* link-local */
};

static void line(struct buf *out, int *err, const char *key, const char *value)
{
    if (*err == OK)
        *err = value ? buf_printf(out, "%s=%s\n", key, value) : buf_printf(out, "%s\n", key);
}

static void number(struct buf *out, int *err, const char *key, int64_t value)
{
    if (*err == OK)
        *err = buf_printf(out, "%s=%" PRId64 "\n", key, value);
}

static void write_listeners(struct buf *out, int *err, const struct config *c)
{
    const char *address = config_str(c, "turn.listen_address");
    const char *external = config_str(c, "turn.external_address");
    if (address[0]) {
        line(out, err, "listening-ip", address);
        line(out, err, "relay-ip", address);
    }
    if (external[0])
        line(out, err, "external-ip", external);
    number(out, err, "listening-port", config_int(c, "turn.listen_port"));
    if (config_int(c, "turn.tls_port") > 0) {
        number(out, err, "tls-listening-port", config_int(c, "turn.tls_port"));
        line(out, err, "cert", config_str(c, "http.cert_file"));
        line(out, err, "pkey", config_str(c, "http.key_file"));
        line(out, err, "no-tlsv1", NULL);
        line(out, err, "no-tlsv1_1", NULL);
    } else {
        line(out, err, "no-tls", NULL);
    }
    line(out, err, "no-dtls", NULL);
    number(out, err, "min-port", config_int(c, "turn.relay_min_port"));
    number(out, err, "max-port", config_int(c, "turn.relay_max_port"));
}

static void write_peers(struct buf *out, int *err, const struct config *c)
{
    line(out, err, "no-multicast-peers", NULL);
    if (config_bool(c, "turn.allow_private_peers")) {
        line(out, err, "allow-loopback-peers", NULL);
        return;
    }
    for (size_t i = 0; i < sizeof(denied_peers) / sizeof(denied_peers[0]); i++)
        line(out, err, "denied-peer-ip", denied_peers[i]);
}

int coturn_conf_write(struct buf *out, const struct config *c, const char *secret)
{
    int err = buf_append_str(out, "# Written by `sottoctl turn config` from [turn] of sotto.ini: "
                                  "change it there.\n");
    write_listeners(out, &err, c);
    line(out, &err, "realm", config_str(c, "turn.realm"));
    line(out, &err, "use-auth-secret", NULL);
    line(out, &err, "static-auth-secret", secret);
    line(out, &err, "fingerprint", NULL);
    line(out, &err, "stale-nonce", "600");
    number(out, &err, "user-quota", config_int(c, "turn.user_quota"));
    number(out, &err, "total-quota", config_int(c, "turn.total_quota"));
    number(out, &err, "max-bps", config_int(c, "turn.max_bytes_per_second"));
    write_peers(out, &err, c);
    line(out, &err, "no-cli", NULL);
    line(out, &err, "no-rfc5780", NULL);
    line(out, &err, "no-stun-backward-compatibility", NULL);
    line(out, &err, "response-origin-only-with-rfc5780", NULL);
    line(out, &err, "no-software-attribute", NULL);
    line(out, &err, "log-file", "stdout");
    line(out, &err, "simple-log", NULL);
    line(out, &err, "new-log-timestamp", NULL);
    return err;
}

int turn_write_coturn_conf(struct buf *out, const struct config *c, char *why, size_t why_cap)
{
    char secret[256];
    int err = turn_read_secret(secret, sizeof(secret), c, why, why_cap);
    if (err == OK)
        err = coturn_conf_write(out, c, secret);
    OPENSSL_cleanse(secret, sizeof(secret));
    return err;
}
