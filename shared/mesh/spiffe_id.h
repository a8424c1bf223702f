/*
 * SPIFFE IDs of the form spiffe://<trust domain>/ns/<namespace>/sa/<service account>: parsed
 * strictly (SPIFFE-ID specification: lower-case trust domain, no port, query, fragment,
 * percent-encoding, empty or dot segments). A value.
 */
#ifndef SHARED_MESH_SPIFFE_ID_H
#define SHARED_MESH_SPIFFE_ID_H
#include "shared/base/text.h"

enum { SPIFFE_ID_TEXT_MAX = 640 };
struct spiffe_id {
    uint16_t len, td_len, ns_at, ns_len, sa_at, sa_len; /* offsets into text */
    char text[SPIFFE_ID_TEXT_MAX];                      /* whole, NUL-terminated; "" = none */
};
/* Any valid SPIFFE ID with a path (up to 2048 bytes)? NULL: yes; else why not (static sentence). */
const char *spiffe_id_check(struct text t);
int spiffe_id_parse(struct text t, struct spiffe_id *ret); /* -EINVAL: invalid or of another form */
int spiffe_id_make(struct text trust_domain, struct text ns, struct text sa, struct spiffe_id *ret);
const char *trust_domain_check(struct text t);
static inline bool spiffe_id_present(const struct spiffe_id *id)
{
    return id->len > 0;
}
static inline struct text spiffe_id_text(const struct spiffe_id *id)
{
    return (struct text){id->text, id->len};
}
static inline struct text spiffe_id_principal(const struct spiffe_id *id) /* without spiffe:// */
{
    return id->len ? (struct text){id->text + 9, (size_t)id->len - 9} : (struct text){"", 0};
}
static inline struct text spiffe_id_trust_domain(const struct spiffe_id *id)
{
    return id->len ? (struct text){id->text + 9, id->td_len} : (struct text){"", 0};
}
static inline struct text spiffe_id_namespace(const struct spiffe_id *id)
{
    return (struct text){id->text + id->ns_at, id->ns_len};
}
static inline struct text spiffe_id_service_account(const struct spiffe_id *id)
{
    return (struct text){id->text + id->sa_at, id->sa_len};
}
bool spiffe_id_equal(const struct spiffe_id *a, const struct spiffe_id *b);
#endif
