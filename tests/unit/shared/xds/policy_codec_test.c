#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/xds/policy_wire.h"

static void there_and_back(void **state)
{
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 20000; i++) {
        struct policy *p = random_policy(&rng, i), *back;
        struct xds_bytes bytes;
        assert_int_equal(xds_policy_encode(p, &bytes), 0);
        back = decode(bytes.data, bytes.len);
        assert_true(policy_equal(p, back));
        xds_bytes_done(&bytes);
        (void)policy_free(p);
        (void)policy_free(back);
    }
}

/* ---- By hand, from the table of numbers ---------------------------------------------------- */

static void address_match(struct wire_writer *match, unsigned field, const char *ip,
                          unsigned length)
{
    struct wire_writer m = {0};
    struct ip parsed;
    assert_int_equal(ip_parse(text_of(ip), &parsed), 0);
    field_bytes(&m, 1, parsed.bytes, parsed.len);
    field_number(&m, 2, length);
    field_message(match, field, &m);
}

static const struct policy_match *match_of(const struct policy *p)
{
    assert_int_equal(p->n_rules, 1);
    assert_int_equal(p->rules[0].n, 1);
    assert_int_equal(p->rules[0].clauses[0].n, 1);
    return &p->rules[0].clauses[0].matches[0];
}

static void assert_prefix(const struct prefix_matches *m, const char *text)
{
    struct prefix p;
    assert_int_equal(prefix_parse(text_of(text), &p), 0);
    assert_int_equal(m->n, 1);
    assert_int_equal(m->items[0].bits, p.bits);
    assert_true(ip_equal(&m->items[0].ip, &p.ip));
}

static void reads_what_others_write(void **state)
{
    struct wire_writer match = {0}, account = {0}, w = {0};
    static const uint8_t packed[] = {0x90, 0x3f, 0x50}; /* 8080, 80 */

    (void)state;
    string_match(&match, 1, 1, "exact");
    string_match(&match, 2, 2, "prefix");
    string_match(&match, 3, 3, "suffix");
    string_match(&match, 4, 4, ""); /* presence = 4: Empty */
    address_match(&match, 5, "10.1.2.3", 8);
    address_match(&match, 6, "fd00::1", 64);
    address_match(&match, 7, "10.0.0.1", 32);
    address_match(&match, 8, "1.2.3.4", 0);
    field_bytes(&match, 9, packed, sizeof packed);
    field_number(&match, 10, 443);
    field_text(&account, 1, "a-ns");
    field_text(&account, 2, "a-sa");
    field_message(&match, 11, &account);
    account.len = 0;
    field_text(&account, 1, "b-ns");
    field_text(&account, 2, "b-sa");
    field_message(&match, 12, &account);
    policy_of(&w, 1, &match);
    field_number(&w, 6, 1);
    unknown_fields(&w);

    struct policy *p = decode(w.data, w.len);
    assert_string_equal(p->name, "p");
    assert_string_equal(p->ns, "ns");
    assert_string_equal(p->key, "ns/p");
    assert_int_equal(p->scope, POLICY_NAMESPACE);
    assert_int_equal(p->action, POLICY_DENY);
    assert_true(p->dry_run);
    const struct policy_match *m = match_of(p);
    const struct {
        const struct string_matches *list;
        enum string_match_kind kind;
        const char *value;
    } strings[] = {{&m->namespaces, MATCH_EXACT, "exact"},
                   {&m->not_namespaces, MATCH_PREFIX, "prefix"},
                   {&m->principals, MATCH_SUFFIX, "suffix"},
                   {&m->not_principals, MATCH_PRESENCE, ""}};
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
        assert_int_equal(strings[i].list->n, 1);
        assert_int_equal(strings[i].list->items[0].kind, strings[i].kind);
        assert_string_equal(strings[i].list->items[0].value, strings[i].value);
    }
    assert_prefix(&m->source_ips, "10.0.0.0/8");
    assert_prefix(&m->not_source_ips, "fd00::/64");
    assert_prefix(&m->destination_ips, "10.0.0.1/32");
    assert_prefix(&m->not_destination_ips, "0.0.0.0/0");
    assert_int_equal(m->destination_ports.n, 2);
    assert_int_equal(m->destination_ports.items[0], 8080);
    assert_int_equal(m->destination_ports.items[1], 80);
    assert_int_equal(m->not_destination_ports.n, 1);
    assert_int_equal(m->not_destination_ports.items[0], 443);
    assert_string_equal(m->accounts.items[0].ns, "a-ns");
    assert_string_equal(m->accounts.items[0].service_account, "a-sa");
    assert_string_equal(m->not_accounts.items[0].ns, "b-ns");
    assert_string_equal(m->not_accounts.items[0].service_account, "b-sa");
    assert_false(m->unreadable);
    (void)policy_free(p);
}

