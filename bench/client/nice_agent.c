#include "bench/client/nice_agent.h"

#include <nice/agent.h>
#include <nice/interfaces.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/io/udp.h"

#define COMPONENT  1
#define MAX_QUEUED 512  /* datagrams of a peer on their way to the loop; more are dropped */
#define END_MS     2000 /* for agents to give their relayed addresses back */
#define MAX_LINES  16384

struct nice_hub {
    struct loop *loop;
    GMainContext *context;
    GMainLoop *main;
    GThread *thread;
    int agents; /* on the GLib thread: not yet closed */
    bool ending;
};

/* What the GLib thread tells the loop's. */
struct message {
    enum { LOCAL, CONNECTED, FAILED, DATAGRAM } kind;
    struct message *next;
    char *ufrag, *pwd, *candidates; /* of LOCAL */
    const char *path;               /* of CONNECTED */
    int64_t arrived_us;             /* of DATAGRAM */
    size_t len;
    uint8_t data[];
};

/* Owned by its endpoint and by what is on its way: posts to the loop, the closing of its agent. */
struct nice_peer {
    struct nice_hub *hub;
    struct nice_peer_handler handler;
    void *arg;
    NiceAgent *agent;
    guint stream;
    bool freed;             /* of the loop's thread: nothing is to be told any more */
    bool connected, failed; /* of the GLib thread: told already */
    pthread_mutex_t lock;   /* guards what follows */
    int refs;
    struct message *first, *last;
    int queued;
    bool posted;
};

/* ---- lives ---- */

static void message_free(struct message *m)
{
    g_free(m->ufrag);
    g_free(m->pwd);
    g_free(m->candidates);
    free(m);
}

