/*
 * The reflector's memory of objects: names, uids and versions, not the objects.
 */
#include "shared/kube/reflector_parts.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct state {
    size_t uid_len, version_len;
    char bytes[];
};

static struct text member_text(const struct json *of, struct text name)
{
    return json_text(json_member(of, name));
}

int reflector_identify(const struct json *object, struct reflector_identity *ret)
{
    const struct json *metadata = json_member(object, TEXT("metadata"));
    *ret = (struct reflector_identity){
        .ns = member_text(metadata, TEXT("namespace")),
        .name = member_text(metadata, TEXT("name")),
        .uid = member_text(metadata, TEXT("uid")),
        .version = member_text(metadata, TEXT("resourceVersion")),
    };
    if (ret->name.len == 0 || ret->ns.len + ret->name.len + 2 > REFLECTOR_KEY_MAX)
        return -EINVAL;
    return ret->version.len == 0 || ret->version.len >= REFLECTOR_VERSION_MAX ? -EINVAL : 0;
}

static struct text key_of(const struct reflector_identity *i, char out[static REFLECTOR_KEY_MAX])
{
    int len = snprintf(out, REFLECTOR_KEY_MAX, "%s/%s", i->ns.len ? i->ns.data : "", i->name.data);
    return (struct text){out, (size_t)len};
}

static bool equal(const char *bytes, size_t len, struct text t)
{
    return text_equal((struct text){bytes, len}, t);
}

bool reflector_knows(const struct map *m, const struct reflector_identity *i)
{
    char key[REFLECTOR_KEY_MAX];
    const struct state *s = map_get(m, key_of(i, key));
    return s && equal(s->bytes, s->uid_len, i->uid) &&
           equal(s->bytes + s->uid_len, s->version_len, i->version);
}

bool reflector_is_another(const struct map *m, const struct reflector_identity *i)
{
    char key[REFLECTOR_KEY_MAX];
    const struct state *s = map_get(m, key_of(i, key));
    return !s || !equal(s->bytes, s->uid_len, i->uid);
}

int reflector_remember(struct map *m, const struct reflector_identity *i)
{
    char key[REFLECTOR_KEY_MAX];
    void *old = NULL;
    struct state *s = malloc(sizeof *s + i->uid.len + i->version.len);
    if (!s)
        return -ENOMEM;
    s->uid_len = i->uid.len;
    s->version_len = i->version.len;
    if (i->uid.len)
        memcpy(s->bytes, i->uid.data, i->uid.len);
    memcpy(s->bytes + s->uid_len, i->version.data, i->version.len);
    int err = map_put(m, key_of(i, key), s, &old);
    free(err < 0 ? s : old);
    return err;
}

void reflector_forget(struct map *m, const struct reflector_identity *i)
{
    char key[REFLECTOR_KEY_MAX];
    free(map_remove(m, key_of(i, key)));
}

void reflector_map_done(struct map *m)
{
    map_done(m, free);
}

void reflector_key_split(const struct map_entry *e, char *ret_ns, const char **ret_name)
{
    struct text ns = {e->key, e->key_len}, name = {0};
    text_split(ns, '/', &ns, &name);
    memcpy(ret_ns, ns.data, ns.len);
    ret_ns[ns.len] = '\0';
    *ret_name = name.data;
}