/* STRICT for one port, as a control plane sends it: read, and written byte for byte the same. */
static void writes_what_others_read(void **state)
{
    static const uint8_t expected[] = {
        0x0a, 0x01, 'p',                                 /* name = 1 */
        0x12, 0x01, 'n',                                 /* namespace = 2 */
        0x18, 0x02,                                      /* scope = 3: WORKLOAD_SELECTOR */
        0x20, 0x01,                                      /* action = 4: DENY */
        0x2a, 0x16,                                      /* rules = 5 */
        0x0a, 0x14,                                      /* clauses = 1 */
        0x12, 0x12,                                      /* matches = 2 */
        0x22, 0x02, 0x22, 0x00,                          /* not_principals = 4: presence = 4 */
        0x3a, 0x08, 0x0a, 0x04, 10, 0, 0, 0, 0x10, 0x08, /* destination_ips = 7: 10.0.0.0/8 */
        0x4a, 0x02, 0x90, 0x3f,                          /* destination_ports = 9: 8080 */
        0x30, 0x01,                                      /* dry_run = 6 */
    };
    struct policy *p = decode(expected, sizeof expected);
    struct xds_bytes bytes;

    (void)state;
    assert_int_equal(match_of(p)->not_principals.items[0].kind, MATCH_PRESENCE);
    assert_int_equal(match_of(p)->destination_ports.items[0], 8080);
    assert_prefix(&match_of(p)->destination_ips, "10.0.0.0/8");
    assert_int_equal(xds_policy_encode(p, &bytes), 0);
    assert_int_equal(bytes.len, sizeof expected);
    assert_memory_equal(bytes.data, expected, sizeof expected);
    xds_bytes_done(&bytes);
    (void)policy_free(p);
}

/* ---- What can't be read -------------------------------------------------------------------- */

/* What a policy with this match does to somebody without identity, as a DENY and as an ALLOW. */
static void assert_effect(const struct wire_writer *match, bool denies, bool allows)
{
    struct access a = anybody();
    struct wire_writer w;

    for (unsigned action = 0; action < 2; action++) {
        policy_of(&w, action, match);
        struct policy *p = decode(w.data, w.len);
        assert_int_equal(policy_matches(p, &a), action == 1 ? denies : allows);
        (void)policy_free(p);
    }
}

static void what_is_unknown_in_a_match_denies_more(void **state)
{
    struct wire_writer match = {0}, extension = {0};

    (void)state;
    field_number(&match, 9, 8080);
    assert_effect(&match, true, true);
    unknown_fields(&match); /* a condition of a later version */
    assert_effect(&match, true, false);

    match.len = 0;
    field_text(&extension, 1, "who-knows");
    field_message(&match, 13, &extension);
    assert_effect(&match, true, false); /* nothing but an extension */
    field_number(&match, 9, 9999);
    assert_effect(&match, false, false); /* what can be read still counts */
}