static void unref(struct nice_peer *p)
{
    pthread_mutex_lock(&p->lock);
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    for (struct message *m = p->first; m;) {
        struct message *next = m->next;
        message_free(m);
        m = next;
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void tell(struct nice_peer *p, struct message *m)
{
    switch (m->kind) {
    case LOCAL:
        p->handler.local(p->arg, m->ufrag, m->pwd, m->candidates);
        break;
    case CONNECTED:
        p->handler.connected(p->arg, m->path);
        break;
    case FAILED:
        p->handler.failed(p->arg, "ICE failed");
        break;
    case DATAGRAM:
        p->handler.datagram(p->arg, m->data, m->len, m->arrived_us);
        break;
    }
}

/* On the loop's thread. */
static void drain(void *arg)
{
    struct nice_peer *p = arg;
    pthread_mutex_lock(&p->lock);
    struct message *m = p->first;
    p->first = p->last = NULL;
    p->queued = 0;
    p->posted = false;
    pthread_mutex_unlock(&p->lock);
    while (m) {
        struct message *next = m->next;
        if (!p->freed)
            tell(p, m);
        message_free(m);
        m = next;
    }
    unref(p);
}

/* From any thread; takes the message. */
static void put(struct nice_peer *p, struct message *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&p->lock);
    if (m->kind == DATAGRAM && p->queued >= MAX_QUEUED) {
        pthread_mutex_unlock(&p->lock);
        message_free(m);
        return;
    }
    m->next = NULL;
    *(p->last ? &p->last->next : &p->first) = m;
    p->last = m;
    p->queued++;
    if (!p->posted && loop_post(p->hub->loop, drain, p) == OK) {
        p->posted = true;
        p->refs++;
    }
    pthread_mutex_unlock(&p->lock);
}

static struct message *message_new(int kind, size_t room)
{
    struct message *m = calloc(1, sizeof *m + room);
    if (m)
        m->kind = kind;
    return m;
}

/* ---- what libnice says, on whichever thread ---- */

static void on_datagram(NiceAgent *agent, guint stream, guint component, guint len, gchar *data,
                        gpointer arg)
{
    (void)agent;
    (void)stream;
    (void)component;
    struct message *m = len <= UDP_MTU ? message_new(DATAGRAM, UDP_MTU) : NULL;
    if (!m)
        return;
    memcpy(m->data, data, len);
    m->len = len;
    m->arrived_us = clock_mono_us();
    put(arg, m);
}

/* IPv4 over UDP only, as the lean endpoints have. */
static char *candidate_lines(struct nice_peer *p)
{
    GString *text = g_string_new(NULL);
    GSList *list = nice_agent_get_local_candidates(p->agent, p->stream, COMPONENT);
    for (GSList *i = list; i; i = i->next) {
        NiceCandidate *c = i->data;
        gchar *line = nice_agent_generate_local_candidate_sdp(p->agent, c);
        if (c->transport == NICE_CANDIDATE_TRANSPORT_UDP &&
            nice_address_ip_version(&c->addr) == 4 && line && text->len < MAX_LINES)
            g_string_append_printf(text, "%s\r\n", line);
        g_free(line);
    }
    g_slist_free_full(list, (GDestroyNotify)nice_candidate_free);
    return g_string_free(text, FALSE);
}

static void on_gathered(NiceAgent *agent, guint stream, gpointer arg)
{
    struct nice_peer *p = arg;
    struct message *m = message_new(LOCAL, 0);
    if (!m)
        return;
    nice_agent_get_local_credentials(agent, stream, &m->ufrag, &m->pwd);
    m->candidates = candidate_lines(p);
    put(p, m);
}

static const char *path_of(struct nice_peer *p)
{
    NiceCandidate *local = NULL, *remote = NULL;
    if (!nice_agent_get_selected_pair(p->agent, p->stream, COMPONENT, &local, &remote))
        return "host";
    if (local->type == NICE_CANDIDATE_TYPE_RELAYED || remote->type == NICE_CANDIDATE_TYPE_RELAYED)
        return "relay";
    bool host = local->type == NICE_CANDIDATE_TYPE_HOST && remote->type == NICE_CANDIDATE_TYPE_HOST;
    return host ? "host" : "srflx";
}

static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer arg)
{
    struct nice_peer *p = arg;
    struct message *m = NULL;
    (void)agent;
    (void)stream;
    (void)component;
    bool works = state == NICE_COMPONENT_STATE_CONNECTED || state == NICE_COMPONENT_STATE_READY;
    if (works && !p->connected) {
        p->connected = true;
        m = message_new(CONNECTED, 0);
        if (m)
            m->path = path_of(p);
    } else if (state == NICE_COMPONENT_STATE_FAILED && !p->failed) {
        p->failed = true;
        m = message_new(FAILED, 0);
    }
    put(p, m);
}

/* ---- the thread ---- */

static gpointer run(gpointer arg)
{
    struct nice_hub *hub = arg;
    g_main_context_push_thread_default(hub->context);
    g_main_loop_run(hub->main);
    g_main_context_pop_thread_default(hub->context);
    return NULL;
}

int nice_hub_new(struct nice_hub **out, struct loop *loop)
{
    struct nice_hub *hub = calloc(1, sizeof *hub);
    if (!hub)
        return ERR_NOMEM;
    hub->loop = loop;
    hub->context = g_main_context_new();
    hub->main = g_main_loop_new(hub->context, FALSE);
    hub->thread = g_thread_try_new("nice", run, hub, NULL);
    if (!hub->thread) {
        g_main_loop_unref(hub->main);
        g_main_context_unref(hub->context);
        free(hub);
        return ERR_NOMEM;
    }
    *out = hub;
    return OK;
}

static gboolean quit(gpointer arg)
{
    g_main_loop_quit(arg);
    return G_SOURCE_REMOVE;
}

