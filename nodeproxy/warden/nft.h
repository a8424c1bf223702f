/*
 * nftables commands, run in the network namespace that the calling thread is in: the only user of
 * libnftables. All commands of one call are one transaction: all of them or none. No state is kept
 * between calls.
 */
#ifndef NODEPROXY_WARDEN_NFT_H
#define NODEPROXY_WARDEN_NFT_H
#include "nodeproxy/capture/privileged.h"

/* -EPERM, -ENOENT, -EOPNOTSUPP, -ENOMEM as far as nftables' own words tell, otherwise -EIO; why has
 * those words. */
int nft_apply(const char *commands, char why[static PRIVILEGED_WHY_MAX]);
/* What a `list ...` command prints, on the heap. Errors as nft_apply(); -ENOENT: there is no such
 * table. */
int nft_list(const char *command, char **ret_text, char why[static PRIVILEGED_WHY_MAX]);
#endif
