#include "controller/model/object_kinds.h"
#include "controller/model/object_part.h"
#include "controller/model/traffic_read.h"
#include "controller/model/workload_fields.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- As it is written ----------------------------------------------------------------------- */

static void read_targets(struct reader *r, struct gateway_flaw *f, const struct json *spec,
                         struct workload_entry *e)
{
    const struct json *map = read_object(r, spec, "ports");
    struct container_port *targets = NULL;
    if (json_count(map) > ENTRY_TARGETS_MAX)
        traffic_flaw(r, f, map, "has more than %d", ENTRY_TARGETS_MAX);
    else
        targets = read_array(r, json_count(map), sizeof *targets);
    e->targets = targets;
    json_for_each (j, map) {
        if (!targets)
            return;
        const char *name = read_copy(r, json_name(j));
        targets[e->n_targets++] = (struct container_port){name, read_port(r, map, name)};
    }
}

struct labels workload_labels_read(struct reader *r, const struct json *of,
                                   const struct labels *besides)
{
    struct labels own = read_labels(r, of, "labels");
    struct object_label *all = read_array(r, own.n + besides->n, sizeof *all);
    struct labels both = {all, 0};
    for (size_t i = 0; all && i < own.n; i++)
        all[both.n++] = own.items[i];
    for (size_t i = 0; all && i < besides->n; i++)
        if (!labels_get(&own, besides->items[i].key))
            all[both.n++] = besides->items[i];
    return both;
}

void workload_fields_read(struct reader *r, struct gateway_flaw *f, const struct json *of,
                          struct workload_entry *ret)
{
    static const char *const known[] = {"address",        "ports",    "labels", "network",
                                        "serviceAccount", "locality", "weight", NULL};
    gateway_known(r, f, of, known);
    ret->network = read_string(r, of, "network");
    ret->service_account = read_string(r, of, "serviceAccount");
    if (!ret->service_account[0])
        ret->service_account = "default";
    const char *wrong = name_check_subdomain(text_of(ret->service_account));
    if (wrong)
        traffic_flaw(r, f, read_member(of, "serviceAccount"), "'%.60s' %s", ret->service_account,
                     wrong);
    uint32_t weight = gateway_number(r, of, "weight", 1000000, 1);
    ret->weight = weight ? weight : 1;
    traffic_locality(r, f, of, &ret->region, &ret->zone, &ret->subzone);
    read_targets(r, f, of, ret);
}

void workload_entry_read(struct reader *r, const struct json *document, struct object *o)
{
    struct workload_entry *e = &o->workload_entry;
    const struct json *spec = read_object(r, document, "spec");
    struct ip *address = read_array(r, 1, sizeof *address);
    if (!spec) {
        read_fail(r, document, "spec is missing");
        return;
    }
    const char *text = read_string(r, spec, "address");
    e->address = address;
    if (address && ip_parse(text_of(text), address) < 0)
        traffic_flaw(r, &e->flaw, read_member(spec, "address") ? read_member(spec, "address") : spec,
                     "'%.60s' is no IP address", text);
    workload_fields_read(r, &e->flaw, spec, e);
    o->labels = workload_labels_read(r, spec, &o->labels);
}

/* ---- Its Pod -------------------------------------------------------------------------------- */

const char *workload_entry_part_name(const char *entry, char out[static MACHINE_NAME_MAX])
{
    snprintf(out, MACHINE_NAME_MAX, "%s/machine", entry);
    return out;
}

int workload_entry_part(const struct object *entry, struct object **ret)
{
    const struct workload_entry *e = &entry->workload_entry;
    char name[MACHINE_NAME_MAX];
    *ret = NULL;
    if (e->flaw.kind != GATEWAY_NO_FLAW)
        return 0;
    struct object *o = calloc(1, sizeof *o);
    if (!o)
        return -ENOMEM;
    *o = (struct object){.kind = OBJECT_POD,
                         .refs = 1,
                         .made = true,
                         .created_s = entry->created_s,
                         .line = entry->line};
    object_arena_init(&o->arena, OBJECT_BYTES_MAX);
    struct part_making m = {.part = o};
    struct container_port *ports = part_take(&m, e->n_targets, sizeof *ports);
    o->ns = part_text(&m, entry->ns);
    o->name = part_text(&m, workload_entry_part_name(entry->name, name));
    o->file = part_text(&m, entry->file);
    o->labels = part_labels(&m, &entry->labels);
    o->pod = (struct pod){.ips = part_addresses(&m, e->address, 1),
                          .n_ips = 1,
                          .service_account = part_text(&m, e->service_account),
                          .node = "",
                          .uid = "",
                          .owner_kind = "",
                          .owner_name = "",
                          .ports = ports,
                          .ready = true,
                          .weight = e->weight,
                          .region = part_text(&m, e->region),
                          .zone = part_text(&m, e->zone),
                          .subzone = part_text(&m, e->subzone)};
    for (size_t i = 0; ports && i < e->n_targets; i++)
        ports[o->pod.n_ports++] =
            (struct container_port){part_text(&m, e->targets[i].name), e->targets[i].port};
    if (m.no_memory) {
        object_unref(o);
        return -ENOMEM;
    }
    *ret = o;
    return 0;
}
