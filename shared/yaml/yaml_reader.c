#include "shared/yaml/yaml_reader.h"
#include "shared/base/list.h"
#include "shared/yaml/yaml_scalar.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

enum {
    ANCHORS_MAX = 1000,      /* they are searched one by one */
    MERGE_SOURCES_MAX = 16,  /* of one mapping */
    MERGE_MEMBERS_MAX = 256, /* in a mapping that merges: it is searched for each member */
};

struct anchor {
    char *name;
    const struct json *node;
};
struct yaml_reader {
    yaml_parser_t parser;
    struct text piece;
    unsigned first_line;
    struct yaml_budget *budget;
    /* Of the document that is being read: */
    struct json_tree tree;
    struct json_error *error;
    unsigned depth;
    size_t alias_nodes_left, n_anchors;
    struct anchor anchors[ANCHORS_MAX];
};

struct yaml_reader *yaml_reader_new(struct text piece, unsigned first_line,
                                    struct yaml_budget *budget)
{
    struct yaml_reader *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    if (!yaml_parser_initialize(&r->parser)) {
        free(r);
        return NULL;
    }
    r->piece = piece;
    r->first_line = first_line;
    r->budget = budget;
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)piece.data, piece.len);
    return r;
}

static void forget_anchors(struct yaml_reader *r)
{
    while (r->n_anchors > 0)
        free(r->anchors[--r->n_anchors].name);
}

struct yaml_reader *yaml_reader_free(struct yaml_reader *r)
{
    if (!r)
        return NULL;
    forget_anchors(r);
    yaml_parser_delete(&r->parser);
    free(r);
    return NULL;
}

static unsigned line_at(const struct yaml_reader *r, const yaml_mark_t *mark)
{
    return r->first_line + (unsigned)mark->line;
}

static int fail(struct yaml_reader *r, unsigned line, int error, const char *why)
{
    if (!json_failed(r->error)) {
        struct text_out o = TEXT_OUT(r->error->text);
        text_puts(&o, why);
        r->error->line = line;
    }
    return error;
}

/* The line that holds the byte, or the last one: what is missing is missed at the end of the
 * text. */
static unsigned line_of_byte(const struct yaml_reader *r, size_t offset)
{
    unsigned line = r->first_line;
    for (size_t i = 0; i < offset && i + 1 < r->piece.len; i++)
        line += r->piece.data[i] == '\n';
    return line;
}

/* libyaml's reader of bytes knows an offset only; the others a mark, and often where the thing
 * began. */
static int parser_failed(struct yaml_reader *r)
{
    const yaml_parser_t *p = &r->parser;
    struct text_out o = TEXT_OUT(r->error->text);
    unsigned line = line_at(r, &p->problem_mark), last = line_of_byte(r, SIZE_MAX);

    if (p->error == YAML_MEMORY_ERROR)
        return fail(r, 0, -ENOMEM, "out of memory");
    if (p->error == YAML_READER_ERROR)
        line = line_of_byte(r, p->problem_offset);
    r->error->line = line < last ? line : last;
    text_puts(&o, p->problem ? p->problem : "this is no YAML");
    if (p->context)
        text_printf(&o, " (%s that begins in line %u)", p->context, line_at(r, &p->context_mark));
    return -EINVAL;
}

static int next_event(struct yaml_reader *r, yaml_event_t *ret)
{
    return yaml_parser_parse(&r->parser, ret) ? 0 : parser_failed(r);
}

static int tree_failed(struct yaml_reader *r, unsigned line)
{
    return r->tree.error == -E2BIG ? fail(r, line, -E2BIG, "too many values")
                                   : fail(r, line, -ENOMEM, "out of memory");
}

static const struct json *find_anchor(const struct yaml_reader *r, const yaml_char_t *name)
{
    /* A name may be given again: the last one counts. */
    for (size_t i = r->n_anchors; i > 0; i--)
        if (!strcmp(r->anchors[i - 1].name, (const char *)name))
            return r->anchors[i - 1].node;
    return NULL;
}

/* After the node is complete, so that no alias can stand inside of what it names. */
static int add_anchor(struct yaml_reader *r, const yaml_char_t *name, const struct json *node)
{
    if (!name)
        return 0;
    if (r->n_anchors == ANCHORS_MAX)
        return fail(r, node->line, -E2BIG, "too many anchors");
    char *copy = text_dup(text_of((const char *)name));
    if (!copy)
        return fail(r, node->line, -ENOMEM, "out of memory");
    r->anchors[r->n_anchors++] = (struct anchor){copy, node};
    return 0;
}

/* Pays for one copied value and all below; false: there is not enough left, or it would get too
 * deep. */
