#include "shared/mesh/locality_lb.h"

#include "shared/mesh/place.h"

#include <assert.h>
#include <errno.h>

enum { DISTANCES = 5 /* of locality_failover: 0 to 3, and not where one is sent to */, HUNDRED = 100 };

/* ---- patterns ------------------------------------------------------------ */

static void split(struct text place, struct text parts[static 3])
{
    struct text none = {"", 0};
    if (!text_split(place, '/', &parts[0], &parts[1])) {
        parts[0] = place;
        parts[1] = parts[2] = none;
    } else if (!text_split(parts[1], '/', &parts[1], &parts[2])) {
        parts[2] = none;
    }
}

static bool is_any(struct text part)
{
    return part.len == 0 || text_equal(part, TEXT("*"));
}

static bool part_fits(struct text part, struct text of)
{
    return is_any(part) || text_equal(part, of);
}

bool locality_fits(struct text pattern, struct text region, struct text zone, struct text sub_zone)
{
    struct text parts[3];
    split(pattern, parts);
    return part_fits(parts[0], region) && part_fits(parts[1], zone) && part_fits(parts[2], sub_zone);
}

/* ---- checks -------------------------------------------------------------- */

static int check_pattern(const struct place *at, struct text pattern, char why[static WHY_MAX])
{
    struct text rest = pattern, part;
    bool more = true;
    for (unsigned n = 0; more; n++) {
        more = text_split(rest, '/', &part, &rest);
        if (!more)
            part = rest;
        if (n == 3)
            return place_refuse(at, why, "is no region/zone/sub-zone");
        if (part.len == 0)
            return place_refuse(at, why, "has an empty part");
        if (memchr(part.data, '*', part.len) && (part.len > 1 || more))
            return place_refuse(at, why, "has a '*' that is not its last part");
    }
    return 0;
}

/* Is there a place that fits both? */
static bool overlap(struct text a, struct text b)
{
    struct text p[3], q[3];
    split(a, p);
    split(b, q);
    for (unsigned i = 0; i < 3; i++)
        if (!is_any(p[i]) && !is_any(q[i]) && !text_equal(p[i], q[i]))
            return false;
    return true;
}

static int check_shares(const struct place *at, const struct locality_distribute *d,
                        char why[static WHY_MAX])
{
    uint64_t sum = 0;
    int e = place_count(at, d->n_to, LOCALITY_SHARES_MAX, why);
    for (size_t i = 0; e == 0 && i < d->n_to; i++) {
        const struct locality_share *s = &d->to[i];
        e = check_pattern(at, s->to, why);
        for (size_t j = 0; e == 0 && j < i; j++)
            if (overlap(s->to, d->to[j].to))
                e = place_refuse(at, why, "has two that fit the same place");
        if (e == 0 && (s->percent == 0 || s->percent > HUNDRED))
            e = place_refuse(at, why, "has a share that is not 1 to 100");
        sum += s->percent;
    }
    if (e == 0 && sum != HUNDRED)
        e = place_refuse(at, why, "are %llu together, not 100", (unsigned long long)sum);
    return e;
}

static int check_distribute(const struct place *at, const struct locality_lb *lb,
                            char why[static WHY_MAX])
{
    int e = place_count(AT(at, "distribute"), lb->n_distribute, LOCALITY_RULES_MAX, why);
    for (size_t i = 0; e == 0 && i < lb->n_distribute; i++) {
        const struct place *here = AT_I(at, "distribute", i);
        e = check_pattern(AT(here, "from"), lb->distribute[i].from, why);
        if (e == 0)
            e = check_shares(AT(here, "to"), &lb->distribute[i], why);
    }
    return e;
}

static bool is_region(struct text t)
{
    return t.len > 0 && !memchr(t.data, '/', t.len) && !memchr(t.data, '*', t.len);
}

static int check_failover(const struct place *at, const struct locality_lb *lb,
                          char why[static WHY_MAX])
{
    int e = place_count(AT(at, "failover"), lb->n_failover, LOCALITY_RULES_MAX, why);
    for (size_t i = 0; e == 0 && i < lb->n_failover; i++) {
        const struct locality_failover *f = &lb->failover[i];
        const struct place *here = AT_I(at, "failover", i);
        if (!is_region(f->from) || !is_region(f->to))
            e = place_refuse(AT(here, is_region(f->from) ? "to" : "from"), why,
                             "is no name of a region");
        else if (text_equal(f->from, f->to))
            e = place_refuse(here, why, "leads from a region to itself");
    }
    return e;
}

int locality_lb_check(const struct place *at, const struct locality_lb *lb,
                      char why[static WHY_MAX])
{
    if (lb->n_distribute > 0 && lb->n_failover + lb->n_priorities > 0)
        return place_refuse(AT(at, "distribute"), why, "can't go with failover or failoverPriority");
    int e = check_distribute(at, lb, why);
    if (e == 0)
        e = check_failover(at, lb, why);
    if (e == 0)
        e = place_count(AT(at, "failoverPriority"), lb->n_priorities, LOCALITY_LABELS_MAX, why);
    for (size_t i = 0; e == 0 && i < lb->n_priorities; i++)
        if (lb->priorities[i].label.name.len == 0)
            e = place_refuse(AT_I(at, "failoverPriority", i), why, "is no label");
    return e;
}

/* ---- shares -------------------------------------------------------------- */

