/*
 * Name constraints of a CA (RFC 5280, 4.2.1.10), which the TLS library does not enforce for URIs: a
 * CA that is limited to one trust domain or one DNS domain can name nobody else. URI, DNS and
 * directory names are judged; a constraint on any other form refuses every certificate that has a
 * name of that form. Pure. Inside shared/tls only.
 */
#ifndef SHARED_TLS_NAME_CONSTRAINTS_H
#define SHARED_TLS_NAME_CONSTRAINTS_H
#include "shared/tls/x509_view.h"

/* NULL: `ca` allows all names of c, which is below it; else why not. */
const char *name_constraints_check(const struct x509_view *ca, const struct x509_view *c,
                                   bool is_leaf);
#endif
