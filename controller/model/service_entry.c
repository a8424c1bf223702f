#include "controller/model/object_kinds.h"
#include "controller/model/traffic_read.h"
#include "shared/mesh/service.h"
#include <stdio.h>

enum resolution { NONE, STATIC, DNS };

/* ---- Names, ports, addresses ---------------------------------------------------------------- */

static enum resolution read_resolution(struct reader *r, const struct json *spec,
                                       struct service_entry *e)
{
    const char *word = read_string(r, spec, "resolution");
    if (!word[0] || strcmp(word, "NONE") == 0)
        return NONE;
    if (strcmp(word, "STATIC") == 0)
        return STATIC;
    if (strcmp(word, "DNS") == 0 || strcmp(word, "DNS_ROUND_ROBIN") == 0)
        return DNS;
    traffic_flaw(r, &e->flaw, read_member(spec, "resolution"), "'%.40s' is not supported", word);
    return NONE;
}

static bool is_there(const struct values *v, const char *host)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->items[i], host) == 0)
            return true;
    return false;
}

static void read_hosts(struct reader *r, const struct json *spec, struct service_entry *e)
{
    const struct json *list = read_list(r, spec, "hosts", ENTRY_HOSTS_MAX);
    const char **items = read_array(r, json_count(list), sizeof *items);
    e->hosts.items = items;
    json_for_each (j, list) {
        const char *host = traffic_host(r, &e->flaw, j);
        if (!items)
            return;
        if (!strchr(host, '.') && strcmp(host, "*") != 0)
            traffic_flaw(r, &e->flaw, j, "'%.60s' must be a full name, with a '.'", host);
        else if (is_there(&e->hosts, host))
            traffic_flaw(r, &e->flaw, j, "'%.60s' is there twice", host);
        else
            items[e->hosts.n++] = host;
    }
    if (json_count(list) == 0)
        traffic_flaw(r, &e->flaw, spec, "has no hosts");
}

static void check_wildcards(struct reader *r, const struct json *spec, struct service_entry *e)
{
    json_for_each (j, read_member(spec, "hosts"))
        if (json_text(j).len > 0 && json_text(j).data[0] == '*')
            traffic_flaw(r, &e->flaw, j, "a wildcard needs resolution NONE");
}

static void read_addresses(struct reader *r, const struct json *spec, struct service_entry *e)
{
    const struct json *list = read_list(r, spec, "addresses", SERVICE_ADDRESSES_MAX);
    struct ip *items = read_array(r, json_count(list), sizeof *items);
    e->addresses = items;
    json_for_each (j, list) {
        if (!items || !json_is(j, JSON_STRING)) {
            read_fail(r, j, "must be a string");
            return;
        }
        if (ip_parse(json_text(j), &items[e->n_addresses]) == 0)
            e->n_addresses++;
        else if (e->served)
            traffic_flaw(r, &e->flaw, j, "'%.60s' is no single address", json_text(j).data);
    }
}

static void read_ports(struct reader *r, const struct json *spec, struct service_entry *e)
{
    static const char *const known[] = {"number", "protocol", "name", "targetPort", NULL};
    const struct json *list = read_list(r, spec, "ports", SERVICE_PORTS_MAX);
    struct kube_service_port *ports = read_array(r, json_count(list), sizeof *ports);
    e->ports = ports;
    json_for_each (j, list) {
        if (!ports)
            return;
        struct kube_service_port *port = &ports[e->n_ports];
        const char *protocol = read_string(r, j, "protocol");
        gateway_known(r, &e->flaw, j, known);
        *port = (struct kube_service_port){.name = read_string(r, j, "name"),
                                           .target_name = "",
                                           .port = read_port(r, j, "number"),
                                           .target = read_port(r, j, "targetPort")};
        if (!port->port) {
            traffic_flaw(r, &e->flaw, j, "number is missing");
            continue;
        }
        if (strcmp(protocol, "UDP") == 0) {
            traffic_flaw(r, &e->note, j, "UDP is not carried, it passes");
            continue;
        }
        if (!port->target)
            port->target = port->port;
        port->app_protocol = service_protocol(protocol, port->name, port->port);
        for (size_t i = 0; i < e->n_ports; i++)
            if (ports[i].port == port->port || strcmp(ports[i].name, port->name) == 0)
                traffic_flaw(r, &e->flaw, j, "its number or name is there twice");
        e->n_ports++;
    }
    if (e->n_ports == 0 && e->served)
        traffic_flaw(r, &e->flaw, spec, "has no ports");
}

/* ---- Endpoints ------------------------------------------------------------------------------ */

static void read_targets(struct reader *r, struct service_entry *e, const struct json *of,
                         struct entry_endpoint *ret)
{
    const struct json *map = read_object(r, of, "ports");
    uint16_t *targets = read_array(r, e->n_ports, sizeof *targets);
    ret->targets = targets;
    for (size_t i = 0; targets && i < e->n_ports; i++) {
        uint16_t said = read_port(r, map, e->ports[i].name);
        targets[i] = said ? said : e->ports[i].target;
    }
    json_for_each (j, map) {
        size_t i = 0;
        while (i < e->n_ports && !text_equal(json_name(j), text_of(e->ports[i].name)))
            i++;
        if (i == e->n_ports)
            traffic_flaw(r, &e->flaw, j, "is the name of none of its ports");
    }
}

static void note_members(struct reader *r, struct gateway_flaw *note, const struct json *of,
                         const char *const *names)
{
    for (; *names; names++)
        if (read_member(of, *names))
            traffic_flaw(r, note, read_member(of, *names),
                         "is not supported and counts for nothing");
}

