/* Who is told of trust; see the header. */
#include "ca/watchers.h"

#include <errno.h>
#include <stdio.h>

void watchers_init(struct watchers *w)
{
    *w = (struct watchers){.n = 0};
    list_init(&w->all);
}

void watchers_done(struct watchers *w)
{
    xds_bytes_done(&w->latest);
}

static void tell(struct watchers *w, struct watcher *x)
{
    if (!w->latest.data)
        return;
    if (grpc_call_queued(x->call) > WATCHERS_QUEUED_MAX)
        grpc_call_finish(x->call, GRPC_RESOURCE_EXHAUSTED, "what was told before is not read");
    else if (grpc_call_send(x->call, w->latest.data, w->latest.len) < 0)
        grpc_call_finish(x->call, GRPC_UNAVAILABLE, "the CA is out of memory");
    else
        w->told++;
}

static size_t count_of(const struct watchers *w, const char *name)
{
    size_t n = 0;
    for (const struct list *l = w->all.next; l != &w->all; l = l->next)
        n += strcmp(container_of(l, struct watcher, link)->name, name) == 0;
    return n;
}

enum grpc_status watchers_add(struct watchers *w, struct watcher *x, struct grpc_call *call,
                              const char *name, const char **ret_message)
{
    *ret_message = "too many watch; ask again later";
    if (w->n >= WATCHERS_MAX)
        return GRPC_RESOURCE_EXHAUSTED;
    *ret_message = "too many of this name watch";
    if (count_of(w, name) >= WATCHERS_OF_ONE_MAX)
        return GRPC_RESOURCE_EXHAUSTED;
    *x = (struct watcher){.watchers = w, .call = call};
    snprintf(x->name, sizeof x->name, "%s", name);
    list_push_back(&w->all, &x->link);
    w->n++;
    tell(w, x);
    return GRPC_OK;
}

void watcher_gone(struct watcher *x)
{
    if (!x->watchers)
        return;
    list_remove(&x->link);
    x->watchers->n--;
    x->watchers = NULL;
}

int watchers_tell(struct watchers *w, const struct trust *t)
{
    struct xds_bytes fresh;
    int r = trust_encode(t, &fresh);
    if (r < 0)
        return r;
    xds_bytes_done(&w->latest);
    w->latest = fresh;
    for (struct list *l = w->all.next, *next; l != &w->all; l = next) {
        next = l->next;
        tell(w, container_of(l, struct watcher, link));
    }
    return 0;
}

void watchers_end(struct watchers *w)
{
    for (struct list *l = w->all.next, *next; l != &w->all; l = next) {
        next = l->next;
        grpc_call_finish(container_of(l, struct watcher, link)->call, GRPC_UNAVAILABLE,
                         "the CA ends");
    }
}
