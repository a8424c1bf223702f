/*
 * What the files of the reflector know of each other; nobody else includes this.
 */
#ifndef SHARED_KUBE_REFLECTOR_PARTS_H
#define SHARED_KUBE_REFLECTOR_PARTS_H
#include "shared/kube/reflector.h"

/* Which object it is, and in which state. Points into the tree. */
struct reflector_identity {
    struct text ns, name, uid, version;
};
int reflector_identify(const struct json *object, struct reflector_identity *ret); /* -EINVAL */
/* Is this state of the object in the map already? */
bool reflector_knows(const struct map *m, const struct reflector_identity *i);
bool reflector_is_another(const struct map *m,
                          const struct reflector_identity *i); /* same name, other uid */
int reflector_remember(struct map *m, const struct reflector_identity *i); /* -ENOMEM, -ENOSPC */
void reflector_forget(struct map *m, const struct reflector_identity *i);
void reflector_map_done(struct map *m);
/* "ns/name" to its parts; ns has room for the key. */
void reflector_key_split(const struct map_entry *e, char *ret_ns, const char **ret_name);
enum { REFLECTOR_KEY_MAX = 512 };

struct reflector_status { /* a Status object of the API */
    unsigned code;
    uint64_t retry_after_ms;
    bool expired, version_too_new;
    char message[160];
};
void reflector_read_status(const struct json *status, struct reflector_status *ret);
/* A watch's event is taken in; sets verdict, error and why. */
void reflector_event(struct reflector *r, struct text line);
#endif
