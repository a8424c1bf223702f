/*
 * What the CA does with the bytes of a CreateCertificate message: message, identity, request for
 * a key. The first byte says whether placement is known and whose token it is. Whatever comes: it
 * is refused with a reason and nothing is issued, or a certificate was issued to that node that
 * says exactly the identity that was asked for and may be had.
 * covers: ca/grant.c shared/xds/certificate_codec.c
 */
#include "ca/grant.h"
#include "tests/support/tmp.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PROXY "spiffe://cluster.local/ns/weir-system/sa/weir-nodeproxy"
#define ALICE "spiffe://cluster.local/ns/default/sa/alice"
#define BOB   "spiffe://cluster.local/ns/default/sa/bob"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW_S = 1800000000, UNKNOWN_BIT = 1, OTHER_NODE_BIT = 2, BAD_TOKEN_BIT = 4 };

static char folder[TMP_PATH_MAX];
static struct store *store;
static struct root root;
static struct placement placement;
static struct grant grant;
static char tokens[2][ATTEST_TOKEN_TEXT_MAX];
static const char *const nodes[] = {"node-a", "node-b"};

static void clean(void)
{
    static const char *const names[] = {"state/ca.db", "state/ca.db-wal", "state/ca.db-shm",
                                        "state", ""};
    char path[128];
    grant_done(&grant);
    placement_done(&placement);
    root_done(&root);
    store_close(store);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)remove(path);
    }
}

static void must(bool good)
{
    if (!good)
        abort();
}

static void begin(void)
{
    char path[64], why[STORE_WHY_MAX];
    must(tmp_folder(folder, "fuzz-ca") != NULL);
    snprintf(path, sizeof path, "%s/state", folder);
    must(store_open(&store, path, why) == 0 && root_open(&root, store, NOW_S, why) == 0);
    placement_init(&placement);
    grant_init(&grant);
    must(atexit(clean) == 0);
    grant.store = store;
    grant.root = &root;
    grant.placement = &placement;
    grant.trust_domain = TEXT("cluster.local");
    grant.ttl_s = 3600;
    grant.ttl_max_s = 7200;
    must(spiffe_id_parse(TEXT(PROXY), &grant.proxy_id) == 0);
    for (size_t i = 0; i < 2; i++) {
        struct workload *w = workload_new();
        must(w && workload_set(&w->node, text_of(nodes[i])) == 0 &&
             workload_set(&w->ns, TEXT("default")) == 0 &&
             workload_set(&w->service_account, i == 0 ? TEXT("alice") : TEXT("bob")) == 0);
        w->tunnel = TUNNEL_HBONE;
        must(placement_put(&placement, text_of(nodes[i]), w) == 0);
        workload_free(w);
        must(attest_make_token(store, nodes[i], NOW_S + 1, tokens[i]) == 0);
    }
}

static uint64_t count(void)
{
    uint64_t n;
    must(store_count_issued(store, &n) == 0);
    return n;
}

static void check_issued(const struct grant_answer *a, uint8_t bits)
{
    size_t node = (bits & OTHER_NODE_BIT) != 0, n;
    const char *why, *placed = node == 0 ? ALICE : BOB;
    struct x509 leaf;
    must(!(bits & BAD_TOKEN_BIT) && strcmp(a->node, nodes[node]) == 0);
    must(strcmp(a->identity, PROXY) == 0 ||
         (!(bits & UNKNOWN_BIT) && strcmp(a->identity, placed) == 0));
    must(a->response.n == 3 &&
         x509_from_pem(text_of(a->response.pems[0]), &leaf, 1, &n, &why) == 0);
    must(strcmp(leaf.uri, a->identity) == 0 && leaf.uri_count == 1 && !leaf.is_ca &&
         x509_check_svid_leaf(&leaf) == NULL);
    must(leaf.not_after_s >= NOW_S + ISSUE_TTL_MIN_S &&
         leaf.not_after_s <= NOW_S + grant.ttl_max_s);
    must(x509_verify(&leaf, 1, &root.intermediate, 1, NOW_S, &why) == 0);
    x509_done(&leaf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct grant_answer a;
    static uint64_t now_ms = 1;
    if (!store)
        begin();
    if (size == 0)
        return 0;
    uint8_t bits = data[0];
    const char *token = bits & BAD_TOKEN_BIT ? "bad" : tokens[(bits & OTHER_NODE_BIT) != 0];
    uint64_t before = count();
    now_ms += 60000; /* the rate is not what is looked at here */
    const struct grant_ask q = {.bearer = text_of(token),
                                .request = data + 1,
                                .len = size - 1,
                                .placement_known = !(bits & UNKNOWN_BIT),
                                .now_s = NOW_S,
                                .now_ms = now_ms};
    struct ledger_entry *e = &a.entry;
    grant_decide(&grant, &q, &a);
    ledger_write(store, &e, 1);
    grant_settle(&a);
    if (a.status == GRPC_OK) {
        must(count() == before + 1);
        check_issued(&a, bits);
        certificate_response_done(&a.response);
    } else {
        must(count() == before && a.why[0] && a.message[0] && !a.response.pems &&
             !a.issued.leaf_pem[0]);
    }
    return 0;
}
