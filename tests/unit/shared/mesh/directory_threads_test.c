#include "shared/mesh/directory.h"

#include "shared/base/clock.h"
#include "tests/unit/shared/mesh/nouns.h"
#include "tests/unit/shared/mesh/routes.h"

#include <pthread.h>
#include <stdatomic.h>

/*
 * Two readers and the writer at once, for a bounded time: worth most under ThreadSanitizer and
 * AddressSanitizer. What the readers check holds at every moment, whatever the writer is doing.
 */
enum {
    WORKLOADS = 40,
    SERVICES = 5,
    POLICIES = 6,
    ADDRESSES = 16,
    READERS = 2,
    TABLES = 4,
    RUN_MS = 2000
};

struct world {
    struct directory *d;
    atomic_bool over;
    atomic_uint_fast64_t reads;
};

/* cmocka's assertions end a test by a jump, which only the main thread may do. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static bool any_policy(const struct policy *p, void *arg)
{
    (void)arg;
    must(p->n_rules <= 2 && p->key[0]);
    return true;
}

static bool any_workload(const struct workload *w, void *arg)
{
    (void)arg;
    must(strncmp(w->uid, "cluster//Pod/ns/w", 17) == 0);
    must(strcmp(w->uid + 16, w->name) == 0); /* both were made from one number */
    return true;
}

static void read_once(const struct world *world, struct rng *rng, const struct workload *guarded)
{
    const struct directory *d = world->d;
    char text[64];

    snprintf(text, sizeof text, "cluster//Pod/ns/w%u", (unsigned)rng_below(rng, WORKLOADS));
    const struct workload *w = directory_workload(d, text_of(text));
    if (w) {
        must(strcmp(w->uid, text) == 0);
        (void)any_workload(w, NULL);
    }
    struct ip ip = test_ip(rng, (unsigned)rng_below(rng, ADDRESSES));
    const struct workload *at = directory_workload_at(d, TEXT(""), &ip);
    if (at) {
        /* Its state may be newer than its claim; it is whole all the same. */
        (void)any_workload(at, NULL);
    }
    snprintf(text, sizeof text, "ns/s%u", (unsigned)rng_below(rng, SERVICES));
    const struct service *s = directory_service(d, text_of(text));
    if (s) {
        const struct workload *const *items;
        struct choice choice;
        must(strcmp(s->key, text) == 0);
        size_t n = directory_endpoints(d, s, &items);
        for (size_t i = 0; i < n; i++) {
            bool lists = false;
            for (size_t k = 0; k < items[i]->n_services; k++)
                lists = lists || strcmp(items[i]->services[k].key, text) == 0;
            must(lists);
        }
        if (directory_choose(d, s, 80, w, 0, rng, &choice) == 0) {
            must(choice.target.port != 0 && choice.target.ip.len != 0);
            must(choice.workload->capacity > 0);
        }
    }
    (void)directory_service_at(d, TEXT("net"), &ip);

    /* The policy that denies everything is always in one of two sets: it only moves. */
    struct access access = {.source = ip, .destination = ip, .destination_port = 1};
    struct verdict verdict;
    for (unsigned i = 0; i < 20; i++) {
        directory_authorise(d, guarded, &access, &verdict);
        must(!verdict.allowed);
    }
    if (one_in(rng, 50)) {
        struct directory_counts counts;
        directory_each_policy(d, any_policy, NULL);
        directory_each_workload(d, any_workload, NULL);
        directory_counts(d, &counts);
        must(counts.workloads <= WORKLOADS && counts.services <= SERVICES);
    }
}

/* Whole, and of its name; whoever took it may wait as long as he likes. */
static void check_routes(const struct route_table *t)
{
    must(t->finished && t->n_hosts == 1);
    must(text_equal(t->name, t->hosts[0].name));
}

static struct route_table *take_routes(const struct directory *d, struct rng *rng)
{
    char name[16];
    snprintf(name, sizeof name, "r%u", (unsigned)rng_below(rng, TABLES));
    struct route_table *t = directory_routes(d, text_of(name));
    if (t)
        must(text_equal(t->name, text_of(name)));
    return t;
}

