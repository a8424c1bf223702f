#include "shared/mesh/directory.h"

#include "shared/base/clock.h"
#include "tests/support/next_function.h"
#include "tests/unit/shared/mesh/nouns.h"

#include <malloc.h>

/*
 * What one change costs the writer in a mesh of 1,000 and of 100,000 workloads, counted: calls of
 * the allocator, bytes asked for (what is copied is allocated first), and comparisons of names.
 * Time is printed, and no test.
 */
struct cost {
    unsigned long calls, bytes, compares;
};
static _Thread_local struct cost spent;

UNWATCHED void *malloc(size_t size)
{
    static void *(*next)(size_t);
    if (!next)
        *(void **)&next = next_function("malloc");
    spent.calls++;
    spent.bytes += size;
    return next(size);
}

UNWATCHED void *calloc(size_t n, size_t size)
{
    static void *(*next)(size_t, size_t);
    if (!next)
        *(void **)&next = next_function("calloc");
    spent.calls++;
    spent.bytes += n * size;
    return next(n, size);
}

UNWATCHED int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;

    spent.compares++;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

#if defined(__SANITIZE_THREAD__)
enum { LARGE = 20000 }; /* many times slower there */
#else
enum { LARGE = 100000 };
#endif
enum { SMALL = 1000, PER_SERVICE = 5, SAMPLES = 200 };

