/* A listening TCP socket, by the same rules as udp_open: one for both families where the host has
 * IPv6. */
#ifndef SOTTO_IO_TCP_LISTEN_H
#define SOTTO_IO_TCP_LISTEN_H

/* Binds address:port (0: any; "" or "::" binds both families) and listens; nonblocking. Sets *fd,
 * which is the caller's to close, and *port. ERR_INVALID (address), ERR_CONFLICT (the port is
 * taken), ERR_IO. */
int tcp_listen(int *fd, int *port, const char *address, int wanted);

#endif