static gboolean end(gpointer arg)
{
    struct nice_hub *hub = arg;
    hub->ending = true;
    if (hub->agents == 0) {
        g_main_loop_quit(hub->main);
        return G_SOURCE_REMOVE;
    }
    GSource *late = g_timeout_source_new(END_MS);
    g_source_set_callback(late, quit, hub->main, NULL);
    g_source_attach(late, hub->context);
    g_source_unref(late);
    return G_SOURCE_REMOVE;
}

/* As a source of its own: g_main_context_invoke would run it here if the thread hasn't begun. */
static void call(struct nice_hub *hub, GSourceFunc fn, gpointer arg)
{
    GSource *s = g_idle_source_new();
    g_source_set_priority(s, G_PRIORITY_DEFAULT);
    g_source_set_callback(s, fn, arg, NULL);
    g_source_attach(s, hub->context);
    g_source_unref(s);
}

void nice_hub_free(struct nice_hub *hub)
{
    if (!hub)
        return;
    call(hub, end, hub);
    g_thread_join(hub->thread);
    g_main_loop_unref(hub->main);
    g_main_context_unref(hub->context);
    free(hub);
}

/* ---- agents ---- */

static gboolean count_agent(gpointer arg)
{
    struct nice_hub *hub = arg;
    hub->agents++;
    return G_SOURCE_REMOVE;
}

static void add_servers(struct nice_peer *p, const struct nice_agent_options *o)
{
    for (size_t i = 0; i < o->n_servers; i++) {
        const struct nice_server *s = &o->server[i];
        if (s->kind == NICE_STUN)
            g_object_set(p->agent, "stun-server", s->host, "stun-server-port", (guint)s->port,
                         NULL);
        else
            nice_agent_set_relay_info(
                p->agent, p->stream, COMPONENT, s->host, s->port, s->username, s->credential,
                s->kind == NICE_TURN_UDP ? NICE_RELAY_TYPE_TURN_UDP : NICE_RELAY_TYPE_TURN_TCP);
    }
}

static bool is_loopback(const struct nice_agent_options *o)
{
    for (size_t i = 0; i < o->n_servers; i++) {
        if (strncmp(o->server[i].host, "127.", 4) == 0)
            return true;
    }
    return false;
}

/* IPv4 only, as our descriptions are: each further socket of an agent costs GLib two writes to its
 * wake-up descriptor a packet, on all of them. libnice leaves the loopback out. A host that has
 * nothing else is given it, and so is who asks a server there: coturn on 127.0.0.1 doesn't answer
 * the host's other addresses. */
static void add_addresses(NiceAgent *agent, const struct nice_agent_options *o)
{
    GList *ips = nice_interfaces_get_local_ips(FALSE);
    size_t n = 0;
    NiceAddress a;
    for (GList *i = ips; i; i = i->next) {
        nice_address_init(&a);
        if (nice_address_set_from_string(&a, i->data) && nice_address_ip_version(&a) == 4)
            n += nice_agent_add_local_address(agent, &a) ? 1 : 0;
    }
    nice_address_init(&a);
    if ((n == 0 || is_loopback(o)) && nice_address_set_from_string(&a, "127.0.0.1"))
        nice_agent_add_local_address(agent, &a);
    g_list_free_full(ips, g_free);
}

static int start(struct nice_peer *p, const struct nice_agent_options *o)
{
    p->agent = nice_agent_new(p->hub->context, NICE_COMPATIBILITY_RFC5245);
    if (!p->agent)
        return ERR_NOMEM;
    g_object_set(p->agent, "controlling-mode", (gboolean)o->controlling, "upnp", FALSE, "ice-tcp",
                 FALSE, "force-relay", (gboolean)o->relay_only, NULL);
    add_addresses(p->agent, o);
    p->stream = nice_agent_add_stream(p->agent, 1);
    g_signal_connect(p->agent, "candidate-gathering-done", G_CALLBACK(on_gathered), p);
    g_signal_connect(p->agent, "component-state-changed", G_CALLBACK(on_state), p);
    if (p->stream == 0 ||
        !nice_agent_attach_recv(p->agent, p->stream, COMPONENT, p->hub->context, on_datagram, p))
        return ERR_IO;
    add_servers(p, o);
    return nice_agent_gather_candidates(p->agent, p->stream) ? OK : ERR_IO;
}

