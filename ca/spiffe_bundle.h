/*
 * The roots in the format in which trust domains exchange them: a JWK Set (RFC 7517) as the SPIFFE
 * Trust Domain and Bundle specification (section 4) and X509-SVID (section 6.2) have it. Pure.
 */
#ifndef CA_SPIFFE_BUNDLE_H
#define CA_SPIFFE_BUNDLE_H
#include "ca/rotation.h"
#include "shared/json/json_out.h"
#include "shared/tls/x509.h"

/* How often to ask, in seconds: twice in the time after which a new root may sign at the soonest. */
enum { SPIFFE_BUNDLE_REFRESH_S = ROTATION_NOTICE_S / 2 };
/* The members of the object that is open. sequence grows with each change of the roots. -ENOTSUP: a
 * root's key is of another kind than x509_verify() accepts; then what was written is worthless. */
int spiffe_bundle_put(struct json_out *o, const struct x509 *roots, size_t n, uint64_t sequence);
#endif
