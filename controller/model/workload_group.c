#include "controller/model/object_kinds.h"
#include "controller/model/object_part.h"
#include "controller/model/traffic_read.h"
#include "controller/model/workload_fields.h"
#include <errno.h>
#include <stdlib.h>

/* ---- As it is written ----------------------------------------------------------------------- */

void workload_group_read(struct reader *r, const struct json *document, struct object *o)
{
    static const char *const known[] = {"metadata", "template", NULL};
    static const char *const metadata_known[] = {"labels", "annotations", NULL};
    struct workload_group *g = &o->workload_group;
    const struct json *spec = read_object(r, document, "spec");
    if (!spec) {
        read_fail(r, document, "spec is missing");
        return;
    }
    const struct json *metadata = read_object(r, spec, "metadata");
    const struct json *template = read_object(r, spec, "template");
    if (read_member(spec, "probe"))
        traffic_flaw(r, &g->flaw, read_member(spec, "probe"),
                     "is not supported: say in the health-check annotation of the Service what its endpoints are asked");
    gateway_known(r, &g->flaw, spec, known);
    gateway_known(r, &g->flaw, metadata, metadata_known);
    if (!template)
        traffic_flaw(r, &g->flaw, spec, "template is missing: it says serviceAccount, labels and ports of the machines");
    if (read_member(template, "address"))
        traffic_flaw(r, &g->flaw, read_member(template, "address"),
                     "must not be said: each machine has its own");
    workload_fields_read(r, &g->flaw, template, &g->template);
    const struct labels common = read_labels(r, metadata, "labels");
    g->labels = workload_labels_read(r, template, &common);
}

/* ---- Its entries ---------------------------------------------------------------------------- */

static struct labels entry_labels(struct part_making *m, const struct labels *from)
{
    struct object_label *items = part_take(m, from->n + 1, sizeof *items);
    struct labels made = part_labels(m, from);
    bool said = labels_get(from, MACHINE_TUNNEL_LABEL) != NULL;
    for (size_t i = 0; items && i < made.n; i++)
        items[i] = made.items[i];
    if (items && !said)
        items[made.n] = (struct object_label){MACHINE_TUNNEL_LABEL, "http"};
    return (struct labels){items, items ? made.n + !said : 0};
}

int workload_group_entry(const struct object *group, const char *name, const struct ip *address,
                         int64_t created_s, struct object **ret)
{
    const struct workload_group *g = &group->workload_group;
    const struct workload_entry *t = &g->template;
    *ret = NULL;
    if (g->flaw.kind != GATEWAY_NO_FLAW)
        return 0;
    struct object *o = calloc(1, sizeof *o);
    if (!o)
        return -ENOMEM;
    *o = (struct object){.kind = OBJECT_WORKLOAD_ENTRY,
                         .refs = 1,
                         .created_s = created_s,
                         .line = group->line};
    object_arena_init(&o->arena, OBJECT_BYTES_MAX);
    struct part_making m = {.part = o};
    struct container_port *targets = part_take(&m, t->n_targets, sizeof *targets);
    o->ns = part_text(&m, group->ns);
    o->name = part_text(&m, name);
    o->file = part_text(&m, group->file);
    o->labels = entry_labels(&m, &g->labels);
    o->workload_entry = (struct workload_entry){.address = part_addresses(&m, address, 1),
                                                .service_account = part_text(&m, t->service_account),
                                                .targets = targets,
                                                .region = part_text(&m, t->region),
                                                .zone = part_text(&m, t->zone),
                                                .subzone = part_text(&m, t->subzone),
                                                .network = part_text(&m, t->network),
                                                .weight = t->weight};
    for (size_t i = 0; targets && i < t->n_targets; i++)
        targets[o->workload_entry.n_targets++] =
            (struct container_port){part_text(&m, t->targets[i].name), t->targets[i].port};
    if (m.no_memory) {
        object_unref(o);
        return -ENOMEM;
    }
    *ret = o;
    return 0;
}
