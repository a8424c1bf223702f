#include "shared/regex/regex.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/base/test.h"

#include <errno.h>
#include <time.h>

static struct regex *compiled(const char *source)
{
    struct regex *r;
    char why[WHY_MAX] = "";
    if (regex_new(&r, text_of(source), why) < 0)
        fail_msg("%s: %s", source, why);
    return r;
}

struct match_case {
    const char *source, *text;
    bool fits;
};
static const struct match_case matches[] = {
    {"", "", true},
    {"", "a", false},
    {"a", "a", true},
    {"a", "ba", false}, /* the whole text */
    {"a", "ab", false},
    {"a|ab", "ab", true},
    {"/v[0-9]+/.*", "/v12/", true},
    {"/v[0-9]+/.*", "/v/", false},
    {"\\d{3}", "123", true},
    {"\\d{3}", "1234", false},
    {"(?i)shop", "ShOp", true},
    {"a.c", "a\nc", false},
    {"(?s)a.c", "a\nc", true},
    {"\\pL+", "\xc3\xa4\xc3\xb6", true}, /* two letters of UTF-8 */
    {".", "\xc3\xa4", true},
    {".", "\xe4", false}, /* no UTF-8: no character */
    {"^a$", "a", true},
    {"a*?", "aaa", true},
};

static void test_matches_the_whole_text_in_re2s_language(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(matches); i++) {
        struct regex *r = compiled(matches[i].source);
        if (regex_matches(r, text_of(matches[i].text)) != matches[i].fits)
            fail_msg("%s and %s", matches[i].source, matches[i].text);
        regex_free(r);
    }
}

static void test_refuses_what_re2_refuses(void **state)
{
    static const char *const bad[] = {"(",     "a{1001}", "\\1",  "(?=a)",
                                      "[b-a]", "*",       "\\pX", "((a{100}){100}){100}"};
    struct regex *r = NULL;
    char why[WHY_MAX];
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        why[0] = '\0';
        assert_int_equal(regex_new(&r, text_of(bad[i]), why), -EINVAL);
        assert_true(strlen(why) > 0);
        assert_null(r);
    }
    char *longest = malloc(REGEX_SOURCE_MAX + 1);
    memset(longest, 'a', REGEX_SOURCE_MAX + 1);
    assert_int_equal(regex_new(&r, (struct text){longest, REGEX_SOURCE_MAX + 1}, why), -EINVAL);
    assert_int_equal(regex_new(&r, (struct text){longest, REGEX_SOURCE_MAX}, why), 0);
    assert_true(regex_matches(r, (struct text){longest, REGEX_SOURCE_MAX}));
    regex_free(r);
    free(longest);
    assert_null(regex_free(NULL));
}

struct replace_case {
    const char *source, *text, *substitution, *result;
};
static const struct replace_case replacements[] = {
    {"^/service/([^/]+)(/.*)$", "/service/foo/v1/api", "\\2/instance/\\1", "/v1/api/instance/foo"},
    {"one", "/xxx/one/yyy/one/zzz", "two", "/xxx/two/yyy/two/zzz"},
    {"^(.*?)one(.*)$", "/xxx/one/yyy/one/zzz", "\\1two\\2", "/xxx/two/yyy/one/zzz"},
    {"(?i)/xxx/", "/aaa/XxX/bbb", "/yyy/", "/aaa/yyy/bbb"}, /* these four: Envoy's documentation */
    {"b", "abc", "\\\\\\0\\0", "a\\bbc"},
    {"x", "abc", "y", "abc"},
    {"a*", "baac", "x", "xbxcx"}, /* no empty match right behind a match */
    {"", "a\xc3\xa4", "-", "-a-\xc3\xa4-"},
    {"(a)|(b)", "ab", "[\\1\\2]", "[a][b]"},
    {"", "", "x", "x"},
    {"/+", "//a///b", "/", "/a/b"},
};

static void test_replaces_every_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(replacements); i++) {
        const struct replace_case *c = &replacements[i];
        struct regex *r = compiled(c->source);
        char place[100], why[WHY_MAX];
        struct text_out o = TEXT_OUT(place);
        assert_int_equal(regex_check_substitution(r, text_of(c->substitution), why), 0);
        assert_int_equal(regex_replace(r, text_of(c->text), text_of(c->substitution), &o), 0);
        assert_string_equal(place, c->result);
        /* One byte less is too few. */
        struct text_out less = {place, 0, strlen(c->result), false};
        assert_int_equal(regex_replace(r, text_of(c->text), text_of(c->substitution), &less),
                         strlen(c->result) ? -ENOBUFS : 0);
        regex_free(r);
    }
}

static void test_checks_substitutions(void **state)
{
    struct regex *r = compiled("(a)(b)");
    char why[WHY_MAX];
    (void)state;
    assert_int_equal(regex_check_substitution(r, TEXT("\\0\\1\\2x"), why), 0);
    assert_int_equal(regex_check_substitution(r, TEXT("\\3"), why), -EINVAL);
    assert_string_equal(why, "speaks of group 3, and the expression has 2");
    assert_int_equal(regex_check_substitution(r, TEXT("\\n"), why), -EINVAL);
    assert_int_equal(regex_check_substitution(r, TEXT("a\\"), why), -EINVAL);
    regex_free(r);
}

/* What takes a backtracking engine longer than the universe has been there. */
static void test_is_linear(void **state)
{
    static const char *const evil[] = {"(a*)*b", "(a|aa)+b", "(.*)(.*)(.*)(.*)b",
                                       "(a?){100}a{100}b"};
    char *as = malloc(65536);
    (void)state;
    memset(as, 'a', 65536);
    for (size_t i = 0; i < ARRAY_SIZE(evil); i++) {
        struct regex *r = compiled(evil[i]);
        clock_t before = clock();
        assert_false(regex_matches(r, (struct text){as, 65536}));
        assert_true(clock() - before < CLOCKS_PER_SEC);
        regex_free(r);
    }
    /* A result that would grow without an end stops at its bound. */
    struct regex *r = compiled("");
    char place[1000];
    struct text_out o = TEXT_OUT(place);
    assert_int_equal(regex_replace(r, (struct text){as, 65536}, TEXT("xxxxxxxxxx"), &o), -ENOBUFS);
    regex_free(r);
    free(as);
}

static void test_does_not_begin_without_room(void **state)
{
    struct regex *r = NULL;
    char why[WHY_MAX] = "";
    (void)state;
    alloc_fail_at(0);
    assert_int_equal(regex_new(&r, TEXT("a"), why), -ENOMEM);
    assert_true(alloc_failed());
    assert_string_equal(why, "no memory");
    assert_null(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches_the_whole_text_in_re2s_language),
        cmocka_unit_test(test_refuses_what_re2_refuses),
        cmocka_unit_test(test_replaces_every_match),
        cmocka_unit_test(test_checks_substitutions),
        cmocka_unit_test(test_is_linear),
        cmocka_unit_test(test_does_not_begin_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
