/*
 * The parts of a RouteConfiguration that its codecs share: matches, and what a route's action and the
 * configuration of filters have of them. For files of this folder alone.
 */
#ifndef SHARED_XDS_ROUTE_CODEC_H
#define SHARED_XDS_ROUTE_CODEC_H
#include "route.pb-c.h"
#include "shared/mesh/route.h"
#include "shared/xds/codec.h"

Envoy__Type__Matcher__V3__RegexMatcher *encode_regex(struct writer *w, struct text source);
Envoy__Config__Route__V3__HeaderMatcher **
encode_header_matches(struct writer *w, const struct header_match *from, size_t n);
Envoy__Config__Route__V3__RouteMatch *encode_match(struct writer *w,
                                                   const struct route_match *from);

int decode_header_matches(struct reader *r, const struct place *at,
                          Envoy__Config__Route__V3__HeaderMatcher *const *from, size_t n,
                          struct header_match **ret, size_t *ret_n);
int decode_match(struct reader *r, const struct place *at,
                 const Envoy__Config__Route__V3__RouteMatch *from, struct route_match *ret);
int decode_action(struct reader *r, const struct place *at,
                  const Envoy__Config__Route__V3__RouteAction *from, struct route_forward *ret);
int decode_retry(struct reader *r, const struct place *at,
                 const Envoy__Config__Route__V3__RetryPolicy *from,
                 const struct retry_policy **ret);
int decode_rewrite(struct reader *r, const struct place *at,
                   const Envoy__Type__Matcher__V3__RegexMatchAndSubstitute *from,
                   struct path_rewrite *ret);
int decode_edits(struct reader *r, const struct place *at,
                 Envoy__Config__Core__V3__HeaderValueOption *const *put, size_t n_put,
                 char *const *removed, size_t n_removed, struct header_edits *ret);
/* The configuration of a filter for a route or a virtual host: fault or cors. */
int decode_filter(struct reader *r, const struct place *at, const Google__Protobuf__Any *from,
                  const struct fault **ret_fault, const struct cors **ret_cors);
int decode_cors(struct reader *r, const struct place *at,
                const Envoy__Config__Route__V3__CorsPolicy *from, const struct cors **ret);
#endif