/* Pod number `n` as a controller tells it: all that is usual, names of usual length. */
static struct workload *pod(unsigned n, bool healthy)
{
    struct workload *w = workload_new();
    assert_non_null(w);
    put_text(&w->uid, heap_text("Kubernetes//Pod/namespace-%u/deployment-%u-5d8f6c7b9-x%05u",
                                n % 100, n / PER_SERVICE, n));
    put_text(&w->name, heap_text("deployment-%u-5d8f6c7b9-x%05u", n / PER_SERVICE, n));
    put_text(&w->ns, heap_text("namespace-%u", n % 100));
    put_text(&w->service_account, heap_text("deployment-%u", n / PER_SERVICE));
    put_text(&w->node, heap_text("node-%u.example.internal", n / 50));
    put_text(&w->canonical_name, heap_text("deployment-%u", n / PER_SERVICE));
    put_text(&w->canonical_revision, heap_text("latest"));
    put_text(&w->workload_name, heap_text("deployment-%u", n / PER_SERVICE));
    put_text(&w->cluster_id, heap_text("Kubernetes"));
    put_text(&w->locality.region, heap_text("eu-central-1"));
    put_text(&w->locality.zone, heap_text("eu-central-1%c", 'a' + n % 3));
    w->tunnel = TUNNEL_HBONE;
    w->healthy = healthy;
    w->n_addresses = 1;
    w->addresses = calloc(1, sizeof *w->addresses);
    w->n_services = 1;
    w->services = calloc(1, sizeof *w->services);
    assert_true(w->addresses && w->services);
    w->addresses[0] = (struct ip){4, {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
    w->services[0].key =
        heap_text("namespace/service-%u.namespace.svc.cluster.local", n / PER_SERVICE);
    w->services[0].ports = calloc(1, sizeof *w->services[0].ports);
    assert_non_null(w->services[0].ports);
    w->services[0].ports[0] = (struct port_pair){80, 8080, 0};
    w->services[0].n_ports = 1;
    return w;
}

static struct service *virtual_service(unsigned n)
{
    struct service *s = service_new();
    assert_non_null(s);
    put_text(&s->key, heap_text("namespace/service-%u.namespace.svc.cluster.local", n));
    s->n_addresses = s->n_ports = 1;
    s->addresses = calloc(1, sizeof *s->addresses);
    s->ports = calloc(1, sizeof *s->ports);
    assert_true(s->addresses && s->ports);
    s->addresses[0].ip = (struct ip){4, {172, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
    s->addresses[0].network = heap_text("%s", "");
    s->ports[0] = (struct port_pair){80, 8080, 0};
    return s;
}

/* The most that one of several calls spent, hash collisions included. */
static void add_sample(struct cost *most, const struct cost *before)
{
    struct cost used = {spent.calls - before->calls, spent.bytes - before->bytes,
                        spent.compares - before->compares};
    most->calls = used.calls > most->calls ? used.calls : most->calls;
    most->bytes = used.bytes > most->bytes ? used.bytes : most->bytes;
    most->compares = used.compares > most->compares ? used.compares : most->compares;
}

struct costs {
    struct cost change, remove, add, service, policy, look;
};

static void quiescent(void)
{
    directory_thread_offline();
    directory_thread_online();
}

static void measure(unsigned workloads, struct costs *ret)
{
    struct directory *d;
    struct rng rng;

    rng_seed(&rng, 7);
    assert_int_equal(directory_new(&d), 0);
    size_t used = mallinfo2().uordblks + mallinfo2().hblkhd;
    uint64_t start_us = clock_monotonic_us();
    for (unsigned n = 0; n < workloads; n++) {
        assert_int_equal(directory_put_workload(d, pod(n, true)), 0);
        if (n % 100 == 0)
            quiescent();
    }
    uint64_t took_us = clock_monotonic_us() - start_us;
    quiescent();
    size_t now = mallinfo2().uordblks + mallinfo2().hblkhd;
    print_message("%u workloads: %.1f us each to put, %zu bytes each on the heap\n", workloads,
                  (double)took_us / workloads, (now - used) / workloads);
    /* Sanitizers' heaps don't count this way: there the numbers are 0. */
    if (now > used && workloads >= 10000)
        assert_true((now - used) / workloads < 1024);
    for (unsigned n = 0; n < workloads / PER_SERVICE; n++)
        assert_int_equal(directory_put_service(d, virtual_service(n)), 0);

    for (unsigned i = 0; i < SAMPLES; i++) {
        unsigned n = (unsigned)rng_below(&rng, workloads);
        struct cost before;
        struct workload *w = pod(n, i % 2);
        char uid[128];
        snprintf(uid, sizeof uid, "%s", w->uid);
        before = spent;
        assert_int_equal(directory_put_workload(d, w), 0);
        add_sample(&ret->change, &before);

        before = spent;
        const struct workload *found = directory_workload(d, text_of(uid));
        const struct service *s = directory_service(d, text_of(found->services[0].key));
        struct ip ip = found->addresses[0];
        struct choice choice;
        struct verdict verdict;
        struct access access = {.source = ip, .destination = ip, .destination_port = 8080};
        assert_ptr_equal(directory_workload_at(d, TEXT(""), &ip), found);
        (void)directory_choose(d, s, 80, found, 0, &rng, &choice);
        directory_authorise(d, found, &access, &verdict);
        add_sample(&ret->look, &before);

        before = spent;
        assert_true(directory_remove_workload(d, text_of(uid)));
        add_sample(&ret->remove, &before);
        w = pod(n, true);
        before = spent;
        assert_int_equal(directory_put_workload(d, w), 0);
        add_sample(&ret->add, &before);

        struct service *service = virtual_service(n / PER_SERVICE);
        service->canonical = i % 2;
        before = spent;
        assert_int_equal(directory_put_service(d, service), 0);
        add_sample(&ret->service, &before);

        struct policy *p = policy_new();
        assert_non_null(p);
        put_text(&p->key, heap_text("namespace/policy"));
        p->dry_run = i % 2;
        before = spent;
        assert_int_equal(directory_put_policy(d, p), 0);
        add_sample(&ret->policy, &before);
        quiescent();
    }
    assert_null(directory_free(d));
}

static void compare(const char *what, const struct cost *small, const struct cost *large)
{
    print_message("%-8s %d: %3lu calls %5lu bytes %3lu compares; %d: %3lu calls %5lu bytes %3lu "
                  "compares\n",
                  what, SMALL, small->calls, small->bytes, small->compares, LARGE, large->calls,
                  large->bytes, large->compares);
    /* Names get a bit longer with their numbers; a table may hold one or two more in a chain. */
    assert_true(large->calls <= small->calls + 2);
    assert_true(large->bytes <= small->bytes + small->bytes / 4 + 64);
    assert_true(large->compares <= small->compares * 2 + 16);
}

static void a_change_costs_what_changed(void **state)
{
    struct costs small = {0}, large = {0};

    (void)state;
    measure(SMALL, &small);
    measure(LARGE, &large);
    compare("change", &small.change, &large.change);
    compare("add", &small.add, &large.add);
    compare("remove", &small.remove, &large.remove);
    compare("service", &small.service, &large.service);
    compare("policy", &small.policy, &large.policy);
    compare("look", &small.look, &large.look);
    assert_int_equal(large.look.calls, 0); /* readers never allocate */
}

/* Endpoints come one by one: the array of a big service is not copied each time. */
static void a_big_service_fills_at_the_cost_of_its_size(void **state)
{
    enum { ENDPOINTS = 20000 };
    struct directory *d;
    struct service s = {.key = (char *)"ns/big"};
    const struct workload *const *items;

    (void)state;
    assert_int_equal(directory_new(&d), 0);
    unsigned long bytes = 0;
    for (unsigned n = 0; n < ENDPOINTS; n++) {
        struct workload *w = workload_new();
        assert_non_null(w);
        put_text(&w->uid, heap_text("%u", n));
        w->services = calloc(1, sizeof *w->services);
        assert_non_null(w->services);
        w->n_services = 1;
        w->services[0].key = heap_text("ns/big");
        unsigned long before = spent.bytes;
        assert_int_equal(directory_put_workload(d, w), 0);
        bytes += spent.bytes - before;
        if (n % 100 == 0)
            quiescent();
    }
    assert_int_equal(directory_endpoints(d, &s, &items), ENDPOINTS);
    print_message("%d endpoints of one service: %lu bytes each to put\n", ENDPOINTS,
                  bytes / ENDPOINTS);
    assert_true(bytes / ENDPOINTS < 1024);
    assert_null(directory_free(d));
}

static int register_thread(void **state)
{
    (void)state;
    directory_thread_register();
    return 0;
}

static int unregister_thread(void **state)
{
    (void)state;
    directory_thread_unregister();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_costs_what_changed),
        cmocka_unit_test(a_big_service_fills_at_the_cost_of_its_size),
    };
    return cmocka_run_group_tests(tests, register_thread, unregister_thread);
}
