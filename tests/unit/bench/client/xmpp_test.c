/* XMPP: the stanza parser on good and bad input, and sessions against servers that follow a script.
 */
#include "tests/unit/bench/client/ws_fake.h"

#include "bench/client/xmpp.h"
#include "lib/base/err.h"

/* ---- stanzas ---- */

static int parse(struct xmpp_stanza *s, const char *xml)
{
    return xmpp_stanza_parse(s, xml, strlen(xml));
}

static void a_stanza_becomes_elements(void **state)
{
    struct xmpp_stanza s = {0};
    (void)state;
    assert_int_equal(parse(&s, "<message xmlns='jabber:client' id='1' from=\"a@b/c\">\n"
                               "<body>1 &lt; 2 &amp;&#252; \xc3\xbc</body><x xmlns='urn:x'><y/></x>"
                               "</message>"),
                     OK);
    assert_int_equal(s.elements, 4);
    assert_string_equal(s.element[0].name, "message");
    assert_string_equal(xmpp_attribute(&s, 0, "from"), "a@b/c");
    assert_null(xmpp_attribute(&s, 0, "to"));
    assert_null(xmpp_attribute(&s, 99, "to"));
    int body = xmpp_find(&s, 0, "body", NULL), y = xmpp_find(&s, 0, "y", "urn:x");
    assert_int_equal(body, 1);
    assert_string_equal(s.element[body].text, "1 < 2 &\xc3\xbc \xc3\xbc");
    assert_int_equal(y, 3); /* the namespace of the element above */
    assert_int_equal(xmpp_find(&s, 0, "y", "urn:y"), -1);
    assert_int_equal(xmpp_find(&s, 1, "y", NULL), -1); /* not below <body> */
    xmpp_stanza_free(&s);
}

static void a_prefix_is_cut_off(void **state)
{
    struct xmpp_stanza s = {0};
    (void)state;
    assert_int_equal(parse(&s, "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"
                               "<mechanisms><mechanism>PLAIN</mechanism></mechanisms>"
                               "</stream:features>"),
                     OK);
    assert_string_equal(s.element[0].name, "features");
    xmpp_stanza_free(&s);
}

static void bad_xml_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "<",
                                      "<a",
                                      "<a>",
                                      "</a>",
                                      "<a></b>",
                                      "<a/><b/>",
                                      "<a/>x",
                                      "<a b=c/>",
                                      "<a b='1' b='2",
                                      "<a>&nope;</a>",
                                      "<a>\xff</a>",
                                      "<a>&#0;</a>",
                                      "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"};
    struct xmpp_stanza s = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(&s, bad[i]) == OK)
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(s.elements, 0);
    }
    assert_int_equal(parse(&s, "<a/>"), OK); /* and it goes on after them */
    xmpp_stanza_free(&s);
}

static void bounds_are_kept(void **state)
{
    static char xml[XMPP_TEXT + 100];
    struct xmpp_stanza s = {0};
    size_t n = 0;
    (void)state;
    n += (size_t)snprintf(xml, sizeof(xml), "<a>");
    for (int i = 0; i < XMPP_ELEMENTS; i++)
        n += (size_t)snprintf(xml + n, sizeof(xml) - n, "<b/>");
    snprintf(xml + n, sizeof(xml) - n, "</a>");
    assert_int_equal(parse(&s, xml), ERR_TOO_LARGE);
    snprintf(xml + n - 4, sizeof(xml) - n, "</a>"); /* one less */
    assert_int_equal(parse(&s, xml), OK);
    n = (size_t)snprintf(xml, sizeof(xml), "<a ");
    for (int i = 0; i <= XMPP_ATTRIBUTES; i++)
        n += (size_t)snprintf(xml + n, sizeof(xml) - n, "k%d='v' ", i);
    snprintf(xml + n, sizeof(xml) - n, "/>");
    assert_int_equal(parse(&s, xml), ERR_TOO_LARGE);
    memset(xml, 'x', sizeof(xml));
    memcpy(xml, "<a>", 3);
    assert_int_equal(xmpp_stanza_parse(&s, xml, XMPP_TEXT + 1), ERR_TOO_LARGE);
    n = 0; /* deep rather than wide */
    for (int i = 0; i < 5000; i++)
        n += (size_t)snprintf(xml + n, sizeof(xml) - n, "<a>");
    assert_int_equal(xmpp_stanza_parse(&s, xml, n), ERR_TOO_LARGE);
    xmpp_stanza_free(&s);
}

