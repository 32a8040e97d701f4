/* sottoctl config init, check, print, get. */
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/base/err.h"

static const struct ctl_option no_options[] = {{0}};

static int print_buf(struct buf *b, int rc)
{
    if (rc != OK) {
        buf_free(b);
        return ctl_fail("out of memory");
    }
    fwrite(b->data, 1, b->len, stdout);
    buf_free(b);
    return CTL_OK;
}

int cmd_config_init(struct ctl *c)
{
    struct buf b;
    int rc = ctl_options(c, no_options);

    if (rc != CTL_OK) {
        return rc;
    }
    buf_init(&b, 0);
    return print_buf(&b, config_write_template(&b));
}

int cmd_config_print(struct ctl *c)
{
    struct buf b;
    int rc = ctl_options(c, no_options);

    if (rc != CTL_OK) {
        return rc;
    }
    buf_init(&b, 0);
    return print_buf(&b, config_write_effective(c->config, &b));
}

int cmd_config_get(struct ctl *c)
{
    const struct config_key *k = config_keys;

    if (!c->args[0] || c->args[1]) {
        return ctl_usage("config get wants one SECTION.KEY");
    }
    while (k->name && strcmp(k->name, c->args[0]) != 0) {
        k++;
    }
    if (!k->name) {
        return ctl_usage("there is no key %s (sottoctl config print shows all)", c->args[0]);
    }
    printf("%s\n", config_str(c->config, k->name));
    return CTL_OK;
}

/* Two listeners of one machine on one port: found here rather than by the second one's start. */
static int check_ports(const struct config *c)
{
    static const char *const ports[] = {
        "http.tls_port",    "http.plain_port",  "http.internal_port", "sfu_link.port",
        "sfu.metrics_port", "turn.listen_port", "turn.tls_port",
    };
    const size_t n = sizeof ports / sizeof ports[0];

    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            int64_t port = config_int(c, ports[i]);
            if (port != 0 && port == config_int(c, ports[j])) {
                return ctl_fail("%s (%s) and %s (%s) are both %lld: change one", ports[i],
                                config_origin(c, ports[i]), ports[j], config_origin(c, ports[j]),
                                (long long)port);
            }
        }
    }
    return CTL_OK;
}

int cmd_config_check(struct ctl *c)
{
    int rc = ctl_options(c, no_options);

    if (rc != CTL_OK) {
        return rc;
    }
    if (!*config_str(c->config, "postgres.conninfo")) {
        return ctl_fail("%s: set conninfo in [postgres], such as: "
                        "conninfo = host=/run/postgresql dbname=sotto",
                        c->config_path);
    }
    rc = check_ports(c->config);
    if (rc == CTL_OK) {
        printf("%s is good\n", c->config_path);
    }
    return rc;
}