static void what_is_unknown_in_a_value_denies_more(void **state)
{
    struct wire_writer match = {0}, unknown = {0}, known = {0};

    (void)state;
    /* namespaces: one that does not hold, and one of a kind that is not known: it might hold. */
    string_match(&match, 1, 1, "elsewhere");
    assert_effect(&match, false, false);
    field_text(&unknown, 9, "regex");
    field_message(&match, 1, &unknown);
    assert_effect(&match, true, false);
    /* The same among what must not be: the known ones still count. */
    match.len = 0;
    field_message(&match, 2, &unknown);
    assert_effect(&match, true, false);
    match.len = 0;
    field_message(&match, 6, &unknown); /* not_source_ips */
    address_match(&match, 6, "10.0.0.1", 32);
    assert_effect(&match, false, false);
    /* A value that is known and has more to it. */
    match.len = 0;
    field_text(&known, 1, "elsewhere");
    unknown_fields(&known);
    field_message(&match, 1, &known);
    assert_effect(&match, true, false);
    /* Accounts and addresses alike. */
    match.len = known.len = 0;
    field_text(&known, 1, "a");
    field_text(&known, 2, "b");
    unknown_fields(&known);
    field_message(&match, 11, &known);
    assert_effect(&match, true, false);
    match.len = known.len = 0;
    unknown_fields(&known);
    field_message(&match, 5, &known);
    field_message(&match, 7, &known);
    assert_effect(&match, true, false);
}

static void what_is_unknown_around_matches_denies_more(void **state)
{
    struct access a = anybody();
    struct wire_writer match = {0}, clause = {0}, rule = {0}, w = {0};

    (void)state;
    for (unsigned action = 0; action < 2; action++) {
        /* In a clause: one more way to match. */
        match.len = clause.len = rule.len = 0;
        field_number(&match, 9, 9999);
        field_message(&clause, 2, &match);
        unknown_fields(&clause);
        field_message(&rule, 1, &clause);
        begin(&w, action);
        field_message(&w, 5, &rule);
        struct policy *p = decode(w.data, w.len);
        assert_int_equal(policy_matches(p, &a), action == 1);
        (void)policy_free(p);
        /* In a rule: one more condition. Without it the rule would hold. */
        rule.len = 0;
        unknown_fields(&rule);
        begin(&w, action);
        field_message(&w, 5, &rule);
        p = decode(w.data, w.len);
        assert_int_equal(policy_matches(p, &a), action == 1);
        (void)policy_free(p);
        /* About the whole policy: ignored. */
        rule.len = 0;
        begin(&w, action);
        field_message(&w, 5, &rule);
        unknown_fields(&w);
        p = decode(w.data, w.len);
        assert_true(policy_matches(p, &a));
        (void)policy_free(p);
    }
}

/* An unreadable match stays one over the wire, so that the next one denies more too. */
static void unreadable_travels(void **state)
{
    struct wire_writer match = {0}, w = {0};
    struct xds_bytes bytes;

    (void)state;
    unknown_fields(&match);
    policy_of(&w, 1, &match);
    struct policy *p = decode(w.data, w.len);
    assert_int_equal(xds_policy_encode(p, &bytes), 0);
    struct policy *again = decode(bytes.data, bytes.len);
    assert_true(match_of(again)->unreadable);
    xds_bytes_done(&bytes);
    (void)policy_free(p);
    (void)policy_free(again);
}

static void the_last_of_a_oneof_counts(void **state)
{
    struct wire_writer match = {0}, value = {0}, w = {0};

    (void)state;
    field_text(&value, 1, "exact");
    field_text(&value, 4, "");
    field_text(&value, 2, "prefix");
    field_message(&match, 1, &value);
    policy_of(&w, 0, &match);
    struct policy *p = decode(w.data, w.len);
    assert_int_equal(match_of(p)->namespaces.items[0].kind, MATCH_PREFIX);
    assert_string_equal(match_of(p)->namespaces.items[0].value, "prefix");
    (void)policy_free(p);
}

/* ---- What is wrong is refused by name ------------------------------------------------------ */