/* Every cut of a good stanza is refused, and none reads past its end (the sanitizers watch). */
static void no_cut_of_a_stanza_is_one(void **state)
{
    static const char xml[] =
        "<iq type='result' id='b'><bind xmlns='urn:x'><jid>u@d/r</jid></bind></iq>";
    struct xmpp_stanza s = {0};
    (void)state;
    for (size_t n = 0; n < sizeof(xml) - 1; n++) {
        char *part = malloc(n ? n : 1);
        memcpy(part, xml, n);
        assert_int_not_equal(xmpp_stanza_parse(&s, part, n), OK);
        free(part);
    }
    xmpp_stanza_free(&s);
}

/* ---- sessions ---- */

static struct {
    struct loop *l;
    struct ws_client *c;
    struct xmpp *x;
    int ready, resumed, messages, receipts, results, joined, closed, err, good;
    uint32_t heard;
    char body[64], from[64], archive[64], query[64], receipt[64], last[64], resume[64], room[64];
    bool complete, wants;
} t;

static void on_ready(struct xmpp *x, void *arg, bool resumed)
{
    (void)x;
    (void)arg;
    t.ready++;
    t.resumed += resumed;
}

static void on_message(struct xmpp *x, void *arg, const struct xmpp_message *m)
{
    (void)x;
    (void)arg;
    t.messages++;
    snprintf(t.body, sizeof(t.body), "%s", m->body);
    snprintf(t.from, sizeof(t.from), "%s", m->from);
    snprintf(t.archive, sizeof(t.archive), "%s", m->archive_id);
    snprintf(t.query, sizeof(t.query), "%s", m->query_id);
    t.wants = m->wants_receipt;
}

static void on_receipt(struct xmpp *x, void *arg, const char *id)
{
    (void)x;
    (void)arg;
    t.receipts++;
    snprintf(t.receipt, sizeof(t.receipt), "%s", id);
}

static void on_result(struct xmpp *x, void *arg, const char *id, bool ok, bool complete,
                      const char *last)
{
    (void)x;
    (void)arg;
    (void)id;
    t.results++;
    t.good += ok;
    t.complete = complete;
    snprintf(t.last, sizeof(t.last), "%s", last);
}

static void on_joined(struct xmpp *x, void *arg, const char *room)
{
    (void)x;
    (void)arg;
    t.joined++;
    snprintf(t.room, sizeof(t.room), "%s", room);
}

static void on_closed(struct xmpp *x, void *arg, int err, const char *why, const char *resume,
                      uint32_t heard)
{
    (void)x;
    (void)arg;
    assert_non_null(why);
    t.closed++;
    t.err = err;
    t.heard = heard;
    snprintf(t.resume, sizeof(t.resume), "%s", resume);
}

static const struct xmpp_handlers handlers = {.on_ready = on_ready,
                                              .on_message = on_message,
                                              .on_receipt = on_receipt,
                                              .on_result = on_result,
                                              .on_joined = on_joined,
                                              .on_closed = on_closed};

/* What the server expects to be in the next frame, and what it says then (NULL: nothing; parts that
 * are separated by '\n' are frames of their own). expect NULL: it speaks first. */
struct line {
    const char *expect, *say;
};

static _Atomic int unexpected;

static void say_frames(int fd, const char *say)
{
    while (say && *say) {
        size_t len = strcspn(say, "\n");
        fake_frame(fd, 1, say, len);
        say += len + (say[len] == '\n');
    }
}

static void follow(int fd, void *arg)
{
    char text[FAKE_TEXT];
    if (!fake_upgrade(fd, "xmpp"))
        return;
    for (const struct line *at = arg; at->expect || at->say; at++) {
        if (at->expect &&
            (fake_read_frame(fd, text, sizeof(text)) != 1 || !strstr(text, at->expect))) {
            unexpected++;
            break;
        }
        say_frames(fd, at->say);
    }
    fake_wait_close(fd);
}

#define OPENED "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>\n"
#define FEATURES(inner)                                                                            \
    "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>" inner "</stream:features>"
#define SASL                                                                                       \
    FEATURES("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism>"   \
             "</mechanisms>")
#define SIGN_IN                                                                                    \
    {"<open ", OPENED SASL}, /* "\0u1\0secret" */                                                  \
        {">AHUxAHNlY3JldA==<", "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"},             \
    {                                                                                              \
        "<open ", OPENED FEATURES("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")              \
    }
#define BIND                                                                                       \
    {                                                                                              \
        "<resource>load</resource>",                                                               \
            "<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"          \
            "<jid>u1@d/load</jid></bind></iq>"                                                     \
    }

