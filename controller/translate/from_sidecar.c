#include "controller/translate/from_sidecar.h"
#include <errno.h>
#include <stdlib.h>

/* With a selector that takes the labels, or (NULL) without one. */
static const struct object *oldest(const struct view *v, const char *ns,
                                   const struct labels *labels)
{
    struct view_range all = view_namespace(v, OBJECT_SIDECAR, ns);
    const struct object *found = NULL;
    for (size_t i = 0; i < all.n; i++) {
        const struct labels *selector = &all.items[i]->sidecar.selector;
        bool fits = labels ? selector->n > 0 && labels_select(selector, labels) : selector->n == 0;
        if (fits && (!found || object_index_order(all.items[i], found) < 0))
            found = all.items[i];
    }
    return found;
}

const struct object *sidecar_of(const struct view *v, const char *ns, const struct labels *labels)
{
    const struct object *found = oldest(v, ns, labels);
    if (!found)
        found = oldest(v, ns, NULL);
    return found ? found : oldest(v, v->settings->root_namespace, NULL);
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
    const struct object *first = oldest(v, o->ns, NULL);
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
