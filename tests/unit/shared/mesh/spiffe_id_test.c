#include "shared/mesh/spiffe_id.h"

#include "tests/unit/shared/base/test.h"

#include <errno.h>

struct id_case {
    const char *text;
    bool valid; /* a SPIFFE ID with a path */
    bool ours;  /* and of the form /ns/x/sa/y */
};
static const struct id_case cases[] = {
    {"spiffe://cluster.local/ns/shop/sa/web", true, true},
    {"spiffe://td/ns/a/sa/b", true, true},
    {"spiffe://t_d-1.example.org/ns/A.b_c-1/sa/X", true, true},
    {"spiffe://0/ns/0/sa/0", true, true},
    {"spiffe://td/ns/sa/sa/ns", true, true},
    {"spiffe://td/ns/.../sa/..b", true, true},
    /* Valid, of another form. */
    {"spiffe://td/workload", true, false},
    {"spiffe://td/ns/a/sa/b/c", true, false},
    {"spiffe://td/ns/a/sa", true, false},
    {"spiffe://td/ns/a", true, false},
    {"spiffe://td/ns", true, false},
    {"spiffe://td/sa/b/ns/a", true, false},
    {"spiffe://td/NS/a/sa/b", true, false},
    {"spiffe://td/ns/a/SA/b", true, false},
    {"spiffe://td/x/ns/a/sa/b", true, false},
    {"spiffe://td/nsx/a/sa/b", true, false},
    /* Invalid. */
    {"", false, false},
    {"spiffe:", false, false},
    {"spiffe://", false, false},
    {"spiffe:///ns/a/sa/b", false, false},
    {"spiffe://td", false, false},
    {"spiffe://td/", false, false},
    {"spiffe:/td/ns/a/sa/b", false, false},
    {"SPIFFE://td/ns/a/sa/b", false, false},
    {"Spiffe://td/ns/a/sa/b", false, false},
    {"https://td/ns/a/sa/b", false, false},
    {" spiffe://td/ns/a/sa/b", false, false},
    {"spiffe://td/ns/a/sa/b ", false, false},
    {"spiffe://td/ns/a/sa/b\n", false, false},
    {"spiffe://TD/ns/a/sa/b", false, false},
    {"spiffe://td:443/ns/a/sa/b", false, false},
    {"spiffe://user@td/ns/a/sa/b", false, false},
    {"spiffe://[::1]/ns/a/sa/b", false, false},
    {"spiffe://t%64/ns/a/sa/b", false, false},
    {"spiffe://td/ns/a/sa/b?x=y", false, false},
    {"spiffe://td/ns/a/sa/b#x", false, false},
    {"spiffe://td/ns/%61/sa/b", false, false},
    {"spiffe://td//ns/a/sa/b", false, false},
    {"spiffe://td/ns//sa/b", false, false},
    {"spiffe://td/ns/a/sa/", false, false},
    {"spiffe://td/ns/a/sa/b/", false, false},
    {"spiffe://td/ns/a/sa/b//", false, false},
    {"spiffe://td/./ns/a/sa/b", false, false},
    {"spiffe://td/ns/../sa/b", false, false},
    {"spiffe://td/ns/a/sa/.", false, false},
    {"spiffe://td/ns/a/sa/..", false, false},
    {"spiffe://td/ns/a/sa/\xc3\xa4", false, false},
    {"spiffe://t\xc3\xa4/ns/a/sa/b", false, false},
    {"spiffe://td/ns/a b/sa/c", false, false},
    {"spiffe://td/ns/a*/sa/c", false, false},
    {"spiffe://td\\ns\\a\\sa\\b", false, false},
    {"spiffe://td,spiffe://td/ns/a/sa/b", false, false},
};

static void accepts_and_refuses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct text t = text_of(cases[i].text);
        struct spiffe_id id;
        const char *why = spiffe_id_check(t);
        memset(&id, 0x55, sizeof id);
        if ((why == NULL) != cases[i].valid)
            fail_msg("check '%s': %s", cases[i].text, why ? why : "accepted");
        int r = spiffe_id_parse(t, &id);
        if (r != (cases[i].ours ? 0 : -EINVAL))
            fail_msg("parse '%s': %d", cases[i].text, r);
        if (r < 0) /* the result is untouched */
            assert_int_equal(id.len, 0x5555);
    }
}

static void a_nul_is_no_end(void **state)
{
    static const char inside[] = "spiffe://td/ns/a/sa/b\0x";
    struct spiffe_id id;

    (void)state;
    assert_non_null(spiffe_id_check((struct text){inside, sizeof inside - 1}));
    assert_int_equal(spiffe_id_parse((struct text){inside, sizeof inside - 1}, &id), -EINVAL);
    assert_int_equal(spiffe_id_parse((struct text){inside, 22}, &id), -EINVAL);
    assert_int_equal(spiffe_id_parse((struct text){inside, 21}, &id), 0);
}