static bool pay(struct yaml_reader *r, const struct json *node, unsigned depth)
{
    if (r->alias_nodes_left == 0)
        return false;
    r->alias_nodes_left--;
    if (node->kind != JSON_ARRAY && node->kind != JSON_OBJECT)
        return true;
    if (depth + 1 > r->budget->depth_max)
        return false;
    json_for_each (i, node)
        if (!pay(r, i, depth + 1))
            return false;
    return true;
}

static int copy_node(struct yaml_reader *r, struct json *node, const struct json *from,
                     unsigned line)
{
    if (!pay(r, from, r->depth))
        return fail(r, line, -E2BIG, "aliases stand for too many or too deep values");
    return json_tree_set_copy(&r->tree, node, from, true) < 0 ? tree_failed(r, line) : 0;
}

static int compose(struct yaml_reader *r, yaml_event_t *event, struct json *parent,
                   struct text name);

static bool tag_fits(const yaml_char_t *tag, const char *expected)
{
    return !tag || !strcmp((const char *)tag, expected) || !strcmp((const char *)tag, "!");
}

static int compose_scalar(struct yaml_reader *r, const yaml_event_t *event, struct json *node)
{
    const char *why = NULL, *tag = (const char *)event->data.scalar.tag;
    struct text value = {(const char *)event->data.scalar.value, event->data.scalar.length};
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    int e = yaml_scalar_set(&r->tree, node, value, plain, tag, &why);
    if (e < 0)
        return why ? json_fail(r->error, node, "%s", why) : tree_failed(r, node->line);
    return add_anchor(r, event->data.scalar.anchor, node);
}

static int compose_alias(struct yaml_reader *r, const yaml_event_t *event, struct json *node)
{
    const struct json *from = find_anchor(r, event->data.alias.anchor);

    if (!from)
        return json_fail(r->error, node, "no anchor &%s comes before this alias",
                         (const char *)event->data.alias.anchor);
    return copy_node(r, node, from, node->line);
}

static int compose_sequence(struct yaml_reader *r, const yaml_event_t *event, struct json *node)
{
    yaml_event_t item;
    int e;

    if (!tag_fits(event->data.sequence_start.tag, YAML_SEQ_TAG))
        return json_fail(r->error, node, "the tag is not known");
    json_set_kind(node, JSON_ARRAY);
    while ((e = next_event(r, &item)) == 0) {
        bool end = item.type == YAML_SEQUENCE_END_EVENT;
        if (!end)
            e = compose(r, &item, node, TEXT(""));
        yaml_event_delete(&item);
        if (end || e < 0)
            break;
    }
    return e < 0 ? e : add_anchor(r, event->data.sequence_start.anchor, node);
}

struct merge {
    const struct json *sources[MERGE_SOURCES_MAX];
    size_t n;
    unsigned line;
};

static int add_source(struct yaml_reader *r, struct merge *m, const yaml_event_t *event)
{
    unsigned line = line_at(r, &event->start_mark);
    const struct json *from = NULL;

    if (event->type == YAML_ALIAS_EVENT)
        from = find_anchor(r, event->data.alias.anchor);
    if (!json_is(from, JSON_OBJECT))
        return fail(r, line, -EINVAL, "<< takes an alias of a mapping, or a list of them");
    if (m->n == MERGE_SOURCES_MAX)
        return fail(r, line, -E2BIG, "<< has too many mappings");
    m->sources[m->n++] = from;
    m->line = line;
    return 0;
}

/* The value of a merge key: an alias, or a sequence of them. */
static int read_merge(struct yaml_reader *r, struct merge *m)
{
    yaml_event_t event;
    int e = next_event(r, &event);

    if (e < 0)
        return e;
    if (event.type != YAML_SEQUENCE_START_EVENT) {
        e = add_source(r, m, &event);
        yaml_event_delete(&event);
        return e;
    }
    yaml_event_delete(&event);
    while ((e = next_event(r, &event)) == 0) {
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        if (!end)
            e = add_source(r, m, &event);
        yaml_event_delete(&event);
        if (end || e < 0)
            break;
    }
    return e;
}

/* The mapping's own members win over merged ones, and earlier sources over later ones. */
static int merge(struct yaml_reader *r, struct json *node, const struct merge *m)
{
    for (size_t i = 0; i < m->n; i++) {
        json_for_each (member, m->sources[i]) {
            if (r->alias_nodes_left == 0 || r->budget->nodes_left == 0 ||
                node->count > MERGE_MEMBERS_MAX)
                return fail(r, m->line, -E2BIG, "<< merges too many members");
            r->alias_nodes_left--;
            r->budget->nodes_left--;
            if (json_member(node, member->name))
                continue;
            struct json *copy = json_tree_add(&r->tree, node, member->name, member->line);
            if (!copy)
                return tree_failed(r, m->line);
            int e = copy_node(r, copy, member, m->line);
            if (e < 0)
                return e;
        }
    }
    return 0;
}