static void bad_policies(void **state)
{
    struct wire_writer w = {0}, match = {0}, value = {0}, rule = {0};
    char name[300];

    (void)state;
    refused(&w, "authorization.name");
    field_text(&w, 1, "p");
    refused(&w, "authorization.namespace");
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    w.len = 0;
    field_text(&w, 1, name);
    field_text(&w, 2, "a-namespace-that-is-just-too-long");
    refused(&w, "authorization.name");
    begin(&w, 2);
    refused(&w, "authorization.action");
    begin(&w, 0);
    field_number(&w, 3, 3);
    refused(&w, "authorization.scope");
    begin(&w, 0);
    for (unsigned i = 0; i <= POLICY_RULES_MAX; i++)
        field_message(&w, 5, &rule);
    refused(&w, "authorization.rules");

    static const uint64_t ports[] = {0, 65536, 1ull << 32, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
        match.len = 0;
        field_number(&match, 9, ports[i]);
        refused_match(&match, "match.destination_ports");
        match.len = 0;
        field_number(&match, 10, ports[i]);
        refused_match(&match, "match.not_destination_ports");
    }
    static const char *const fields[] = {[5] = "match.source_ips",
                                         [6] = "match.not_source_ips",
                                         [7] = "match.destination_ips",
                                         [8] = "match.not_destination_ips"};
    for (unsigned f = 5; f <= 8; f++) {
        match.len = value.len = 0;
        field_bytes(&value, 1, "abc", 3);
        field_message(&match, f, &value);
        refused_match(&match, fields[f]);
        match.len = 0;
        address_match(&match, f, "10.0.0.0", 33);
        refused_match(&match, fields[f]);
        match.len = 0;
        address_match(&match, f, "fd00::", 129);
        refused_match(&match, fields[f]);
    }
    match.len = value.len = 0;
    field_text(&value, 2, "b");
    field_message(&match, 11, &value); /* no namespace */
    refused_match(&match, "match.service_accounts");
    match.len = value.len = 0;
    field_text(&value, 1, "a");
    field_message(&match, 12, &value);
    refused_match(&match, "match.not_service_accounts");
    match.len = value.len = 0;
    field_bytes(&value, 1, "a\0b", 3);
    field_message(&match, 3, &value);
    refused_match(&match, "UTF-8");
    match.len = value.len = 0;
    field_text(&value, 1, "x");
    for (unsigned i = 0; i <= POLICY_VALUES_MAX / 4; i++)
        field_message(&match, 1, &value);
    policy_of(&w, 0, &match); /* many are fine, */
    struct policy *p = decode(w.data, w.len);
    (void)policy_free(p);
    match.len = 0;
    static uint8_t too_many[POLICY_VALUES_MAX + 1]; /* more than the maximum are not */
    memset(too_many, 80, sizeof too_many);
    field_bytes(&match, 9, too_many, sizeof too_many);
    refused_match(&match, "match.destination_ports");
}

/* ::ffff:10.0.0.0/104 is 10.0.0.0/8, and a wider one is no IPv4 prefix. */
static void mapped_prefixes_are_ipv4(void **state)
{
    static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, 10, 1, 2, 3};
    struct wire_writer match = {0}, value = {0}, w = {0};

    (void)state;
    field_bytes(&value, 1, mapped, 16);
    field_number(&value, 2, 104);
    field_message(&match, 5, &value);
    policy_of(&w, 0, &match);
    struct policy *p = decode(w.data, w.len);
    assert_prefix(&match_of(p)->source_ips, "10.0.0.0/8");
    (void)policy_free(p);
    match.len = value.len = 0;
    field_bytes(&value, 1, mapped, 16);
    field_number(&value, 2, 90);
    field_message(&match, 5, &value);
    refused_match(&match, "match.source_ips");
}

