#include "controller/translate/virtual_delegate.h"
#include "controller/translate/traffic_host.h"

enum { LOOKS_MAX = 200000 }; /* for rules that no request reaches, of one object */

static bool is_seen_by(const struct object *o, const char *ns)
{
    const struct values *to = &o->virtual_service.exported;
    for (size_t i = 0; i < to->n; i++)
        if (strcmp(to->items[i], ns) == 0)
            return true;
    return to->n == 0;
}

const struct object *virtual_delegate(const struct view *v, const struct object *root,
                                      const struct virtual_rule *rule, struct text_out *why)
{
    const struct virtual_delegate *d = &rule->delegate;
    const struct object *o = object_store_get(v->store, OBJECT_VIRTUAL_SERVICE, d->ns, d->name);
    const char *refused = NULL;
    if (!o)
        refused = "there is no VirtualService";
    else if (o->virtual_service.hosts.n > 0)
        refused = "it has hosts of its own: VirtualService";
    else if (o->virtual_service.flaw.kind != GATEWAY_NO_FLAW)
        refused = "nothing can be honoured of VirtualService";
    else if (!is_seen_by(o, root->ns))
        refused = "it is not exported to this namespace: VirtualService";
    if (refused)
        text_printf(why, "%s: %s %s/%s", d->field, refused, d->ns, d->name);
    return refused ? NULL : o;
}

/* ---- Both matches --------------------------------------------------------------------------- */

static bool asks_path(const struct path_match *p)
{
    return p->kind != PATH_PREFIX || !text_equal(p->value, TEXT("/"));
}

static bool begins(const struct path_match *longer, const struct path_match *shorter)
{
    struct text head = {longer->value.data, shorter->value.len};
    if (longer->value.len < shorter->value.len)
        return false;
    return shorter->ignore_case ? text_equal_nocase(head, shorter->value)
                                : text_equal(head, shorter->value);
}

/* The delegate's path is to be a part of the root's, as in Istio: of expressions nobody can tell. */
static bool path_meets(const struct path_match *root, const struct path_match *leaf)
{
    if (!asks_path(root) || !asks_path(leaf))
        return true;
    if (root->kind == PATH_REGEX || leaf->kind == PATH_REGEX ||
        root->ignore_case != leaf->ignore_case)
        return false;
    if (root->kind == PATH_EXACT)
        return leaf->kind == PATH_EXACT && leaf->value.len == root->value.len &&
               begins(leaf, root);
    return begins(leaf, root);
}

bool virtual_match_meets(const struct virtual_match *root, const struct virtual_match *leaf)
{
    if ((root && root->elsewhere) || (leaf && leaf->elsewhere))
        return false;
    if (!root || !leaf)
        return true;
    const struct source_match *from = &root->match.source, *also = &leaf->match.source;
    return (!root->port || !leaf->port || root->port == leaf->port) &&
           (from->ns.len == 0 || also->ns.len == 0 || text_equal(from->ns, also->ns)) &&
           path_meets(&root->match.path, &leaf->match.path);
}

static void *both(struct gateway_build *b, const void *x, size_t n_x, const void *y, size_t n_y,
                  size_t size)
{
    char *all = gateway_take(b, n_x + n_y, size);
    if (all && n_x > 0)
        memcpy(all, x, n_x * size);
    if (all && n_y > 0)
        memcpy(all + n_x * size, y, n_y * size);
    return all;
}

void virtual_match_both(struct gateway_build *b, const struct virtual_match *root,
                        const struct virtual_match *leaf, struct virtual_match *ret)
{
    *ret = leaf ? *leaf : *root;
    if (!root || !leaf)
        return;
    const struct route_match *x = &root->match, *y = &leaf->match;
    struct route_match *m = &ret->match;
    ret->port = leaf->port ? leaf->port : root->port;
    if (!asks_path(&y->path))
        m->path = x->path;
    if (y->source.ns.len == 0)
        m->source.ns = x->source.ns;
    m->headers = both(b, x->headers, x->n_headers, y->headers, y->n_headers, sizeof *m->headers);
    m->queries = both(b, x->queries, x->n_queries, y->queries, y->n_queries, sizeof *m->queries);
    m->source.labels = both(b, x->source.labels, x->source.n_labels, y->source.labels,
                            y->source.n_labels, sizeof *m->source.labels);
    m->n_headers = x->n_headers + y->n_headers;
    m->n_queries = x->n_queries + y->n_queries;
    m->source.n_labels = x->source.n_labels + y->source.n_labels;
}

/* ---- What is worth telling ------------------------------------------------------------------ */

static void warn(const struct object *o, struct problems *problems, const char *text)
{
    char key[OBJECT_KEY_MAX];
    object_key(o->kind, o->ns, o->name, key);
    problems_add(problems, PROBLEM_WARNING, o->file, o->line, key, "", "%s", text);
}

/* looks: how many may still be compared; then it is taken to be. */
static bool is_reached(const struct virtual_rule *root, const struct virtual_rule *leaf,
                       size_t *looks)
{
    for (size_t i = 0; i < root->n_matches || i == 0; i++)
        for (size_t j = 0; j < leaf->n_matches || j == 0; j++)
            if (*looks == 0 || --*looks == 0 ||
                virtual_match_meets(root->n_matches ? &root->matches[i] : NULL,
                                    leaf->n_matches ? &leaf->matches[j] : NULL))
                return true;
    return false;
}

static void warn_unreached(const struct object *root, const struct virtual_rule *rule,
                           const struct object *delegate, size_t *looks,
                           struct problems *problems)
{
    char text[GATEWAY_MESSAGE_MAX];
    const struct virtual_service *s = &delegate->virtual_service;
    for (size_t i = 0; i < s->n_rules; i++) {
        struct text_out out = TEXT_OUT(text);
        if (is_reached(rule, &s->rules[i], looks))
            continue;
        text_printf(&out, "%s: http[%zu] of VirtualService %s/%s takes nothing: what it asks for is no "
                          "part of what this rule does",
                    rule->delegate.field, i, delegate->ns, delegate->name);
        warn(root, problems, text);
    }
}

void virtual_delegates_warn(const struct view *v, const struct object *root,
                            struct problems *problems)
{
    const struct virtual_service *s = &root->virtual_service;
    size_t looks = LOOKS_MAX;
    for (size_t i = 0; i < s->n_rules; i++) {
        char text[GATEWAY_MESSAGE_MAX];
        struct text_out out = TEXT_OUT(text);
        const struct virtual_rule *rule = &s->rules[i];
        if (!rule->delegate.name[0] || rule->flaw.kind != GATEWAY_NO_FLAW)
            continue;
        const struct object *delegate = virtual_delegate(v, root, rule, &out);
        if (delegate)
            warn_unreached(root, rule, delegate, &looks, problems);
        else {
            text_puts(&out, ": what the rule takes is refused");
            warn(root, problems, text);
        }
    }
}
