#include "controller/discovery/folder.h"
#include "shared/base/log.h"
#include "shared/base/rng.h"
#include <errno.h>
#include <stdlib.h>

static char present;

void folder_init(struct folder *f, struct object_store *store)
{
    *f = (struct folder){.store = store};
    map_init(&f->applied, 0);
    map_init(&f->unknown, FOLDER_KINDS_MAX);
    problems_init(&f->problems);
    if (rng_os(f->seed, sizeof f->seed) < 0)
        f->seed[0] = (uintptr_t)f; /* only equal contents are compared by it */
}

static void file_free(struct folder_file *file)
{
    for (size_t i = 0; i < file->n_objects; i++)
        object_unref(file->objects[i].object);
    free(file->objects);
    problems_done(&file->problems);
    free(file->name);
    free(file);
}

static void free_object(void *value)
{
    object_unref(value);
}

void folder_done(struct folder *f)
{
    for (size_t i = 0; i < f->n_files; i++)
        file_free(f->files[i]);
    free(f->files);
    map_done(&f->applied, free_object);
    map_done(&f->unknown, NULL);
    problems_done(&f->problems);
}

void folder_begin(struct folder *f)
{
    for (size_t i = 0; i < f->n_files; i++)
        f->files[i]->seen = false;
}

static struct folder_file *file_of(struct folder *f, const char *name)
{
    size_t low = 0, high = f->n_files;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(f->files[middle]->name, name);
        if (order == 0)
            return f->files[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (f->n_files == f->files_size) {
        size_t size = f->files_size ? 2 * f->files_size : 16;
        struct folder_file **files = realloc(f->files, size * sizeof(struct folder_file *));
        if (!files)
            return NULL;
        f->files = files;
        f->files_size = size;
    }
    struct folder_file *file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->name = text_dup(text_of(name));
    if (!file->name) {
        free(file);
        return NULL;
    }
    memmove(&f->files[low + 1], &f->files[low], (f->n_files - low) * sizeof(struct folder_file *));
    f->files[low] = file;
    f->n_files++;
    return file;
}

static void tell_unknown(struct folder *f, const char *file, const struct manifest *m)
{
    for (size_t i = 0; i < m->n_unknown; i++) {
        const char *kind = m->unknown[i].api_kind;
        if (map_get(&f->unknown, text_of(kind)) ||
            map_put(&f->unknown, text_of(kind), &present, NULL) < 0)
            continue;
        log_info("config", "%s:%u: %s is not used here, and ignored", file, m->unknown[i].line,
                 kind);
    }
}

static bool same_object(const struct object *o, enum object_kind kind, const char *ns,
                        const char *name)
{
    return o->kind == kind && strcmp(o->ns, ns) == 0 && strcmp(o->name, name) == 0;
}

static bool is_bad(const struct manifest *m, const struct object *o)
{
    for (size_t i = 0; i < m->n_bad; i++)
        if (same_object(o, m->bad[i].kind, m->bad[i].ns, m->bad[i].name))
            return true;
    return false;
}

/* Did the file have it before? */
static bool had(const struct folder_file *file, const struct object *o)
{
    for (size_t i = 0; i < file->n_objects; i++)
        if (same_object(file->objects[i].object, o->kind, o->ns, o->name))
            return true;
    return false;
}

/* The file's new objects, behind them those of its earlier state that stay, and what counts without one. */
static int file_take(struct folder_file *file, const struct manifest *m)
{
    size_t n = 0;
    struct folder_object *objects =
        calloc(m->n_objects + file->n_objects + m->n_instead + 1, sizeof *objects);
    if (!objects)
        return -ENOMEM;
    for (size_t i = 0; i < m->n_objects; i++)
        objects[n++] = (struct folder_object){object_ref(m->objects[i]), false};
    for (size_t i = 0; i < file->n_objects; i++) {
        struct object *old = file->objects[i].object;
        if (m->unidentified || is_bad(m, old)) /* what is there anew goes before it at the commit */
            objects[n++] = (struct folder_object){object_ref(old), true};
    }
    for (size_t i = 0; i < m->n_instead; i++)
        if (!had(file, m->instead[i]))
            objects[n++] = (struct folder_object){object_ref(m->instead[i]), true};
    for (size_t i = 0; i < file->n_objects; i++)
        object_unref(file->objects[i].object);
    free(file->objects);
    file->objects = objects;
    file->n_objects = n;
    return 0;
}

int folder_file(struct folder *f, const char *name, struct text content)
{
    const uint64_t other[2] = {f->seed[1], f->seed[0]};
    const uint64_t hash[2] = {hash_bytes(f->seed, content.data, content.len),
                              hash_bytes(other, content.data, content.len)};
    struct manifest m;
    struct problems problems;

    struct folder_file *file = file_of(f, name);
    if (!file)
        return -ENOMEM;
    file->seen = true;
    if (file->read && memcmp(file->content, hash, sizeof hash) == 0)
        return 0;
    if (file->n_objects > 0 && manifest_is_blank(content))
        return folder_unreadable(
            f, name, "it is empty (what it held stays; delete the file to remove that)");
    problems_init(&problems);
    int err = manifest_read(name, content, &m, &problems);
    if (err == 0) {
        err = problems_incomplete(&problems) ? -ENOMEM : file_take(file, &m);
        tell_unknown(f, name, &m);
        manifest_done(&m);
    }
    if (err < 0) {
        problems_done(&problems);
        return err;
    }
    problems_done(&file->problems);
    file->problems = problems;
    memcpy(file->content, hash, sizeof hash);
    file->read = true;
    return 0;
}

int folder_unreadable(struct folder *f, const char *name, const char *why)
{
    struct folder_file *file = file_of(f, name);
    if (!file)
        return -ENOMEM;
    file->seen = true;
    file->read = false;
    problems_done(&file->problems);
    problems_add(&file->problems, PROBLEM_ERROR, name, 0, "", "", "can't be read: %s", why);
    for (size_t i = 0; i < file->n_objects; i++)
        file->objects[i].stale = true;
    return 0;
}

static void drop_unseen(struct folder *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_files; i++) {
        if (f->files[i]->seen)
            f->files[n++] = f->files[i];
        else
            file_free(f->files[i]);
    }
    f->n_files = n;
}