static const struct locality_distribute *distribute_from(const struct locality_lb *lb,
                                                         const struct locality *at)
{
    for (size_t i = 0; i < lb->n_distribute; i++)
        if (locality_fits(lb->distribute[i].from, text_of(at->region), text_of(at->zone),
                          text_of(at->subzone)))
            return &lb->distribute[i];
    return NULL;
}

static const struct locality_share *share_of(const struct locality_distribute *d,
                                             const struct endpoint_group *g)
{
    for (size_t i = 0; i < d->n_to; i++)
        if (locality_fits(d->to[i].to, g->region, g->zone, g->sub_zone))
            return &d->to[i];
    return NULL;
}

static int rank_by_share(void *arg, const struct endpoint_group *g, const struct endpoint *e)
{
    (void)e;
    return share_of(arg, g) ? 0 : ENDPOINT_LEFT_OUT;
}

/* A share is of all the places that it fits together, each by the weight of its endpoints. */
static void weigh(const struct locality_distribute *d, struct endpoints *e)
{
    const uint64_t whole = 1000000;
    for (size_t i = 0; i < d->n_to; i++) {
        uint64_t all = 0;
        for (size_t pass = 0; pass < 2; pass++)
            for (size_t g = 0; g < e->n_groups; g++) {
                struct endpoint_group *group = &e->groups[g];
                uint64_t own = 0;
                if (share_of(d, group) != &d->to[i])
                    continue;
                for (size_t k = 0; k < group->n_endpoints; k++)
                    own += group->endpoints[k].weight;
                if (pass == 0)
                    all += own;
                else /* at most 10^8; nobody's share rounds to none */
                    group->weight = 1 + (uint32_t)((double)own / (double)all * (double)whole * d->to[i].percent);
            }
    }
}

/* ---- priorities ---------------------------------------------------------- */

struct seen {
    const struct locality_lb *lb;
    const struct locality_client *client;
};

static struct text label_in(const struct label *labels, size_t n, struct text name)
{
    for (size_t i = 0; i < n; i++)
        if (text_equal(labels[i].name, name))
            return labels[i].value;
    return (struct text){"", 0};
}

/* A place's own labels are those of its node, which no pod has. */
static bool place_label(struct text name, struct text region, struct text zone, struct text sub_zone,
                        struct text *ret)
{
    const struct {
        struct text name, value;
    } places[] = {{TEXT("topology.kubernetes.io/region"), region},
                  {TEXT("topology.kubernetes.io/zone"), zone},
                  {TEXT("topology.istio.io/subzone"), sub_zone}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (text_equal(name, places[i].name)) {
            *ret = places[i].value;
            return true;
        }
    return false;
}

static struct text wanted_value(const struct seen *s, const struct locality_priority *p)
{
    const struct locality_client *c = s->client;
    struct text value = p->label.value;
    if (p->own && !place_label(p->label.name, text_of(c->at->region), text_of(c->at->zone),
                               text_of(c->at->subzone), &value))
        value = label_in(c->labels, c->n_labels, p->label.name);
    return value;
}

/* How many of the labels, from the last one on, it does not fit. */
static int rank_by_labels(const struct seen *s, const struct endpoint_group *g,
                          const struct endpoint *e)
{
    const struct locality_lb *lb = s->lb;
    const struct label *labels = NULL;
    size_t n = lb->n_priorities ? s->client->labels_of(s->client->arg, e->workload, &labels) : 0;
    for (size_t i = 0; i < lb->n_priorities; i++) {
        struct text name = lb->priorities[i].label.name, has;
        if (!place_label(name, g->region, g->zone, g->sub_zone, &has))
            has = label_in(labels, n, name);
        if (!text_equal(wanted_value(s, &lb->priorities[i]), has))
            return (int)(lb->n_priorities - i);
    }
    return 0;
}

/* Beyond the region the one that is named comes before all others. */
static int rank_by_place(const struct seen *s, const struct endpoint_group *g)
{
    const struct locality *at = s->client->at;
    int away = endpoint_distance(at, g);
    for (size_t i = 0; away == DISTANCES - 2 && i < s->lb->n_failover; i++)
        if (text_equal(s->lb->failover[i].from, text_of(at->region)))
            return text_equal(s->lb->failover[i].to, g->region) ? away : away + 1;
    return away;
}

static int rank(void *arg, const struct endpoint_group *g, const struct endpoint *e)
{
    const struct seen *s = arg;
    if (s->lb->n_priorities == 0)
        return rank_by_place(s, g);
    int by_place = s->lb->n_failover > 0 ? rank_by_place(s, g) : 0;
    return rank_by_labels(s, g, e) * DISTANCES + by_place;
}

int locality_lb_apply(const struct locality_lb *lb, bool leaves, const struct locality_client *client,
                      const struct endpoints *e, struct endpoints **ret)
{
    static_assert((LOCALITY_LABELS_MAX + 1) * DISTANCES <= ENDPOINT_RANKS_MAX, "each has a rank");
    const struct locality_distribute *d = lb->off ? NULL : distribute_from(lb, client->at);
    struct seen s = {lb, client};
    *ret = NULL;
    if (d) {
        int r = endpoints_ranked(e, &(struct endpoint_ranking){rank_by_share, (void *)d}, ret);
        if (r == 0)
            weigh(d, *ret);
        return r;
    }
    if (lb->off || lb->n_distribute > 0 || !leaves)
        return 0;
    return endpoints_ranked(e, &(struct endpoint_ranking){rank, &s}, ret);
}
