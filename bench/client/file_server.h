/* The floor of downloads and uploads: the least HTTP/1.1 (RFC 9112) that a client of files will
 * talk to, on one thread. GET is a header and sendfile(2); PUT is read, write, fsync, rename, fsync
 * of the folder. No TLS, no ranges, no types, no access rules. Files lie in one folder and their
 * names are of A-Z a-z 0-9 . _ - without a dot in front; anything else is not found. */
#ifndef SOTTO_BENCH_CLIENT_FILE_SERVER_H
#define SOTTO_BENCH_CLIENT_FILE_SERVER_H

#include <stdint.h>

struct file_server;

/* Listens on 127.0.0.1:port (0: the kernel's choice). ERR_IO (folder or port), ERR_NOMEM. */
int file_server_new(struct file_server **out, const char *dir, int port);
void file_server_free(struct file_server *s);
int file_server_port(const struct file_server *s);
/* Waits up to timeout_ms (-1: for ever) and does what can be done. ERR_IO when epoll fails. */
int file_server_turn(struct file_server *s, int timeout_ms);

struct file_server_stats {
    uint64_t gets, puts, refused; /* answered by 200 or 201; by 4xx or 5xx */
    uint64_t bytes_out, bytes_in; /* of files */
};
void file_server_stats(const struct file_server *s, struct file_server_stats *out);

#endif