/* Fills `wanted` with the winners: fresh ones before stale ones, then by file name and place. */
static int choose(struct folder *f, struct map *wanted)
{
    char key[OBJECT_KEY_MAX];
    for (unsigned stale = 0; stale < 2; stale++) {
        for (size_t i = 0; i < f->n_files; i++) {
            for (size_t j = 0; j < f->files[i]->n_objects; j++) {
                const struct folder_object *fo = &f->files[i]->objects[j];
                struct object *o = fo->object;
                if (fo->stale != (stale == 1))
                    continue;
                object_key(o->kind, o->ns, o->name, key);
                const struct object *first = map_get(wanted, text_of(key));
                if (!first && map_put(wanted, text_of(key), o, NULL) < 0)
                    return -ENOMEM;
                if (first && !fo->stale)
                    problems_add(&f->problems, PROBLEM_ERROR, o->file, o->line, key,
                                 "metadata.name",
                                 "is there already in %s:%u, which counts; this one is ignored",
                                 first->file, first->line);
            }
        }
    }
    return 0;
}

static int apply_puts(struct folder *f, const struct map *wanted, bool *changed)
{
    const struct map_entry *m;
    for (size_t i = 0; (m = map_next(wanted, &i));) {
        struct object *o = m->value;
        struct text key = {m->key, m->key_len};
        if (map_get(&f->applied, key) == o)
            continue;
        void *old = NULL;
        if (map_put(&f->applied, key, o, &old) < 0)
            return -ENOMEM;
        object_ref(o);
        object_unref(old);
        if (object_store_put(f->store, o) < 0) {
            object_unref(map_remove(&f->applied, key));
            return -ENOMEM;
        }
        *changed = true;
    }
    return 0;
}

static int apply_removals(struct folder *f, const struct map *wanted, bool *changed)
{
    size_t n = 0;
    struct object **gone = calloc(f->applied.count + 1, sizeof(struct object *));
    if (!gone)
        return -ENOMEM;
    const struct map_entry *m;
    for (size_t i = 0; (m = map_next(&f->applied, &i));)
        if (!map_get(wanted, (struct text){m->key, m->key_len}))
            gone[n++] = m->value;
    for (size_t i = 0; i < n; i++) {
        char key[OBJECT_KEY_MAX];
        object_key(gone[i]->kind, gone[i]->ns, gone[i]->name, key);
        map_remove(&f->applied, text_of(key));
        object_store_remove(f->store, gone[i]->kind, gone[i]->ns, gone[i]->name);
        object_unref(gone[i]);
        *changed = true;
    }
    free(gone);
    return 0;
}

static void collect_problems(struct folder *f)
{
    for (size_t i = 0; i < f->n_files; i++) {
        const struct problems *of_file = &f->files[i]->problems;
        for (size_t j = 0; j < of_file->n; j++) {
            const struct problem *p = &of_file->items[j];
            problems_add(&f->problems, p->severity, p->file, p->line, p->object, p->field, "%s",
                         p->message);
        }
        f->problems.dropped += of_file->dropped;
    }
}

int folder_commit(struct folder *f, bool *ret_changed)
{
    struct map wanted;
    *ret_changed = false;
    drop_unseen(f);
    problems_done(&f->problems);
    collect_problems(f);
    map_init(&wanted, 0);
    int err = choose(f, &wanted);
    if (err == 0)
        err = apply_puts(f, &wanted, ret_changed);
    if (err == 0)
        err = apply_removals(f, &wanted, ret_changed);
    map_done(&wanted, NULL);
    return err == 0 && problems_incomplete(&f->problems) ? -ENOMEM : err;
}
