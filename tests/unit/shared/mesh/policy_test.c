#include "shared/mesh/policy.h"

#include "tests/unit/shared/base/failing_alloc.h"
#include "tests/unit/shared/mesh/nouns.h"

/*
 * The reference: the sentences of the policy language one after the other, over texts and bits,
 * without a line of the evaluator's. An access is told as texts here; "" is who has no identity.
 */
struct naive_access {
    char domain[32], ns[32], account[32];
    struct ip source, destination;
    unsigned port;
};

static bool naive_string(const struct string_match *m, const char *text)
{
    size_t want = strlen(m->value), have = strlen(text);

    if (have == 0)
        return false;
    if (m->kind == MATCH_PRESENCE)
        return true;
    if (want > have)
        return false;
    if (m->kind == MATCH_EXACT)
        return strcmp(m->value, text) == 0;
    return strncmp(m->value, m->kind == MATCH_PREFIX ? text : text + have - want, want) == 0;
}

static bool naive_bits(const struct prefix *p, const struct ip *ip)
{
    if (p->ip.len != ip->len)
        return false;
    for (unsigned bit = 0; bit < p->bits; bit++) {
        unsigned shift = 7 - bit % 8;
        if ((p->ip.bytes[bit / 8] >> shift & 1) != (ip->bytes[bit / 8] >> shift & 1))
            return false;
    }
    return true;
}

/* Does value `i` of the field hold for the access? */
enum field { NAMESPACES, PRINCIPALS, ACCOUNTS, SOURCES, DESTINATIONS, PORTS, FIELDS };

static size_t naive_count(const struct policy_match *m, enum field f, bool negative)
{
    switch (f) {
    case NAMESPACES:
        return negative ? m->not_namespaces.n : m->namespaces.n;
    case PRINCIPALS:
        return negative ? m->not_principals.n : m->principals.n;
    case ACCOUNTS:
        return negative ? m->not_accounts.n : m->accounts.n;
    case SOURCES:
        return negative ? m->not_source_ips.n : m->source_ips.n;
    case DESTINATIONS:
        return negative ? m->not_destination_ips.n : m->destination_ips.n;
    case PORTS:
        return negative ? m->not_destination_ports.n : m->destination_ports.n;
    case FIELDS:
        break;
    }
    return 0;
}

static bool naive_value(const struct policy_match *m, enum field f, bool negative, size_t i,
                        const struct naive_access *a)
{
    char principal[128] = "";

    if (a->ns[0])
        snprintf(principal, sizeof principal, "%s/ns/%s/sa/%s", a->domain, a->ns, a->account);
    switch (f) {
    case NAMESPACES:
        return naive_string(negative ? &m->not_namespaces.items[i] : &m->namespaces.items[i],
                            a->ns);
    case PRINCIPALS:
        return naive_string(negative ? &m->not_principals.items[i] : &m->principals.items[i],
                            principal);
    case ACCOUNTS: {
        const struct account_match *x =
            negative ? &m->not_accounts.items[i] : &m->accounts.items[i];
        return a->ns[0] && !strcmp(x->ns, a->ns) && !strcmp(x->service_account, a->account);
    }
    case SOURCES:
        return naive_bits(negative ? &m->not_source_ips.items[i] : &m->source_ips.items[i],
                          &a->source);
    case DESTINATIONS:
        return naive_bits(negative ? &m->not_destination_ips.items[i]
                                   : &m->destination_ips.items[i],
                          &a->destination);
    case PORTS:
        return (negative ? m->not_destination_ports.items[i] : m->destination_ports.items[i]) ==
               a->port;
    case FIELDS:
        break;
    }
    return false;
}

static bool naive_match(const struct policy_match *m, enum policy_action action,
                        const struct naive_access *a)
{
    size_t conditions = 0, failed = 0;

    for (enum field f = 0; f < FIELDS; f++) {
        for (int negative = 0; negative < 2; negative++) {
            size_t n = naive_count(m, f, negative), hits = 0;
            for (size_t i = 0; i < n; i++)
                hits += naive_value(m, f, negative, i, a);
            conditions += n;
            failed += n > 0 && (negative ? hits > 0 : hits == 0);
        }
    }
    if (action == POLICY_ALLOW && (conditions == 0 || m->unreadable))
        return false;
    return failed == 0;
}

