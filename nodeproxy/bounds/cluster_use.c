#include "nodeproxy/bounds/cluster_use.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void cluster_uses_init(struct cluster_uses *all)
{
    pthread_mutex_init(&all->lock, NULL);
    list_init(&all->all);
}

void cluster_uses_done(struct cluster_uses *all)
{
    assert(list_empty(&all->all));
    pthread_mutex_destroy(&all->lock);
}

static struct cluster_use *use_new(struct text name)
{
    struct cluster_use *u = calloc(1, sizeof *u + name.len + 1);
    if (!u)
        return NULL;
    memcpy(u->name, name.data, name.len);
    for (int i = 0; i < BREAKER_PRIORITIES; i++)
        breaker_init(&u->breakers[i]);
    list_init(&u->link);
    return u;
}

static struct cluster_use *find(struct cluster_uses *all, struct text name)
{
    list_for_each (n, &all->all) {
        struct cluster_use *u = container_of(n, struct cluster_use, link);
        if (text_equal(text_of(u->name), name))
            return u;
    }
    return NULL;
}

struct cluster_use *cluster_use_get(struct cluster_uses *all, struct text name)
{
    if (!all) {
        struct cluster_use *alone = use_new(name);
        if (alone)
            alone->refs = 1;
        return alone;
    }
    pthread_mutex_lock(&all->lock);
    struct cluster_use *u = find(all, name);
    if (!u && (u = use_new(name))) {
        u->all = all;
        list_push_back(&all->all, &u->link);
    }
    if (u)
        u->refs++;
    pthread_mutex_unlock(&all->lock);
    return u;
}

struct cluster_use *cluster_use_unref(struct cluster_use *u)
{
    if (!u)
        return NULL;
    struct cluster_uses *all = u->all;
    if (all)
        pthread_mutex_lock(&all->lock);
    bool last = --u->refs == 0;
    if (last)
        list_remove(&u->link);
    if (all)
        pthread_mutex_unlock(&all->lock);
    if (last)
        free(u);
    return NULL;
}

void cluster_uses_each(struct cluster_uses *all,
                       void (*visit)(const struct cluster_use *u, void *arg), void *arg)
{
    pthread_mutex_lock(&all->lock);
    list_for_each (n, &all->all)
        visit(container_of(n, struct cluster_use, link), arg);
    pthread_mutex_unlock(&all->lock);
}
