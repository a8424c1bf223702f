#include "controller/translate/entry_warn.h"
#include "controller/translate/service_place.h"
#include "controller/translate/traffic_host.h"
#include <stdio.h>

static void warn_host(const struct view *v, const struct object *o, const char *key,
                      const char *host, struct problems *problems)
{
    char name[ENTRY_PART_NAME_MAX];
    const struct object *part =
        object_store_get(v->store, OBJECT_SERVICE, o->ns, service_entry_part(o, host, 0, name));
    const struct object *chosen = traffic_by_host(v, text_of(host));
    struct ip placed[PLACED_MAX];
    if (!part)
        return;
    if (!chosen)
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.hosts",
                     "'%s' counts for nothing: a Service of type ExternalName has it", host);
    else if (chosen != part)
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.hosts",
                     "'%s' counts for nothing: %s %s/%.*s has it", host,
                     chosen->made ? "ServiceEntry" : "Service", chosen->ns,
                     (int)strcspn(chosen->name, "/"), chosen->name);
    else if (part->service.automatic && service_placed(v, part, placed) < PLACED_MAX)
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "spec.hosts",
                     "'%s' has no IPv4 address: the ones that it might be given are others'; write "
                     "spec.addresses",
                     host);
}

void entry_warn(const struct view *v, const struct object *entry, struct problems *problems)
{
    const struct service_entry *e = &entry->service_entry;
    char key[OBJECT_KEY_MAX];
    object_key(entry->kind, entry->ns, entry->name, key);
    if (e->flaw.kind != GATEWAY_NO_FLAW) {
        problems_add(problems, PROBLEM_ERROR, entry->file, entry->line, key, "",
                     "counts for nothing: %s", e->flaw.text);
        return;
    }
    if (e->note.kind != GATEWAY_NO_FLAW)
        problems_add(problems, PROBLEM_WARNING, entry->file, entry->line, key, "", "%s",
                     e->note.text);
    for (size_t i = 0; service_entry_is_served(entry) && i < e->hosts.n; i++)
        warn_host(v, entry, key, e->hosts.items[i], problems);
}
