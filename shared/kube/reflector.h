/*
 * Keeps what its owner knows of one kind equal to what a Kubernetes API server has: lists in pages, then watches from there, and lists
 * again only when the server says that it has forgotten the version, or the watch stays broken. Pure: it says what to ask, is given the
 * answer's bytes, and says how long to wait. kube_informer.c moves the bytes. Owned by whoever embeds it; one thread. Bounded by
 * REFLECTOR_OBJECTS_MAX and REFLECTOR_OBJECT_BYTES_MAX.
 *
 * Versions are compared for equality only: they are opaque (Kubernetes API concepts, "Resource versions").
 */
#ifndef SHARED_KUBE_REFLECTOR_H
#define SHARED_KUBE_REFLECTOR_H
#include "shared/base/map.h"
#include "shared/base/rng.h"
#include "shared/json/json.h"
#include "shared/kube/kube_items.h"
#include "shared/kube/kube_lines.h"

enum {
    REFLECTOR_OBJECTS_MAX = 2000000,
    REFLECTOR_OBJECT_BYTES_MAX = 16 * 1024 * 1024,
    REFLECTOR_VERSION_MAX = 128,
    REFLECTOR_PATH_MAX = 20480,
    REFLECTOR_BACKOFF_MIN_MS = 500, /* waits are between these, but for Retry-After */
    REFLECTOR_BACKOFF_MAX_MS = 30000,
    REFLECTOR_RETRY_AFTER_MAX_MS = 300000,
};
#define RELIST_REASONS(X)                                                                          \
    X(INITIAL, "initial")                                                                          \
    X(EXPIRED, "expired") /* 410, as the status or as an event */                                  \
    X(BROKEN, "broken")   /* the same place of the watch could not be read again and again */      \
    X(SILENT, "silent")   /* no bookmark any more, of a server that had sent some */
enum relist_reason {
#define X(name, text) RELIST_##name,
    RELIST_REASONS(X)
#undef X
        RELIST_REASON_COUNT
};
const char *relist_reason_name(enum relist_reason reason);

struct reflector;
struct reflector_events {
    /* A list begins: what was put since the last begin() is void unless listed() came. */
    void (*begin)(struct reflector *r);
    /* New or changed; within a list it counts from listed() on. -ENOMEM: it will come again. */
    int (*put)(struct reflector *r, const struct json *object);
    int (*listed)(struct reflector *r); /* then `removed` for each that is gone. -ENOMEM: as put */
    void (*removed)(struct reflector *r, const char *ns, const char *name);
};
enum reflector_question { REFLECTOR_LIST, REFLECTOR_WATCH };
enum reflector_verdict { VERDICT_NONE, VERDICT_EXPIRED, VERDICT_BROKEN, VERDICT_REFUSED };
struct reflector_counters {
    uint64_t relists[RELIST_REASON_COUNT], watch_errors, events, duplicates;
};
struct reflector {
    const char *path; /* of the collection: "/api/v1/pods", or with a selector: "...?fieldSelector=..."; borrowed */
    unsigned page;    /* objects a page */
    struct rng *rng;
    const struct reflector_events *events;
    void *user;
    enum reflector_question question;
    bool listed;                         /* once at least */
    bool starting;                       /* the list has not had its first page yet */
    bool consistent;                     /* list from the server's storage, not its cache */
    bool bookmarks;                      /* the server has sent some */
    bool progressed;                     /* in this watch */
    struct map known, fresh;             /* "ns/name" -> version; fresh: of the list that runs */
    char version[REFLECTOR_VERSION_MAX]; /* "": none yet */
    char *next_page;                     /* the continue token; NULL: the first */
    struct kube_items items;             /* of the answer that comes in */
    struct kube_lines lines;
    struct text_heap refusal; /* its body, where the status is not 200 */
    enum reflector_verdict verdict;
    int error; /* of this answer */
    uint64_t begun_ms, retry_after_ms, backoff_ms;
    unsigned stuck, silent; /* watches in a row */
    struct reflector_counters counters;
    char why[192]; /* of the last thing that went wrong */
};
void reflector_init(struct reflector *r, const char *path, unsigned page, struct rng *rng,
                    const struct reflector_events *events, void *user);
void reflector_done(struct reflector *r); /* tells nothing */
/* The question to be asked now; its path needs REFLECTOR_PATH_MAX. */
enum reflector_question reflector_ask(struct reflector *r, uint64_t now_ms,
                                      struct text_out *ret_path);
/* Bytes of the answer. False: the rest is not wanted: end the request and call reflector_answered(). */
bool reflector_bytes(struct reflector *r, unsigned status, struct text bytes);
/* The answer has ended, well (error 0) or not (-errno: -ETIMEDOUT is silence). How long to wait before the next question. */
uint64_t reflector_answered(struct reflector *r, uint64_t now_ms, int error, unsigned status,
                            uint64_t retry_after_ms);
#endif
