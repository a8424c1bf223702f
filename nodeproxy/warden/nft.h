/*
 * nftables commands, run in the network namespace that the calling thread is in: the only user of
 * libnftables. All commands of one call are one transaction: all of them or none. No state is kept
 * between calls.
 */
#ifndef NODEPROXY_WARDEN_NFT_H
#define NODEPROXY_WARDEN_NFT_H
#include "shared/base/why.h"

/* ret_text: what they print (`list ...`), on the heap; NULL: nobody wants it. -EPERM, -ENOENT,
 * -EOPNOTSUPP, -ENOMEM as far as nftables' own words tell, otherwise -EIO; why has those words. */
int nft_run(const char *commands, char **ret_text, char why[static WHY_MAX]);
#endif