int nice_peer_new(struct nice_peer **out, struct nice_hub *hub, const struct nice_agent_options *o,
                  const struct nice_peer_handler *handler, void *arg)
{
    struct nice_peer *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    p->hub = hub;
    p->handler = *handler;
    p->arg = arg;
    p->refs = 1;
    pthread_mutex_init(&p->lock, NULL);
    call(hub, count_agent, hub);
    int r = start(p, o);
    if (r != OK) {
        nice_peer_free(p);
        return r;
    }
    *out = p;
    return OK;
}

static void on_closed(GObject *object, GAsyncResult *result, gpointer arg)
{
    struct nice_peer *p = arg;
    struct nice_hub *hub = p->hub;
    (void)object;
    (void)result;
    g_object_unref(p->agent);
    unref(p);
    if (--hub->agents == 0 && hub->ending)
        g_main_loop_quit(hub->main);
}

/* What still comes to an agent that is closing. With nobody to read it, libnice's thread would turn
 * on it without a pause until the agent is gone. */
static void discard(NiceAgent *agent, guint stream, guint component, guint len, gchar *data,
                    gpointer arg)
{
    (void)agent;
    (void)stream;
    (void)component;
    (void)len;
    (void)data;
    (void)arg;
}

/* On the GLib thread, where all its callbacks are: none comes after. Relayed addresses are given
 * back before the agent goes. */
static gboolean close_agent(gpointer arg)
{
    struct nice_peer *p = arg;
    if (!p->agent) {
        p->hub->agents--;
        unref(p);
        return G_SOURCE_REMOVE;
    }
    g_signal_handlers_disconnect_by_data(p->agent, p);
    nice_agent_attach_recv(p->agent, p->stream, COMPONENT, p->hub->context, discard, NULL);
    nice_agent_close_async(p->agent, on_closed, p);
    return G_SOURCE_REMOVE;
}

void nice_peer_free(struct nice_peer *p)
{
    if (!p)
        return;
    p->freed = true;
    call(p->hub, close_agent, p);
}

/* The a=candidate lines of an SDP as libnice has them. */
static GSList *candidates_of(struct nice_peer *p, const char *sdp, size_t len)
{
    GSList *list = NULL;
    gchar *text = g_strndup(sdp, len);
    gchar **lines = g_strsplit_set(text, "\r\n", -1);
    for (gchar **l = lines; *l; l++) {
        if (!g_str_has_prefix(*l, "a=candidate:"))
            continue;
        NiceCandidate *c = nice_agent_parse_remote_candidate_sdp(p->agent, p->stream, *l);
        if (c && c->component_id == COMPONENT && c->transport == NICE_CANDIDATE_TRANSPORT_UDP)
            list = g_slist_append(list, c);
        else if (c)
            nice_candidate_free(c);
    }
    g_strfreev(lines);
    g_free(text);
    return list;
}

int nice_peer_remote(struct nice_peer *p, const char *ufrag, const char *pwd, const char *sdp,
                     size_t len)
{
    GSList *list = candidates_of(p, sdp, len);
    bool ok = list && nice_agent_set_remote_credentials(p->agent, p->stream, ufrag, pwd) &&
              nice_agent_set_remote_candidates(p->agent, p->stream, COMPONENT, list) >= 0;
    g_slist_free_full(list, (GDestroyNotify)nice_candidate_free);
    return ok ? OK : ERR_INVALID;
}

void nice_peer_send(struct nice_peer *p, const uint8_t *data, size_t len)
{
    (void)nice_agent_send(p->agent, p->stream, COMPONENT, (guint)len, (const gchar *)data);
}
