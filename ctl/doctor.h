/* The doctor's lines: ✓ what is well, ✗ what isn't and what to do, · what was left out. */
#ifndef SOTTO_CTL_DOCTOR_H
#define SOTTO_CTL_DOCTOR_H

#include "lib/base/config.h"

struct doctor {
    const struct config *config;
    const char *schema_dir;
    int faults;
};

void doctor_good(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void doctor_bad(struct doctor *d, const char *todo, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void doctor_note(struct doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void doctor_files(struct doctor *d);    /* secrets, keys, certificate, web app */
void doctor_database(struct doctor *d); /* reachable, version, migrated */
void doctor_ports(struct doctor *d);    /* what should answer does */

#endif