static void open_session(const struct line *script, const struct xmpp_options *more)
{
    char url[64];
    struct xmpp_options o = more ? *more : (struct xmpp_options){0};
    fake_start(follow, (void *)script);
    snprintf(url, sizeof(url), "ws://127.0.0.1:%d/ws", fake.port);
    o.url = url;
    o.domain = "d";
    o.user = "u1";
    o.password = "secret";
    o.resource = "load";
    assert_int_equal(xmpp_open(&t.x, t.c, &o, &handlers, NULL), OK);
}

static int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    unexpected = 0;
    t.l = loop_new();
    struct ws_client_options o = {.loop = t.l};
    t.c = ws_client_new(&o);
    assert_non_null(t.c);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ws_client_free(t.c);
    fake_stop();
    loop_free(t.l);
    assert_int_equal(unexpected, 0);
    assert_int_equal(t.closed, 1); /* exactly once, whatever happened */
    return 0;
}

static void a_session_signs_in_talks_and_closes(void **state)
{
    static const struct line script[] = {
        SIGN_IN,
        BIND,
        {"<presence", NULL},
        {"type='chat' to='u2@d' id='m1'><body>1 &lt; 2</body><request",
         "<message from='u2@d/x' id='r'><received xmlns='urn:xmpp:receipts' id='m1'/></message>\n"
         "<message from='u2@d/x' to='u1@d' id='m2' type='chat'><body>hi</body>"
         "<request xmlns='urn:xmpp:receipts'/></message>"},
        {"<received xmlns='urn:xmpp:receipts' id='m2'/>", NULL},
        {"urn:xmpp:ping", "<iq type='error' id='p'/>"},
        {"<presence to='room@c/me'>", "<presence from='room@c/me'><x xmlns='m'><status code='110'/>"
                                      "</x></presence>"},
        {"<close ", NULL},
        {NULL, NULL}};
    struct xmpp_options o = {.presence = true};
    (void)state;
    open_session(script, &o);
    assert_int_equal(xmpp_ping(t.x, "p"), ERR_WRONG_STATE);
    turn_until(t.l, &t.ready, 1);
    assert_string_equal(xmpp_jid(t.x), "u1@d/load");
    assert_int_equal(xmpp_send_message(t.x, "u2@d", "m1", "1 < 2", false, true), OK);
    turn_until(t.l, &t.messages, 1);
    assert_int_equal(t.receipts, 1);
    assert_string_equal(t.receipt, "m1");
    assert_string_equal(t.body, "hi");
    assert_true(t.wants);
    assert_int_equal(xmpp_send_receipt(t.x, t.from, "m2"), OK);
    assert_int_equal(xmpp_ping(t.x, "p"), OK);
    turn_until(t.l, &t.results, 1);
    assert_int_equal(t.good, 0);
    assert_int_equal(xmpp_join(t.x, "room@c", "me"), OK);
    turn_until(t.l, &t.joined, 1);
    assert_string_equal(t.room, "room@c");
    xmpp_close(t.x);
    xmpp_close(t.x);
    turn_for(t.l, 20000);
}

static void the_archive_is_read_page_by_page(void **state)
{
    static const struct line script[] = {
        SIGN_IN,
        BIND,
        {"<max>2</max><after>a0</after>",
         "<message from='u1@d'><result xmlns='urn:xmpp:mam:2' queryid='q' id='a1'>"
         "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay'/>"
         "<message xmlns='jabber:client' from='u2@d/x' to='u1@d'><body>old</body>"
         "<request xmlns='urn:xmpp:receipts'/></message></forwarded></result></message>\n"
         "<iq type='result' id='q'><fin xmlns='urn:xmpp:mam:2' complete='true'>"
         "<set xmlns='http://jabber.org/protocol/rsm'><first>a1</first><last>a1</last></set></fin>"
         "</iq>"},
        {NULL, NULL}};
    (void)state;
    open_session(script, NULL);
    turn_until(t.l, &t.ready, 1);
    assert_int_equal(xmpp_archive(t.x, "q", NULL, "a0", NULL, 2), OK);
    turn_until(t.l, &t.results, 1);
    assert_int_equal(t.messages, 1);
    assert_string_equal(t.body, "old");
    assert_string_equal(t.from, "u2@d/x");
    assert_string_equal(t.archive, "a1");
    assert_string_equal(t.query, "q");
    assert_false(t.wants); /* an old one is not answered */
    assert_true(t.complete);
    assert_string_equal(t.last, "a1");
}

