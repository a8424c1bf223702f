#include "controller/model/object_store.h"
#include <errno.h>
#include <stdlib.h>

void object_store_init(struct object_store *s)
{
    *s = (struct object_store){0};
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++)
        map_init(&s->objects[kind], OBJECTS_MAX);
}

static void store_free_object(void *value)
{
    object_unref(value);
}

void object_store_done(struct object_store *s)
{
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++)
        map_done(&s->objects[kind], store_free_object);
}

static int put_one(struct object_store *s, struct object *o)
{
    char key[OBJECT_KEY_MAX];
    object_key(o->kind, o->ns, o->name, key);
    void *old = NULL;
    int r = map_put(&s->objects[o->kind], text_of(key), o, &old);
    if (r < 0)
        return r;
    object_ref(o);
    if (s->changed)
        s->changed(s->changed_arg, old, o);
    object_unref(old);
    return 0;
}

static bool remove_one(struct object_store *s, enum object_kind kind, const char *ns,
                       const char *name)
{
    char key[OBJECT_KEY_MAX];
    object_key(kind, ns, name, key);
    struct object *old = map_remove(&s->objects[kind], text_of(key));
    if (old && s->changed)
        s->changed(s->changed_arg, old, NULL);
    object_unref(old);
    return old != NULL;
}

/* ---- Parts ---------------------------------------------------------------------------------- */

/* Those of an entry, but for the ones that `now` has, too (NULL: nothing). */
static void remove_parts(struct object_store *s, const struct object *entry,
                         const struct object *now)
{
    char name[ENTRY_PART_NAME_MAX];
    size_t n_hosts = service_entry_is_served(entry) ? entry->service_entry.hosts.n : 0;
    for (size_t i = 0; i < n_hosts; i++) {
        const char *host = entry->service_entry.hosts.items[i];
        size_t kept = now ? service_entry_parts_of(now, host) : 0;
        size_t n = service_entry_parts_of(entry, host);
        for (size_t j = kept; j < n; j++)
            (void)remove_one(s, j == 0 ? OBJECT_SERVICE : OBJECT_ENDPOINT_SLICE, entry->ns,
                             service_entry_part(entry, host, j, name));
    }
}

static int put_entry(struct object_store *s, struct object *o)
{
    const struct object *old = object_store_get(s, o->kind, o->ns, o->name);
    struct object **parts;
    size_t n;
    int err = service_entry_parts(o, &parts, &n);
    if (err < 0)
        return err;
    if (old)
        remove_parts(s, old, o);
    for (size_t i = 0; i < n && err == 0; i++)
        err = put_one(s, parts[i]);
    if (err == 0)
        err = put_one(s, o);
    if (err < 0) /* it has no parts, then, as if it were not there */
        remove_parts(s, o, NULL);
    service_entry_parts_done(parts, n);
    return err;
}

static void remove_machine(struct object_store *s, const struct object *entry)
{
    char name[MACHINE_NAME_MAX];
    (void)remove_one(s, OBJECT_POD, entry->ns, workload_entry_part_name(entry->name, name));
}

static int put_workload_entry(struct object_store *s, struct object *o)
{
    struct object *part;
    int err = workload_entry_part(o, &part);
    if (err < 0)
        return err;
    if (!part)
        remove_machine(s, o);
    err = part ? put_one(s, part) : 0;
    if (err == 0)
        err = put_one(s, o);
    if (err < 0)
        remove_machine(s, o);
    object_unref(part);
    return err;
}

int object_store_put(struct object_store *s, struct object *o)
{
    if (o->kind == OBJECT_WORKLOAD_ENTRY)
        return put_workload_entry(s, o);
    return o->kind == OBJECT_SERVICE_ENTRY ? put_entry(s, o) : put_one(s, o);
}

bool object_store_remove(struct object_store *s, enum object_kind kind, const char *ns,
                         const char *name)
{
    const struct object *o = object_store_get(s, kind, ns, name);
    if (o && kind == OBJECT_SERVICE_ENTRY)
        remove_parts(s, o, NULL);
    if (o && kind == OBJECT_WORKLOAD_ENTRY)
        remove_machine(s, o);
    return remove_one(s, kind, ns, name);
}

struct object *object_store_get(const struct object_store *s, enum object_kind kind, const char *ns,
                                const char *name)
{
    char key[OBJECT_KEY_MAX];
    object_key(kind, ns, name, key);
    return map_get(&s->objects[kind], text_of(key));
}

static int store_order(const void *a, const void *b)
{
    const struct object *x = *(struct object *const *)a, *y = *(struct object *const *)b;
    int by_ns = strcmp(x->ns, y->ns);
    return by_ns ? by_ns : strcmp(x->name, y->name);
}

int object_store_list(const struct object_store *s, enum object_kind kind, struct object ***ret,
                      size_t *ret_n)
{
    const struct map *m = &s->objects[kind];
    struct object **list = NULL;
    size_t n = 0;
    if (m->count > 0) {
        list = calloc(m->count, sizeof *list);
        if (!list)
            return -ENOMEM;
        const struct map_entry *e;
        for (size_t i = 0; (e = map_next(m, &i));)
            list[n++] = e->value;
        qsort(list, n, sizeof *list, store_order);
    }
    *ret = list;
    *ret_n = n;
    return 0;
}
