#include "controller/model/object_kinds.h"
#include "shared/mesh/policy.h"
#include <stdlib.h>

enum { SELECTOR_MAX = 64 };

struct labels policy_selector_read(struct reader *r, const struct json *spec)
{
    static const char *const known[] = {"matchLabels", NULL};
    const struct json *selector = read_object(r, spec, "selector");
    read_only(r, selector, known);
    struct labels labels = read_labels(r, selector, "matchLabels");
    if (labels.n > SELECTOR_MAX)
        read_fail(r, selector, "has more than %d labels", SELECTOR_MAX);
    return labels;
}

static enum peer_mode read_mode(struct reader *r, const struct json *mtls)
{
    static const char *const known[] = {"mode", NULL};
    read_only(r, mtls, known);
    const char *word = read_string(r, mtls, "mode");
    if (!word[0] || strcmp(word, "UNSET") == 0)
        return PEER_UNSET;
    if (strcmp(word, "DISABLE") == 0)
        return PEER_DISABLE;
    if (strcmp(word, "PERMISSIVE") == 0)
        return PEER_PERMISSIVE;
    if (strcmp(word, "STRICT") != 0)
        read_fail(r, read_member(mtls, "mode"),
                  "'%s' is not one of UNSET, DISABLE, PERMISSIVE, STRICT", word);
    return PEER_STRICT;
}

static int port_order(const void *a, const void *b)
{
    return ((const struct peer_port *)a)->port - ((const struct peer_port *)b)->port;
}

static void read_ports(struct reader *r, const struct json *spec, struct peer_authentication *peer)
{
    const struct json *map = read_object(r, spec, "portLevelMtls");
    if (json_count(map) > POLICY_RULES_MAX) {
        read_fail(r, map, "has more than %d ports", POLICY_RULES_MAX);
        return;
    }
    struct peer_port *ports = read_array(r, json_count(map), sizeof *ports);
    peer->ports = ports;
    if (!ports)
        return;
    json_for_each (j, map) {
        uint64_t port;
        if (text_to_u64(json_name(j), 65535, &port) < 0 || port == 0) {
            read_fail(r, j, "is no port: write a number from 1 to 65535");
            return;
        }
        if (!json_is(j, JSON_OBJECT) && !json_is(j, JSON_NULL)) {
            read_fail(r, j, "must be an object such as {mode: STRICT}");
            return;
        }
        ports[peer->n_ports++] = (struct peer_port){(uint16_t)port, read_mode(r, j)};
    }
    if (peer->n_ports > 1)
        qsort(ports, peer->n_ports, sizeof *ports, port_order);
    for (size_t i = 1; i < peer->n_ports; i++)
        if (ports[i].port == ports[i - 1].port)
            read_fail(r, map, "has port %u twice", ports[i].port);
}

void peer_authentication_read(struct reader *r, const struct json *document, struct object *o)
{
    static const char *const known[] = {"selector", "mtls", "portLevelMtls", NULL};
    const struct json *spec = read_object(r, document, "spec");
    read_only(r, spec, known);
    o->peer.selector = policy_selector_read(r, spec);
    o->peer.mode = read_mode(r, read_object(r, spec, "mtls"));
    read_ports(r, spec, &o->peer);
}
