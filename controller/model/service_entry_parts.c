#include "controller/model/object_part.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Parts ---------------------------------------------------------------------------------- */

static void fill_service(struct part_making *m, const struct service_entry *e)
{
    struct kube_service *s = &m->part->service;
    struct kube_service_port *ports = part_take(m, e->n_ports, sizeof *ports);
    s->selector = part_labels(m, &e->selector);
    s->addresses = part_addresses(m, e->addresses, e->n_addresses);
    s->n_addresses = e->n_addresses;
    s->automatic = e->automatic;
    s->exported = part_values(m, &e->exported);
    s->ports = ports;
    for (size_t i = 0; ports && i < e->n_ports; i++) {
        ports[i] = e->ports[i];
        ports[i].name = part_text(m, e->ports[i].name);
        ports[i].target_name = "";
        s->n_ports++;
    }
}

static void fill_slice(struct part_making *m, const struct service_entry *e,
                       const struct entry_endpoint *from, const char *service)
{
    struct endpoint_slice *s = &m->part->slice;
    struct slice_endpoint *to = part_take(m, 1, sizeof *to);
    struct slice_port *ports = part_take(m, e->n_ports, sizeof *ports);
    const char **texts = part_take(m, 1, sizeof *texts);
    s->service = part_text(m, service);
    s->ports = ports;
    for (size_t i = 0; ports && i < e->n_ports; i++)
        ports[s->n_ports++] = (struct slice_port){part_text(m, e->ports[i].name), from->targets[i]};
    if (!to || !texts)
        return;
    texts[0] = part_text(m, from->text);
    *to = (struct slice_endpoint){.addresses = part_addresses(m, from->address, 1),
                                  .address_texts = texts,
                                  .n_addresses = 1,
                                  .ready = true,
                                  .serving = true,
                                  .pod_ns = "",
                                  .pod_name = "",
                                  .labels = part_labels(m, &from->labels),
                                  .weight = from->weight,
                                  .region = part_text(m, from->region),
                                  .zone = part_text(m, from->zone),
                                  .subzone = part_text(m, from->subzone),
                                  .line = from->line};
    s->endpoints = to;
    s->n_endpoints = 1;
}

/* NULL: no memory. */
static struct object *make(const struct object *entry, const char *host, size_t i)
{
    const struct service_entry *e = &entry->service_entry;
    const struct entry_endpoint *endpoint = i > 0 ? &e->endpoints[i - 1] : NULL;
    char name[ENTRY_PART_NAME_MAX], service[ENTRY_PART_NAME_MAX];
    struct object *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    *o = (struct object){.kind = endpoint ? OBJECT_ENDPOINT_SLICE : OBJECT_SERVICE,
                         .refs = 1,
                         .made = true,
                         .created_s = entry->created_s,
                         .line = endpoint ? endpoint->line : entry->line};
    object_arena_init(&o->arena, OBJECT_BYTES_MAX);
    struct part_making m = {.part = o};
    o->ns = part_text(&m, entry->ns);
    o->name = part_text(&m, service_entry_part(entry, host, i, name));
    o->file = part_text(&m, entry->file);
    if (endpoint)
        fill_slice(&m, e, endpoint, service_entry_part(entry, host, 0, service));
    else
        fill_service(&m, e);
    return m.no_memory ? object_unref(o) : o;
}

bool service_entry_is_served(const struct object *entry)
{
    const struct service_entry *e = &entry->service_entry;
    return e->served && e->flaw.kind == GATEWAY_NO_FLAW;
}

size_t service_entry_parts_of(const struct object *entry, const char *host)
{
    const struct service_entry *e = &entry->service_entry;
    for (size_t i = 0; service_entry_is_served(entry) && i < e->hosts.n; i++)
        if (strcmp(e->hosts.items[i], host) == 0)
            return 1 + e->n_endpoints;
    return 0;
}

/* With '/' in it: nothing else can have such a name. */
const char *service_entry_part(const struct object *entry, const char *host, size_t i,
                               char out[static ENTRY_PART_NAME_MAX])
{
    if (i == 0)
        snprintf(out, ENTRY_PART_NAME_MAX, "%s/%s", entry->name, host);
    else
        snprintf(out, ENTRY_PART_NAME_MAX, "%s/%s/%zu", entry->name, host, i - 1);
    return out;
}

void service_entry_parts_done(struct object **parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        object_unref(parts[i]);
    free(parts);
}

int service_entry_parts(const struct object *entry, struct object ***ret, size_t *ret_n)
{
    const struct service_entry *e = &entry->service_entry;
    size_t n = 0, n_max = e->hosts.n * (1 + e->n_endpoints);
    *ret = NULL;
    *ret_n = 0;
    if (!service_entry_is_served(entry))
        return 0;
    struct object **parts = calloc(n_max, sizeof *parts);
    if (!parts)
        return -ENOMEM;
    for (size_t i = 0; i < e->hosts.n; i++)
        for (size_t j = 0; j <= e->n_endpoints; j++) {
            parts[n] = make(entry, e->hosts.items[i], j);
            if (!parts[n]) {
                service_entry_parts_done(parts, n);
                return -ENOMEM;
            }
            n++;
        }
    *ret = parts;
    *ret_n = n;
    return 0;
}
