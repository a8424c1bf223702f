#include "controller/discovery/kube_kind.h"
#include "controller/discovery/kube_source.h"
#include "controller/model/object_read.h"
#include "shared/base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- What can't be read --------------------------------------------------------------------- */

static void complaint_free(void *value)
{
    struct kube_complaint *c = value;
    if (!c)
        return;
    free(c->field);
    free(c->message);
    free(c);
}

static void praise(struct kube_kind *k, const char *key)
{
    struct kube_complaint *c = map_remove(&k->bad, text_of(key));
    if (!c)
        return;
    complaint_free(c);
    kube_source_touch(k->source);
}

/* The error says "FIELD: MESSAGE", or the message alone. In a watch the field's path begins with the
 * event's member "object", which is none of the object's own. */
static int complain(struct kube_kind *k, const char *key, const struct json *document,
                    const struct json_error *e)
{
    char above[32];
    struct text_out path = TEXT_OUT(above);
    json_path(document, &path);
    const char *text = e->text;
    if (path.len > 0 && strncmp(text, above, path.len) == 0 && text[path.len] == '.')
        text += path.len + 1;
    size_t len = strcspn(text, " ");
    bool has_field = len > 1 && text[len] == ' ' && text[len - 1] == ':';
    const char *message = has_field ? text + len + 1 : text;
    void *old = NULL;
    struct kube_complaint *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->field = text_dup((struct text){text, has_field ? len - 1 : 0});
    c->message = text_dup(text_of(message));
    if (!c->field || !c->message || map_put(&k->bad, text_of(key), c, &old) < 0) {
        complaint_free(c);
        return -ENOMEM;
    }
    complaint_free(old);
    kube_source_touch(k->source);
    return 0;
}

/* ---- What the reflector says ---------------------------------------------------------------- */

static void unstage(struct kube_kind *k)
{
    for (size_t i = 0; i < k->n_staged; i++)
        object_unref(k->staged[i]);
    free(k->staged);
    k->staged = NULL;
    k->n_staged = k->staged_size = 0;
}

static const char *text_or_empty(struct text t)
{
    return t.data ? t.data : "";
}

static void list_begins(struct reflector *r)
{
    struct kube_kind *k = r->user;
    unstage(k);
    k->listing = true;
}

static int stage(struct kube_kind *k, struct object *o)
{
    if (k->n_staged == k->staged_size) {
        size_t size = k->staged_size ? 2 * k->staged_size : 64;
        struct object **staged = realloc(k->staged, size * sizeof *staged);
        if (!staged)
            return -ENOMEM;
        k->staged = staged;
        k->staged_size = size;
    }
    k->staged[k->n_staged++] = object_ref(o);
    return 0;
}

static void see(struct kube_kind *k, const struct json *document)
{
    const struct json *metadata = json_member(document, TEXT("metadata"));
    if (k->source->seen)
        k->source->seen(k->source, k->kind,
                        text_or_empty(json_text(json_member(metadata, TEXT("namespace")))),
                        text_or_empty(json_text(json_member(metadata, TEXT("name")))), document);
}

/* Takes what counts as long as no good state is known of an object that can't be read. */
static int put_instead(struct kube_kind *k, struct object *taken)
{
    bool known = object_store_get(k->source->store, k->kind, taken->ns, taken->name);
    int err = known ? 0 : k->listing ? stage(k, taken) : object_store_put(k->source->store, taken);
    object_unref(taken);
    return err == -ENOSPC ? 0 : err; /* what is beyond is told anyway */
}

