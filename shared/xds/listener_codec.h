/*
 * What listeners of proxyless clients and of sidecars have in common. For files of this folder alone.
 */
#ifndef SHARED_XDS_LISTENER_CODEC_H
#define SHARED_XDS_LISTENER_CODEC_H
#include "hcm.pb-c.h"
#include "shared/xds/codec.h"

typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager
    Manager;
/* With all filters that a route may speak to; routes: of a RouteConfiguration that ADS serves, NULL: none
 * yet. NULL: no memory. */
Manager *encode_manager(struct writer *w, const char *stat_prefix, const char *routes);
#endif