static void read_endpoint(struct reader *r, struct service_entry *e, const struct json *j,
                          struct entry_endpoint *ret)
{
    static const char *const known[] = {"address",        "ports",    "labels", "network",
                                        "serviceAccount", "locality", "weight", NULL};
    static const char *const uncounted[] = {"network", "serviceAccount", NULL};
    struct ip *address = read_array(r, 1, sizeof *address);
    gateway_known(r, &e->flaw, j, known);
    note_members(r, &e->note, j, uncounted);
    *ret = (struct entry_endpoint){.address = address,
                                   .text = read_string(r, j, "address"),
                                   .labels = read_labels(r, j, "labels"),
                                   .weight = gateway_number(r, j, "weight", 1000000, 1),
                                   .line = json_line(j)};
    if (ret->weight == 0)
        ret->weight = 1;
    traffic_locality(r, &e->flaw, j, &ret->region, &ret->zone, &ret->subzone);
    read_targets(r, e, j, ret);
    if (!address)
        return;
    if (ip_parse(text_of(ret->text), address) < 0)
        traffic_flaw(r, &e->flaw, read_member(j, "address") ? read_member(j, "address") : j,
                     "'%.60s' is no IP address", ret->text);
}

static void read_endpoints(struct reader *r, const struct json *list, struct service_entry *e)
{
    struct entry_endpoint *items = read_array(r, json_count(list), sizeof *items);
    e->endpoints = items;
    json_for_each (j, list) {
        if (!items || !json_is(j, JSON_OBJECT)) {
            read_fail(r, j, "must be an object");
            return;
        }
        read_endpoint(r, e, j, &items[e->n_endpoints++]);
    }
    if (e->n_endpoints * e->hosts.n > ENTRY_PARTS_MAX)
        traffic_flaw(r, &e->flaw, list, "times the hosts are more than %d", ENTRY_PARTS_MAX);
}

/* Names need somebody who asks for them again and again. */
static bool all_addresses(const struct json *list)
{
    struct ip ip;
    json_for_each (j, list)
        if (!json_is(read_member(j, "address"), JSON_STRING) ||
            ip_parse(json_text(read_member(j, "address")), &ip) < 0)
            return false;
    return json_count(list) > 0;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static void read_selector(struct reader *r, const struct json *spec, struct service_entry *e)
{
    static const char *const known[] = {"labels", NULL};
    const struct json *selector = read_object(r, spec, "workloadSelector");
    gateway_known(r, &e->flaw, selector, known);
    e->selector = read_labels(r, selector, "labels");
    if (selector && e->selector.n == 0)
        traffic_flaw(r, &e->flaw, selector, "has no labels");
    if (selector && json_count(read_member(spec, "endpoints")) > 0)
        traffic_flaw(r, &e->flaw, selector, "can't be there beside endpoints");
}

static void note_passing(struct reader *r, const struct json *spec, enum resolution resolution,
                         struct service_entry *e)
{
    if (resolution == DNS)
        traffic_flaw(r, &e->note, read_member(spec, "resolution"),
                     "names are not resolved by the mesh: connections pass to where the client's "
                     "own query led it, without rules and routes (under REGISTRY_ONLY: they are "
                     "refused)");
    else if (json_count(read_member(spec, "endpoints")) > 0)
        traffic_flaw(r, &e->note, read_member(spec, "endpoints"),
                     "count for nothing without resolution STATIC");
}

void service_entry_read(struct reader *r, const struct json *document, struct object *o)
{
    static const char *const known[] = {
        "hosts",     "addresses",        "ports",    "location",        "resolution",
        "endpoints", "workloadSelector", "exportTo", "subjectAltNames", NULL};
    static const char *const uncounted[] = {"subjectAltNames", NULL};
    static const char *const locations[] = {"", "MESH_EXTERNAL", "MESH_INTERNAL", NULL};
    struct service_entry *e = &o->service_entry;
    const struct json *spec = read_object(r, document, "spec");
    if (!spec) {
        read_fail(r, document, "spec is missing");
        return;
    }
    const struct json *endpoints = read_list(r, spec, "endpoints", ENTRY_ENDPOINTS_MAX);
    const char *location = read_string(r, spec, "location"), *const *l = locations;
    gateway_known(r, &e->flaw, spec, known);
    note_members(r, &e->note, spec, uncounted);
    while (*l && strcmp(*l, location) != 0)
        l++;
    if (!*l)
        traffic_flaw(r, &e->flaw, read_member(spec, "location"), "'%.40s' is not known", location);
    enum resolution resolution = read_resolution(r, spec, e);
    e->served = resolution == STATIC || (resolution == DNS && all_addresses(endpoints));
    read_hosts(r, spec, e);
    read_addresses(r, spec, e);
    read_ports(r, spec, e);
    read_selector(r, spec, e);
    e->exported = traffic_export(r, &e->flaw, spec, o->ns);
    if (e->served) {
        check_wildcards(r, spec, e);
        read_endpoints(r, endpoints, e);
    } else
        note_passing(r, spec, resolution, e);
    if (resolution == DNS && !e->served && e->n_addresses > 0)
        traffic_flaw(r, &e->flaw, read_member(spec, "addresses"),
                     "lead nowhere, since names are not resolved by the mesh");
    const char *chosen = labels_get(&o->labels, ENTRY_NO_ADDRESS_LABEL);
    e->automatic = e->served && e->n_addresses == 0 && !(chosen && strcmp(chosen, "false") == 0);
}
