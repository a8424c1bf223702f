/*
 * A pod's query, to its answer. Whatever is read, the answer is a whole message for the same id and
 * question, not longer than the asker takes, and is the answer to that query and to no other; what
 * is refused leaves no more than an id. Bytes that are no query are also tried as an answer.
 * covers: shared/dns/dns_message.c nodeproxy/dns/dns_names.c
 */
#include "nodeproxy/dns/dns_names.h"
#include "tests/unit/nodeproxy/dns/dns_mesh.h"
#include <arpa/nameser.h>
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct directory *directory;

static void free_mesh(void)
{
    directory_thread_unregister();
    directory = directory_free(directory);
}

static void make_mesh(void)
{
    char name[20], address[20];
    int r = directory_new(&directory);
    assert(r == 0);
    (void)r;
    directory_thread_register();
    atexit(free_mesh); /* LeakSanitizer can't see into liburcu's tables */
    dns_mesh_service(directory, "a", "web.a.svc.c.l", "10.96.0.1 fd00::1", 0);
    dns_mesh_service(directory, "b", "web.b.svc.c.l", "10.96.0.2", 0);
    dns_mesh_service(directory, "b", "x.y", "10.96.0.3", 0);
    dns_mesh_service(directory, "a", "db.a.svc.c.l", "", 0);
    for (unsigned i = 0; i < 90; i++) {
        snprintf(name, sizeof name, "db-%u", i);
        snprintf(address, sizeof address, "10.1.0.%u", i + 1);
        dns_mesh_endpoint(directory, "a", name, name, address, "a/db.a.svc.c.l", i % 5 != 4);
    }
}

static void check_answer(const struct dns_query *q, const uint8_t *out, size_t len, size_t size)
{
    ns_msg message;
    int r = ns_initparse(out, (int)len, &message);
    assert(r == 0 && len <= size && ns_msg_id(message) == q->id);
    assert(dns_message_answers(out, len, q, q->id));
    assert(!dns_message_answers(out, len, q, (uint16_t)(q->id + 1)));
    assert(memcmp(out + DNS_HEAD_BYTES, q->bytes + DNS_HEAD_BYTES, q->len - DNS_HEAD_BYTES) == 0);
    (void)r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[DNS_MESSAGE_MAX];
    struct dns_query q = {0}, asked = {.len = DNS_HEAD_BYTES + 5};
    struct dns_answer a;
    struct rng rng;
    if (!directory)
        make_mesh();
    if (size > DNS_MESSAGE_MAX)
        return 0;
    rng_seed(&rng, 1);
    (void)dns_message_answers(data, size, &asked, 0);
    int r = dns_query_read(data, size, &q);
    if (r == -EBADMSG)
        return 0;
    assert(r == 0 || r == -EPROTO);
    assert(q.id == dns_message_id(data) && q.len >= DNS_HEAD_BYTES && q.len <= size);
    dns_answer_begin(&a, out, DNS_PLAIN_MAX, &q, r < 0 ? DNS_FORMAT_ERROR : DNS_SERVER_FAILURE);
    size_t len = dns_answer_end(&a);
    if (r < 0) {
        assert(len == DNS_HEAD_BYTES);
        return 0;
    }
    check_answer(&q, out, len, DNS_PLAIN_MAX);
    const struct dns_mesh mesh = {.directory = directory, .domain = TEXT("c.l"), .network = TEXT("net"), .ttl_s = 5};
    len = dns_names_answer(&mesh, TEXT("a"), &q, &rng, out, q.payload);
    if (len > 0)
        check_answer(&q, out, len, q.payload);
    return 0;
}
