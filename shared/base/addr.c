#include "shared/base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */

int ip_from_bytes(const void *bytes, size_t len, struct ip *ret)
{
    const uint8_t *b = bytes;

    if (len != 4 && len != 16)
        return -EINVAL;
    if (len == 16 && memcmp(b, mapped, sizeof mapped) == 0) {
        b += sizeof mapped;
        len = 4;
    }
    struct ip ip = {.len = (uint8_t)len};
    memcpy(ip.bytes, b, len);
    *ret = ip;
    return 0;
}

/* The address as written, before ::ffff:a.b.c.d becomes IPv4; the number of bytes, or -EINVAL. */
static int parse_raw(struct text t, uint8_t bytes[static 16])
{
    char copy[IP_TEXT_MAX];

    if (t.len == 0 || t.len >= sizeof copy || memchr(t.data, '\0', t.len))
        return -EINVAL;
    memcpy(copy, t.data, t.len);
    copy[t.len] = '\0';
    if (inet_pton(AF_INET, copy, bytes) == 1)
        return 4;
    return inet_pton(AF_INET6, copy, bytes) == 1 ? 16 : -EINVAL;
}

int ip_parse(struct text t, struct ip *ret)
{
    uint8_t bytes[16];
    int len = parse_raw(t, bytes);
    return len < 0 ? len : ip_from_bytes(bytes, (size_t)len, ret);
}

int addr_parse(struct text t, struct addr *ret)
{
    struct addr a = {0};
    struct text host, port;
    uint64_t number;

    if (t.len > 0 && t.data[0] == '[') {
        if (!text_split((struct text){t.data + 1, t.len - 1}, ']', &host, &port) || port.len == 0 ||
            port.data[0] != ':' || !memchr(host.data, ':', host.len))
            return -EINVAL;
        port = (struct text){port.data + 1, port.len - 1};
    } else if (!text_split(t, ':', &host, &port)) {
        return -EINVAL;
    }
    if (text_to_u64(port, UINT16_MAX, &number) < 0 || ip_parse(host, &a.ip) < 0)
        return -EINVAL;
    a.port = (uint16_t)number;
    *ret = a;
    return 0;
}

static void mask(struct ip *ip, unsigned bits)
{
    for (unsigned i = 0; i < ip->len; i++) {
        unsigned kept = bits >= 8 * (i + 1) ? 8 : bits <= 8 * i ? 0 : bits - 8 * i;
        ip->bytes[i] = (uint8_t)(ip->bytes[i] & 0xff00u >> kept);
    }
}

int prefix_parse(struct text t, struct prefix *ret)
{
    struct text host = t, bits_text;
    struct prefix p;
    uint8_t bytes[16];
    uint64_t bits;

    bool has_bits = text_split(t, '/', &host, &bits_text);
    int len = parse_raw(host, bytes);
    if (len < 0)
        return -EINVAL;
    bits = (uint64_t)len * 8;
    if (has_bits && text_to_u64(bits_text, bits, &bits) < 0)
        return -EINVAL;
    if (ip_from_bytes(bytes, (size_t)len, &p.ip) < 0)
        return -EINVAL;
    if (p.ip.len < len) { /* ::ffff:10.0.0.0/104 is 10.0.0.0/8; a wider one is no IPv4 prefix */
        if (bits < 96)
            return -EINVAL;
        bits -= 96;
    }
    p.bits = (uint8_t)bits;
    mask(&p.ip, p.bits);
    *ret = p;
    return 0;
}

void addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret)
{
    struct addr a = {0};

    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        (void)ip_from_bytes(&in.sin_addr, 4, &a.ip);
        a.port = ntohs(in.sin_port);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        (void)ip_from_bytes(&in6.sin6_addr, 16, &a.ip);
        a.port = ntohs(in6.sin6_port);
    }
    *ret = a;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a->ip.len == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip.bytes, 4);
        return sizeof *in;
    }
    if (a->ip.len == 16) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(a->port);
        memcpy(&in6->sin6_addr, a->ip.bytes, 16);
        return sizeof *in6;
    }
    ret->ss_family = AF_UNSPEC;
    return 0;
}

const char *ip_print(const struct ip *ip, char out[static IP_TEXT_MAX])
{
    if (ip->len == 0 || !inet_ntop(ip_family(ip), ip->bytes, out, IP_TEXT_MAX))
        out[0] = '\0';
    return out;
}

const char *addr_print(const struct addr *a, char out[static ADDR_TEXT_MAX])
{
    char ip[IP_TEXT_MAX];

    ip_print(&a->ip, ip);
    if (a->ip.len == 16)
        (void)snprintf(out, ADDR_TEXT_MAX, "[%s]:%u", ip, (unsigned)a->port);
    else if (a->ip.len == 4)
        (void)snprintf(out, ADDR_TEXT_MAX, "%s:%u", ip, (unsigned)a->port);
    else
        out[0] = '\0';
    return out;
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && ip_equal(&a->ip, &b->ip);
}

struct text addr_key(const struct addr *a, char out[static ADDR_KEY_BYTES])
{
    _Static_assert(1 + sizeof a->ip.bytes + sizeof a->port == ADDR_KEY_BYTES, "all of it");
    out[0] = (char)a->ip.len;
    memcpy(out + 1, a->ip.bytes, sizeof a->ip.bytes);
    memcpy(out + 1 + sizeof a->ip.bytes, &a->port, sizeof a->port);
    return (struct text){out, ADDR_KEY_BYTES};
}

bool ip_is_loopback(const struct ip *ip)
{
    static const uint8_t one[16] = {[15] = 1};

    if (ip->len == 4)
        return ip->bytes[0] == 127;
    return ip->len == 16 && memcmp(ip->bytes, one, 16) == 0;
}

bool ip_is_any(const struct ip *ip)
{
    static const uint8_t zero[16];
    return ip->len > 0 && memcmp(ip->bytes, zero, ip->len) == 0;
}

bool prefix_contains(const struct prefix *p, const struct ip *ip)
{
    struct ip network = *ip;

    if (ip->len == 0 || ip->len != p->ip.len)
        return false;
    mask(&network, p->bits);
    return ip_equal(&network, &p->ip);
}
