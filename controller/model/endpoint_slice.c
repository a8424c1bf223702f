#include "controller/model/object_kinds.h"
#include "shared/mesh/service.h"

enum { SLICE_ENDPOINTS_MAX = 5000 };

static void read_endpoint(struct reader *r, const struct json *j, const struct object *o,
                          struct slice_endpoint *ret)
{
    const struct json *target = read_object(r, j, "targetRef");
    ret->line = json_line(j);
    ret->to_pod = strcmp(read_string(r, target, "kind"), "Pod") == 0;
    ret->pod_ns = read_string(r, target, "namespace");
    if (!ret->pod_ns[0])
        ret->pod_ns = o->ns;
    ret->pod_name = read_string(r, target, "name");
    const struct json *conditions = read_object(r, j, "conditions");
    ret->ready = read_bool(r, conditions, "ready", true);
    ret->serving = read_bool(r, conditions, "serving", ret->ready);
    ret->terminating = read_bool(r, conditions, "terminating", false);

    const struct json *list = read_list(r, j, "addresses", WORKLOAD_ADDRESSES_MAX);
    if (json_count(list) == 0)
        read_fail(r, j, "addresses is missing or empty");
    if (o->slice.fqdn)
        return;
    struct ip *ips = read_array(r, json_count(list), sizeof *ips);
    const char **texts = read_array(r, json_count(list), sizeof *texts);
    ret->addresses = ips;
    ret->address_texts = texts;
    if (!ips || !texts)
        return;
    json_for_each (address, list) {
        if (!read_ip(r, address, &ips[ret->n_addresses]))
            break;
        texts[ret->n_addresses++] = read_copy(r, json_text(address));
    }
}

static void read_ports(struct reader *r, const struct json *document, struct endpoint_slice *slice)
{
    const struct json *list = read_list(r, document, "ports", SERVICE_PORTS_MAX);
    struct slice_port *ports = read_array(r, json_count(list), sizeof *ports);
    slice->ports = ports;
    if (!ports)
        return;
    json_for_each (j, list) {
        const char *protocol = read_string(r, j, "protocol");
        struct slice_port port = {read_string(r, j, "name"), read_port(r, j, "port")};
        if (port.port && (!protocol[0] || strcmp(protocol, "TCP") == 0))
            ports[slice->n_ports++] = port;
    }
}

void endpoint_slice_read(struct reader *r, const struct json *document, struct object *o)
{
    struct endpoint_slice *slice = &o->slice;
    const char *service = labels_get(&o->labels, "kubernetes.io/service-name");
    slice->service = service ? service : "";
    slice->fqdn = strcmp(read_string(r, document, "addressType"), "FQDN") == 0;
    read_ports(r, document, slice);

    const struct json *list = read_list(r, document, "endpoints", SLICE_ENDPOINTS_MAX);
    struct slice_endpoint *endpoints = read_array(r, json_count(list), sizeof *endpoints);
    slice->endpoints = endpoints;
    if (!endpoints)
        return;
    json_for_each (j, list) {
        read_endpoint(r, j, o, &endpoints[slice->n_endpoints]);
        slice->n_endpoints++;
        if (read_failed(r))
            return;
    }
}
