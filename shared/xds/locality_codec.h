/*
 * What somebody wrote of places for a cluster, as a part of its message. For files of this folder alone; the whole of it as
 * bytes is in routing.h.
 */
#ifndef SHARED_XDS_LOCALITY_CODEC_H
#define SHARED_XDS_LOCALITY_CODEC_H
#include "shared/mesh/locality_lb.h"
#include "shared/xds/codec.h"
#include "shared/xds/routing.h"
#include "weir_traffic.pb-c.h"

/* Into the reader's arena; checked with what it is a part of. */
int decode_locality_lb(struct reader *r, const struct place *at,
                       const Weir__Traffic__LocalityLb *m, struct locality_lb *ret);
Weir__Traffic__LocalityLb *encode_locality_lb(struct writer *w, const struct locality_lb *from);
#endif