static bool naive_policy(const struct policy *p, const struct naive_access *a)
{
    bool any_rule = false;

    for (size_t r = 0; r < p->n_rules; r++) {
        bool all_clauses = true;
        for (size_t c = 0; c < p->rules[r].n; c++) {
            const struct policy_clause *clause = &p->rules[r].clauses[c];
            bool any_match = clause->n == 0;
            for (size_t m = 0; m < clause->n; m++)
                any_match |= naive_match(&clause->matches[m], p->action, a);
            all_clauses &= any_match;
        }
        any_rule |= all_clauses;
    }
    return any_rule;
}

/* Over all policies whose dry_run is not above `dry`: 1 counts them all as if in force. */
static bool naive_allowed(struct policy *const *policies, size_t n, bool dry,
                          const struct naive_access *a)
{
    bool denied = false, allow_applies = false, allow_matches = false;

    for (size_t i = 0; i < n; i++) {
        const struct policy *p = policies[i];
        if (p->dry_run && !dry)
            continue;
        bool matches = naive_policy(p, a);
        denied |= p->action == POLICY_DENY && matches;
        allow_applies |= p->action == POLICY_ALLOW;
        allow_matches |= p->action == POLICY_ALLOW && matches;
    }
    return !denied && (!allow_applies || allow_matches);
}

static void random_access(struct rng *r, struct naive_access *n, struct spiffe_id *id,
                          struct access *a)
{
    memset(n, 0, sizeof *n);
    memset(id, 0, sizeof *id);
    *a = (struct access){.identity = one_in(r, 2) ? id : NULL};
    if (!one_in(r, 4)) {
        snprintf(n->domain, sizeof n->domain, "%s", one_in(r, 4) ? "other.td" : "cluster.local");
        snprintf(n->ns, sizeof n->ns, "ns%u", (unsigned)rng_below(r, 4));
        snprintf(n->account, sizeof n->account, "sa%u", (unsigned)rng_below(r, 3));
        assert_int_equal(
            spiffe_id_make(text_of(n->domain), text_of(n->ns), text_of(n->account), id), 0);
        a->identity = id;
    }
    n->source = a->source = test_ip(r, (unsigned)rng_below(r, 8));
    n->destination = a->destination = test_ip(r, (unsigned)rng_below(r, 8));
    n->port = a->destination_port = (uint16_t)(8080 + rng_below(r, 4));
}

static const struct policy *policy_by_key(struct policy *const *policies, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(policies[i]->key, key) == 0)
            return policies[i];
    }
    return NULL;
}

/* The names in the verdict are reasons that hold. */
static void check_names(struct policy *const *policies, size_t n, const struct naive_access *a,
                        const struct verdict *v)
{
    const struct policy *named = policy_by_key(policies, n, v->policy);
    bool with_dry = naive_allowed(policies, n, true, a);

    if (v->unmatched) {
        assert_false(v->allowed);
        assert_non_null(named);
        assert_true(named->action == POLICY_ALLOW && !named->dry_run && !naive_policy(named, a));
    } else if (!v->allowed) {
        assert_non_null(named);
        assert_true(named->action == POLICY_DENY && !named->dry_run && naive_policy(named, a));
    } else if (v->allowed && v->policy[0]) {
        assert_non_null(named);
        assert_true(named->action == POLICY_ALLOW && !named->dry_run && naive_policy(named, a));
    }
    if (with_dry == v->allowed) {
        assert_string_equal(v->dry_run, "");
        return;
    }
    const struct policy *dry = policy_by_key(policies, n, v->dry_run);
    assert_non_null(dry);
    assert_true(dry->dry_run);
    if (dry->action == POLICY_DENY)
        assert_true(v->allowed && naive_policy(dry, a));
    else
        assert_true(naive_policy(dry, a) == !v->allowed);
}

