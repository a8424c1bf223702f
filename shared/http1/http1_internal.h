/*
 * What the parts of the codec (http1_read.c, http1_judge.c, http1_write.c) know of one another, and
 * nobody else.
 */
#ifndef SHARED_HTTP1_HTTP1_INTERNAL_H
#define SHARED_HTTP1_HTTP1_INTERNAL_H
#include "shared/base/list.h"
#include "shared/http1/http1_check.h"
#include "shared/http1/http1_codec.h"
#include <llhttp.h>

enum {
    HEAD_MAX = 61440,     /* bytes of a head; Envoy's default */
    HEAD_MOST = 73728,    /* what an option may say; leaves room in http_head for our own */
    TRAILERS_MAX = 16384, /* bytes, and never more than a head may have */
    FIELDS_MAX = 100,
    FIELDS_MOST = 132, /* what an option may say: an http_head, and those of the framing */
    CHUNK_LINE_MAX = 256,  /* bytes of "size;extensions" */
    EXTENSIONS_MAX = 4096, /* bytes of them in one message */
    CHUNK_DIGITS_MAX = 16,
    INTERIM_MAX = 16, /* answers 1xx before the one */
    PROTOCOL_MAX = 32,
};

enum reading {
    READ_BEGIN, /* nothing of a message was read yet */
    READ_HEAD,
    READ_LENGTH,     /* `left` bytes of body */
    READ_CHUNK_LINE, /* in "size;extensions CR LF" */
    READ_CHUNK,      /* `left` bytes of it */
    READ_CHUNK_END,  /* CR LF */
    READ_LAST,       /* after the last chunk: trailers or CR LF? */
    READ_TRAILERS,
    READ_UNTIL_CLOSE,
    READ_HELD, /* another protocol is wished for */
    READ_RAW,  /* it is spoken */
    READ_TRAILERS_DUE,
    READ_END_DUE,
    READ_COMPLETE,
    READ_REFUSED, /* `status` says with what */
};
enum writing {
    WRITE_BEGIN,
    WRITE_LENGTH, /* `to_write` bytes */
    WRITE_CHUNKED,
    WRITE_UNTIL_CLOSE,
    WRITE_NO_BODY, /* dropped */
    WRITE_HELD,    /* client: another protocol is wished for */
    WRITE_RAW,
    WRITE_DONE,
};

struct http1_codec {
    llhttp_t parser; /* of the message that is being read */
    struct chunk_pool *pool;
    enum reading reading;
    enum writing writing;
    int status;
    bool server, upgrades, https;
    uint32_t head_max;
    uint16_t fields_max;

    /* Of lines: a head's, a chunk's, trailers'. */
    bool after_cr, blank_before;
    uint32_t line_len, n_lines, first_line_len;

    /* The head or the trailers that are being read: all of it in one piece, in the arena of that
     * head. */
    struct http_head *head, *trailers; /* trailers: ours; NULL: there are none */
    char *raw;
    uint32_t raw_len;
    struct text field, value;
    struct http1_framing_fields framing;
    unsigned n_fields;
    bool in_trailers, hop_fields, parsed_head, parsed_all, wants_close, wants_keep_alive;

    uint64_t left, chunk_len;
    uint32_t extensions_len;
    uint16_t chunk_digits;
    bool in_extension, chunk_told;

    unsigned minor;     /* of what was read last */
    unsigned n_interim; /* client: 1xx read */
    bool keep_alive;

    /* What was asked: by us as a client, of us as a server. */
    bool asked_head;
    char protocol[PROTOCOL_MAX];

    uint64_t to_write;
    bool close_after;
};

/* In place: it lies in an arena of ours, and llhttp is past it. */
static inline void http1_lower(struct text t)
{
    char *data = (char *)(uintptr_t)t.data;
    for (size_t i = 0; i < t.len; i++)
        data[i] = text_lower(data[i]);
}

/* Refuses what is read, from now on; returns the negative status. A client's are all 502 but 503. */
int http1_refuse(struct http1_codec *c, int status);
/* The answer to a wish for another protocol is known. */
void http1_upgraded(struct http1_codec *c, bool yes);

/* http1_judge.c. A head whose fields lie in c->head and c->framing: what it asks and what follows
 * it, into c->head and c->reading; how its body's length is told. -(status): refused. */
int http1_judge_request(struct http1_codec *c, enum http1_framing *ret_framing,
                        uint64_t *ret_length);
/* *ret_bodyless: there is no body, whatever is said of one. */
int http1_judge_answer(struct http1_codec *c, enum http1_framing *ret_framing, uint64_t *ret_length,
                       bool *ret_bodyless);
#endif
