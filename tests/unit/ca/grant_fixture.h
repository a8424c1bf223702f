/*
 * A grant on the store and the authorities of bench_root(), with nobody placed yet: what decides in
 * the tests of grants and of callers. Per test. One thread.
 */
#ifndef TESTS_UNIT_CA_GRANT_FIXTURE_H
#define TESTS_UNIT_CA_GRANT_FIXTURE_H
#include "ca/grant.h"
#include "tests/unit/ca/ca_fixture.h"

#define PROXY "spiffe://cluster.local/ns/weir-system/sa/weir-nodeproxy"

static struct grant grant;
static struct placement placement;

static inline void grant_begin(int64_t ttl_s, int64_t ttl_max_s)
{
    placement_init(&placement);
    grant_init(&grant);
    grant.store = bench.store;
    grant.root = &bench.root;
    grant.placement = &placement;
    grant.trust_domain = TEXT("cluster.local");
    grant.proxy_id = id_of(PROXY);
    grant.ttl_s = ttl_s;
    grant.ttl_max_s = ttl_max_s;
}

static inline void grant_end(void)
{
    grant_done(&grant);
    placement_done(&placement);
}
/* What callers.c does without a ledger. */
static inline void grant_write(struct grant_answer *a)
{
    struct ledger_entry *e = &a->entry;
    ledger_write(grant.store, &e, 1);
    grant_settle(a);
}
#endif
