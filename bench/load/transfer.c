/* Loads a server of files by HTTP/1.1, with libcurl's multi interface on one thread.
 *   sotto-load-transfer --url http://… --method GET|PUT --bytes N [--files K] [--clients C]
 *                       [--mib-per-s R] [--warmup-ms W] [--ms M] [--prefix P]
 * GET asks for URL/<P>0 … <P>(K-1) in turn; PUT sends to URL/<P>0, <P>1, … without end. Bytes are
 * the offsets of every 8 (little-endian), which GET checks where it looks. With a rate, transfers
 * are due at fixed times and their latency counts from then (open loop: nothing is omitted while
 * the server is slow); without, each client begins its next one at once.
 * Prints {"ev":"marked"} when the warm-up is over and {"ev":"done",…} at the end of the window. */
#include "bench/load/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/client/args.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

static double own_cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int read_numbers(struct transfer_options *o, int argc, char **argv)
{
    int64_t bytes, clients, files, rate, warmup, length;
    if (args_int(&bytes, argc, argv, "--bytes", 1 << 20, 8, 1 << 30) != OK ||
        args_int(&clients, argc, argv, "--clients", 32, 1, TRANSFER_CLIENTS) != OK ||
        args_int(&files, argc, argv, "--files", 1, 1, 1000000) != OK ||
        args_int(&rate, argc, argv, "--mib-per-s", 0, 0, 100000) != OK ||
        args_int(&warmup, argc, argv, "--warmup-ms", 500, 0, 600000) != OK ||
        args_int(&length, argc, argv, "--ms", 2000, 1, 3600000) != OK)
        return ERR_INVALID;
    o->bytes = (size_t)bytes;
    o->clients = (int)clients;
    o->files = files;
    o->interval_us = rate ? (double)bytes / ((double)rate * 1048576.0) * 1e6 : 0;
    o->warmup_us = warmup * 1000;
    o->window_us = length * 1000;
    return OK;
}

static int read_options(struct transfer_options *o, int argc, char **argv)
{
    static const char *const names[] = {"--url",       "--method",    "--bytes", "--files",
                                        "--clients",   "--mib-per-s", "--ms",    "--prefix",
                                        "--warmup-ms", NULL};
    if (args_check(argc, argv, names) != OK || read_numbers(o, argc, argv) != OK)
        return ERR_INVALID;
    const char *method = args_text(argc, argv, "--method", "GET");
    o->url = args_text(argc, argv, "--url", NULL);
    o->prefix = args_text(argc, argv, "--prefix", "f");
    o->put = strcmp(method, "PUT") == 0;
    if (!o->url || (!o->put && strcmp(method, "GET") != 0)) {
        fprintf(stderr, "%s: needs --url, and a --method of GET or PUT\n", argv[0]);
        return ERR_INVALID;
    }
    return OK;
}

static void report(const struct transfer_stats *s, double cpu_s, int64_t window_us)
{
    static char latency[8192];
    if (histogram_json(&s->latency, latency, sizeof(latency)) < 0)
        latency[0] = 0;
    printf("{\"ev\":\"done\",\"window_s\":%.6f,\"cpu_s\":%.6f,\"transfers\":%llu,\"bytes\":%llu,"
           "\"failed\":%llu,\"corrupt\":%llu,\"backlog\":%llu,\"begun\":%llu,\"why\":\"%s\","
           "\"latency\":%s}\n",
           (double)window_us / 1e6, cpu_s, (unsigned long long)s->transfers,
           (unsigned long long)s->bytes, (unsigned long long)s->failed,
           (unsigned long long)s->corrupt, (unsigned long long)s->backlog,
           (unsigned long long)s->begun, s->why, *latency ? latency : "null");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct transfer_options o = {0};
    struct transfer *t = NULL;
    if (read_options(&o, argc, argv) != OK)
        return 2;
    int err = transfer_new(&t, &o);
    if (err != OK) {
        fprintf(stderr, "%s: %s\n", argv[0], err_name(err));
        return 1;
    }
    err = transfer_run(t, o.warmup_us);
    transfer_mark(t);
    printf("{\"ev\":\"marked\"}\n");
    fflush(stdout);
    double cpu_s = own_cpu_s();
    int64_t begun_us = clock_mono_us();
    if (err == OK)
        err = transfer_run(t, o.window_us);
    report(transfer_stats(t), own_cpu_s() - cpu_s, clock_mono_us() - begun_us);
    transfer_free(t);
    return err == OK ? 0 : 1;
}
