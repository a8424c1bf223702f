/* Which names a pod's query finds in the directory, in all the forms that search domains make. */
#include "nodeproxy/dns/dns_names.h"
#include "tests/unit/nodeproxy/dns/dns_mesh.h"
#include "tests/unit/shared/dns/dns_fixture.h"

static struct directory *directory;
static struct dns_mesh mesh;
static struct rng rng;
static uint8_t out[DNS_MESSAGE_MAX];

static int set_up(void **state)
{
    (void)state;
    rng_seed(&rng, 1);
    assert_int_equal(directory_new(&directory), 0);
    directory_thread_register();
    mesh = (struct dns_mesh){.directory = directory,
                             .network = TEXT("net"),
                             .domain = TEXT("cluster.local"),
                             .ttl_s = 5};
    dns_mesh_service(directory, "shop", "web.shop.svc.cluster.local", "10.96.0.1 fd00::1", 0);
    dns_mesh_service(directory, "shop", "v4.shop.svc.cluster.local", "10.96.0.4", 0);
    dns_mesh_service(directory, "shop", "db.shop.svc.cluster.local", "", 0);
    dns_mesh_service(directory, "shop", "slow.shop.svc.cluster.local", "", DNS_MESH_UNREADY);
    dns_mesh_service(directory, "shop", "far.shop.svc.cluster.local", "10.96.0.9", DNS_MESH_FAR);
    dns_mesh_service(directory, "shop", "empty.shop.svc.cluster.local", "", 0);
    dns_mesh_service(directory, "other", "web.other.svc.cluster.local", "10.96.0.2", 0);
    dns_mesh_service(directory, "other", "api.example.com", "240.240.0.1", 0);
    dns_mesh_service(directory, "shop", "both.example.com", "240.240.0.2", 0);
    dns_mesh_service(directory, "other", "both.example.com", "240.240.0.3", 0);
    /* Somebody claims a name in another's namespace. */
    dns_mesh_service(directory, "evil", "bank.shop.svc.cluster.local", "10.66.6.6", 0);
    dns_mesh_endpoint(directory, "shop", "db-0", "db-0", "10.0.0.1 fd00:1::1",
                      "shop/db.shop.svc.cluster.local", true);
    dns_mesh_endpoint(directory, "shop", "db-1", "db-1", "10.0.0.2",
                      "shop/db.shop.svc.cluster.local", true);
    dns_mesh_endpoint(directory, "shop", "db-2", "db-2", "10.0.0.3",
                      "shop/db.shop.svc.cluster.local", false);
    dns_mesh_endpoint(directory, "shop", "slow-0", "slow-0", "10.0.0.4",
                      "shop/slow.shop.svc.cluster.local", false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    directory_thread_unregister();
    directory = directory_free(directory);
    return 0;
}

/* The rows, with blanks of a line between; "none" is an answer without any, "forward" is none. */
static const char *answer_sized(const char *ns, const char *name, uint16_t type, size_t size,
                                struct read_answer *ret)
{
    static char text[70000];
    uint8_t bytes[600];
    struct dns_query q;
    struct text_out o = TEXT_OUT(text);
    size_t len = make_query(bytes, 77, name, type, 0);
    assert_int_equal(dns_query_read(bytes, len, &q), 0);
    len = dns_names_answer(&mesh, text_of(ns), &q, &rng, out, size);
    if (len == 0)
        return "forward";
    read_answer(out, len, ret);
    assert_int_equal(ret->id, 77);
    assert_int_equal(ret->code, 0);
    assert_string_equal(ret->question, name);
    for (unsigned i = 0; i < ret->n_answers; i++)
        text_printf(&o, "%s%s", i > 0 ? "|" : "", ret->rows[i]);
    read_answer_done(ret);
    return ret->n_answers > 0 ? text : "none";
}

static const char *answer(const char *ns, const char *name, uint16_t type)
{
    struct read_answer ignored;
    return answer_sized(ns, name, type, sizeof out, &ignored);
}
#define IS(ns, name, type, wanted) assert_string_equal(answer(ns, name, type), wanted)

static void full_names(void **state)
{
    (void)state;
    IS("x", "web.shop.svc.cluster.local", DNS_A, "web.shop.svc.cluster.local 5 a 10.96.0.1");
    IS("x", "web.shop.svc.cluster.local", DNS_AAAA, "web.shop.svc.cluster.local 5 aaaa fd00::1");
    IS("x", "WEB.shop.SVC.cluster.local", DNS_A, "WEB.shop.SVC.cluster.local 5 a 10.96.0.1");
    IS("x", "api.example.com", DNS_A, "api.example.com 5 a 240.240.0.1");
    IS("x", "none.shop.svc.cluster.local", DNS_A, "forward");
    IS("x", "www.example.com", DNS_A, "forward");
    IS("x", "example.com", DNS_A, "forward");
    IS("x", "", DNS_A, "forward");
    IS("x", "cluster.local", DNS_A, "forward");
    IS("x", "svc.cluster.local", DNS_A, "forward");
    IS("x", "shop.svc.cluster.local", DNS_A, "forward");
}

/* A family or a type that is missing is no denial: the name is there. */
static void what_is_missing_is_not_denied(void **state)
{
    (void)state;
    IS("x", "v4.shop.svc.cluster.local", DNS_AAAA, "none");
    IS("x", "web.shop.svc.cluster.local", DNS_TXT, "none");
    IS("x", "web.shop.svc.cluster.local", 65, "none");
    IS("x", "far.shop.svc.cluster.local", DNS_A, "none"); /* an address of another network */
    IS("x", "v4.shop", DNS_AAAA, "v4.shop 5 cname v4.shop.svc.cluster.local");
    /* The directory does not know names of ports. */
    IS("x", "_http._tcp.web.shop.svc.cluster.local", DNS_SRV, "forward");
    IS("x", "web.shop.svc.cluster.local", DNS_SRV, "forward");
}

static void as_search_domains_make_them(void **state)
{
    const char *shop = "10.96.0.1";
    static const struct {
        const char *ns, *name;
        bool other;
    } cases[] = {
        {"shop", "web", false},
        {"other", "web", true},
        {"x", "web.shop", false},
        {"x", "web.shop.svc", false},
        {"x", "web.other", true},
        /* the pod's search domains, in the order in which they are tried */
        {"x", "web.shop.x.svc.cluster.local", false},
        {"x", "web.shop.svc.x.svc.cluster.local", false},
        {"x", "web.shop.svc.svc.cluster.local", false},
        {"x", "web.shop.svc.cluster.local.x.svc.cluster.local", false},
        {"x", "web.shop.svc.cluster.local.svc.cluster.local", false},
        {"x", "web.shop.svc.cluster.local.cluster.local", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char wanted[500];
        const char *full =
            cases[i].other ? "web.other.svc.cluster.local" : "web.shop.svc.cluster.local";
        snprintf(wanted, sizeof wanted, "%s 5 cname %s|%s 5 a %s", cases[i].name, full, full,
                 cases[i].other ? "10.96.0.2" : shop);
        IS(cases[i].ns, cases[i].name, DNS_A, wanted);
    }
    IS("x", "api.example.com.x.svc.cluster.local", DNS_A,
       "api.example.com.x.svc.cluster.local 5 cname api.example.com|"
       "api.example.com 5 a 240.240.0.1");
    /* Search domains of another namespace are not this pod's. */
    IS("x", "web.shop.y.svc.cluster.local", DNS_A, "forward");
    IS("x", "web", DNS_A, "forward");
    IS("x", "web.x.svc.cluster.local", DNS_A, "forward");
    IS("x", "db.web.shop.svc.cluster.local", DNS_A, "forward");
}

/* What a name says literally comes first. */
static void nearer_names_first(void **state)
{
    (void)state;
    dns_mesh_service(directory, "svc", "web.svc.svc.cluster.local", "10.96.7.7", 0);
    IS("x", "web.svc.svc.cluster.local", DNS_A, "web.svc.svc.cluster.local 5 a 10.96.7.7");
    /* db-0 of service web in namespace shop, were it headless; else web.db-0 ... are others' */
    dns_mesh_service(directory, "db", "db-0.db.svc.cluster.local", "10.96.8.8", 0);
    IS("shop", "db-0.db", DNS_A,
       "db-0.db 5 cname db-0.db.shop.svc.cluster.local|"
       "db-0.db.shop.svc.cluster.local 5 a 10.0.0.1");
    IS("x", "db-0.db", DNS_A,
       "db-0.db 5 cname db-0.db.svc.cluster.local|db-0.db.svc.cluster.local 5 a 10.96.8.8");
}

static void headless(void **state)
{
    char one[200] = "", two[200] = "";
    (void)state;
    for (unsigned i = 0; i < 64; i++) { /* in any order */
        const char *rows = answer("x", "db.shop.svc.cluster.local", DNS_A);
        snprintf(strstr(rows, "10.0.0.1") < strstr(rows, "10.0.0.2") ? one : two, sizeof one, "%s",
                 rows);
    }
    assert_string_equal(one, "db.shop.svc.cluster.local 5 a 10.0.0.1|"
                             "db.shop.svc.cluster.local 5 a 10.0.0.2");
    assert_string_equal(two, "db.shop.svc.cluster.local 5 a 10.0.0.2|"
                             "db.shop.svc.cluster.local 5 a 10.0.0.1");
    IS("x", "db.shop.svc.cluster.local", DNS_AAAA, "db.shop.svc.cluster.local 5 aaaa fd00:1::1");
    IS("x", "db-1.db.shop.svc.cluster.local", DNS_A,
       "db-1.db.shop.svc.cluster.local 5 a 10.0.0.2");
    IS("x", "db-1.db.shop.svc.cluster.local", DNS_AAAA, "none");
    IS("x", "db-2.db.shop.svc.cluster.local", DNS_A, "forward"); /* it is not ready */
    IS("x", "db-9.db.shop.svc.cluster.local", DNS_A, "forward");
    IS("x", "slow.shop.svc.cluster.local", DNS_A, "slow.shop.svc.cluster.local 5 a 10.0.0.4");
    IS("x", "slow-0.slow.shop.svc.cluster.local", DNS_A,
       "slow-0.slow.shop.svc.cluster.local 5 a 10.0.0.4");
    /* Its endpoints may be none of the mesh's: the cluster's own server knows. */
    IS("x", "empty.shop.svc.cluster.local", DNS_A, "forward");
}

static void whose_name_it_is(void **state)
{
    (void)state;
    IS("x", "bank.shop.svc.cluster.local", DNS_A, "forward");
    IS("evil", "bank.shop.svc.cluster.local", DNS_A, "forward");
    IS("shop", "both.example.com", DNS_A, "both.example.com 5 a 240.240.0.2");
    IS("other", "both.example.com", DNS_A, "both.example.com 5 a 240.240.0.3");
    IS("x", "both.example.com", DNS_A, "both.example.com 5 a 240.240.0.3");
    assert_true(directory_remove_service(directory, TEXT("other/both.example.com")));
    IS("x", "both.example.com", DNS_A, "both.example.com 5 a 240.240.0.2");
    assert_true(directory_remove_service(directory, TEXT("shop/both.example.com")));
    IS("x", "both.example.com", DNS_A, "forward");
}

static void many_endpoints(void **state)
{
    struct read_answer read;
    (void)state;
    dns_mesh_service(directory, "shop", "big.shop.svc.cluster.local", "", 0);
    for (unsigned i = 0; i < 200; i++) {
        char name[20], address[20];
        snprintf(name, sizeof name, "big-%u", i);
        snprintf(address, sizeof address, "10.1.0.%u", i + 1);
        dns_mesh_endpoint(directory, "shop", name, name, address, "shop/big.shop.svc.cluster.local",
                          true);
    }
    (void)answer_sized("x", "big.shop.svc.cluster.local", DNS_A, DNS_PLAIN_MAX, &read);
    assert_true(read.truncated);
    assert_int_equal(read.n_answers, (DNS_PLAIN_MAX - DNS_HEAD_BYTES - 32) / 16);
    (void)answer_sized("x", "big.shop.svc.cluster.local", DNS_A, DNS_MESSAGE_MAX, &read);
    assert_false(read.truncated);
    assert_int_equal(read.n_answers, 200);
}

/* Names as long as names get, in each form: nothing overflows, nothing is found. */
static void long_names(void **state)
{
    static const char *const ends[] = {".cluster.local", ".svc.cluster.local", ".x.svc.cluster.local"};
    char name[260] = "";
    (void)state;
    for (unsigned len = 200; len <= 253; len++) {
        for (unsigned i = 0; i < len; i++)
            name[i] = i % 50 == 49 ? '.' : 'a';
        name[len - 1] = 'a';
        name[len] = '\0';
        IS("x", name, DNS_A, "forward");
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
            size_t at = len - strlen(ends[i]);
            memcpy(name + at, ends[i], strlen(ends[i]));
            name[at - 1] = 'a';
            IS("x", name, DNS_A, "forward");
        }
    }
    mesh.domain = (struct text){name, 253};
    IS("shop", "web", DNS_A, "forward");
    mesh.domain = TEXT("");
    IS("shop", "web", DNS_A, "forward");
}

/* What a pod doesn't see has no name for it: its own resolver is asked. */
static void what_is_not_seen(void **state)
{
    struct service *s = service_new();
    struct workload *w = workload_new();
    (void)state;
    assert_true(s && w);
    dns_mesh_set(&s->key, "other/private.example.com");
    dns_mesh_set(&s->ns, "other");
    dns_mesh_set(&s->hostname, "private.example.com");
    s->addresses = calloc(1, sizeof *s->addresses);
    s->exported = calloc(1, sizeof *s->exported);
    assert_true(s->addresses && s->exported);
    s->addresses[0] = (struct service_address){text_dup(TEXT("net")), {4, {240, 240, 0, 9}}};
    s->exported[0] = text_dup(TEXT("shop"));
    s->n_addresses = s->n_exported = 1;
    assert_int_equal(directory_put_service(directory, s), 0);
    IS("shop", "private.example.com", DNS_A, "private.example.com 5 a 240.240.0.9");
    IS("other", "private.example.com", DNS_A, "forward");
    dns_mesh_set(&w->uid, "asker");
    dns_mesh_set(&w->ns, "shop");
    w->egress = calloc(1, sizeof *w->egress);
    assert_non_null(w->egress);
    w->egress[0] = text_dup(TEXT("other/*:443"));
    w->n_egress = 1;
    assert_int_equal(directory_put_workload(directory, w), 0);
    mesh.uid = TEXT("asker");
    IS("shop", "private.example.com", DNS_A, "private.example.com 5 a 240.240.0.9");
    IS("shop", "api.example.com", DNS_A, "api.example.com 5 a 240.240.0.1");
    IS("shop", "both.example.com", DNS_A, "forward"); /* shop's own comes first, and is not seen */
    IS("shop", "web.shop.svc.cluster.local", DNS_A, "forward");
    IS("shop", "web.other", DNS_A, "web.other 5 cname web.other.svc.cluster.local|web.other.svc.cluster.local 5 a 10.96.0.2");
}

static void other_queries_are_not_ours(void **state)
{
    uint8_t bytes[600];
    struct dns_query q;
    size_t len = make_query(bytes, 1, "web.shop.svc.cluster.local", DNS_A, 1232);
    (void)state;
    assert_int_equal(dns_query_read(bytes, len, &q), 0);
    assert_true(dns_names_answer(&mesh, TEXT("x"), &q, &rng, out, sizeof out) > 0);
    struct dns_query other = q;
    other.class = 3;
    assert_int_equal(dns_names_answer(&mesh, TEXT("x"), &other, &rng, out, sizeof out), 0);
    other = q;
    other.opcode = 5;
    assert_int_equal(dns_names_answer(&mesh, TEXT("x"), &other, &rng, out, sizeof out), 0);
    other = q;
    other.edns_version = 1;
    assert_int_equal(dns_names_answer(&mesh, TEXT("x"), &other, &rng, out, sizeof out), 0);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(full_names),
        EACH(what_is_missing_is_not_denied),
        EACH(as_search_domains_make_them),
        EACH(nearer_names_first),
        EACH(headless),
        EACH(whose_name_it_is),
        EACH(many_endpoints),
        EACH(long_names),
        EACH(what_is_not_seen),
        EACH(other_queries_are_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