static void every_truncation_is_refused(void **state)
{
    unsigned refusals = 0;
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 200; i++) {
        struct policy *p = random_policy(&rng, i);
        struct xds_bytes bytes;
        assert_int_equal(xds_policy_encode(p, &bytes), 0);
        for (size_t len = 0; len < bytes.len; len++) {
            uint8_t *copy = exact_copy(bytes.data, len);
            char why[XDS_WHY_MAX] = "";
            struct policy *got = NULL;
            int r = xds_policy_decode(copy, len, &got, why);
            /* Cut between two fields it is a message, without the last ones; else never. */
            assert_true(r == -EINVAL || (r == 0 && whole_fields(bytes.data, len)));
            assert_true(r == 0 || why[0]);
            refusals += r < 0;
            (void)policy_free(got);
            free(copy);
        }
        xds_bytes_done(&bytes);
        (void)policy_free(p);
    }
    assert_true(refusals > 5000);
}

static void no_garbage_breaks_it(void **state)
{
    unsigned decoded = 0;
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 30000; i++) {
        struct policy *p = random_policy(&rng, i), *got = NULL;
        struct access a = anybody();
        struct xds_bytes bytes;
        char why[XDS_WHY_MAX] = "";
        assert_int_equal(xds_policy_encode(p, &bytes), 0);
        for (unsigned k = (unsigned)rng_below(&rng, 6); k > 0; k--)
            bytes.data[rng_below(&rng, bytes.len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
        int r = xds_policy_decode(bytes.data, bytes.len, &got, why);
        assert_true(r == 0 || (r == -EINVAL && why[0] && strlen(why) < XDS_WHY_MAX));
        if (r == 0) {
            decoded++;
            (void)policy_matches(got, &a);
        }
        xds_bytes_done(&bytes);
        (void)policy_free(p);
        (void)policy_free(got);
    }
    assert_true(decoded > 1000 && decoded < 29000);
}

static void without_memory(void **state)
{
    unsigned failures = 0;
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned i = 0; i < 60; i++) {
        struct policy *p = random_policy(&rng, i), *got;
        struct xds_bytes bytes;
        char why[XDS_WHY_MAX];
        bool failed = true;
        for (long n = 0; failed; n++) {
            alloc_fail_at(n);
            int r = xds_policy_encode(p, &bytes);
            failed = alloc_failed();
            assert_int_equal(r, failed ? -ENOMEM : 0);
            failures += failed;
        }
        failed = true;
        for (long n = 0; failed; n++) {
            alloc_fail_at(n);
            int r = xds_policy_decode(bytes.data, bytes.len, &got, why);
            failed = alloc_failed();
            assert_int_equal(r, failed ? -ENOMEM : 0);
            failures += failed;
        }
        xds_bytes_done(&bytes);
        (void)policy_free(p);
        (void)policy_free(got);
    }
    assert_true(failures > 500);
}

/* For others an AUDIT is a DENY that never decides. */
static void audit(void **state)
{
    struct wire_writer w = {0}, rule = {0};
    struct xds_bytes bytes;

    (void)state;
    begin(&w, 1);
    field_message(&w, 5, &rule);
    field_number(&w, 6, 1);
    field_number(&w, 7001, 1);
    struct policy *p = decode(w.data, w.len);
    assert_int_equal(p->action, POLICY_AUDIT);
    assert_false(p->dry_run);
    assert_int_equal(xds_policy_encode(p, &bytes), 0);
    static const uint8_t expected[] = {10, 1,  'p', 18, 2, 'n',  's',  24, 1, 32,
                                       1,  42, 0,   48, 1, 0xc8, 0xb5, 3,  1};
    assert_int_equal(bytes.len, sizeof expected);
    assert_memory_equal(bytes.data, expected, sizeof expected);
    xds_bytes_done(&bytes);
    (void)policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(reads_what_others_write),
        cmocka_unit_test(writes_what_others_read),
        cmocka_unit_test(what_is_unknown_in_a_match_denies_more),
        cmocka_unit_test(what_is_unknown_in_a_value_denies_more),
        cmocka_unit_test(what_is_unknown_around_matches_denies_more),
        cmocka_unit_test(unreadable_travels),
        cmocka_unit_test(the_last_of_a_oneof_counts),
        cmocka_unit_test(bad_policies),
        cmocka_unit_test(mapped_prefixes_are_ipv4),
        cmocka_unit_test(audit),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(no_garbage_breaks_it),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
