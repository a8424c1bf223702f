/*
 * What one HTTP/2 peer may still cost us: a budget without a clock. Frames that move nothing
 * forward take from it, useful work gives back: bytes of DATA either way, answers, requests of
 * ours, and each time that the peer's bytes arrive separately (one http2_input()). A peer that
 * sends such frames faster than it does useful things, and many of them per packet, runs out; one
 * that pings or cancels now and then never does.
 *
 * The maximum grows with the streams that may be open, because a client that dies cancels all of
 * them at once, but never so far that a rapid reset (CVE-2023-44487: HEADERS and RST_STREAM, no
 * answer) goes on for more than HTTP2_CREDIT_LIMIT / (HEADERS + STREAM + RST) = 1500 streams; with 200
 * streams it is 450.
 */
#ifndef SHARED_HTTP2_HTTP2_CREDIT_H
#define SHARED_HTTP2_HTTP2_CREDIT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All in points. */
enum {
    HTTP2_CREDIT_BASE = 10000,
    HTTP2_CREDIT_PER_STREAM = 40,
    HTTP2_CREDIT_LIMIT = 60000,

    HTTP2_COST_HEADERS = 6,
    HTTP2_COST_STREAM = 14, /* on top: HEADERS that mean something; not those of a refused stream */
    HTTP2_COST_RST = 20,
    HTTP2_COST_PING = 10,
    HTTP2_COST_SETTINGS = 100,
    HTTP2_COST_WINDOW_UPDATE = 10,
    HTTP2_COST_PRIORITY = 10,
    HTTP2_COST_EMPTY_DATA = 20, /* nothing in it, or nothing but padding */
    HTTP2_COST_LAST_DATA = 10,  /* nothing in it but the end of its stream */
    HTTP2_COST_GOAWAY = 100,
    HTTP2_COST_OTHER = 10,      /* CONTINUATION, extensions, what we don't know */
    HTTP2_COST_MALFORMED = 50,  /* on top: what had to be answered with a RST_STREAM */
    HTTP2_COST_OVERSIZED = 500, /* on top: a head beyond its bounds */

    HTTP2_GAIN_INPUT = 20,     /* bytes arrived */
    HTTP2_GAIN_ANSWER = 40,    /* server: a stream was answered */
    HTTP2_GAIN_REQUEST = 60,   /* client: we opened a stream, the peer may answer and reset it */
    HTTP2_GAIN_DATA_SENT = 20, /* a frame: the peer returns its window, twice */
    HTTP2_BYTES_PER_POINT = 64,
};
struct http2_credit {
    int32_t left, max;
    uint32_t bytes; /* of DATA, not yet a whole point */
};
void http2_credit_init(struct http2_credit *c, uint32_t streams_max);
void http2_credit_give(struct http2_credit *c, int32_t points);
void http2_credit_give_bytes(struct http2_credit *c, size_t bytes);
bool http2_credit_take(struct http2_credit *c, int32_t points); /* false: it is used up */
#endif
