#include "shared/yaml/yaml.h"
#include "shared/yaml/yaml_reader.h"

#include <errno.h>
#include <stdlib.h>

const struct yaml_limits yaml_limits_default = {
    .all = {.bytes_max = 64 * 1024 * 1024, .nodes_max = 4 * 1000 * 1000, .depth_max = 64},
    .documents_max = 10 * 1000,
    .alias_nodes_max = 100 * 1000,
};

static struct text line_from(struct text t, size_t at)
{
    const char *end = memchr(t.data + at, '\n', t.len - at);
    return (struct text){t.data + at, end ? (size_t)(end - t.data) - at + 1 : t.len - at};
}

/* A line that is `---` or `...`, alone or before a blank: no scalar can hold one (YAML 1.2,
 * 9.1.2). */
static bool is_marker(struct text line, struct text marker)
{
    return text_starts_with(line, marker) &&
           (line.len == marker.len || strchr(" \t\r\n", line.data[marker.len]));
}

static bool has_content(struct text line)
{
    size_t i = 0;
    while (i < line.len && strchr(" \t\r\n", line.data[i]))
        i++;
    return i < line.len && line.data[i] != '#';
}

/*
 * The next document's text, cut off *rest: up to a `---` line, or up to and with a `...` line.
 * Directives (%YAML, %TAG) belong to the `---` that follows them. So a document that is wrong
 * cannot take those after it along.
 */
static struct text next_piece(struct text *rest, unsigned *line)
{
    bool content = false, directives = false;
    size_t at = 0;

    while (at < rest->len) {
        struct text l = line_from(*rest, at);
        if (is_marker(l, TEXT("---"))) {
            if (at > 0 && !(directives && !content))
                break;
            content = true;
        } else if (is_marker(l, TEXT("..."))) {
            at += l.len;
            ++*line;
            break;
        } else if (!content && l.data[0] == '%') {
            directives = true;
        } else {
            content = content || has_content(l);
        }
        at += l.len;
        ++*line;
    }
    struct text piece = {rest->data, at};
    *rest = (struct text){rest->data + at, rest->len - at};
    return piece;
}

struct reading {
    const struct yaml_limits *limits;
    struct yaml_budget budget;
    struct yaml_documents docs;
    size_t size; /* of docs.items */
};

static struct yaml_document *add_document(struct reading *r)
{
    if (r->docs.n == r->size) {
        size_t size = r->size > 0 ? r->size * 2 : 8;
        struct yaml_document *items = realloc(r->docs.items, size * sizeof *items);
        if (!items)
            return NULL;
        r->docs.items = items;
        r->size = size;
    }
    struct yaml_document *d = &r->docs.items[r->docs.n++];
    *d = (struct yaml_document){0};
    return d;
}

/* -E2BIG: too many documents; what is wrong inside of one is in its error. */
static int read_piece(struct reading *r, struct yaml_reader *reader, unsigned first_line)
{
    struct json_error error;
    struct json *root = NULL;
    int e;

    while ((e = yaml_reader_next(reader, &root, &error)) != 0 && e != -ENOMEM) {
        if (e > 0 && json_is(root, JSON_NULL)) { /* only blanks and comments */
            root = json_free(root);
            continue;
        }
        struct yaml_document *d = r->docs.n < r->limits->documents_max ? add_document(r) : NULL;
        if (!d) {
            json_free(root);
            return r->docs.n < r->limits->documents_max ? -ENOMEM : -E2BIG;
        }
        d->root = root;
        d->line = root ? json_line(root) : first_line;
        root = NULL;
        if (e < 0) {
            d->error = error;
            r->docs.n_failed++;
            return 0;
        }
    }
    return e;
}

int yaml_parse(struct text t, const struct yaml_limits *limits, struct yaml_documents *ret)
{
    struct reading r = {.limits = limits ? limits : &yaml_limits_default};
    unsigned line = 1;
    int e = 0;

    if (t.len > r.limits->all.bytes_max || t.len > UINT32_MAX)
        return -E2BIG;
    r.budget = (struct yaml_budget){r.limits->all.nodes_max, r.limits->alias_nodes_max,
                                    r.limits->all.depth_max};
    if (r.budget.depth_max > JSON_DEPTH_MAX)
        r.budget.depth_max = JSON_DEPTH_MAX;
    if (text_starts_with(t, TEXT("\xef\xbb\xbf"))) /* a byte order mark says nothing in UTF-8 */
        t = (struct text){t.data + 3, t.len - 3};
    while (e == 0 && t.len > 0) {
        unsigned first_line = line;
        struct text piece = next_piece(&t, &line);
        struct yaml_reader *reader = yaml_reader_new(piece, first_line, &r.budget);
        e = reader ? read_piece(&r, reader, first_line) : -ENOMEM;
        yaml_reader_free(reader);
    }
    if (e < 0) {
        yaml_documents_done(&r.docs);
        return e;
    }
    *ret = r.docs;
    return 0;
}

void yaml_documents_done(struct yaml_documents *docs)
{
    for (size_t i = 0; i < docs->n; i++)
        json_free(docs->items[i].root);
    free(docs->items);
    *docs = (struct yaml_documents){0};
}
