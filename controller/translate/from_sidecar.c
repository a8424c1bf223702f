#include "controller/translate/from_sidecar.h"
#include <errno.h>
#include <stdlib.h>

static const struct object *without_selector(const struct view *v, const char *ns)
{
    struct object_group all = object_index_get(&v->sidecars_of, text_of(ns));
    return all.n > 0 ? all.items[0] : NULL;
}

/* Those that one of the labels is the first one of their selector for: each of them once, the oldest first. */
static const struct object *with_selector(const struct view *v, const char *ns, const struct labels *labels)
{
    char key[VIEW_KEY_MAX];
    const struct object *found = NULL;
    for (size_t i = 0; i < labels->n; i++) {
        struct object_group all = object_index_get(&v->sidecars_of, view_label(ns, &labels->items[i], key));
        for (size_t j = 0; j < all.n && !(found && object_index_order(found, all.items[j]) < 0); j++)
            if (labels_select(&all.items[j]->sidecar.selector, labels))
                found = all.items[j];
    }
    return found;
}

const struct object *sidecar_of(const struct view *v, const char *ns, const struct labels *labels)
{
    const struct object *found = with_selector(v, ns, labels);
    if (!found)
        found = without_selector(v, ns);
    return found ? found : without_selector(v, v->settings->root_namespace);
}

int from_sidecar(const struct view *v, const struct object *pod, struct workload *w)
{
    const struct object *o = sidecar_of(v, pod->ns, &pod->labels);
    const struct sidecar *s = o ? &o->sidecar : NULL;
    w->registry_only = s && s->mode_said ? s->registry_only : v->settings->registry_only;
    if (!s || s->hosts.n == 0)
        return 0;
    w->egress = calloc(s->hosts.n, sizeof *w->egress);
    if (!w->egress)
        return -ENOMEM;
    for (; w->n_egress < s->hosts.n; w->n_egress++) {
        w->egress[w->n_egress] = text_dup(text_of(s->hosts.items[w->n_egress]));
        if (!w->egress[w->n_egress])
            return -ENOMEM;
    }
    return 0;
}

void sidecar_warn(const struct view *v, const struct object *o, struct problems *problems)
{
    char key[OBJECT_KEY_MAX];
    const struct object *first = without_selector(v, o->ns);
    object_key(o->kind, o->ns, o->name, key);
    if (o->sidecar.selector.n == 0 && first != o)
        problems_add(problems, PROBLEM_ERROR, o->file, o->line, key, "",
                     "counts for nothing: of its namespace's Sidecars without a workloadSelector "
                     "the oldest counts, %s",
                     first->name);
    else if (o->sidecar.note.kind != GATEWAY_NO_FLAW)
        problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "", "%s",
                     o->sidecar.note.text);
}
