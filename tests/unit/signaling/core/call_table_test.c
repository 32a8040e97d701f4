/* The table in docs/calls.md is the table in the code. Runs in the repository's root. */
#include "tests/unit/signaling/core/call_fixture.h"

#include <stdlib.h>

static char *page;

static int read_page(void **state)
{
    (void)state;
    FILE *f = fopen("docs/calls.md", "r");
    if (f == NULL) {
        return -1;
    }
    page = calloc(1, 65536);
    size_t n = fread(page, 1, 65535, f);
    fclose(f);
    return n > 0 ? 0 : -1;
}

static int free_page(void **state)
{
    (void)state;
    free(page);
    return 0;
}

static void every_event_has_a_rule_in_every_state(void **state)
{
    (void)state;
    for (int s = 0; s < CALL_STATES; s++) {
        for (int e = 0; e < CALL_EVENTS; e++) {
            assert_non_null(call_rule_name((enum call_state)s, (enum call_event_type)e));
            assert_string_not_equal(call_event_name((enum call_event_type)e), "unknown");
        }
    }
}

static void the_page_shows_the_table(void **state)
{
    (void)state;
    for (int e = 0; e < CALL_EVENTS; e++) {
        char row[256];
        enum call_event_type ev = (enum call_event_type)e;
        snprintf(row, sizeof(row), "| `%s` | %s | %s | %s | %s |\n", call_event_name(ev),
                 call_rule_name(CALL_NEW, ev), call_rule_name(CALL_RINGING, ev),
                 call_rule_name(CALL_ACTIVE, ev), call_rule_name(CALL_ENDED, ev));
        if (strstr(page, row) == NULL) {
            fail_msg("docs/calls.md lacks the row: %s", row);
        }
    }
}

static void the_page_explains_every_rule(void **state)
{
    (void)state;
    const char *rules = strstr(page, "| rule | does |");
    assert_non_null(rules);
    for (int s = 0; s < CALL_STATES; s++) {
        for (int e = 0; e < CALL_EVENTS; e++) {
            char word[64];
            snprintf(word, sizeof(word), "`%s`",
                     call_rule_name((enum call_state)s, (enum call_event_type)e));
            if (strstr(rules, word) == NULL) {
                fail_msg("docs/calls.md doesn't explain %s", word);
            }
        }
    }
}

/* Requests in any state are answered once, or asked of somebody who will answer. */
static void every_request_has_one_answer(void **state)
{
    (void)state;
    static const enum call_event_type asks[] = {
        CALL_DEVICE_RINGING, CALL_ACCEPT,      CALL_DECLINE,     CALL_HANG_UP,
        CALL_INVITE,         CALL_JOIN,        CALL_DESCRIPTION, CALL_CANDIDATE,
        CALL_FALLBACK,       CALL_SFU_REQUEST, CALL_UPDATE,      CALL_STATS,
    };
    for (int was = 0; was < CALL_STATES; was++) {
        for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
            for (int u = 0; u < 3; u++) {
                struct stage s;
                if (was == CALL_NEW) {
                    stage_open(&s, false);
                } else {
                    stage_start(&s, 1);
                }
                if (was >= CALL_ACTIVE) {
                    stage_accept(&s, 1, 1);
                }
                if (was == CALL_ENDED) {
                    stage_ask(&s, CALL_HANG_UP, 0, 1);
                }
                assert_int_equal(s.c->state, was);
                stage_ask(&s, asks[i], u, 1);
                int answers = 0;
                for (int k = 0; k < s.fx.n; k++) {
                    answers += s.fx.v[k].request == s.request;
                }
                assert_int_equal(answers, 1);
                stage_close(&s);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_has_a_rule_in_every_state),
        cmocka_unit_test(the_page_shows_the_table),
        cmocka_unit_test(the_page_explains_every_rule),
        cmocka_unit_test(every_request_has_one_answer),
    };
    return cmocka_run_group_tests(tests, read_page, free_page);
}