static void decides_as_the_reference(void **state)
{
#ifdef __SANITIZE_THREAD__
    enum { SETS = 20000 }; /* it looks at each access of memory */
#else
    enum { SETS = 200000 };
#endif
    enum { ACCESSES = 2, POLICIES = 5 };
    unsigned long allowed = 0, denied = 0, by_default = 0, dry = 0, matched = 0;
    struct rng rng;

    (void)state;
    test_seed(&rng);
    for (unsigned set = 0; set < SETS; set++) {
        struct policy *policies[POLICIES];
        size_t n = rng_below(&rng, POLICIES + 1);
        for (size_t i = 0; i < n; i++)
            policies[i] = random_policy(&rng, (unsigned)i);
        for (unsigned k = 0; k < ACCESSES; k++) {
            struct naive_access naive;
            struct spiffe_id id;
            struct access a;
            struct verdict v;
            random_access(&rng, &naive, &id, &a);
            for (size_t i = 0; i < n; i++) {
                bool matches = policy_matches(policies[i], &a);
                matched += matches;
                assert_int_equal(matches, naive_policy(policies[i], &naive));
            }
            memset(&v, 0x55, sizeof v);
            policies_decide((const struct policy *const *)policies, n, &a, &v);
            assert_int_equal(v.allowed, naive_allowed(policies, n, false, &naive));
            check_names(policies, n, &naive, &v);
            allowed += v.allowed && v.policy[0];
            by_default += v.allowed && !v.policy[0];
            denied += !v.allowed;
            dry += v.dry_run[0] != 0;
        }
        for (size_t i = 0; i < n; i++)
            (void)policy_free(policies[i]);
    }
    print_message("%u decisions: %lu allowed by a policy, %lu by default, %lu denied, %lu with a "
                  "dry-run difference, %lu matches\n",
                  SETS * ACCESSES, allowed, by_default, denied, dry, matched);
    /* The random world reaches every kind of end often enough to mean something. */
    assert_true(allowed > 5000 && by_default > 5000 && denied > 5000 && dry > 2000);
}

/* ---- Sentences, one by one ----------------------------------------------------------------- */

static struct policy *make_policy(enum policy_action action, struct policy_match **ret_match)
{
    struct policy *p = policy_new();
    assert_non_null(p);
    put_text(&p->key, heap_text("ns/%s", action == POLICY_DENY ? "deny" : "allow"));
    p->action = action;
    p->n_rules = 1;
    p->rules = calloc(1, sizeof *p->rules);
    assert_non_null(p->rules);
    p->rules[0].n = 1;
    p->rules[0].clauses = calloc(1, sizeof *p->rules[0].clauses);
    assert_non_null(p->rules[0].clauses);
    p->rules[0].clauses[0].n = 1;
    p->rules[0].clauses[0].matches = calloc(1, sizeof(struct policy_match));
    assert_non_null(p->rules[0].clauses[0].matches);
    *ret_match = p->rules[0].clauses[0].matches;
    return p;
}

static void set_strings(struct string_matches *m, enum string_match_kind kind, const char *value)
{
    m->n = 1;
    m->items = calloc(1, sizeof *m->items);
    assert_non_null(m->items);
    m->items[0].kind = kind;
    m->items[0].value = heap_text("%s", value);
}

static struct access access_of(const struct spiffe_id *id)
{
    struct access a = {.identity = id, .destination_port = 8080};
    assert_int_equal(ip_parse(TEXT("10.0.0.1"), &a.source), 0);
    assert_int_equal(ip_parse(TEXT("10.0.0.2"), &a.destination), 0);
    return a;
}

static void identity_of(const char *text, struct spiffe_id *ret)
{
    assert_int_equal(spiffe_id_parse(text_of(text), ret), 0);
}

