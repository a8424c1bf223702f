/* The token of a session: written, read, and no longer good. */
#include "shared/mesh/session.h"

#include "tests/unit/shared/base/test.h"

#include <errno.h>

static struct session some(const char *endpoint)
{
    struct session s = {0x69559c00, 0x6955aa10, session_backend(TEXT("outbound|80||a")), {{0}, 0}};
    assert_int_equal(addr_parse(text_of(endpoint), &s.endpoint), 0);
    return s;
}

static void there_and_back(void **state)
{
    static const char *const endpoints[] = {"10.244.1.7:8080", "[fd00:10:244::7]:65535", "0.0.0.1:1"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
        char token[SESSION_TOKEN_MAX];
        struct session s = some(endpoints[i]), back;
        assert_int_equal(session_parse(text_of(session_print(&s, token)), &back), 0);
        assert_int_equal(back.begun_s, s.begun_s);
        assert_int_equal(back.seen_s, s.seen_s);
        assert_int_equal(back.backend, s.backend);
        assert_true(addr_equal(&back.endpoint, &s.endpoint));
    }
}

/* Each character that is missing, too many, or another one than a digit. */
static void what_is_none(void **state)
{
    static const char *const endpoints[] = {"10.244.1.7:8080", "[fd00:10:244::7]:65535"};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
        char token[SESSION_TOKEN_MAX + 1];
        struct session s = some(endpoints[i]);
        size_t len = strlen(session_print(&s, token));
        for (size_t k = 0; k < len; k++) {
            char was = token[k];
            bool of_ipv4 = i == 1 && k + 24 == len; /* the beginning of an IPv6 address is one, too */
            assert_int_equal(session_parse((struct text){token, k}, &s), of_ipv4 ? 0 : -EINVAL);
            token[k] = k == 0 ? '2' : 'G';
            assert_int_equal(session_parse(text_of(token), &s), -EINVAL);
            token[k] = was;
        }
        assert_int_equal(session_parse(text_of(token), &s), 0);
        token[len] = '0';
        token[len + 1] = '\0';
        assert_int_equal(session_parse(text_of(token), &s), -EINVAL);
    }
    assert_int_equal(session_parse((struct text){NULL, 0}, &(struct session){0}), -EINVAL);
}

static void how_long(void **state)
{
    struct session_policy p = {.absolute_ms = 10000, .idle_ms = 2500};
    const struct session s = {.begun_s = 100, .seen_s = 105};
    (void)state;
    assert_true(session_lives(&s, &p, 105));
    assert_true(session_lives(&s, &p, 107));
    assert_false(session_lives(&s, &p, 108));
    p.idle_ms = 0;
    assert_true(session_lives(&s, &p, 109));
    assert_false(session_lives(&s, &p, 110));
    p.absolute_ms = 0;
    assert_true(session_lives(&s, &p, UINT32_MAX));
    p = (struct session_policy){.absolute_ms = 1, .idle_ms = 1};
    assert_true(session_lives(&s, &p, 99)); /* another clock's future */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(what_is_none), cmocka_unit_test(how_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
