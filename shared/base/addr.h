/*
 * IP addresses, endpoints and prefixes as plain values: no sockets, no names. An IPv4-mapped IPv6
 * address (::ffff:a.b.c.d) is always turned into IPv4 when it enters (RFC 4291, 2.5.5.2), so that
 * one address has one representation and can be a key.
 */
#ifndef SHARED_BASE_ADDR_H
#define SHARED_BASE_ADDR_H
#include "shared/base/text.h"
#include <netinet/in.h>
#include <sys/socket.h>

struct ip {
    uint8_t len;       /* 4, 16, or 0: none */
    uint8_t bytes[16]; /* network order; those after len are zero */
};
struct addr {
    struct ip ip;
    uint16_t port; /* host order */
};
struct prefix {
    struct ip ip;
    uint8_t bits; /* 0 to 32 or 128 */
};
enum { IP_TEXT_MAX = 46, ADDR_TEXT_MAX = 56 };

int ip_from_bytes(const void *bytes, size_t len, struct ip *ret); /* -EINVAL: not 4 or 16 */
int ip_parse(struct text t, struct ip *ret);                      /* -EINVAL */
int addr_parse(struct text t, struct addr *ret);                  /* 1.2.3.4:5, [::1]:5; -EINVAL */
int prefix_parse(struct text t, struct prefix *ret);              /* 10.0.0.0/8, or an address */
void addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret); /* unknown family: none */
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ret);
const char *ip_print(const struct ip *ip, char out[static IP_TEXT_MAX]);      /* returns out */
const char *addr_print(const struct addr *a, char out[static ADDR_TEXT_MAX]); /* v6 in brackets */
bool ip_equal(const struct ip *a, const struct ip *b);
bool addr_equal(const struct addr *a, const struct addr *b);
/* The address as the key of a map: the same bytes for equal ones, and only for them. */
enum { ADDR_KEY_BYTES = 19 };
struct text addr_key(const struct addr *a, char out[static ADDR_KEY_BYTES]);
bool ip_is_loopback(const struct ip *ip);
bool ip_is_any(const struct ip *ip);
bool prefix_contains(const struct prefix *p, const struct ip *ip); /* other family: false */
static inline int ip_family(const struct ip *ip)
{
    return ip->len == 4 ? AF_INET : ip->len == 16 ? AF_INET6 : AF_UNSPEC;
}
#endif