static void what_cannot_be_read_denies_more(void **state)
{
    struct spiffe_id id;
    struct policy_match *m;

    (void)state;
    identity_of("spiffe://cluster.local/ns/a/sa/b", &id);
    struct access a = access_of(&id);
    for (int filled = 0; filled < 3; filled++) {
        for (int unreadable = 0; unreadable < 2; unreadable++) {
            for (int deny = 0; deny < 2; deny++) {
                struct policy *p = make_policy(deny ? POLICY_DENY : POLICY_ALLOW, &m);
                m->unreadable = unreadable;
                if (filled)
                    set_strings(&m->namespaces, MATCH_EXACT, filled == 1 ? "a" : "x");
                bool expected = deny ? filled != 2 : filled == 1 && !unreadable;
                assert_int_equal(policy_matches(p, &a), expected);
                (void)policy_free(p);
            }
        }
    }
}

static void without_rules_and_without_clauses(void **state)
{
    struct policy *p = policy_new();
    struct access a = access_of(NULL);

    (void)state;
    assert_non_null(p);
    for (int deny = 0; deny < 2; deny++) {
        p->action = deny ? POLICY_DENY : POLICY_ALLOW;
        p->n_rules = 0;
        assert_false(policy_matches(p, &a));
        if (!p->rules)
            p->rules = calloc(1, sizeof *p->rules);
        assert_non_null(p->rules);
        p->n_rules = 1;
        assert_true(policy_matches(p, &a));
    }
    (void)policy_free(p);
}

/* STRICT as PeerAuthentication says it: whoever has no identity is denied. */
static void nobody_is_no_principal(void **state)
{
    struct spiffe_id id, none = {0};
    struct policy_match *m;
    struct policy *strict = make_policy(POLICY_DENY, &m);

    (void)state;
    identity_of("spiffe://td/ns/a/sa/b", &id);
    set_strings(&m->not_principals, MATCH_PRESENCE, "");
    struct access someone = access_of(&id), nobody = access_of(NULL), empty = access_of(&none);
    assert_false(policy_matches(strict, &someone));
    assert_true(policy_matches(strict, &nobody));
    assert_true(policy_matches(strict, &empty));
    (void)policy_free(strict);

    /* A prefix that is empty, or a suffix, asks for an identity all the same. */
    struct policy *any = make_policy(POLICY_ALLOW, &m);
    set_strings(&m->principals, MATCH_PREFIX, "");
    assert_true(policy_matches(any, &someone));
    assert_false(policy_matches(any, &nobody));
    assert_false(policy_matches(any, &empty));
    (void)policy_free(any);
}

