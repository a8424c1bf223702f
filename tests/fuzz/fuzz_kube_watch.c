/*
 * Answers of an API server: the input is cut at each zero byte, and each piece, after a byte that says the status and how it is chopped,
 * is the answer to the reflector's next question. Whatever it was, the first good list makes the owner's knowledge what the server has.
 */
#include "shared/kube/reflector.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct owner {
    struct map have, staged;
    bool listing;
};
static char present;

static void key_of(const struct json *object, char out[static 1024])
{
    struct text_out key = {out, 0, 1024, false};
    struct text ns = json_text(json_get(object, "metadata.namespace"));
    text_put(&key, ns);
    text_putc(&key, '/');
    text_put(&key, json_text(json_get(object, "metadata.name")));
    if (key.overflow || json_text(json_get(object, "metadata.name")).len == 0)
        abort();
}

static void begin(struct reflector *r)
{
    struct owner *o = r->user;
    map_done(&o->staged, NULL);
    map_init(&o->staged, 0);
    o->listing = true;
}

static int put(struct reflector *r, const struct json *object)
{
    struct owner *o = r->user;
    char key[1024];
    key_of(object, key);
    return map_put(o->listing ? &o->staged : &o->have, text_of(key), &present, NULL);
}

static int listed(struct reflector *r)
{
    struct owner *o = r->user;
    const struct map_entry *e;
    for (size_t i = 0; (e = map_next(&o->staged, &i));)
        if (map_put(&o->have, (struct text){e->key, e->key_len}, &present, NULL) < 0)
            abort();
    o->listing = false;
    return 0;
}

static void removed(struct reflector *r, const char *ns, const char *name)
{
    struct owner *o = r->user;
    char key[1024];
    struct text_out out = {key, 0, sizeof key, false};
    text_printf(&out, "%s/%s", ns, name);
    if (!map_remove(&o->have, (struct text){key, out.len}))
        abort(); /* what is removed had been put */
}

static void answer(struct reflector *r, struct rng *rng, uint8_t how, struct text body)
{
    static const unsigned statuses[] = {200, 200, 200, 410, 429, 500, 504, 200};
    char path[REFLECTOR_PATH_MAX];
    struct text_out out = {path, 0, sizeof path, false};
    unsigned status = statuses[how % 8];
    bool wanted = true;
    reflector_ask(r, 0, &out);
    if (out.overflow)
        abort();
    while (wanted && body.len > 0) {
        size_t n = 1 + (size_t)rng_below(rng, how & 64 ? 7 : body.len);
        n = n < body.len ? n : body.len;
        wanted = reflector_bytes(r, status, (struct text){body.data, n});
        body.data += n;
        body.len -= n;
    }
    uint64_t wait_ms = reflector_answered(r, how & 32 ? 60000 : 0, how & 128 ? -5 : 0, status, 0);
    if (wait_ms > REFLECTOR_RETRY_AFTER_MAX_MS + 500)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct reflector_events events = {begin, put, listed, removed};
    static const char good[] = "{\"metadata\":{\"resourceVersion\":\"v\"},\"items\":[{\"metadata\":"
                               "{\"namespace\":\"n\",\"name\":\"a\",\"resourceVersion\":\"1\"}}]}";
    struct owner o = {.listing = false};
    struct reflector r;
    struct rng rng;
    struct text all = {(const char *)data, size}, piece;
    rng_seed(&rng, size);
    map_init(&o.have, 0);
    map_init(&o.staged, 0);
    reflector_init(&r, "/api/v1/pods", 2, &rng, &events, &o);
    while (all.len > 0) {
        if (!text_split(all, '\0', &piece, &all)) {
            piece = all;
            all.len = 0;
        }
        if (piece.len > 0)
            answer(&r, &rng, (uint8_t)piece.data[0], (struct text){piece.data + 1, piece.len - 1});
    }
    for (unsigned i = 0; i < 8 && (r.question == REFLECTOR_WATCH || r.starting || r.next_page); i++)
        answer(&r, &rng,
               r.question == REFLECTOR_WATCH ? 3
               : r.next_page                 ? 3
                                             : 0,
               text_of(r.question == REFLECTOR_WATCH || r.next_page ? "" : good));
    if (r.question == REFLECTOR_WATCH &&
        (o.have.count != r.known.count || !map_get(&o.have, TEXT("n/a"))))
        abort();
    reflector_done(&r);
    map_done(&o.have, NULL);
    map_done(&o.staged, NULL);
    return 0;
}
