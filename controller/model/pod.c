#include "controller/model/object_kinds.h"
#include "shared/mesh/workload.h"

enum { CONTAINERS_MAX = 256, PORTS_MAX = 1024, OWNERS_MAX = 64, CONDITIONS_MAX = 256 };

static void read_addresses(struct reader *r, const struct json *status, struct pod *pod)
{
    const struct json *list = read_list(r, status, "podIPs", WORKLOAD_ADDRESSES_MAX);
    const struct json *single = read_member(status, "podIP");
    struct ip *ips = read_array(r, json_count(list) + 1, sizeof *ips);
    pod->ips = ips;
    if (!ips)
        return;
    json_for_each (entry, list) {
        const struct json *ip = read_member(entry, "ip");
        if (!ip)
            read_fail(r, entry, "ip is missing");
        else if (read_ip(r, ip, &ips[pod->n_ips]))
            pod->n_ips++;
    }
    if (pod->n_ips == 0 && single &&
        !(json_is(single, JSON_STRING) && json_text(single).len == 0) &&
        read_ip(r, single, &ips[0]))
        pod->n_ips = 1;
}

static void read_owner(struct reader *r, const struct json *metadata, struct pod *pod)
{
    pod->owner_kind = pod->owner_name = "";
    json_for_each (owner, read_list(r, metadata, "ownerReferences", OWNERS_MAX)) {
        if (!read_bool(r, owner, "controller", false))
            continue;
        pod->owner_kind = read_string(r, owner, "kind");
        pod->owner_name = read_string(r, owner, "name");
        return;
    }
}

/* Ports of the containers that stay, and of init containers that restart (sidecars). */
static void read_ports(struct reader *r, const struct json *containers, bool init,
                       struct container_port *ports, size_t *n)
{
    json_for_each (container, containers) {
        if (init && strcmp(read_string(r, container, "restartPolicy"), "Always") != 0)
            continue;
        json_for_each (port, read_list(r, container, "ports", PORTS_MAX)) {
            const char *protocol = read_string(r, port, "protocol");
            uint16_t number = read_port(r, port, "containerPort");
            if (!number)
                read_fail(r, port, "containerPort is missing");
            if (*n == PORTS_MAX) {
                read_fail(r, port, "is one port too many; at most %d are allowed", PORTS_MAX);
                return;
            }
            if (!protocol[0] || strcmp(protocol, "TCP") == 0)
                ports[(*n)++] = (struct container_port){read_string(r, port, "name"), number};
        }
    }
}

static size_t count_ports(const struct json *containers)
{
    size_t n = 0;
    json_for_each (container, containers)
        n += json_count(read_member(container, "ports"));
    return n < PORTS_MAX ? n : PORTS_MAX;
}

static void read_condition(struct reader *r, const struct json *status, struct pod *pod)
{
    pod->ready = true;
    json_for_each (condition, read_list(r, status, "conditions", CONDITIONS_MAX)) {
        if (strcmp(read_string(r, condition, "type"), "Ready") == 0)
            pod->ready = strcmp(read_string(r, condition, "status"), "True") == 0;
    }
}

void pod_read(struct reader *r, const struct json *document, struct object *o)
{
    struct pod *pod = &o->pod;
    const struct json *spec = read_object(r, document, "spec");
    const struct json *status = read_object(r, document, "status");

    pod->service_account = read_string(r, spec, "serviceAccountName");
    if (!pod->service_account[0])
        pod->service_account = read_string(r, spec, "serviceAccount");
    if (!pod->service_account[0])
        pod->service_account = "default";
    const char *wrong = name_check_subdomain(text_of(pod->service_account));
    if (wrong)
        read_fail(r, spec, "serviceAccountName '%s' %s", pod->service_account, wrong);
    pod->node = read_string(r, spec, "nodeName");
    pod->host_network = read_bool(r, spec, "hostNetwork", false);

    const struct json *containers = read_list(r, spec, "containers", CONTAINERS_MAX);
    const struct json *init = read_list(r, spec, "initContainers", CONTAINERS_MAX);
    size_t n = count_ports(containers) + count_ports(init);
    struct container_port *ports = read_array(r, n < PORTS_MAX ? n : PORTS_MAX, sizeof *ports);
    if (ports) {
        read_ports(r, containers, false, ports, &pod->n_ports);
        read_ports(r, init, true, ports, &pod->n_ports);
    }
    pod->ports = ports;

    const char *phase = read_string(r, status, "phase");
    pod->over = strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0;
    pod->alive = strcmp(phase, "Pending") == 0 || strcmp(phase, "Running") == 0;
    read_addresses(r, status, pod);
    read_condition(r, status, pod);
    const struct json *metadata = read_member(document, "metadata");
    pod->uid = read_string(r, metadata, "uid");
    read_owner(r, metadata, pod);
}
