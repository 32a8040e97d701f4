/* sottoctl turn config: coturn's configuration from ours, on stdout. It holds the shared secret, so
 * whoever keeps it keeps it private. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/base/err.h"

/* Everything that isn't the public internet (RFC 6890 and its IPv6 kin): a relay must not be a way
 * into the network it stands in. */
static const char *const private_peers[] = {
    "0.0.0.0-0.255.255.255",
    "10.0.0.0-10.255.255.255",
    "100.64.0.0-100.127.255.255",
    "127.0.0.0-127.255.255.255",
    "169.254.0.0-169.254.255.255",
    "172.16.0.0-172.31.255.255",
    "192.0.0.0-192.0.0.255",
    "192.0.2.0-192.0.2.255",
    "192.88.99.0-192.88.99.255",
    "192.168.0.0-192.168.255.255",
    "198.18.0.0-198.19.255.255",
    "198.51.100.0-198.51.100.255",
    "203.0.113.0-203.0.113.255",
    "240.0.0.0-255.255.255.255",
    "::1",
    "64:ff9b::-64:ff9b::ffff:ffff",
    "::ffff:0.0.0.0-::ffff:255.255.255.255",
    "100::-100::ffff:ffff:ffff:ffff",
    "2001::-2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002::-2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fc00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::-febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
};

static void put_int(const struct config *c, const char *option, const char *key)
{
    printf("%s=%lld\n", option, (long long)config_int(c, key));
}

/* Absolute, since coturn starts in another folder. */
static void put_path(const struct config *c, const char *option, const char *key)
{
    char *path = realpath(config_str(c, key), NULL);

    printf("%s=%s\n", option, path ? path : config_str(c, key));
    free(path);
}

static void put_listeners(const struct config *c)
{
    const char *listen = config_str(c, "turn.listen_address");
    const char *external = config_str(c, "turn.external_address");

    put_int(c, "listening-port", "turn.listen_port");
    if (*listen) {
        printf("listening-ip=%s\nrelay-ip=%s\n", listen, listen);
    }
    if (*external) {
        printf("external-ip=%s\n", external);
    }
    if (config_int(c, "turn.tls_port") != 0) {
        put_int(c, "tls-listening-port", "turn.tls_port");
        put_path(c, "cert", "http.cert_file");
        put_path(c, "pkey", "http.key_file");
        printf("no-tlsv1\nno-tlsv1_1\n");
    } else {
        printf("no-tls\n");
    }
    printf("no-dtls\n");
    put_int(c, "min-port", "turn.relay_min_port");
    put_int(c, "max-port", "turn.relay_max_port");
}

static void put_peers(const struct config *c)
{
    printf("no-multicast-peers\n");
    if (config_bool(c, "turn.allow_private_peers")) {
        printf("allow-loopback-peers\n");
        return;
    }
    for (size_t i = 0; i < sizeof private_peers / sizeof private_peers[0]; i++) {
        printf("denied-peer-ip=%s\n", private_peers[i]);
    }
}

int cmd_turn_config(struct ctl *c)
{
    static const struct ctl_option none[] = {{0}};
    const char *path = config_str(c->config, "turn.secret_file");
    char secret[256];
    int rc = ctl_options(c, none);

    if (rc != CTL_OK) {
        return rc;
    }
    rc = config_read_secret(secret, sizeof secret, path);
    if (rc != OK) {
        return ctl_fail("%s: %s (make it: sottoctl secrets init; it must not be open to others)",
                        path, err_name(rc));
    }
    printf("# Made by `sottoctl turn config`: change [turn] of %s, not this file.\n",
           c->config_path);
    printf("fingerprint\nuse-auth-secret\nstatic-auth-secret=%s\nrealm=%s\n", secret,
           config_str(c->config, "turn.realm"));
    put_listeners(c->config);
    put_peers(c->config);
    put_int(c->config, "user-quota", "turn.user_quota");
    put_int(c->config, "total-quota", "turn.total_quota");
    put_int(c->config, "max-bps", "turn.max_bytes_per_second");
    printf("stale-nonce=600\nno-cli\nno-software-attribute\nsimple-log\nlog-file=stdout\n");
    return CTL_OK;
}