static void has_its_parts(void **state)
{
    struct spiffe_id id;

    (void)state;
    assert_int_equal(spiffe_id_parse(TEXT("spiffe://cluster.local/ns/shop/sa/web-1"), &id), 0);
    assert_true(spiffe_id_present(&id));
    assert_true(text_equal(spiffe_id_text(&id), TEXT("spiffe://cluster.local/ns/shop/sa/web-1")));
    assert_int_equal(strlen(id.text), id.len);
    assert_true(text_equal(spiffe_id_principal(&id), TEXT("cluster.local/ns/shop/sa/web-1")));
    assert_true(text_equal(spiffe_id_trust_domain(&id), TEXT("cluster.local")));
    assert_true(text_equal(spiffe_id_namespace(&id), TEXT("shop")));
    assert_true(text_equal(spiffe_id_service_account(&id), TEXT("web-1")));

    struct spiffe_id none = {0};
    assert_false(spiffe_id_present(&none));
    assert_int_equal(spiffe_id_principal(&none).len, 0);
    assert_int_equal(spiffe_id_namespace(&none).len, 0);
    assert_false(spiffe_id_equal(&none, &id));
}

static void is_made_of_parts_that_are_whole(void **state)
{
    struct spiffe_id id, same;

    (void)state;
    assert_int_equal(spiffe_id_make(TEXT("td"), TEXT("a"), TEXT("b"), &id), 0);
    assert_int_equal(spiffe_id_parse(TEXT("spiffe://td/ns/a/sa/b"), &same), 0);
    assert_true(spiffe_id_equal(&id, &same));
    assert_int_equal(spiffe_id_make(TEXT("td"), TEXT("a"), TEXT("c"), &same), 0);
    assert_false(spiffe_id_equal(&id, &same));

    const struct {
        const char *td, *ns, *sa;
    } bad[] = {
        {"", "a", "b"},     {"td", "", "b"},       {"td", "a", ""},     {"TD", "a", "b"},
        {"td/x", "a", "b"}, {"td", "a/sa/x", "b"}, {"td", "a", "b/c"},  {"td", "a", "../x"},
        {"td", "..", "b"},  {"td", "a", "b?"},     {"td", "a%2f", "b"}, {"td:1", "a", "b"},
        {"td", "a", "b c"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(
            spiffe_id_make(text_of(bad[i].td), text_of(bad[i].ns), text_of(bad[i].sa), &id),
            -EINVAL);
}

static void has_its_bounds(void **state)
{
    char text[4096] = "spiffe://td/ns/a/sa/", name[4096];
    struct spiffe_id id;

    (void)state;
    memset(name, 'x', sizeof name);
    memset(text + 20, 'x', sizeof text - 20);
    assert_null(spiffe_id_check((struct text){text, 2048}));
    assert_non_null(spiffe_id_check((struct text){text, 2049}));
    assert_int_equal(spiffe_id_parse((struct text){text, SPIFFE_ID_TEXT_MAX - 1}, &id), 0);
    assert_int_equal(id.sa_len, SPIFFE_ID_TEXT_MAX - 1 - 20);
    assert_int_equal(id.text[id.len], 0);
    assert_int_equal(spiffe_id_parse((struct text){text, SPIFFE_ID_TEXT_MAX}, &id), -EINVAL);

    size_t fits = SPIFFE_ID_TEXT_MAX - 1 - 20;
    assert_int_equal(spiffe_id_make(TEXT("td"), TEXT("a"), (struct text){name, fits}, &id), 0);
    assert_int_equal(spiffe_id_make(TEXT("td"), TEXT("a"), (struct text){name, fits + 1}, &id),
                     -EINVAL);
    assert_null(trust_domain_check((struct text){name, 255}));
    assert_non_null(trust_domain_check((struct text){name, 256}));
    assert_non_null(trust_domain_check(TEXT("")));
}

/* Every string that parses is what is made of its parts, and no byte of it is any other than
 * allowed. */
static void parse_and_make_are_one(void **state)
{
    static const char alphabet[] = "ab/.-_:%?Aps\0nsia";
    struct rng rng;
    unsigned parsed = 0;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 200000; i++) {
        char text[64] = "spiffe://td/ns/a/sa/b";
        size_t len = strlen(text);
        for (unsigned k = (unsigned)rng_below(&rng, 4); k > 0; k--)
            text[rng_below(&rng, len)] = alphabet[rng_below(&rng, sizeof alphabet - 1)];
        struct spiffe_id id, made;
        if (spiffe_id_parse((struct text){text, len}, &id) < 0)
            continue;
        parsed++;
        assert_null(spiffe_id_check((struct text){text, len}));
        assert_memory_equal(id.text, text, len);
        assert_int_equal(spiffe_id_make(spiffe_id_trust_domain(&id), spiffe_id_namespace(&id),
                                        spiffe_id_service_account(&id), &made),
                         0);
        assert_true(spiffe_id_equal(&id, &made));
        for (size_t b = 9; b < len; b++)
            assert_true(strchr("ab/.-_Apsni", text[b]) || text[b] == 't' || text[b] == 'd');
    }
    assert_true(parsed > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_and_refuses), cmocka_unit_test(a_nul_is_no_end),
        cmocka_unit_test(has_its_parts),       cmocka_unit_test(is_made_of_parts_that_are_whole),
        cmocka_unit_test(has_its_bounds),      cmocka_unit_test(parse_and_make_are_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
