/*
 * Who claims which address of which network. Several may claim one: of them the latest is its
 * owner, and when that one goes, the latest of the rest. An address that somebody claims as shared
 * (host network) has no owner at all. A claim keeps its place as long as it stands. Of this folder;
 * one writer, readers without locks. The costs are those of the claims on one address, not of the
 * table.
 */
#ifndef SHARED_MESH_ADDRESS_TABLE_H
#define SHARED_MESH_ADDRESS_TABLE_H
#include "shared/base/addr.h"
#include "shared/mesh/rcu.h"
#include <urcu/rculfhash.h>

struct address_table {
    struct cds_lfht *entries;
    uint64_t seed[2];
};
int address_table_init(struct address_table *t, const uint64_t seed[2]); /* -ENOMEM */
void address_table_done(struct address_table *t);                        /* no claim may be left */
/* Makes sure that one more claim fits: address_claim() then can't fail. -ENOMEM */
int address_reserve(struct address_table *t, struct text network, const struct ip *ip);
/* Takes back what is reserved and not claimed. */
void address_unreserve(struct address_table *t, struct text network, const struct ip *ip);
void address_claim(struct address_table *t, struct text network, const struct ip *ip, void *who,
                   bool shared);
void address_unclaim(struct address_table *t, struct text network, const struct ip *ip,
                     const void *who); /* its earliest claim */
void *address_owner(const struct address_table *t, struct text network, const struct ip *ip);
#endif
