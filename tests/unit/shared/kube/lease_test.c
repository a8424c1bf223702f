/* Several machines on one simulated Lease: clocks that differ, answers that are lost or late, replicas that
 * die. Never do two lead at once, and somebody leads again in time. */
#include "shared/kube/lease.h"
#include "tests/unit/shared/base/test.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { DURATION_MS = 15000, RENEW_MS = 10000, RETRY_MS = 2000, REPLICAS = 3 };

struct server { /* one Lease, as its fields */
    bool there;
    char holder[64], renewed[64];
    unsigned duration_s, version;
    int64_t transitions;
};
struct replica {
    struct lease lease;
    char identity[16];
    int64_t skew_ms; /* of its wall clock */
    uint64_t next_ms;
    bool dead;
};
struct scene {
    struct server server;
    struct replica replicas[REPLICAS];
    struct rng rng;
    uint64_t now_ms;
};

static void replica_init(struct scene *s, unsigned i)
{
    struct replica *r = &s->replicas[i];
    *r = (struct replica){.skew_ms = (int64_t)i * 3600000 - 3600000, .next_ms = s->now_ms};
    snprintf(r->identity, sizeof r->identity, "pod-%u", i);
    const struct lease_options options = {"weir-system", "weir-controller", r->identity,
                                          DURATION_MS, RENEW_MS, RETRY_MS};
    lease_init(&r->lease, &options, &s->rng);
}

static void scene_init(struct scene *s, uint64_t seed)
{
    *s = (struct scene){.now_ms = 1000};
    rng_seed(&s->rng, seed);
    for (unsigned i = 0; i < REPLICAS; i++)
        replica_init(s, i);
}

static void server_print(const struct server *v, char out[static 1024])
{
    snprintf(out, 1024,
             "{\"kind\":\"Lease\",\"metadata\":{\"name\":\"weir-controller\",\"resourceVersion\":"
             "\"v%u\"},\"spec\":{\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":%u,"
             "\"renewTime\":\"%s\",\"leaseTransitions\":%lld}}",
             v->version, v->holder, v->duration_s, v->renewed, (long long)v->transitions);
}

static unsigned server_write(struct server *v, const struct lease_question *q)
{
    struct json *body = NULL;
    struct json_error e = {0};
    char expected[32];
    int64_t number = 0;
    assert_int_equal(json_parse(text_of(q->body), NULL, &body, &e), 0);
    struct text version = json_text(json_get(body, "metadata.resourceVersion"));
    snprintf(expected, sizeof expected, "v%u", v->version);
    bool conflict = q->verb == LEASE_CREATE
                        ? v->there
                        : !v->there || !text_equal(version, text_of(expected));
    if (!conflict) {
        v->there = true;
        v->version++;
        snprintf(v->holder, sizeof v->holder, "%s",
                 json_text(json_get(body, "spec.holderIdentity")).data);
        snprintf(v->renewed, sizeof v->renewed, "%s",
                 json_text(json_get(body, "spec.renewTime")).data);
        assert_int_equal(
            json_read_i64(body, "spec.leaseDurationSeconds", 1, 3600, &number, &e), 0);
        v->duration_s = (unsigned)number;
        (void)json_opt_i64(body, "spec.leaseTransitions", 0, 1000000, &v->transitions, &e);
    }
    json_free(body);
    return conflict ? 409 : q->verb == LEASE_CREATE ? 201 : 200;
}

/* One question and its answer; lost: the server did it (or not), and the answer never came. */
static void turn(struct scene *s, struct replica *r, bool reaches, bool lost)
{
    struct lease_question q;
    char body[1024] = "";
    unsigned status = 0;
    lease_ask(&r->lease, s->now_ms, 1700000000000 + (int64_t)s->now_ms + r->skew_ms, &q);
    if (reaches && q.verb == LEASE_GET)
        status = s->server.there ? 200 : 404;
    else if (reaches)
        status = server_write(&s->server, &q);
    server_print(&s->server, body);
    bool failed = !reaches || lost;
    r->next_ms = s->now_ms + lease_answered(&r->lease, s->now_ms, failed ? -ETIMEDOUT : 0,
                                            failed ? 0 : status, text_of(body));
}

static unsigned leaders(const struct scene *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < REPLICAS; i++)
        n += !s->replicas[i].dead && lease_leading(&s->replicas[i].lease, s->now_ms);
    return n;
}

/* Runs until a time, everything in order; how many percent of the questions fail, each half before and half
 * after the server did them. */
static void run(struct scene *s, uint64_t until_ms, unsigned failing)
{
    for (; s->now_ms < until_ms; s->now_ms += 50) {
        for (unsigned i = 0; i < REPLICAS; i++) {
            struct replica *r = &s->replicas[i];
            if (r->dead || r->next_ms > s->now_ms)
                continue;
            bool fails = rng_below(&s->rng, 100) < failing;
            turn(s, r, !fails || rng_below(&s->rng, 2), fails);
        }
        assert_true(leaders(s) <= 1);
    }
}

static struct replica *leader(struct scene *s)
{
    for (unsigned i = 0; i < REPLICAS; i++)
        if (!s->replicas[i].dead && lease_leading(&s->replicas[i].lease, s->now_ms))
            return &s->replicas[i];
    return NULL;
}

static void one_leads_and_stays(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, 1);
    run(&s, 5000, 0);
    struct replica *first = leader(&s);
    assert_non_null(first);
    run(&s, 300000, 0);
    assert_ptr_equal(leader(&s), first);
    assert_int_equal(s.server.transitions, 0);
    assert_string_equal(s.server.holder, first->identity);
    assert_int_equal(s.server.duration_s, 15);
}

