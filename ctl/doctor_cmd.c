/* sottoctl doctor: looks at everything that has to be right, changes nothing. */
#include "ctl/doctor.h"

#include <stdarg.h>
#include <stdio.h>

#include "ctl/ctl.h"
#include "ctl/probe.h"

static void line(const char *mark, const char *fmt, va_list ap)
{
    printf("%s ", mark);
    vprintf(fmt, ap);
    printf("\n");
}

void doctor_good(struct doctor *d, const char *fmt, ...)
{
    va_list ap;

    (void)d;
    va_start(ap, fmt);
    line("✓", fmt, ap);
    va_end(ap);
}

void doctor_bad(struct doctor *d, const char *todo, const char *fmt, ...)
{
    va_list ap;

    d->faults++;
    va_start(ap, fmt);
    line("✗", fmt, ap);
    va_end(ap);
    printf("    → %s\n", todo);
}

void doctor_note(struct doctor *d, const char *fmt, ...)
{
    va_list ap;

    (void)d;
    va_start(ap, fmt);
    line("·", fmt, ap);
    va_end(ap);
}

/* Asks a program's /healthz and, if it has one to show, /readyz. */
static void check_program(struct doctor *d, const char *name, const char *address, int port,
                          const char *key)
{
    char body[512];

    if (port == 0) {
        doctor_note(d, "%s: %s is 0, so it can't be asked how it is", name, key);
        return;
    }
    if (probe_http(address, port, "/healthz", body, sizeof body) != 200) {
        doctor_bad(d, "start it, and look at its log when it doesn't stay up",
                   "%s doesn't answer /healthz at port %d", name, port);
        return;
    }
    int status = probe_http(address, port, "/readyz", body, sizeof body);
    if (status == 200) {
        doctor_good(d, "%s is up and ready", name);
    } else {
        doctor_bad(d, "the answer names what it waits for", "%s is up, but not ready (%d): %s",
                   name, status, body);
    }
}

static void check_tcp(struct doctor *d, const char *what, const char *address, int port)
{
    if (port == 0) {
        doctor_note(d, "%s is turned off", what);
    } else if (probe_tcp(address, port)) {
        doctor_good(d, "%s accepts connections at port %d", what, port);
    } else {
        doctor_bad(d, "is signald up, and the port free and open?", "%s: nobody at port %d", what,
                   port);
    }
}

void doctor_ports(struct doctor *d)
{
    const struct config *c = d->config;
    int turn = (int)config_int(c, "turn.listen_port");

    check_program(d, "signald", config_str(c, "http.internal_address"),
                  (int)config_int(c, "http.internal_port"), "[http] internal_port");
    check_tcp(d, "HTTPS", config_str(c, "http.public_address"),
              (int)config_int(c, "http.tls_port"));
    check_tcp(d, "plain HTTP", config_str(c, "http.plain_address"),
              (int)config_int(c, "http.plain_port"));
    check_tcp(d, "the SFU link", config_str(c, "sfu_link.address"),
              (int)config_int(c, "sfu_link.port"));
    check_program(d, "sfud", config_str(c, "sfu.metrics_address"),
                  (int)config_int(c, "sfu.metrics_port"), "[sfu] metrics_port");
    if (!config_item(c, "turn.urls", 0)) {
        doctor_note(d, "no TURN is offered ([turn] urls is empty)");
    } else if (probe_stun(config_str(c, "turn.listen_address"), turn)) {
        doctor_good(d, "coturn answers STUN at port %d", turn);
    } else {
        doctor_bad(d, "start it: turnserver -c the output of `sottoctl turn config`",
                   "coturn doesn't answer STUN at port %d", turn);
    }
}

int cmd_doctor(struct ctl *c)
{
    struct doctor d = {.config = c->config, .schema_dir = "schema"};
    const struct ctl_option options[] = {{.name = "--dir", .value = &d.schema_dir}, {0}};
    int rc = ctl_options(c, options);

    if (rc != CTL_OK) {
        return rc;
    }
    doctor_good(&d, "%s is readable and every key is known", c->config_path);
    doctor_files(&d);
    doctor_database(&d);
    doctor_ports(&d);
    if (d.faults == 0) {
        printf("\nall well\n");
        return CTL_OK;
    }
    printf("\n%d to put right\n", d.faults);
    return CTL_FAILURE;
}