static void a_managed_session_counts_answers_and_can_come_back(void **state)
{
    static const struct line script[] = {
        SIGN_IN,
        BIND,
        {"<enable ", "<enabled xmlns='urn:xmpp:sm:3' id='S1' resume='true'/>\n"
                     "<message from='a@d'><body>1</body></message>\n<r xmlns='urn:xmpp:sm:3'/>"},
        {"<a xmlns='urn:xmpp:sm:3' h='1'/>", "<message from='a@d'><body>2</body></message>"},
        {NULL, NULL}};
    struct xmpp_options o = {.managed = true};
    (void)state;
    open_session(script, &o);
    turn_until(t.l, &t.messages, 2);
    xmpp_drop(t.x);
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.err, ERR_CLOSED);
    assert_string_equal(t.resume, "S1");
    assert_int_equal(t.heard, 2);
}

static void a_session_is_resumed(void **state)
{
    static const struct line script[] = {SIGN_IN,
                                         {"<resume xmlns='urn:xmpp:sm:3' h='7' previd='S1'/>",
                                          "<resumed xmlns='urn:xmpp:sm:3' h='3' previd='S1'/>\n"
                                          "<message from='a@d'><body>missed</body></message>"},
                                         {NULL, NULL}};
    struct xmpp_options o = {.managed = true, .resume = "S1", .heard = 7};
    (void)state;
    open_session(script, &o);
    turn_until(t.l, &t.messages, 1);
    assert_int_equal(t.resumed, 1);
    xmpp_drop(t.x);
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.heard, 8);
    assert_string_equal(t.resume, "S1");
}

static void a_session_that_is_gone_becomes_a_new_one(void **state)
{
    static const struct line script[] = {
        SIGN_IN, {"<resume ", "<failed xmlns='urn:xmpp:sm:3'/>"}, BIND, {NULL, NULL}};
    struct xmpp_options o = {.resume = "S1"};
    (void)state;
    open_session(script, &o);
    turn_until(t.l, &t.ready, 1);
    assert_int_equal(t.resumed, 0);
}

static void wrong_credentials_are_told(void **state)
{
    static const struct line script[] = {
        {"<open ", OPENED SASL},
        {"<auth ", "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"},
        {NULL, NULL}};
    (void)state;
    open_session(script, NULL);
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.err, ERR_AUTH);
    assert_int_equal(t.ready, 0);
}

static void a_server_without_plain_is_refused(void **state)
{
    static const struct line script[] = {{"<open ", OPENED FEATURES("<mechanisms/>")},
                                         {NULL, NULL}};
    (void)state;
    open_session(script, NULL);
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.err, ERR_UNSUPPORTED);
}

static void garbage_ends_the_session(void **state)
{
    static const struct line script[] = {SIGN_IN, BIND, {NULL, "<message><body>cut"}, {NULL, NULL}};
    (void)state;
    open_session(script, NULL);
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.err, ERR_INVALID);
    assert_int_equal(t.messages, 0);
}

static void the_servers_end_is_told(void **state)
{
    static const struct line script[] = {
        SIGN_IN,
        BIND,
        {NULL, "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"},
        {NULL, NULL}};
    (void)state;
    open_session(script, NULL);
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.err, ERR_CLOSED);
}

static void nobody_listens(void **state)
{
    struct xmpp_options o = {
        .url = "ws://127.0.0.1:1/ws", .domain = "d", .user = "u", .password = "p"};
    (void)state;
    fake_start(follow, NULL); /* for tear_down */
    assert_int_equal(xmpp_open(&t.x, t.c, &o, &handlers, NULL), OK);
    turn_until(t.l, &t.closed, 1);
    assert_int_equal(t.err, ERR_IO);
    o.password = NULL;
    assert_int_equal(xmpp_open(&t.x, t.c, &o, &handlers, NULL), ERR_INVALID);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stanza_becomes_elements),
        cmocka_unit_test(a_prefix_is_cut_off),
        cmocka_unit_test(bad_xml_is_refused),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(no_cut_of_a_stanza_is_one),
        T(a_session_signs_in_talks_and_closes),
        T(the_archive_is_read_page_by_page),
        T(a_managed_session_counts_answers_and_can_come_back),
        T(a_session_is_resumed),
        T(a_session_that_is_gone_becomes_a_new_one),
        T(wrong_credentials_are_told),
        T(a_server_without_plain_is_refused),
        T(garbage_ends_the_session),
        T(the_servers_end_is_told),
        T(nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
