#include "bench/client/nice_agent.h"

#include "lib/base/err.h"

int nice_hub_new(struct nice_hub **out, struct loop *loop)
{
    (void)out;
    (void)loop;
    return ERR_UNSUPPORTED;
}

void nice_hub_free(struct nice_hub *hub)
{
    (void)hub;
}

int nice_peer_new(struct nice_peer **out, struct nice_hub *hub, const struct nice_agent_options *o,
                  const struct nice_peer_handler *handler, void *arg)
{
    (void)out;
    (void)hub;
    (void)o;
    (void)handler;
    (void)arg;
    return ERR_UNSUPPORTED;
}

void nice_peer_free(struct nice_peer *a)
{
    (void)a;
}

int nice_peer_remote(struct nice_peer *a, const char *ufrag, const char *pwd, bool lite,
                     const char *sdp, size_t len)
{
    (void)a;
    (void)ufrag;
    (void)pwd;
    (void)lite;
    (void)sdp;
    (void)len;
    return ERR_UNSUPPORTED;
}

void nice_peer_send(struct nice_peer *a, const uint8_t *data, size_t len)
{
    (void)a;
    (void)data;
    (void)len;
}

int nice_server_parse(struct nice_server *out, const char *url, const char *username,
                      const char *credential)
{
    (void)out;
    (void)url;
    (void)username;
    (void)credential;
    return ERR_UNSUPPORTED;
}
