#include "shared/http/http_head.h"
#include "shared/mesh/route.h"

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