static void *reader(void *arg)
{
    struct world *world = arg;
    struct workload *guarded = workload_new();
    struct route_table *kept = NULL;
    struct rng rng;
    uint64_t reads = 0, version = 0;

    must(guarded);
    put_text(&guarded->ns, heap_text("guarded"));
    must(rng_seed_os(&rng) == 0);
    directory_thread_register();
    while (!atomic_load(&world->over)) {
        for (unsigned i = 0; i < 20; i++)
            read_once(world, &rng, guarded);
        uint64_t now = directory_version(world->d);
        must(now >= version);
        version = now;
        reads += 20;
        struct route_table *taken = take_routes(world->d, &rng);
        directory_thread_offline(); /* as before a wait in the kernel */
        directory_thread_online();
        if (kept)
            check_routes(kept);
        route_table_unref(kept);
        kept = taken;
    }
    route_table_unref(kept);
    directory_thread_unregister();
    (void)workload_free(guarded);
    atomic_fetch_add(&world->reads, reads);
    return NULL;
}

/* A DENY that matches everything, in the scope given, and each time a bit different. */
static struct policy *deny_all(enum policy_scope scope, unsigned n)
{
    struct policy *p = policy_new();
    assert_non_null(p);
    put_text(&p->ns, heap_text("guarded"));
    put_text(&p->name, heap_text("deny-all"));
    put_text(&p->key, heap_text("guarded/deny-all"));
    p->action = POLICY_DENY;
    p->scope = scope;
    p->n_rules = 1 + n % 2;
    p->rules = calloc(2, sizeof *p->rules);
    assert_non_null(p->rules);
    return p;
}

static struct route_table *some_routes(unsigned id)
{
    char name[16], why[WHY_MAX];
    struct route_table *t = new_table(1);
    snprintf(name, sizeof name, "r%u", id);
    (void)SET_HOST(t, 0, name, 0, "*");
    t->name = t->hosts[0].name;
    assert_int_equal(route_table_finish(t, why), 0);
    return t;
}

static void readers_see_only_whole_things(void **state)
{
    struct world world = {0};
    pthread_t threads[READERS];
    struct rng rng;
    uint64_t writes = 0;

    (void)state;
    test_seed(&rng);
    directory_thread_register();
    assert_int_equal(directory_new(&world.d), 0);
    assert_int_equal(directory_put_policy(world.d, deny_all(POLICY_GLOBAL, 0)), 0);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &world), 0);
    uint64_t end_ms = clock_monotonic_ms() + RUN_MS;
    while (clock_monotonic_ms() < end_ms) {
        for (unsigned i = 0; i < 50; i++, writes++) {
            unsigned id = (unsigned)rng_below(&rng, WORKLOADS);
            char key[64];
            switch (rng_below(&rng, 12)) {
            case 10:
                snprintf(key, sizeof key, "r%u", id % TABLES);
                (void)directory_remove_routes(world.d, text_of(key));
                break;
            case 11:
                assert_int_equal(directory_put_routes(world.d, some_routes(id % TABLES)), 0);
                break;
            case 0:
                snprintf(key, sizeof key, "cluster//Pod/ns/w%u", id);
                (void)directory_remove_workload(world.d, text_of(key));
                break;
            case 1:
                snprintf(key, sizeof key, "ns/s%u", id % SERVICES);
                (void)directory_remove_service(world.d, text_of(key));
                break;
            case 2:
                snprintf(key, sizeof key, "ns%u/p%u", id % 3, id / 3 % POLICIES);
                (void)directory_remove_policy(world.d, text_of(key));
                break;
            case 3:
                assert_int_equal(directory_put_policy(world.d, random_policy(&rng, id % POLICIES)),
                                 0);
                break;
            case 4:
                assert_int_equal(
                    directory_put_service(world.d, random_service(&rng, id % SERVICES, ADDRESSES)),
                    0);
                break;
            case 5:
            case 6:
                assert_int_equal(
                    directory_put_policy(
                        world.d, deny_all(one_in(&rng, 2) ? POLICY_GLOBAL : POLICY_NAMESPACE,
                                          (unsigned)rng_below(&rng, 2))),
                    0);
                break;
            default:
                assert_int_equal(
                    directory_put_workload(world.d, random_workload(&rng, id, ADDRESSES, SERVICES)),
                    0);
            }
        }
        directory_thread_offline();
        directory_thread_online();
    }
    atomic_store(&world.over, true);
    directory_thread_offline();
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    directory_thread_online();
    print_message("%llu writes, %llu reads\n", (unsigned long long)writes,
                  (unsigned long long)atomic_load(&world.reads));
    assert_true(writes > 1000 && atomic_load(&world.reads) > 1000);
    assert_null(directory_free(world.d));
    directory_thread_unregister();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(readers_see_only_whole_things)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
