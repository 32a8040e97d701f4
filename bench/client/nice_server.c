/* The addresses of STUN and TURN servers as an RTCIceServer has them. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client/nice_agent.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"

static bool is_numeric(const char *host)
{
    struct in6_addr a;
    return inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1;
}

/* "host:port" or "[v6]:port", the port optional; ends at `len`. */
static int read_address(struct nice_server *out, const char *text, size_t len)
{
    char copy[sizeof out->host + 8];
    if (len == 0 || len >= sizeof copy)
        return ERR_INVALID;
    memcpy(copy, text, len);
    copy[len] = 0;
    char *host = copy, *port = NULL, *end;
    if (*copy == '[') {
        host = copy + 1;
        if (!(end = strchr(host, ']')))
            return ERR_INVALID;
        *end = 0;
        port = end[1] == ':' ? end + 2 : NULL;
        if (end[1] && !port)
            return ERR_INVALID;
    } else if ((end = strchr(copy, ':'))) {
        *end = 0;
        port = end + 1;
    }
    long n = port ? strtol(port, &end, 10) : 3478;
    if (n < 1 || n > 65535 || (port && (end == port || *end)))
        return ERR_INVALID;
    out->port = (uint16_t)n;
    if (!is_numeric(host))
        return ERR_UNSUPPORTED;
    return str_copy(out->host, sizeof out->host, host) == OK ? OK : ERR_INVALID;
}

int nice_server_parse(struct nice_server *out, const char *url, const char *username,
                      const char *credential)
{
    memset(out, 0, sizeof *out);
    size_t len = strcspn(url, "?");
    const char *query = url + len;
    if (strncmp(url, "stun:", 5) == 0) {
        out->kind = NICE_STUN;
        return *query ? ERR_INVALID : read_address(out, url + 5, len - 5);
    }
    if (strncmp(url, "turn:", 5) != 0)
        return strncmp(url, "turns:", 6) == 0 ? ERR_UNSUPPORTED : ERR_INVALID;
    if (strcmp(query, "?transport=tcp") == 0)
        out->kind = NICE_TURN_TCP;
    else if (!*query || strcmp(query, "?transport=udp") == 0)
        out->kind = NICE_TURN_UDP;
    else
        return ERR_INVALID;
    if (str_copy(out->username, sizeof out->username, username) < 0 ||
        str_copy(out->credential, sizeof out->credential, credential) < 0)
        return ERR_INVALID;
    return read_address(out, url + 5, len - 5);
}
