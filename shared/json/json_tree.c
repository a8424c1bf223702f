#include "shared/json/json_tree.h"
#include "shared/base/list.h"
#include "shared/base/map.h"

#include <errno.h>
#include <stdlib.h>

enum { BLOCK_FIRST = 1024, BLOCK_MAX = 64 * 1024, PAIRWISE_MAX = 16 };

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(max_align_t) char data[];
};

/* What is before the root: where all other memory of its tree hangs. */
struct document {
    struct block *blocks; /* the one in use first */
    struct json root;
};

static struct document *document_of(struct json *root)
{
    return container_of(root, struct document, root);
}

struct json *json_free(struct json *root)
{
    if (!root)
        return NULL;
    struct document *d = document_of(root);
    while (d->blocks) {
        struct block *next = d->blocks->next;
        free(d->blocks);
        d->blocks = next;
    }
    free(d);
    return NULL;
}

void json_tree_init(struct json_tree *t, size_t nodes_max)
{
    *t = (struct json_tree){.nodes_max = nodes_max};
}

struct json *json_tree_done(struct json_tree *t)
{
    struct json *root = t->error == 0 ? t->root : json_free(t->root);
    t->root = NULL;
    return root;
}

/* Memory of the tree, NULL after a failure. */
static void *take(struct json_tree *t, size_t size, size_t align)
{
    struct document *d = document_of(t->root);
    struct block *b = d->blocks;

    if (t->error != 0)
        return NULL;
    size_t at = b ? (b->used + align - 1) / align * align : 0;
    if (!b || at > b->size || b->size - at < size) {
        size_t room = b && b->size * 2 <= BLOCK_MAX ? b->size * 2 : b ? BLOCK_MAX : BLOCK_FIRST;
        if (room < size)
            room = size;
        b = malloc(sizeof *b + room);
        if (!b) {
            t->error = -ENOMEM;
            return NULL;
        }
        *b = (struct block){.next = d->blocks, .size = room};
        d->blocks = b;
        at = 0;
    }
    b->used = at + size;
    return b->data + at;
}

static int copy_text(struct json_tree *t, struct text from, struct text *ret)
{
    char *copy = take(t, from.len + 1, 1);
    if (!copy)
        return t->error;
    if (from.len > 0)
        memcpy(copy, from.data, from.len);
    copy[from.len] = '\0';
    *ret = (struct text){copy, from.len};
    return 0;
}

static struct json *add_root(struct json_tree *t)
{
    struct document *d = calloc(1, sizeof *d);
    if (!d) {
        t->error = -ENOMEM;
        return NULL;
    }
    t->root = &d->root;
    return t->root;
}

static struct json *add_child(struct json_tree *t, struct json *parent, struct text name)
{
    struct json *node = take(t, sizeof *node, _Alignof(struct json));
    if (!node)
        return NULL;
    *node = (struct json){.parent = parent, .index = parent->count};
    if (parent->kind == JSON_OBJECT && copy_text(t, name, &node->name) < 0)
        return NULL;
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->count++;
    return node;
}

struct json *json_tree_add(struct json_tree *t, struct json *parent, struct text name,
                           unsigned line)
{
    if (t->error == 0 && t->nodes >= t->nodes_max)
        t->error = -E2BIG;
    if (t->error != 0)
        return NULL;
    struct json *node = parent ? add_child(t, parent, name) : add_root(t);
    if (!node)
        return NULL;
    node->line = line;
    t->nodes++;
    return node;
}

int json_tree_set_string(struct json_tree *t, struct json *node, struct text content)
{
    struct text copy;
    if (copy_text(t, content, &copy) < 0)
        return t->error;
    node->kind = JSON_STRING;
    node->string = copy;
    return 0;
}

int json_tree_set_copy(struct json_tree *t, struct json *node, const struct json *from,
                       bool same_tree)
{
    switch ((enum json_kind)from->kind) {
    case JSON_NULL:
        json_set_kind(node, JSON_NULL);
        break;
    case JSON_BOOL:
        json_set_bool(node, from->boolean);
        break;
    case JSON_NUMBER:
        json_set_number(node, from->number);
        node->is_integer = from->is_integer;
        node->integer = from->integer;
        break;
    case JSON_STRING:
        if (!same_tree)
            return json_tree_set_string(t, node, from->string);
        node->kind = JSON_STRING;
        node->string = from->string;
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        json_set_kind(node, (enum json_kind)from->kind);
        for (const struct json *i = from->first; i; i = i->next) {
            struct json *copy = json_tree_add(t, node, i->name, i->line);
            if (!copy || json_tree_set_copy(t, copy, i, same_tree) < 0)
                return t->error;
        }
        break;
    }
    return t->error;
}

void json_set_kind(struct json *node, enum json_kind kind)
{
    node->kind = (uint8_t)kind;
    node->first = node->last = NULL;
    node->count = 0;
}

void json_set_bool(struct json *node, bool value)
{
    node->kind = JSON_BOOL;
    node->boolean = value;
}

void json_set_integer(struct json *node, int64_t value)
{
    node->kind = JSON_NUMBER;
    node->is_integer = true;
    node->integer = value;
    node->number = (double)value;
}

void json_set_number(struct json *node, double value)
{
    node->kind = JSON_NUMBER;
    node->is_integer = false;
    node->integer = 0;
    node->number = value;
}

static const struct json *duplicate_by_pairs(const struct json *object)
{
    for (const struct json *b = object->first; b; b = b->next)
        for (const struct json *a = object->first; a != b; a = a->next)
            if (text_equal(a->name, b->name))
                return b;
    return NULL;
}

int json_find_duplicate(const struct json *object, const struct json **ret_second)
{
    struct map seen;
    int r = 0;

    *ret_second = NULL;
    if (object->count <= PAIRWISE_MAX) {
        *ret_second = duplicate_by_pairs(object);
        return 0;
    }
    map_init(&seen, 0);
    for (struct json *i = object->first; i && r == 0 && !*ret_second; i = i->next) {
        void *before = NULL;
        r = map_put(&seen, i->name, i, &before);
        if (before)
            *ret_second = i;
    }
    map_done(&seen, NULL);
    return r;
}

struct json *json_copy(const struct json *node)
{
    struct json_tree t;

    if (!node)
        return NULL;
    json_tree_init(&t, SIZE_MAX);
    struct json *root = json_tree_add(&t, NULL, (struct text){"", 0}, node->line);
    if (root)
        (void)json_tree_set_copy(&t, root, node, false);
    return json_tree_done(&t);
}
