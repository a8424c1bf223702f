/*
 * Which server is meant, and whether a certificate is its (RFC 9525, the successor of RFC 6125; RFC
 * 5280, 4.2.1.6): a DNS name, an address, or a URI, compared with the certificate's alternative names of
 * that kind alone. Its subject says nothing. A wildcard is a whole first label and stands for one label,
 * above at least two. Pure; owned by a tls_config. Inside shared/tls only, but for web_name_check().
 */
#ifndef SHARED_TLS_WEB_NAME_H
#define SHARED_TLS_WEB_NAME_H
#include "shared/base/addr.h"

enum { WEB_NAME_MAX = 2048, WEB_NAMES_MAX = 256 };
enum web_name_kind { WEB_NAME_DNS, WEB_NAME_IP, WEB_NAME_URI };
struct web_name {
    enum web_name_kind kind;
    struct ip ip;     /* IP */
    struct text text; /* else; without a last dot; owned */
};
/* Of which kind is it? "://" makes it a URI. What is wrong with it (a static sentence); NULL: nothing. */
const char *web_name_check(struct text name, enum web_name_kind *ret);
int web_name_set(struct web_name *n, struct text name); /* -EINVAL, -ENOMEM */
void web_names_free(struct web_name *names, size_t n);  /* with the array; NULL is fine */
/* alternative_names: as of struct x509_view. */
bool web_name_fits(const struct web_name *n, const uint8_t *alternative_names, size_t len);
#endif
