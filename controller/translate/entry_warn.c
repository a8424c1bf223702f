#include "controller/translate/entry_warn.h"
#include "controller/translate/service_place.h"
#include "controller/translate/traffic_host.h"
#include <stdio.h>

static void warn(const struct object *o, struct problems *problems, const char *field,
                 const char *what, const struct object *whose)
{
    char key[OBJECT_KEY_MAX];
    object_key(o->kind, o->ns, o->name, key);
    const char *kind = object_kind_name(whose->kind);
    if (whose->made)
        kind = whose->kind == OBJECT_POD ? "WorkloadEntry" : "ServiceEntry";
    problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, field,
                 "'%s' counts for nothing: %s %s/%.*s has it", what, kind, whose->ns,
                 (int)strcspn(whose->name, "/"), whose->name);
}

/* The Service that a host of it is, if it counts. */
static const struct object *part_of(const struct view *v, const struct object *o, const char *host)
{
    char name[ENTRY_PART_NAME_MAX];
    const struct object *part =
        object_store_get(v->store, OBJECT_SERVICE, o->ns, service_entry_part(o, host, 0, name));
    return part && traffic_counts(v, part) ? part : NULL;
}

static void warn_host(const struct view *v, const struct object *o, const char *host,
                      struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    const struct object *part = part_of(v, o, host), *chosen = traffic_by_host(v, text_of(host));
    struct ip has[SERVICE_ADDRESSES_MAX];
    object_key(o->kind, o->ns, o->name, key);
    if (!chosen)
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.hosts",
                     "'%s' counts for nothing: a Service of type ExternalName has it", host);
    else if (!part)
        warn(o, problems, "spec.hosts", host, chosen);
    else if (part->service.automatic && (service_addresses(v, part, has) == 0 || has[0].len != 4))
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.hosts",
                     "'%s' has no IPv4 address: the ones that it might be given are others'; write "
                     "spec.addresses",
                     host);
}

/* Its hosts share it: once is enough. */
static void warn_address(const struct view *v, const struct object *o, const struct ip *address,
                         struct problems *problems)
{
    const struct values *hosts = &o->service_entry.hosts;
    const struct object *before = NULL;
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < hosts->n && !before; i++) {
        const struct object *part = part_of(v, o, hosts->items[i]);
        before = part ? service_before(v, part, address) : NULL;
    }
    if (before)
        warn(o, problems, "spec.addresses", ip_print(address, text), before);
}

static void warn_flaws(const struct object *o, const struct gateway_flaw *flaw,
                       const struct gateway_flaw *note, struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    object_key(o->kind, o->ns, o->name, key);
    if (flaw->kind != GATEWAY_NO_FLAW)
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "", "counts for nothing: %s",
                     flaw->text);
    else if (note->kind != GATEWAY_NO_FLAW)
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "", "%s", note->text);
}

/* Who has its address is said of its Pod. */
void machine_warn(const struct view *v, const struct object *entry, struct problems *problems)
{
    const struct workload_entry *e = &entry->workload_entry;
    char key[OBJECT_KEY_MAX];
    warn_flaws(entry, &e->flaw, &(struct gateway_flaw){0}, problems);
    object_key(entry->kind, entry->ns, entry->name, key);
    if (e->network[0] && strcmp(e->network, v->settings->network) != 0)
        problems_add(problems, PROBLEM_WARNING, entry->file, entry->line, key, "spec.network",
                     "counts for nothing: no way into other networks is known, so the machine must "
                     "be reachable by its address");
}

void group_warn(const struct object *group, struct problems *problems)
{
    warn_flaws(group, &group->workload_group.flaw, &(struct gateway_flaw){0}, problems);
}

void entry_warn(const struct view *v, const struct object *entry, struct problems *problems)
{
    const struct service_entry *e = &entry->service_entry;
    warn_flaws(entry, &e->flaw, &e->note, problems);
    if (!service_entry_is_served(entry))
        return;
    for (size_t i = 0; i < e->hosts.n; i++)
        warn_host(v, entry, e->hosts.items[i], problems);
    for (size_t i = 0; i < e->n_addresses; i++)
        warn_address(v, entry, &e->addresses[i], problems);
}
