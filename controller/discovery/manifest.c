#include "controller/discovery/manifest.h"
#include "shared/yaml/yaml.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct reading {
    const char *file;
    struct manifest *manifest;
    struct problems *problems;
};

void manifest_done(struct manifest *m)
{
    for (size_t i = 0; i < m->n_objects; i++)
        object_unref(m->objects[i]);
    for (size_t i = 0; i < m->n_instead; i++)
        object_unref(m->instead[i]);
    free(m->instead);
    free(m->objects);
    free(m->bad);
    free(m->unknown);
    *m = (struct manifest){0};
}

bool manifest_is_blank(struct text content)
{
    for (size_t i = 0; i < content.len; i++)
        if (!strchr(" \t\r\n", content.data[i]) || !content.data[i])
            return false;
    return true;
}

/* Room for one more; NULL: no memory. */
static void *room(void **items, size_t n, size_t *size, size_t len)
{
    if (n == *size) {
        size_t bigger = *size ? 2 * *size : 8;
        void *grown = realloc(*items, bigger * len);
        if (!grown)
            return NULL;
        *items = grown;
        *size = bigger;
    }
    return (char *)*items + n * len;
}

/* json_error says "FIELD: MESSAGE", or the message alone when the whole document is meant. */
static void add_problem(const struct reading *r, const char *object, unsigned line,
                        const struct json_error *e)
{
    char field[JSON_ERROR_MAX] = "";
    const char *message = e->text;
    size_t len = strcspn(message, " ");
    if (len > 1 && message[len] == ' ' && message[len - 1] == ':') {
        snprintf(field, sizeof field, "%.*s", (int)len - 1, message);
        message += len + 1;
    }
    problems_add(r->problems, PROBLEM_ERROR, r->file, e->line ? e->line : line, object, field, "%s",
                 message);
}

static int add_bad(const struct reading *r, const struct object_identity *identity, unsigned line,
                   const struct json_error *e)
{
    struct manifest *m = r->manifest;
    char key[OBJECT_KEY_MAX] = "";
    if (identity->known)
        object_key(identity->kind, identity->ns, identity->name, key);
    add_problem(r, identity->known ? key : identity->api_kind, line, e);
    if (!identity->known) {
        m->unidentified = true;
        return 0;
    }
    struct object_identity *place = room((void **)&m->bad, m->n_bad, &m->bad_size, sizeof *m->bad);
    if (!place)
        return -ENOMEM;
    *place = *identity;
    m->n_bad++;
    return 0;
}

static int add_instead(struct manifest *m, struct object *taken)
{
    struct object **place =
        taken ? room((void **)&m->instead, m->n_instead, &m->instead_size, sizeof *m->instead) : NULL;
    if (place) {
        *place = taken;
        m->n_instead++;
        return 0;
    }
    bool none = !taken;
    object_unref(taken);
    return none ? 0 : -ENOMEM;
}

static int add_unknown(struct manifest *m, const struct object_identity *identity, unsigned line)
{
    for (size_t i = 0; i < m->n_unknown; i++)
        if (strcmp(m->unknown[i].api_kind, identity->api_kind) == 0)
            return 0;
    struct manifest_unknown *place =
        room((void **)&m->unknown, m->n_unknown, &m->unknown_size, sizeof *m->unknown);
    if (!place)
        return -ENOMEM;
    snprintf(place->api_kind, sizeof place->api_kind, "%s", identity->api_kind);
    place->line = line;
    m->n_unknown++;
    return 0;
}

static int read_document(const struct reading *r, const struct json *document)
{
    struct manifest *m = r->manifest;
    struct object_identity identity;
    struct json_error error;
    struct object **place =
        room((void **)&m->objects, m->n_objects, &m->objects_size, sizeof *m->objects);
    if (!place)
        return -ENOMEM;
    int err = object_read(document, r->file, place, &identity, &error);
    switch (err) {
    case 0:
        m->n_objects++;
        return 0;
    case -ENOENT:
        return add_unknown(m, &identity, json_line(document));
    case -EINVAL:
        err = add_instead(m, *place);
        return err < 0 ? err : add_bad(r, &identity, json_line(document), &error);
    default:
        return -ENOMEM;
    }
}

static int read_root(const struct reading *r, const struct json *root)
{
    if (!object_is_list(root))
        return read_document(r, root);
    const struct json *items = json_member(root, TEXT("items"));
    int err = 0;
    if (items && !json_is(items, JSON_ARRAY) && !json_is(items, JSON_NULL)) {
        struct json_error error = {0};
        json_fail(&error, items, "must be a list of objects");
        return add_bad(r, &(struct object_identity){.api_kind = "v1 List"}, json_line(root),
                       &error);
    }
    json_for_each (item, items)
        if (err == 0)
            err = read_document(r, item);
    return err;
}

static int read_json(const struct reading *r, struct text content)
{
    struct json *root = NULL;
    struct json_error error = {0};
    if (manifest_is_blank(content))
        return 0;
    int err = json_parse(content, NULL, &root, &error);
    if (err == 0)
        err = read_root(r, root);
    else if (err != -ENOMEM)
        err = add_bad(r, &(struct object_identity){0}, 0, &error);
    json_free(root);
    return err;
}

static int read_yaml(const struct reading *r, struct text content)
{
    struct yaml_documents documents = {0};
    int err = yaml_parse(content, NULL, &documents);
    if (err == -E2BIG) {
        struct json_error error = {.text =
                                       "the file is too long or has too many documents: split it"};
        return add_bad(r, &(struct object_identity){0}, 0, &error);
    }
    for (size_t i = 0; i < documents.n && err == 0; i++) {
        const struct yaml_document *d = &documents.items[i];
        err = d->root ? read_root(r, d->root)
                      : add_bad(r, &(struct object_identity){0}, d->line, &d->error);
    }
    yaml_documents_done(&documents);
    return err;
}

int manifest_read(const char *file, struct text content, struct manifest *ret,
                  struct problems *problems)
{
    struct manifest m = {0};
    struct reading r = {file, &m, problems};
    int err = text_ends_with(text_of(file), TEXT(".json")) ? read_json(&r, content)
                                                           : read_yaml(&r, content);
    if (err < 0)
        manifest_done(&m);
    else
        *ret = m;
    return err;
}
