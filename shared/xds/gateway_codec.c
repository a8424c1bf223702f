#define _GNU_SOURCE
#include "shared/xds/gateway.h"

#include "shared/xds/wire.h"
#include "weir.pb-c.h"

#include <errno.h>
#include <stdlib.h>

enum { GROWTH = 24 };
typedef Weir__Workload__GatewayCertificates Certificates;
typedef Weir__Workload__GatewayCertificate Certificate;

void xds_secret_bytes_done(struct xds_bytes *b)
{
    if (b->data)
        explicit_bzero(b->data, b->len);
    xds_bytes_done(b);
}

void gateway_certificates_done(struct gateway_certificates *c)
{
    for (size_t i = 0; c->arena && i < c->n; i++)
        explicit_bzero((void *)c->items[i].key.data, c->items[i].key.len);
    arena_free(c->arena);
    *c = (struct gateway_certificates){.arena = NULL};
}

/* ---- Encoding ------------------------------------------------------------------------------- */

/* Keys are not copied: they go from where they are into the bytes. */
static bool give(struct arena *a, const struct gateway_certificate *from, Certificate *to)
{
    weir__workload__gateway_certificate__init(to);
    to->port = from->port;
    to->streams = from->streams;
    to->hostname = (char *)arena_text(a, from->host).data;
    to->chain = (char *)arena_text(a, from->chain).data;
    to->private_key = (ProtobufCBinaryData){from->key.len, (uint8_t *)from->key.data};
    return to->hostname && to->chain;
}

int xds_gateway_encode(const struct gateway_certificates *from, struct xds_bytes *ret)
{
    enum { SPACE = GATEWAY_CERTIFICATES_MAX * (GATEWAY_CHAIN_MAX + 1024) };
    struct arena a;
    Certificates m = WEIR__WORKLOAD__GATEWAY_CERTIFICATES__INIT;
    arena_init(&a, SPACE);
    Certificate *items = arena_zero(&a, from->n, sizeof *items);
    m.certificates = arena_zero(&a, from->n, sizeof *m.certificates);
    m.name = (char *)arena_text(&a, from->name).data;
    m.identities = (char **)from->identities;
    m.n_identities = from->n_identities;
    bool fine = items && m.certificates && m.name;
    for (size_t i = 0; fine && i < from->n; i++) {
        fine = give(&a, &from->items[i], &items[i]);
        m.certificates[m.n_certificates++] = &items[i];
    }
    int r = fine ? wire_pack(&m.base, ret) : -ENOMEM;
    arena_done(&a);
    return r;
}

/* ---- Decoding ------------------------------------------------------------------------------- */

static int take(const Certificate *from, struct gateway_certificate *to,
                char why[static XDS_WHY_MAX])
{
    *to = (struct gateway_certificate){
        .port = (uint16_t)from->port,
        .streams = from->streams,
        .host = text_of(from->hostname),
        .chain = text_of(from->chain),
        .key = {(const char *)from->private_key.data, from->private_key.len},
    };
    if (from->port == 0 || from->port > UINT16_MAX)
        return wire_refuse(why, "certificates.port: %u is no port", from->port);
    if (to->host.len > GATEWAY_HOST_MAX)
        return wire_refuse(why, "certificates.hostname: is too long");
    if (to->chain.len == 0 || to->chain.len > GATEWAY_CHAIN_MAX)
        return wire_refuse(why, "certificates.chain: is empty or too long");
    if (to->key.len == 0 || to->key.len > GATEWAY_KEY_MAX)
        return wire_refuse(why, "certificates.private_key: is empty or too long");
    return 0;
}

static int take_all(const Certificates *m, struct arena *a, struct gateway_certificates *ret,
                    char why[static XDS_WHY_MAX])
{
    if (!m->name[0])
        return wire_refuse(why, "name: is empty");
    if (m->n_certificates > GATEWAY_CERTIFICATES_MAX)
        return wire_refuse(why, "certificates: %zu are too many", m->n_certificates);
    struct gateway_certificate *items = arena_zero(a, m->n_certificates, sizeof *items);
    if (!items)
        return wire_no_memory(why);
    ret->name = text_of(m->name);
    ret->items = items;
    ret->identities = m->identities;
    ret->n_identities = m->n_identities;
    for (size_t i = 0; i < m->n_certificates; i++) {
        int r = take(m->certificates[i], &items[i], why);
        if (r < 0)
            return r;
        ret->n++;
    }
    return 0;
}

/* Of what is refused, too, nothing stays. */
static void wipe(const Certificates *m)
{
    for (size_t i = 0; i < m->n_certificates; i++)
        if (m->certificates[i]->private_key.data)
            explicit_bzero(m->certificates[i]->private_key.data,
                           m->certificates[i]->private_key.len);
}

int xds_gateway_decode(const uint8_t *data, size_t len, struct gateway_certificates *ret,
                       char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *m = NULL;
    struct gateway_certificates c = {.arena = arena_new(wire_space(len, GROWTH))};
    if (!c.arena)
        return wire_no_memory(why);
    int r = wire_unpack(&weir__workload__gateway_certificates__descriptor, data, len, c.arena, &m,
                        why);
    if (r == 0 && (r = take_all((const Certificates *)m, c.arena, &c, why)) < 0)
        wipe((const Certificates *)m);
    if (r < 0)
        arena_free(c.arena);
    else
        *ret = c;
    return r;
}