/* Whatever its clock says: the others take it after the lease was seen unchanged for 15 s. */
static void one_dies_another_leads_within_20_s(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct scene s;
        scene_init(&s, seed);
        run(&s, 5000 + rng_below(&s.rng, 5000), 0);
        struct replica *first = leader(&s);
        assert_non_null(first);
        first->dead = true;
        uint64_t died_ms = s.now_ms;
        while (!leader(&s) && s.now_ms < died_ms + 60000)
            run(&s, s.now_ms + 50, 0);
        assert_true(s.now_ms - died_ms <= 20000);
        assert_true(s.now_ms - died_ms >= DURATION_MS - RETRY_MS);
        assert_int_equal(s.server.transitions, 1);
    }
}

static void whoever_leaves_is_followed_at_once(void **state)
{
    struct scene s;
    struct lease_question q;
    (void)state;
    scene_init(&s, 3);
    run(&s, 5000, 0);
    struct replica *first = leader(&s);
    assert_true(lease_release(&first->lease, 1700000000000, &q));
    assert_false(lease_leading(&first->lease, s.now_ms));
    assert_int_equal(server_write(&s.server, &q), 200);
    assert_string_equal(s.server.holder, "");
    first->dead = true;
    run(&s, s.now_ms + 3000, 0);
    assert_non_null(leader(&s));
    assert_false(lease_release(&first->lease, 1700000000000, &q)); /* it does not hold it */
}

/* A leader that is cut off stops before anybody else may begin, though nobody told it. */
static void a_leader_that_cant_renew_stops_first(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, 4);
    run(&s, 5000, 0);
    struct replica *cut = leader(&s);
    uint64_t cut_ms = s.now_ms, stopped_ms = 0;
    while (s.now_ms < cut_ms + 60000) {
        for (unsigned i = 0; i < REPLICAS; i++) {
            struct replica *r = &s.replicas[i];
            if (r->next_ms <= s.now_ms)
                turn(&s, r, r != cut, r == cut);
        }
        assert_true(leaders(&s) <= 1);
        if (!stopped_ms && !lease_leading(&cut->lease, s.now_ms))
            stopped_ms = s.now_ms;
        if (leader(&s) && leader(&s) != cut)
            break;
        s.now_ms += 50;
    }
    assert_true(stopped_ms > 0 && stopped_ms - cut_ms <= RENEW_MS);
    assert_true(s.now_ms - stopped_ms >= DURATION_MS - RENEW_MS - RETRY_MS);
    assert_true(s.now_ms - cut_ms <= 20000);
}

/* Somebody's note in the Lease is a conflict, and no change of the leader. */
static void a_conflict_is_looked_at(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, 5);
    run(&s, 5000, 0);
    struct replica *first = leader(&s);
    for (unsigned i = 0; i < 20; i++) {
        s.server.version++;
        run(&s, s.now_ms + 3000, 0);
        assert_ptr_equal(leader(&s), first);
    }
    s.server.version++; /* another one took it, though it should not have */
    snprintf(s.server.holder, sizeof s.server.holder, "somebody");
    run(&s, s.now_ms + 3000, 0);
    assert_null(leader(&s));
}

static void a_lease_that_was_deleted_is_made_again(void **state)
{
    struct scene s;
    (void)state;
    scene_init(&s, 6);
    run(&s, 5000, 0);
    s.server.there = false;
    run(&s, s.now_ms + 20000, 0);
    assert_non_null(leader(&s));
    assert_true(s.server.there);
}

static void answers_that_are_none(void **state)
{
    static const char *const bodies[] = {"", "[]", "{}", "nonsense", "{\"metadata\":{}}",
                                         "{\"metadata\":{\"resourceVersion\":5}}"};
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct scene s;
        struct lease_question q;
        scene_init(&s, 7);
        struct lease *l = &s.replicas[0].lease;
        lease_ask(l, 1000, 0, &q);
        uint64_t wait_ms = lease_answered(l, 1000, 0, 200, text_of(bodies[i]));
        assert_true(wait_ms >= RETRY_MS / 2 && wait_ms <= RETRY_MS * 2);
        lease_ask(l, 3000, 0, &q);
        assert_int_equal(q.verb, LEASE_GET);
        assert_false(lease_leading(l, 3000));
    }
}

/* Thousands of hours of bad network in all; never two leaders. */
static void never_two_leaders(void **state)
{
    unsigned long long led = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct scene s;
        scene_init(&s, seed);
        for (unsigned i = 0; i < 40; i++) {
            run(&s, s.now_ms + 15000, (unsigned)rng_below(&s.rng, 100));
            led += leader(&s) != NULL;
            if (rng_below(&s.rng, 4) == 0) {
                unsigned n = (unsigned)rng_below(&s.rng, REPLICAS);
                if (s.replicas[n].dead)
                    replica_init(&s, n);
                else
                    s.replicas[n].dead = true;
            }
        }
    }
    assert_true(led > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_leads_and_stays),
        cmocka_unit_test(one_dies_another_leads_within_20_s),
        cmocka_unit_test(whoever_leaves_is_followed_at_once),
        cmocka_unit_test(a_leader_that_cant_renew_stops_first),
        cmocka_unit_test(a_conflict_is_looked_at),
        cmocka_unit_test(a_lease_that_was_deleted_is_made_again),
        cmocka_unit_test(answers_that_are_none),
        cmocka_unit_test(never_two_leaders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
