/*
 * One client's stream, as the files of the ADS service see it: what both dialects share, and the
 * door to each. Owned by the service's list; freed when its call is closed.
 */
#ifndef CONTROLLER_SERVE_ADS_STREAM_H
#define CONTROLLER_SERVE_ADS_STREAM_H
#include "controller/serve/ads.h"
#include "controller/serve/world.h"

struct flight {     /* a response that is not acknowledged yet */
    uint64_t nonce; /* 0: none */
    size_t bytes;
    int type; /* enum xds_type, or XDS_TYPE_COUNT: of a type that we don't have */
    uint64_t sent_ms;
};
struct ads_stream;
struct ads_dialect {
    const char *name;
    struct text path;
    void (*init)(struct ads_stream *s);
    void (*done)(struct ads_stream *s);
    /* A request; it may finish the stream. */
    void (*request)(struct ads_stream *s, const uint8_t *data, size_t len);
    void (*pump)(struct ads_stream *s); /* tells what can be told now */
    /* The place in the type's log up to which graves are of no use to this client. */
    uint64_t (*known_to)(const struct ads_stream *s, enum xds_type type);
    void (*describe)(const struct ads_stream *s, enum xds_type type, struct ads_client *ret);
};
extern const struct ads_dialect ads_delta, ads_sotw;

struct ads_stream {
    struct grpc_call call;
    struct ads *ads;
    const struct ads_dialect *dialect;
    struct list link;
    union {
        struct interest interests[XDS_TYPE_COUNT]; /* delta */
        struct world worlds[XDS_TYPE_COUNT];       /* the state of the world */
    };
    struct flight flights[XDS_TYPE_COUNT]; /* of a delta stream the first FLIGHTS_MAX */
    uint64_t nonce, now_ms, connected_ms;
    bool routes_only, gateway_only;
    bool refused, over; /* over: finished by us, its end is on the way */
    char node[256], peer[256];
    struct asker asker;
    struct ip from;
    struct registration *machine; /* it registered; NULL: it did not ask */
    struct spiffe_id sidecar; /* whose pods' sidecars it may be; none: it is no sidecar */
    /* What it refused last, until it takes a response of that type; "": nothing. */
    char nack[ADS_NACK_MAX];
    enum xds_type nack_type;
};
/* The steps of telling what changed. */
struct ads_step {
    enum xds_type type;
    bool removals; /* what is gone, too */
};
enum { ADS_STEPS = 10 };
extern const struct ads_step ads_steps[ADS_STEPS];

/* Of each type, that the client may ask for. */
static inline size_t ads_stream_names_max(const struct ads_stream *s)
{
    return s->routes_only ? ADS_STRANGERS_NAMES_MAX : INTEREST_NAMES_MAX;
}
void ads_stream_finish(struct ads_stream *s, enum grpc_status status, const char *message);
/* By what interest_request() or world_request() answered. */
void ads_stream_fail(struct ads_stream *s, int error);
/* The first request says it; a sidecar of no pod that we know ends with that. */
void ads_stream_named(struct ads_stream *s, const char *node_id);
/* Who asks to be registered is, or ends with why not. */
void ads_stream_registers(struct ads_stream *s, const struct delta_machine *machine);
bool ads_stream_has_room(struct ads_stream *s); /* for one more response, in all limits */
/* Sends a response that has the next nonce (s->nonce + 1), and makes it the flight. Takes the bytes.
 * 1: sent; 0: not now (memory is short, ads_tick() comes back). */
int ads_stream_send(struct ads_stream *s, struct flight *f, int type, struct xds_bytes *taken);
void ads_stream_landed(struct ads_stream *s, struct flight *f, const char *error); /* NULL: ACK */
/* *ret is a type that this stream may be told of; -ENOENT. */
int ads_stream_type(const struct ads_stream *s, const char *url, enum xds_type *ret);
#endif