/* A name is a scalar as it is written, or an alias of a string. */
static int read_name(struct yaml_reader *r, const struct json *node, const yaml_event_t *event,
                     struct text *ret)
{
    unsigned line = line_at(r, &event->start_mark);

    if (event->type == YAML_SCALAR_EVENT) {
        *ret = (struct text){(const char *)event->data.scalar.value, event->data.scalar.length};
        if (ret->len > 0 && memchr(ret->data, '\0', ret->len))
            return fail(r, line, -EINVAL, "a name holds a NUL");
        return 0;
    }
    const struct json *from =
        event->type == YAML_ALIAS_EVENT ? find_anchor(r, event->data.alias.anchor) : NULL;
    if (!json_is(from, JSON_STRING)) {
        (void)json_fail(r->error, node, "a name in this mapping is not a text");
        r->error->line = line;
        return -EINVAL;
    }
    *ret = json_text(from);
    return 0;
}

static int compose_member(struct yaml_reader *r, const yaml_event_t *key, struct json *node,
                          struct merge *m)
{
    yaml_event_t value;
    struct text name;

    int e = read_name(r, node, key, &name);
    if (e < 0)
        return e;
    if (key->type == YAML_SCALAR_EVENT && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        !key->data.scalar.tag && text_equal(name, TEXT("<<")))
        return read_merge(r, m);
    e = next_event(r, &value);
    if (e < 0)
        return e;
    e = compose(r, &value, node, name);
    yaml_event_delete(&value);
    return e;
}

static int compose_mapping(struct yaml_reader *r, const yaml_event_t *event, struct json *node)
{
    struct merge m = {.n = 0};
    const struct json *again;
    yaml_event_t key;
    int e;

    if (!tag_fits(event->data.mapping_start.tag, YAML_MAP_TAG))
        return json_fail(r->error, node, "the tag is not known");
    json_set_kind(node, JSON_OBJECT);
    while ((e = next_event(r, &key)) == 0) {
        bool end = key.type == YAML_MAPPING_END_EVENT;
        if (!end)
            e = compose_member(r, &key, node, &m);
        yaml_event_delete(&key);
        if (end || e < 0)
            break;
    }
    if (e < 0)
        return e;
    if (json_find_duplicate(node, &again) < 0)
        return fail(r, node->line, -ENOMEM, "out of memory");
    if (again)
        return json_fail(r->error, again, "the name occurs twice");
    e = merge(r, node, &m);
    return e < 0 ? e : add_anchor(r, event->data.mapping_start.anchor, node);
}

/* One value, whose first event has been read. Recursion is bounded by depth_max. */
static int compose(struct yaml_reader *r, yaml_event_t *event, struct json *parent,
                   struct text name)
{
    unsigned line = line_at(r, &event->start_mark);
    struct json *node = json_tree_add(&r->tree, parent, name, line);
    int e;

    if (!node)
        return tree_failed(r, line);
    if (event->type == YAML_SCALAR_EVENT)
        return compose_scalar(r, event, node);
    if (event->type == YAML_ALIAS_EVENT)
        return compose_alias(r, event, node);
    if (r->depth + 1 > r->budget->depth_max)
        return fail(r, line, -E2BIG, "too many sequences and mappings in one another");
    r->depth++;
    e = event->type == YAML_SEQUENCE_START_EVENT ? compose_sequence(r, event, node)
                                                 : compose_mapping(r, event, node);
    r->depth--;
    return e;
}

/* From the document's start to its end. */
static int compose_document(struct yaml_reader *r)
{
    yaml_event_t event;

    r->depth = 0;
    r->alias_nodes_left = r->budget->alias_nodes_max;
    int e = next_event(r, &event);
    if (e < 0)
        return e;
    e = compose(r, &event, NULL, TEXT(""));
    yaml_event_delete(&event);
    if (e < 0)
        return e;
    e = next_event(r, &event);
    if (e == 0)
        yaml_event_delete(&event);
    return e;
}

int yaml_reader_next(struct yaml_reader *r, struct json **ret, struct json_error *ret_error)
{
    yaml_event_type_t type;
    yaml_event_t event;

    *ret_error = (struct json_error){0};
    r->error = ret_error;
    do {
        int e = next_event(r, &event);
        if (e < 0)
            return e;
        type = event.type;
        yaml_event_delete(&event);
    } while (type == YAML_STREAM_START_EVENT);
    if (type != YAML_DOCUMENT_START_EVENT)
        return 0;

    size_t nodes_max = r->budget->nodes_left;
    json_tree_init(&r->tree, nodes_max);
    int e = compose_document(r);
    size_t used = r->tree.nodes < r->budget->nodes_left ? r->tree.nodes : r->budget->nodes_left;
    r->budget->nodes_left -= used;
    forget_anchors(r);
    struct json *root = json_tree_done(&r->tree);
    if (e < 0) {
        json_free(root);
        return e;
    }
    *ret = root;
    return 1;
}