static void principals_have_no_scheme(void **state)
{
    struct spiffe_id id;
    struct policy_match *m;

    (void)state;
    identity_of("spiffe://td/ns/a/sa/b", &id);
    struct access a = access_of(&id);
    const struct {
        enum string_match_kind kind;
        const char *value;
        bool expected;
    } cases[] = {
        {MATCH_EXACT, "td/ns/a/sa/b", true},   {MATCH_EXACT, "spiffe://td/ns/a/sa/b", false},
        {MATCH_EXACT, "td/ns/a/sa/bc", false}, {MATCH_EXACT, "td/ns/a/sa/", false},
        {MATCH_PREFIX, "td/", true},           {MATCH_PREFIX, "spiffe://", false},
        {MATCH_SUFFIX, "/sa/b", true},         {MATCH_SUFFIX, "/sa/c", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct policy *p = make_policy(POLICY_ALLOW, &m);
        set_strings(&m->principals, cases[i].kind, cases[i].value);
        assert_int_equal(policy_matches(p, &a), cases[i].expected);
        (void)policy_free(p);
    }
}

static void dry_run_is_told_and_never_decides(void **state)
{
    struct policy_match *m;
    struct verdict v;
    struct access a = access_of(NULL);
    struct policy *deny = make_policy(POLICY_DENY, &m);
    const struct policy *list[] = {deny};

    (void)state;
    deny->dry_run = true;
    policies_decide(list, 1, &a, &v);
    assert_true(v.allowed);
    assert_string_equal(v.policy, "");
    assert_string_equal(v.dry_run, "ns/deny");
    deny->dry_run = false;
    policies_decide(list, 1, &a, &v);
    assert_false(v.allowed);
    assert_string_equal(v.policy, "ns/deny");
    assert_string_equal(v.dry_run, "");
    (void)policy_free(deny);

    struct policy *allow = make_policy(POLICY_ALLOW, &m);
    list[0] = allow;
    policies_decide(list, 1, &a, &v); /* its match is empty */
    assert_false(v.allowed);
    assert_true(v.unmatched);
    assert_string_equal(v.policy, "ns/allow");
    (void)policy_free(allow);
}

/* ---- Equality and memory ------------------------------------------------------------------- */

static void equal_sees_every_difference(void **state)
{
    struct rng rng, again;

    (void)state;
    test_seed(&rng);
    unsigned different = 0;
    for (unsigned i = 0; i < 2000; i++) {
        again = rng;
        struct policy *a = random_policy(&rng, 1), *b = random_policy(&again, 1);
        struct policy *c = random_policy(&rng, 1);
        assert_true(policy_equal(a, b));
        different += !policy_equal(a, c);
        b->dry_run = !b->dry_run;
        assert_false(policy_equal(a, b));
        b->dry_run = !b->dry_run;
        b->scope = (b->scope + 1) % 3;
        assert_false(policy_equal(a, b));
        b->scope = a->scope;
        b->action = !b->action;
        assert_false(policy_equal(a, b));
        b->action = a->action;
        for (size_t r = 0; r < b->n_rules; r++) {
            for (size_t k = 0; k < b->rules[r].n; k++) {
                for (size_t m = 0; m < b->rules[r].clauses[k].n; m++) {
                    struct policy_match *match = &b->rules[r].clauses[k].matches[m];
                    match->unreadable = !match->unreadable;
                    assert_false(policy_equal(a, b));
                    match->unreadable = !match->unreadable;
#define CHANGE(list, change, back)                                                                 \
    for (size_t x = 0; x < match->list.n; x++) {                                                   \
        change;                                                                                    \
        assert_false(policy_equal(a, b));                                                          \
        back;                                                                                      \
    }
#define CHANGE_STRING(list)                                                                        \
    CHANGE(list, match->list.items[x].kind ^= 1, match->list.items[x].kind ^= 1)
#define CHANGE_PREFIX(list) CHANGE(list, match->list.items[x].bits++, match->list.items[x].bits--)
#define CHANGE_PORT(list)   CHANGE(list, match->list.items[x]++, match->list.items[x]--)
#define CHANGE_ACCOUNT(list)                                                                       \
    CHANGE(list, match->list.items[x].ns[0]++, match->list.items[x].ns[0]--)                       \
    CHANGE(list, match->list.items[x].service_account[0]++,                                        \
           match->list.items[x].service_account[0]--)
                    CHANGE_STRING(namespaces)
                    CHANGE_STRING(not_namespaces)
                    CHANGE_STRING(principals)
                    CHANGE_STRING(not_principals)
                    CHANGE_ACCOUNT(accounts)
                    CHANGE_ACCOUNT(not_accounts)
                    CHANGE_PREFIX(source_ips)
                    CHANGE_PREFIX(not_source_ips)
                    CHANGE_PREFIX(destination_ips)
                    CHANGE_PREFIX(not_destination_ips)
                    CHANGE_PORT(destination_ports)
                    CHANGE_PORT(not_destination_ports)
                    assert_true(policy_equal(a, b));
                }
            }
        }
        (void)policy_free(a);
        (void)policy_free(b);
        (void)policy_free(c);
    }
    assert_true(different > 1500);
}

static void new_without_memory(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        alloc_fail_at(n);
        struct policy *p = policy_new();
        bool failed = alloc_failed();
        assert_true(failed == !p);
        (void)policy_free(p);
        if (!failed)
            break;
    }
    assert_null(policy_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides_as_the_reference),
        cmocka_unit_test(what_cannot_be_read_denies_more),
        cmocka_unit_test(without_rules_and_without_clauses),
        cmocka_unit_test(nobody_is_no_principal),
        cmocka_unit_test(principals_have_no_scheme),
        cmocka_unit_test(dry_run_is_told_and_never_decides),
        cmocka_unit_test(equal_sees_every_difference),
        cmocka_unit_test(new_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
