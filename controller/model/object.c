#include "controller/model/object.h"
#include "shared/tls/web_key.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

const char *object_kind_name(enum object_kind kind)
{
    static const char *const names[] = {
#define X(name, kind, group, namespaced) kind,
        OBJECT_KINDS(X)
#undef X
    };
    return names[kind];
}

struct object *object_ref(struct object *o)
{
    o->refs++;
    return o;
}

struct object *object_unref(struct object *o)
{
    if (o) {
        assert(o->refs > 0);
        if (--o->refs == 0) {
            if (o->kind == OBJECT_SECRET)
                web_key_unref(o->secret.key);
            object_arena_done(&o->arena);
            free(o);
        }
    }
    return NULL;
}

void object_key(enum object_kind kind, const char *ns, const char *name,
                char out[static OBJECT_KEY_MAX])
{
    snprintf(out, OBJECT_KEY_MAX, "%s %s%s%s", object_kind_name(kind), ns, ns[0] ? "/" : "", name);
}

const char *labels_get(const struct labels *l, const char *key)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->items[i].key, key) == 0)
            return l->items[i].value;
    return NULL;
}

bool labels_select(const struct labels *selector, const struct labels *l)
{
    for (size_t i = 0; i < selector->n; i++) {
        const char *value = labels_get(l, selector->items[i].key);
        if (!value || strcmp(value, selector->items[i].value) != 0)
            return false;
    }
    return true;
}