static int put(struct reflector *r, const struct json *document)
{
    struct kube_kind *k = r->user;
    struct object *o = NULL;
    struct object_identity identity;
    see(k, document);
    struct json_error e = {0};
    char key[OBJECT_KEY_MAX];
    int err = object_read_as(k->kind, document, KUBE_SOURCE_FILE, &o, &identity, &e);
    if (err == -ENOMEM)
        return err;
    if (err < 0) {
        int instead = o ? put_instead(k, o) : 0;
        if (instead < 0)
            return instead;
        const struct json *metadata = json_member(document, TEXT("metadata"));
        const char *ns = json_text(json_member(metadata, TEXT("namespace"))).data;
        object_key(k->kind,
                   identity.known ? identity.ns
                   : ns           ? ns
                                  : "",
                   identity.known ? identity.name
                                  : json_text(json_member(metadata, TEXT("name"))).data,
                   key);
        return complain(k, key, document, &e);
    }
    o->line = 0; /* nobody sees lines of an API */
    object_key(k->kind, o->ns, o->name, key);
    err = k->listing ? stage(k, o) : object_store_put(k->source->store, o);
    object_unref(o);
    if (err == -ENOSPC) {
        json_fail(&e, document, "there are too many objects; this one is left out");
        return complain(k, key, document, &e);
    }
    if (err < 0)
        return err;
    praise(k, key);
    kube_source_touch(k->source);
    return 0;
}

static void removed(struct reflector *r, const char *ns, const char *name)
{
    struct kube_kind *k = r->user;
    char key[OBJECT_KEY_MAX];
    object_key(k->kind, ns, name, key);
    praise(k, key);
    if (k->source->seen)
        k->source->seen(k->source, k->kind, ns, name, NULL);
    if (object_store_remove(k->source->store, k->kind, ns, name))
        kube_source_touch(k->source);
}

/* The first list of an informer says all that there is; what another one had brought before may be
 * gone. */
static int remove_others(struct kube_kind *k)
{
    struct object_store *store = k->source->store;
    struct map there;
    char key[OBJECT_KEY_MAX];
    struct object **all = NULL;
    size_t n = 0;
    map_init(&there, 0);
    int err = object_store_list(store, k->kind, &all, &n);
    for (size_t i = 0; err == 0 && i < k->n_staged; i++) {
        object_key(k->kind, k->staged[i]->ns, k->staged[i]->name, key);
        err = map_put(&there, text_of(key), k, NULL);
    }
    for (size_t i = 0; err == 0 && i < n; i++) {
        object_key(k->kind, all[i]->ns, all[i]->name, key);
        if (!all[i]->made && !map_get(&there, text_of(key)) && !map_get(&k->bad, text_of(key)))
            object_store_remove(store, k->kind, all[i]->ns, all[i]->name);
    }
    free(all);
    map_done(&there, NULL);
    return err;
}

static int list_ends(struct reflector *r)
{
    struct kube_kind *k = r->user;
    int err = r->listed ? 0 : remove_others(k);
    for (size_t i = 0; err == 0 && i < k->n_staged; i++)
        err = object_store_put(k->source->store, k->staged[i]);
    if (err < 0)
        return err;
    if (!k->listed || k->n_staged > 0)
        kube_source_touch(k->source);
    unstage(k);
    k->listing = false;
    k->listed = true;
    return 0;
}

/* ---- Life ----------------------------------------------------------------------------------- */

void kube_kind_init(struct kube_kind *k, struct kube_source *source, enum object_kind kind)
{
    *k = (struct kube_kind){.source = source, .kind = kind};
    map_init(&k->bad, REFLECTOR_OBJECTS_MAX);
}

void kube_kind_start(struct kube_kind *k, const char *path)
{
    static const struct reflector_events events = {list_begins, put, list_ends, removed};
    snprintf(k->path, sizeof k->path, "%s", path);
    k->running = true;
    k->listed = false;
    k->missed = 0;
    kube_informer_start(&k->informer, k->source->client, k->source->ring, k->path,
                        k->source->silence_ms, &events, k);
}

void kube_kind_stop(struct kube_kind *k)
{
    if (!k->running)
        return;
    kube_informer_stop(&k->informer);
    k->running = false;
    k->listing = false;
    unstage(k);
}

void kube_kind_forget(struct kube_kind *k)
{
    struct map *objects = &k->source->store->objects[k->kind];
    map_done(&k->bad, complaint_free);
    map_init(&k->bad, REFLECTOR_OBJECTS_MAX);
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(objects, &i));) {
        struct object *o = object_ref(e->value);
        if (!o->made) {
            object_store_remove(k->source->store, k->kind, o->ns, o->name);
            i = 0;
        }
        object_unref(o);
    }
    kube_source_touch(k->source);
}

void kube_kind_done(struct kube_kind *k)
{
    kube_kind_stop(k);
    map_done(&k->bad, complaint_free);
}
