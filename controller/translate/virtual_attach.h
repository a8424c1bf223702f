/*
 * Which VirtualService counts for a port of a Service, and for whose clients. Of several that speak of
 * it and are to be seen by a client the one with the most precise host does, then one that is exported
 * to the client's namespace by name, then the oldest: all of it, as in Istio, and not merged with
 * others. A route of the Gateway API that has the port comes before all of them. Pure.
 */
#ifndef CONTROLLER_TRANSLATE_VIRTUAL_ATTACH_H
#define CONTROLLER_TRANSLATE_VIRTUAL_ATTACH_H
#include "controller/translate/gateway_attach.h"
#include "controller/translate/traffic_host.h"

/* The rules for requests, or those for connections (`streams`): each part counts by itself. */
struct virtual_rules {
    const struct virtual_rule *items;
    size_t n;
};
static inline struct virtual_rules virtual_rules(const struct object *o, bool streams)
{
    const struct virtual_service *s = &o->virtual_service;
    return streams ? (struct virtual_rules){s->streams, s->n_streams}
                   : (struct virtual_rules){s->rules, s->n_rules};
}
struct virtual_speaker {
    const struct object *object;
    size_t level; /* of its most precise host for the Service: 1 is the full name */
    bool counts, told; /* told: that a table of it is refused */
};
/* All that speak of a Service, whether they count (in that part) or not, each once: the most precise first, then the oldest.
 * Owned. */
struct virtual_speakers {
    struct virtual_speaker *items;
    size_t n;
    const struct virtual_speaker *everybodys; /* for clients that none is for by name; NULL: none */
};
int virtual_speakers(const struct view *v, const struct object *service, bool streams,
                     struct virtual_speakers *ret); /* -ENOMEM */
void virtual_speakers_done(struct virtual_speakers *s);
/* The one for the clients of each namespace that any is for by name, by namespace; on the heap (NULL: none).
 * -ENOMEM. */
struct virtual_audience {
    const char *ns;
    const struct virtual_speaker *speaker;
};
int virtual_audiences(const struct virtual_speakers *s, struct virtual_audience **ret,
                      size_t *ret_n);
/* everybodys' alone, of the rules for requests; NULL: none. */
const struct object *virtual_for_all(const struct view *v, const struct object *service);
/* Is the port taken by a route of the Gateway API, for all clients, or (of streams) by requests? */
bool virtual_loses(const struct view *v, const struct object *service,
                   const struct kube_service_port *port, bool streams);
/* Does a match of a rule speak of this port in the mesh? NULL: a rule without matches does. */
bool virtual_match_means(const struct virtual_match *m, uint16_t port);
/* Whether who calls the Service, by one of its addresses, is in the subnets of the match. NULL: always. */
enum virtual_called { VIRTUAL_CALLED_NEVER, VIRTUAL_CALLED_BY_SOME, VIRTUAL_CALLED_ALWAYS };
enum virtual_called virtual_called(const struct virtual_match *m, const struct object *service);
bool virtual_means(const struct object *virtual_service, bool streams, uint16_t port);
#endif
