#include "shared/xds/locality_codec.h"

#include <errno.h>

#define LOCALITY(name) weir__traffic__locality_lb__##name##__descriptor

enum { GROWTH = 64 };

/* ---- Decoding ------------------------------------------------------------------------------- */

static int decode_distribute(struct reader *r, const struct place *at,
                             const Weir__Traffic__LocalityLb__Distribute *m,
                             struct locality_distribute *ret)
{
    int e = decode_text(r, m->from, &ret->from);
    if (e == 0)
        e = decode_list(r, AT(at, "to"), m->n_to, LOCALITY_SHARES_MAX, sizeof *ret->to,
                        (void **)&ret->to);
    for (size_t i = 0; i < m->n_to && e == 0; i++) {
        ret->to[ret->n_to++].percent = m->to[i]->percent;
        e = decode_text(r, m->to[i]->to, &ret->to[i].to);
    }
    return e;
}

static int decode_failover(struct reader *r, const struct place *at,
                           const Weir__Traffic__LocalityLb *m, struct locality_lb *ret)
{
    int e = decode_list(r, AT(at, "failover"), m->n_failover, LOCALITY_RULES_MAX,
                        sizeof *ret->failover, (void **)&ret->failover);
    for (size_t i = 0; i < m->n_failover && e == 0; i++) {
        struct locality_failover *f = &ret->failover[ret->n_failover++];
        if ((e = decode_text(r, m->failover[i]->from, &f->from)) == 0)
            e = decode_text(r, m->failover[i]->to, &f->to);
    }
    return e;
}

static int decode_priorities(struct reader *r, const struct place *at,
                             const Weir__Traffic__LocalityLb *m, struct locality_lb *ret)
{
    int e = decode_list(r, AT(at, "priorities"), m->n_priorities, LOCALITY_LABELS_MAX,
                        sizeof *ret->priorities, (void **)&ret->priorities);
    for (size_t i = 0; i < m->n_priorities && e == 0; i++) {
        struct locality_priority *p = &ret->priorities[ret->n_priorities++];
        p->own = m->priorities[i]->own;
        if ((e = decode_text(r, m->priorities[i]->label, &p->label.name)) == 0)
            e = decode_text(r, m->priorities[i]->value, &p->label.value);
    }
    return e;
}

int decode_locality_lb(struct reader *r, const struct place *at,
                       const Weir__Traffic__LocalityLb *m, struct locality_lb *ret)
{
    int e = decode_list(r, AT(at, "distribute"), m->n_distribute, LOCALITY_RULES_MAX,
                        sizeof *ret->distribute, (void **)&ret->distribute);
    ret->said = true;
    ret->off = m->off;
    for (size_t i = 0; i < m->n_distribute && e == 0; i++)
        e = decode_distribute(r, AT_I(at, "distribute", i), m->distribute[i],
                              &ret->distribute[ret->n_distribute++]);
    if (e == 0)
        e = decode_failover(r, at, m, ret);
    return e < 0 ? e : decode_priorities(r, at, m, ret);
}

int xds_locality_lb_decode(const uint8_t *data, size_t len, struct arena *arena,
                           struct locality_lb *ret, char why[static XDS_WHY_MAX])
{
    const ProtobufCMessage *m;
    struct arena scratch;
    *ret = (struct locality_lb){.said = false};
    arena_init(&scratch, wire_space(len, GROWTH));
    struct reader r = {arena, &scratch, why};
    int e = wire_unpack_strictly(&weir__traffic__locality_lb__descriptor, data, len, &scratch, NULL,
                                 &m, why);
    if (e == 0)
        e = decode_locality_lb(&r, NULL, (const Weir__Traffic__LocalityLb *)m, ret);
    arena_done(&scratch);
    return e;
}

/* ---- Encoding ------------------------------------------------------------------------------- */

static Weir__Traffic__LocalityLb__Distribute *
encode_distribute(struct writer *w, const struct locality_distribute *from)
{
    Weir__Traffic__LocalityLb__Distribute *m = encode_message(w, &LOCALITY(distribute));
    Weir__Traffic__LocalityLb__Share **list = encode_list(w, from->n_to, sizeof *list);
    if (!m || (from->n_to && !list))
        return NULL;
    m->from = encode_text(w, from->from);
    for (size_t i = 0; i < from->n_to; i++) {
        if (!(list[i] = encode_message(w, &LOCALITY(share))))
            return NULL;
        list[i]->to = encode_text(w, from->to[i].to);
        list[i]->percent = from->to[i].percent;
    }
    m->to = list;
    m->n_to = from->n_to;
    return m;
}

static bool encode_failover(struct writer *w, const struct locality_lb *from,
                            Weir__Traffic__LocalityLb *m)
{
    Weir__Traffic__LocalityLb__Failover **list = encode_list(w, from->n_failover, sizeof *list);
    m->failover = list;
    for (size_t i = 0; list && i < from->n_failover; i++) {
        if (!(list[i] = encode_message(w, &LOCALITY(failover))))
            return false;
        list[i]->from = encode_text(w, from->failover[i].from);
        list[i]->to = encode_text(w, from->failover[i].to);
        m->n_failover++;
    }
    return true;
}

static bool encode_priorities(struct writer *w, const struct locality_lb *from,
                              Weir__Traffic__LocalityLb *m)
{
    Weir__Traffic__LocalityLb__Priority **list = encode_list(w, from->n_priorities, sizeof *list);
    m->priorities = list;
    for (size_t i = 0; list && i < from->n_priorities; i++) {
        if (!(list[i] = encode_message(w, &LOCALITY(priority))))
            return false;
        list[i]->label = encode_text(w, from->priorities[i].label.name);
        list[i]->value = encode_text(w, from->priorities[i].label.value);
        list[i]->own = from->priorities[i].own;
        m->n_priorities++;
    }
    return true;
}

Weir__Traffic__LocalityLb *encode_locality_lb(struct writer *w, const struct locality_lb *from)
{
    Weir__Traffic__LocalityLb *m = encode_message(w, &weir__traffic__locality_lb__descriptor);
    Weir__Traffic__LocalityLb__Distribute **list = encode_list(w, from->n_distribute, sizeof *list);
    if (!m || (from->n_distribute && !list))
        return NULL;
    m->off = from->off;
    m->distribute = list;
    for (size_t i = 0; i < from->n_distribute; i++) {
        if (!(list[i] = encode_distribute(w, &from->distribute[i])))
            return NULL;
        m->n_distribute++;
    }
    return encode_failover(w, from, m) && encode_priorities(w, from, m) ? m : NULL;
}

int xds_locality_lb_encode(const struct locality_lb *from, struct xds_bytes *ret)
{
    struct arena arena;
    struct writer w = {&arena, false};
    arena_init(&arena, SIZE_MAX);
    Weir__Traffic__LocalityLb *m = encode_locality_lb(&w, from);
    return encode_done(&w, m ? &m->base : NULL, ret);
}
