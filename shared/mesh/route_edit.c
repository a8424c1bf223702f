#include "shared/base/list.h"
#include "shared/http/http_grammar.h"
#include "shared/http/http_hop.h"
#include "shared/mesh/route.h"

bool header_may_be_edited(struct text name)
{
    static const struct text never[] = {
        {"host", 4}, {"content-length", 14}, {"te", 2}, {"trailer", 7}};

    for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
        if (text_equal_nocase(name, never[i]))
            return false;
    }
    return http_is_token(name) && !http_hop_is(name);
}

static int apply(const struct header_edit *e, struct http_head *head)
{
    size_t at = 0;
    bool there = http_head_next(head, e->name, &at) != NULL;

    switch (e->kind) {
    case HEADER_APPEND:
        return http_head_add(head, e->name, e->value);
    case HEADER_ADD_IF_ABSENT:
        return there ? 0 : http_head_add(head, e->name, e->value);
    case HEADER_SET:
        return http_head_set(head, e->name, e->value);
    case HEADER_SET_IF_PRESENT:
        return there ? http_head_set(head, e->name, e->value) : 0;
    }
    return 0;
}

int header_edits_apply(const struct header_edits *e, struct http_head *head)
{
    int error = 0;

    for (size_t i = 0; i < e->n_remove; i++)
        (void)http_head_remove(head, e->remove[i]);
    for (size_t i = 0; error == 0 && i < e->n_put; i++)
        error = apply(&e->put[i], head);
    return error;
}

int route_edit(const struct route_table *t, const struct route_choice *c, enum route_message which,
               struct http_head *head)
{
    const struct message_edits *edits[] = {c->backend ? &c->backend->edits : NULL,
                                           &c->route->action.edits, &c->host->edits, &t->edits};
    enum { N = sizeof edits / sizeof *edits };
    int error = 0;

    for (size_t i = 0; error == 0 && i < N; i++) {
        const struct message_edits *m = edits[t->most_specific_edits_win ? N - 1 - i : i];
        if (m)
            error = header_edits_apply(which == ROUTE_REQUEST ? &m->request : &m->response, head);
    }
    return error;
}
